"""Which runtime, and how it runs: one frozen class for each backend.

Sampler(artifact, backend=OnnxOptions(threads=1))       or, with every setting as it is by default, backend="onnx"
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = [
    "BACKENDS",
    "BackendOptions",
    "LitertOptions",
    "NumpyOptions",
    "OnnxOptions",
    "RemoteOptions",
    "SavedModelOptions",
    "StablehloOptions",
]


@dataclass(frozen=True)
class OnnxOptions:
    """ONNX Runtime, on the form `onnx`: the default."""

    threads: int | None = None
    """That one call is spread over; None leaves it to ONNX Runtime, which takes all cores."""
    providers: tuple[str, ...] = ("CPUExecutionProvider",)
    """Of execution, the first choice first; one that is missing is an error."""
    session: Mapping[str, str] = field(default_factory=dict[str, str])
    """ONNX Runtime's own session configuration entries."""


@dataclass(frozen=True)
class NumpyOptions:
    """NumPy alone, on the form `weights`; needs no ONNX Runtime."""


@dataclass(frozen=True)
class StablehloOptions:
    """JAX, on the form `stablehlo`; needs the extra `stablehlo`."""

    platform: str = "cpu"
    """Or cuda or tpu, whose float32 products are rounded more coarsely unless JAX is told otherwise."""


@dataclass(frozen=True)
class SavedModelOptions:
    """TensorFlow, on the form `saved_model`; needs the extra `saved-model`."""


@dataclass(frozen=True)
class LitertOptions:
    """LiteRT, on the form `litert`; needs the extra `litert`."""

    threads: int | None = None
    """That one call is spread over; None leaves it to LiteRT, which takes one."""


@dataclass(frozen=True)
class RemoteOptions:
    """A server, for an artifact that is given as its address."""

    deadline: float = 30.0
    """Seconds that one call may take, with all its tries."""
    tries: int = 3
    """At most, and only of what can be tried again; 1 to 3."""
    retry_budget: float = 0.1
    """Tries that may be added to those of all calls, as a share of them."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Of every request; metadata over gRPC."""
    ca_file: str | None = None
    """PEM certificates to trust, in place of the system's, for https and grpcs."""
    cert_file: str | None = None
    """PEM certificate of this client, for servers that ask for one."""
    key_file: str | None = None
    """PEM private key of that certificate."""
    max_batch: int = 1024
    """Images of one request; larger batches are split."""


BackendOptions = OnnxOptions | NumpyOptions | StablehloOptions | SavedModelOptions | LitertOptions | RemoteOptions

BACKENDS: Mapping[str, type[BackendOptions]] = {
    "onnx": OnnxOptions,
    "numpy": NumpyOptions,
    "stablehlo": StablehloOptions,
    "saved_model": SavedModelOptions,
    "litert": LitertOptions,
}
"""The local ones by name."""
