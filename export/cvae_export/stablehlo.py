"""StableHLO: each signature as jax.export's file, and beside it as a bare portable artifact.

    stablehlo/decoder.jax_export    jax.export.deserialize(...).call(z, label): cpu, cuda and tpu, any batch
    stablehlo/decoder.mlirbc        main(z, label) at a pinned StableHLO version, for anything else that reads it
    stablehlo/mix.*                 (z, class_weights)
    stablehlo/encode.*              (image, label), to (mean, logvar)

Inputs and outputs go by position, in the signature's order; a single output is an array, not a tuple of one.
StableHLO promises portable artifacts 5 years backward; the pinned version is old enough for current TensorFlow too.
"""

import dataclasses
import datetime
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import jax
import numpy as np
from jax import export
from jaxlib.mlir.dialects import stablehlo

from cvae_export.clock import created
from cvae_export.decoder import Decoder, Function
from cvae_export.form import Form, Loaded, Runner, Written, signature_of, stem_of

__all__ = ["PLATFORMS", "STABLEHLO", "STABLEHLO_VERSION", "at_pinned_version", "without_locations"]

STABLEHLO_VERSION = "1.9.0"
PLATFORMS = ("cpu", "cuda", "tpu")
_EXPORTED, _PORTABLE = ".jax_export", ".mlirbc"
_PROMISE = datetime.timedelta(days=182)  # jax.export reads files of its last six months


def at_pinned_version(module: bytes) -> bytes:
    """A portable artifact, written again at STABLEHLO_VERSION."""
    return stablehlo.serialize_portable_artifact_str(
        stablehlo.deserialize_portable_artifact_str(module), STABLEHLO_VERSION
    )


@contextmanager
def without_locations() -> Iterator[None]:
    """Lower functions without the source files and lines of this machine, which JAX records otherwise."""
    limit = jax.config.jax_traceback_in_locations_limit  # pyright: ignore[reportAttributeAccessIssue]
    jax.config.update("jax_traceback_in_locations_limit", 0)
    try:
        yield
    finally:
        jax.config.update("jax_traceback_in_locations_limit", limit)


def _write(decoder: Decoder, folder: Path) -> Written:
    folder.mkdir(parents=True)
    for signature, function in decoder.functions.items():
        stem = folder / stem_of(signature)
        exported, _ = _export(function, PLATFORMS)
        stem.with_suffix(_EXPORTED).write_bytes(bytes(exported.serialize()))
        _, module = _export(function, PLATFORMS[:1])
        stem.with_suffix(_PORTABLE).write_bytes(module)
    return Written(
        signatures=tuple(decoder.functions),
        written_by={"jax": jax.__version__, "jaxlib": version("jaxlib")},
        files={name: (stem_of(name) + _EXPORTED, stem_of(name) + _PORTABLE) for name in decoder.functions},
        stablehlo_version=STABLEHLO_VERSION,
        expires=(created() + _PROMISE).date().isoformat(),
    )


def _export(function: Function, platforms: Sequence[str]) -> tuple[export.Exported, bytes]:
    """What jax.export makes of it, at the pinned version, and that version's module."""
    # An input that is not used stays one: main's are those of the signature.
    jitted = jax.jit(function.positional, keep_unused=True)
    with without_locations():
        exported = export.export(jitted, platforms=platforms)(*function.symbolic_specs())
    module = at_pinned_version(exported.mlir_module_serialized)
    return dataclasses.replace(exported, mlir_module_serialized=module), module


def _load(folder: Path) -> Iterator[Loaded]:
    for path in sorted(folder.glob(f"*{_EXPORTED}")):
        exported = export.deserialize(bytearray(path.read_bytes()))
        # A module for one platform takes no platform index; the rest that jax.export knows is the same for both files.
        module = path.with_suffix(_PORTABLE).read_bytes()
        portable = dataclasses.replace(exported, platforms=PLATFORMS[:1], mlir_module_serialized=module)
        for each in (exported, portable):
            yield Loaded(signature_of(path), _runner(signature_of(path), each))


# The files hold what goes in and comes out by position alone.
_POSITIONS = {
    "decode": (("z", "label"), ("image",)),
    "mix": (("z", "class_weights"), ("image",)),
    "encode": (("image", "label"), ("mean", "logvar")),
}


def _runner(signature: str, exported: export.Exported) -> Runner:
    call = jax.jit(exported.call)
    names_in, names_out = _POSITIONS[signature]

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        outputs = call(*(inputs[name] for name in names_in))
        each = outputs if isinstance(outputs, tuple | list) else (outputs,)
        return dict(zip(names_out, map(np.asarray, each), strict=True))

    return run


STABLEHLO = Form("stablehlo", "stablehlo", _write, _load)
