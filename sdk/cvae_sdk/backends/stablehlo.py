"""JAX, on the form `stablehlo`: jax.export's file, or where this JAX refuses that, the portable artifact beside it.

jax.export's files are promised to be read for six months, portable artifacts for five years. A portable artifact is the
function alone: what jax.export has to know beside it is taken from a function of the same signature that is exported
here and now, whose module it then replaces.

XLA compiles a function for each batch size, so that batches are padded to powers of two, up to 1024.
"""

import dataclasses
import threading
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from cvae_sdk.artifact import Artifact
from cvae_sdk.backends.form import require_form, signature_files
from cvae_sdk.backends.functions import INPUTS, OUTPUTS, Arrays, Function, FunctionsBackend, reason_of
from cvae_sdk.backends.options import StablehloOptions
from cvae_sdk.backends.quiet import quiet_native_libraries
from cvae_sdk.backends.rows import in_pieces, one_row, padded
from cvae_sdk.errors import BackendError, BackendUnavailableError, named
from cvae_sdk.manifest import Signature

__all__ = ["open_stablehlo"]

_FORM = "stablehlo"
_MOST = 1024
_EXPORTED, _PORTABLE = ".jax_export", ".mlirbc"
_jax: Any = jax  # its types are but in part known
_jnp: Any = jnp


def open_stablehlo(artifact: Artifact, options: StablehloOptions) -> FunctionsBackend:
    """The form's signatures, the first of which is compiled for one image here.

    Raises ArtifactError for an artifact without the form, BackendUnavailableError for a platform that JAX has not
    here, BackendError for files that it refuses.
    """
    files = signature_files(artifact.manifest, _FORM)
    device = _device(options.platform)
    functions = {name: _Signature(artifact, name, files[name], device) for name in OUTPUTS if name in files}
    for function in list(functions.values())[:1]:
        function.open()
    return FunctionsBackend("JAX", artifact.manifest, functions)


def _device(platform: str) -> Any:
    try:
        with quiet_native_libraries():
            return _jax.devices(platform)[0]
    except RuntimeError as error:
        raise BackendUnavailableError(
            f"JAX has no {named(platform)} here: {reason_of(error)}",
            field="platform", expected=platform, found=jax.default_backend(),
        ) from error  # fmt: skip


class _Signature:
    """One signature, opened when it is first needed."""

    def __init__(self, artifact: Artifact, name: str, files: tuple[str, ...], device: Any) -> None:
        self._artifact, self._name, self._files, self._device = artifact, name, files, device
        self._opening = threading.Lock()
        self._function: Function | None = None

    def __call__(self, inputs: Arrays) -> Arrays:
        return in_pieces(self._function or self.open(), inputs, _MOST)

    def open(self) -> Function:
        """Compile it for one image, of the first of its files that can be."""
        with self._opening:
            if self._function is None:
                self._function = self._open()
            return self._function

    def _open(self) -> Function:
        signature, refused = self._artifact.manifest.signatures[self._name], list[str]()
        readers: dict[str, Callable[[bytes, Signature, str], Any]] = {_EXPORTED: _exported, _PORTABLE: _portable}
        for suffix, reader in readers.items():
            for path in self._files:
                if path.endswith(suffix):
                    content = self._artifact.read(path)
                    try:
                        function = self._compiled(reader(content, signature, self._name))
                        with quiet_native_libraries():
                            function(one_row(signature))
                    except Exception as error:  # JAX's own have no common base but this
                        refused.append(f"{named(path)}: {reason_of(error)}")
                    else:
                        return function
        raise self._refused(refused)

    def _compiled(self, exported: Any) -> Function:
        call: Any = _jax.jit(exported.call)
        names_in, names_out = INPUTS[self._name], OUTPUTS[self._name]

        def run(inputs: Arrays) -> Arrays:
            batch = len(next(iter(inputs.values())))
            larger = padded(inputs)
            outputs: Any = call(*(_jax.device_put(larger[name], self._device) for name in names_in))
            each = (outputs,) if hasattr(outputs, "shape") else outputs
            return {name: np.asarray(output)[:batch] for name, output in zip(names_out, each, strict=True)}

        return run

    def _refused(self, reasons: list[str]) -> BackendError:
        form = require_form(self._artifact.manifest, _FORM)
        written_by = ", ".join(f"{name} {version}" for name, version in sorted(form.written_by.items()))
        until = f", promised to be read until {form.expires}" if form.expires else ""
        return BackendError(
            f"JAX {jax.__version__} reads none of the files of {self._name}, written by {named(written_by)}{until}: "
            f"{'; '.join(reasons) or 'there are none'}: install that JAX, or export the artifact again",
            file=self._files[0] if self._files else None,
            field=f"formats.{_FORM}", expected=written_by, found=f"jax {jax.__version__}",
        )  # fmt: skip


def _exported(content: bytes, signature: Signature, name: str) -> Any:
    del signature, name
    return export.deserialize(bytearray(content))


def _portable(content: bytes, signature: Signature, name: str) -> Any:
    """What jax.export makes of zeros of the signature's outputs, with the artifact as its module."""

    def zeros(*inputs: Any) -> Any:
        outputs = [
            _jnp.zeros((inputs[0].shape[0], *signature.outputs[output].shape[1:]), np.float32)
            for output in OUTPUTS[name]
        ]
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    (batch,) = export.symbolic_shape("batch")
    specs = [
        jax.ShapeDtypeStruct((batch, *spec.shape[1:]), np.dtype(spec.dtype))
        for spec in (signature.inputs[each] for each in INPUTS[name])
    ]
    stand_in = export.export(_jax.jit(zeros, keep_unused=True), platforms=("cpu",))(*specs)
    return dataclasses.replace(stand_in, mlir_module_serialized=content)
