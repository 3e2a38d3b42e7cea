"""Which runtime, and how it runs: one frozen class for each backend.

Sampler(artifact, backend=OnnxOptions(threads=1))       or, with every setting as it is by default, backend="onnx"
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from cvae_sdk.errors import InputError, one_line

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
    """ONNX Runtime, on the form `onnx`: the default. Raises InputError for settings that cannot be used."""

    threads: int | None = None
    """That one call is spread over; None leaves it to ONNX Runtime, which takes all cores."""
    providers: tuple[str, ...] = ("CPUExecutionProvider",)
    """Of execution, the first choice first; one that is missing is an error."""
    session: Mapping[str, str] = field(default_factory=dict[str, str])
    """ONNX Runtime's own session configuration entries."""

    def __post_init__(self) -> None:
        _check_threads(self.threads)
        for name, expected, right in (
            ("providers", "a tuple of one name or more", _are_names(self.providers)),
            ("session", "a mapping of texts to texts", _are_entries(self.session)),
        ):
            if not right:
                raise _refusal(name, expected, getattr(self, name))


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
    """LiteRT, on the form `litert`; needs the extra `litert`. Raises InputError for a wrong number of threads."""

    threads: int | None = None
    """That one call is spread over; None leaves it to LiteRT, which takes one."""

    def __post_init__(self) -> None:
        _check_threads(self.threads)


@dataclass(frozen=True)
class RemoteOptions:
    """A server, for an artifact that is given as its address. Raises InputError for settings that cannot be used."""

    deadline: float = 30.0
    """Seconds that one call may take, with all its requests and their tries; of a stream, each batch."""
    tries: int = 3
    """At most, of one request, and only of what can be tried again; 1 to 3."""
    retry_budget: float = 0.1
    """Tries that may be added to those of all calls, as a share of them, beside the first ten; 0 for none at all."""
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

    def __post_init__(self) -> None:
        for name, expected, right in (
            ("deadline", "a number of seconds above 0, at most a year", _is_between(self.deadline, 0, _YEAR, float)),
            ("tries", "1, 2 or 3", _is_between(self.tries, 0, 3, int)),
            ("retry_budget", "a share from 0 to 1", _is_between(self.retry_budget, -1e-300, 1, float)),
            ("max_batch", "an integer of at least 1", _is_between(self.max_batch, 0, 2**31 - 1, int)),
        ):
            if not right:
                raise _refusal(name, expected, getattr(self, name))
        if not isinstance(self.headers, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise _refusal("headers", "a mapping of texts", self.headers)
        for name, value in cast("Mapping[object, object]", self.headers).items():
            if not _is_header(name):
                raise _refusal("headers", "named with letters, digits, - or _, and none that each request has", name)
            if not isinstance(value, str) or not re.fullmatch(_HEADER_VALUE, value):
                raise _refusal(f"headers[{name!r}]", "printable ASCII without spaces around it", value)
        if (self.cert_file is None) != (self.key_file is None):
            missing = "cert_file" if self.cert_file is None else "key_file"
            raise _refusal(missing, "given where the other of cert_file and key_file is", None)


_MOST_THREADS = 1024
_YEAR = 366 * 24 * 3600.0
_HEADER = r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}"
_HEADER_VALUE = r"[!-~](?:[ -~]{0,16382}[!-~])?"
_OWN_HEADERS = frozenset(
    ("accept", "accept-encoding", "connection", "content-length", "content-type", "expect", "host", "keep-alive",
     "inference-header-content-length", "te", "trailer", "transfer-encoding", "upgrade", "user-agent")
)  # fmt: skip


def _is_header(name: object) -> bool:
    """Whether it may be given, and means the same to HTTP and to gRPC, where -bin marks bytes."""
    if not isinstance(name, str) or not re.fullmatch(_HEADER, name):
        return False
    return name.lower() not in _OWN_HEADERS and not name.lower().endswith("-bin")


def _check_threads(threads: object) -> None:
    if threads is not None and not _is_between(threads, 0, _MOST_THREADS, int):
        raise _refusal("threads", f"an integer from 1 to {_MOST_THREADS}, or None", threads)


def _are_names(providers: object) -> bool:
    if not isinstance(providers, tuple) or not providers:
        return False
    return all(isinstance(each, str) for each in cast("tuple[object, ...]", providers))


def _are_entries(session: object) -> bool:
    if not isinstance(session, Mapping):
        return False
    entries = cast("Mapping[object, object]", session).items()
    return all(isinstance(name, str) and isinstance(value, str) for name, value in entries)


def _is_between(value: object, above: float, most: float, kind: type[float]) -> bool:
    return not isinstance(value, bool) and isinstance(value, (int, kind)) and above < value <= most


def _refusal(name: str, expected: str, found: object) -> InputError:
    return InputError(f"{name} must be {expected}, got {one_line(found)}", field=name, expected=expected, found=found)


BackendOptions = OnnxOptions | NumpyOptions | StablehloOptions | SavedModelOptions | LitertOptions | RemoteOptions

BACKENDS: Mapping[str, type[BackendOptions]] = {
    "onnx": OnnxOptions,
    "numpy": NumpyOptions,
    "stablehlo": StablehloOptions,
    "saved_model": SavedModelOptions,
    "litert": LitertOptions,
}
"""The local ones by name."""
