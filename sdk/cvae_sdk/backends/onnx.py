"""ONNX Runtime: the default backend."""

from typing import Any, cast

import numpy as np
import numpy.typing as npt
import onnxruntime  # pyright: ignore[reportMissingTypeStubs]

from cvae_sdk.errors import BackendError
from cvae_sdk.manifest import Signature, TensorSpec

__all__ = ["OnnxBackend"]

_ONNX_TYPES = {"float32": "tensor(float)", "int32": "tensor(int32)"}
_ERRORS_ONLY = 3


class OnnxBackend:
    """An ONNX model held by one session on the CPU, with the inputs and outputs that `signature` says."""

    def __init__(self, model: bytes, signature: Signature) -> None:
        options: Any = onnxruntime.SessionOptions()  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        options.log_severity_level = _ERRORS_ONLY
        try:
            self._session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions have no common base but this
            raise BackendError(f"ONNX Runtime refuses the model: {str(error).splitlines()[0]}") from error
        _check("inputs", self._session.get_inputs(), signature.inputs)
        _check("outputs", self._session.get_outputs(), signature.outputs)

    def decode(self, z: npt.NDArray[np.float32], label: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """The exported function: z [batch, latent_dim], label [batch] -> image [batch, height, width, channels]."""
        try:
            return cast("npt.NDArray[np.float32]", self._session.run(["image"], {"z": z, "label": label})[0])
        except Exception as error:  # as above
            raise BackendError(f"ONNX Runtime failed: {str(error).splitlines()[0]}") from error


def _check(kind: str, nodes: list[Any], specs: "dict[str, TensorSpec] | Any") -> None:
    got = {node.name: (node.type, [d if isinstance(d, int) else "batch" for d in node.shape]) for node in nodes}
    expected = {name: (_ONNX_TYPES[spec.dtype], list(spec.shape)) for name, spec in specs.items()}
    if got != expected:
        raise BackendError(f"the ONNX model's {kind} are {got}, the manifest says {expected}")
