"""One file per runtime; each imports its own heavy library, and only it does.

`open_backend` is the one door: it imports the file of the runtime that is asked for, and no other.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy.typing as npt

from cvae_sdk.artifact import Artifact
from cvae_sdk.backends.form import library_missing, require_form
from cvae_sdk.backends.options import (
    BackendOptions,
    LitertOptions,
    NumpyOptions,
    OnnxOptions,
    SavedModelOptions,
    StablehloOptions,
)
from cvae_sdk.backends.quiet import quiet_native_libraries
from cvae_sdk.errors import BackendUnavailableError

__all__ = ["Arrays", "Backend", "open_backend"]

Arrays = Mapping[str, npt.NDArray[Any]]


class Backend(Protocol):
    """A loaded model. Safe to call from several threads at once."""

    @property
    def signatures(self) -> frozenset[str]:
        """Those of decode, mix and encode that it can run."""
        ...

    def run(self, signature: str, inputs: Arrays) -> Arrays:
        """The exported function of that name.

        decode   z float32 [batch, latent_dim], label int32 [batch] -> image float32 [batch, height, width, channels]
        mix      z, class_weights float32 [batch, classes] -> image
        encode   image, label -> mean, logvar float32 [batch, latent_dim]

        Inputs are checked by the caller and contiguous; batch is 1 or more. Raises BackendError.
        """
        ...

    def side_by_side(self) -> "tuple[Backend, int]":
        """A Backend for the calls of one drawing, and how many of them pay at once: 1 where one takes the machine."""
        ...

    def close(self) -> None:
        """Give back what it holds; nothing may be run after that."""
        ...


def open_backend(artifact: Artifact, options: BackendOptions) -> Backend:
    """The artifact's model in the runtime of `options`; the bytes that are run are those that were checked.

    Raises ArtifactError for an artifact that has no such form, BackendUnavailableError for a library that is missing,
    BackendError for a model that the runtime refuses.
    """
    if type(options) not in _OPENERS:
        raise BackendUnavailableError(f"{type(options).__name__} is not for an artifact in a folder")
    return _OPENERS[type(options)](artifact, options)


def _open_onnx(artifact: Artifact, options: Any) -> Backend:
    try:
        from cvae_sdk.backends.onnx import OnnxBackend
    except ImportError as error:
        raise library_missing("ONNX Runtime", "onnxruntime", None, error) from error
    return OnnxBackend(artifact, options)


def _open_numpy(artifact: Artifact, options: Any) -> Backend:
    from cvae_sdk.backends.numpy_backend import open_numpy

    del options
    return open_numpy(artifact)


def _open_stablehlo(artifact: Artifact, options: Any) -> Backend:
    require_form(artifact.manifest, "stablehlo")
    try:
        with quiet_native_libraries():
            from cvae_sdk.backends.stablehlo import open_stablehlo
    except ImportError as error:
        raise library_missing("JAX", "jax", "stablehlo", error) from error
    return open_stablehlo(artifact, options)


def _open_saved_model(artifact: Artifact, options: Any) -> Backend:
    require_form(artifact.manifest, "saved_model")
    del options
    with quiet_native_libraries():
        try:
            from cvae_sdk.backends.saved_model import open_saved_model
        except ImportError as error:
            raise library_missing("TensorFlow", "tensorflow", "saved-model", error) from error
        return open_saved_model(artifact)


def _open_litert(artifact: Artifact, options: Any) -> Backend:
    require_form(artifact.manifest, "litert")
    with quiet_native_libraries():
        try:
            from cvae_sdk.backends.litert import open_litert
        except ImportError as error:
            raise library_missing("LiteRT", "ai_edge_litert", "litert", error) from error
        return open_litert(artifact, options)


_OPENERS: Mapping[type, Callable[[Artifact, Any], Backend]] = {
    OnnxOptions: _open_onnx,
    NumpyOptions: _open_numpy,
    StablehloOptions: _open_stablehlo,
    SavedModelOptions: _open_saved_model,
    LitertOptions: _open_litert,
}
