"""StableHLO: the decoder as jax.export's file, and beside it as a bare portable artifact.

    stablehlo/decoder.jax_export    jax.export.deserialize(...).call(z, label): cpu, cuda and tpu, any batch
    stablehlo/decoder.mlirbc        main(z, label) at a pinned StableHLO version, for anything else that reads it

StableHLO promises portable artifacts 5 years backward; the pinned version is old enough for current TensorFlow too.
"""

import dataclasses
import datetime
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import jax
import numpy as np
from jax import export
from jaxlib.mlir.dialects import stablehlo

from cvae_export.clock import created
from cvae_export.decoder import Decoder
from cvae_export.form import Form, Loaded, Runner, Written

__all__ = ["PLATFORMS", "STABLEHLO", "STABLEHLO_VERSION", "at_pinned_version", "without_locations"]

STABLEHLO_VERSION = "1.9.0"
PLATFORMS = ("cpu", "cuda", "tpu")
_EXPORTED, _PORTABLE = "decoder.jax_export", "decoder.mlirbc"
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
    function = decoder.functions["decode"]
    for name, platforms in ((_EXPORTED, PLATFORMS), (_PORTABLE, PLATFORMS[:1])):
        with without_locations():
            exported = export.export(jax.jit(function.positional), platforms=platforms)(*function.symbolic_specs())
        module = at_pinned_version(exported.mlir_module_serialized)
        if name == _EXPORTED:
            content = bytes(dataclasses.replace(exported, mlir_module_serialized=module).serialize())
        else:
            content = module
        (folder / name).write_bytes(content)
    return Written(
        signatures=("decode",),
        written_by={"jax": jax.__version__, "jaxlib": version("jaxlib")},
        stablehlo_version=STABLEHLO_VERSION,
        expires=(created() + _PROMISE).date().isoformat(),
    )


def _load(folder: Path) -> Iterable[Loaded]:
    exported = export.deserialize(bytearray((folder / _EXPORTED).read_bytes()))
    # A module for one platform takes no platform index; the rest of what jax.export knows is the same for both files.
    portable = dataclasses.replace(
        exported, platforms=PLATFORMS[:1], mlir_module_serialized=(folder / _PORTABLE).read_bytes()
    )
    return [Loaded("decode", _runner("decode", exported)), Loaded("decode", _runner("decode", portable))]


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
