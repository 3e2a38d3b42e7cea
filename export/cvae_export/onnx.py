"""ONNX by tf2onnx from the plain TensorFlow graph: standard operators only, one file.

onnx/decoder.onnx    z, label -> image, any batch
"""

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import tensorflow as tf
import tf2onnx

from cvae_export.decoder import Decoder
from cvae_export.errors import ExportError
from cvae_export.form import Form, Loaded, Runner, Written
from cvae_export.tf_graph import to_tf_function

__all__ = ["ONNX", "OPSET", "check_portable"]

OPSET = 17


def check_portable(model: onnx.ModelProto) -> None:
    """Refuse what a plain runtime may lack: custom operators, model functions, tensors in other files, other opsets."""
    opsets = {opset.domain: opset.version for opset in model.opset_import}
    if opsets.get("") != OPSET:
        raise ExportError(f"onnx: the model's opset is {opsets.get('')}, not {OPSET}")
    if custom := sorted({f"{node.domain}.{node.op_type}" for node in model.graph.node if node.domain}):
        raise ExportError(f"onnx: the model has custom operators: {', '.join(custom)}")
    if model.functions:
        raise ExportError(f"onnx: the model has functions: {', '.join(function.name for function in model.functions)}")
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise ExportError(f"onnx: the tensor {tensor.name} lies in another file")
    onnx.checker.check_model(model, full_check=True)


def _write(decoder: Decoder, path: Path) -> Written:
    function = to_tf_function(decoder.functions["decode"])
    model, _ = tf2onnx.convert.from_function(function, function.input_signature, opset=OPSET)
    model.graph.doc_string = ""  # tf2onnx's counts the functions that TensorFlow has made so far
    check_portable(model)
    path.parent.mkdir(parents=True)
    path.write_bytes(model.SerializeToString(deterministic=True))
    return Written(("decode",), {"tf2onnx": version("tf2onnx"), "tensorflow": tf.__version__}, opset=OPSET)


def _load(path: Path) -> Iterable[Loaded]:
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    return [Loaded("decode", _runner(session))]


def _runner(session: onnxruntime.InferenceSession) -> Runner:
    names = [output.name for output in session.get_outputs()]

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(names, map(np.asarray, session.run(names, dict(inputs))), strict=True))

    return run


ONNX = Form("onnx", "onnx/decoder.onnx", _write, _load)
