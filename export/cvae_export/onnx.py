"""ONNX by tf2onnx from the plain TensorFlow graph: standard operators only, one file.

onnx/decoder.onnx    z, label -> image, any batch
"""

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime

from cvae_export.decoder import Decoder
from cvae_export.form import Form, Loaded, Runner, Written
from cvae_export.onnx_graph import OPSET, WRITTEN_BY, to_onnx

__all__ = ["ONNX", "onnx_form", "open_session"]


def open_session(path: Path) -> Runner:
    """An ONNX file in ONNX Runtime, on the CPU."""
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(names, map(np.asarray, session.run(names, dict(inputs))), strict=True))

    return run


def _write(decoder: Decoder, path: Path, opset: int) -> Written:
    model = to_onnx(decoder.functions["decode"], opset)
    path.parent.mkdir(parents=True)
    path.write_bytes(model.SerializeToString(deterministic=True))
    return Written(("decode",), WRITTEN_BY, opset=opset)


def _load(path: Path) -> Iterable[Loaded]:
    return [Loaded("decode", open_session(path))]


def onnx_form(opset: int = OPSET) -> Form:
    """The form, written at an opset."""
    return Form("onnx", "onnx/decoder.onnx", partial(_write, opset=opset), _load)


ONNX = onnx_form()
