"""ONNX by tf2onnx from the plain TensorFlow graph: standard operators only, one file for each signature, any batch.

onnx/decoder.onnx    z, label -> image
onnx/mix.onnx        z, class_weights -> image
onnx/encode.onnx     image, label -> mean, logvar
"""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from cvae_export.decoder import Decoder
from cvae_export.form import Form, Loaded, Runner, Written, signature_of, stem_of
from cvae_export.onnx_graph import OPSET, WRITTEN_BY, to_onnx
from cvae_sdk.backends.telemetry import onnxruntime_telemetry_off

with onnxruntime_telemetry_off():
    import onnxruntime

__all__ = ["ONNX", "onnx_form", "open_session"]


def open_session(path: Path) -> Runner:
    """An ONNX file in ONNX Runtime, on the CPU."""
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(names, map(np.asarray, session.run(names, dict(inputs))), strict=True))

    return run


def _write(decoder: Decoder, path: Path, opset: int) -> Written:
    path.parent.mkdir(parents=True)
    files = {signature: f"{stem_of(signature)}.onnx" for signature in decoder.functions}
    for signature, name in files.items():
        model = to_onnx(decoder.functions[signature], opset)
        path.with_name(name).write_bytes(model.SerializeToString(deterministic=True))
    return Written(
        tuple(files), WRITTEN_BY, files={signature: (name,) for signature, name in files.items()}, opset=opset
    )


def _load(path: Path) -> Iterator[Loaded]:
    for file in sorted(path.parent.glob("*.onnx")):
        yield Loaded(signature_of(file), open_session(file))


def onnx_form(opset: int = OPSET) -> Form:
    """The form, written at an opset."""
    return Form("onnx", "onnx/decoder.onnx", partial(_write, opset=opset), _load)


ONNX = onnx_form()
