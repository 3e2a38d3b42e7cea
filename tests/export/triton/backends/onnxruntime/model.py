"""The backend `onnxruntime` for a Triton that comes without NVIDIA's own: a Python-based backend on ONNX Runtime.

Triton reads the model repository, checks and merges requests as ever; this runs model.onnx. Like NVIDIA's backend, it
loads no model whose inputs or outputs are not those of the configuration, and runs merged requests at once.
"""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import triton_python_backend_utils as triton

TYPES = {"TYPE_FP32": "tensor(float)", "TYPE_INT32": "tensor(int32)"}


class TritonPythonModel:
    def initialize(self, args):
        path = Path(args["model_repository"], args["model_version"], "model.onnx")
        self.session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
        config = json.loads(args["model_config"])
        for kind, tensors in (("input", self.session.get_inputs()), ("output", self.session.get_outputs())):
            configured = {
                tensor["name"]: (TYPES[tensor["data_type"]], tensor.get("reshape", {"shape": tensor["dims"]})["shape"])
                for tensor in config[kind]
            }
            found = {tensor.name: (tensor.type, tensor.shape[1:]) for tensor in tensors}
            if configured != found:
                raise triton.TritonModelException(f"config.pbtxt says {kind} {configured}, model.onnx has {found}")

    def execute(self, requests):
        inputs = [tensor.name for tensor in self.session.get_inputs()]
        outputs = [tensor.name for tensor in self.session.get_outputs()]
        # By DLPack: Tensor(name, array) and as_numpy() of a Triton that was built for NumPy 1 misread NumPy 2's arrays.
        tensors = {
            name: [np.from_dlpack(triton.get_input_tensor_by_name(request, name)) for request in requests]
            for name in inputs
        }
        results = self.session.run(outputs, {name: np.concatenate(tensors[name]) for name in inputs})
        ends = np.cumsum([len(tensor) for tensor in tensors[inputs[0]]])[:-1]
        parts = zip(*(np.split(result, ends) for result in results), strict=True)
        return [triton.InferenceResponse([*map(triton.Tensor.from_dlpack, outputs, part)]) for part in parts]
