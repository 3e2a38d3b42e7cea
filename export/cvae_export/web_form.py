"""A page that samples in the visitor's own browser, as a form: its ONNX model, by the ONNX Runtime that it ships.

web/index.html ...      z, class_weights -> image; `decode` is mix by one-hot weights, as the page does it

What it needs comes by npm, not pip: the package onnxruntime-web is copied in, and Node runs it for the gate.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from cvae_export.decoder import Decoder
from cvae_export.errors import ExportError
from cvae_export.form import Form, Loaded, Written
from cvae_export.node_session import NodeSession
from cvae_export.onnx_graph import OPSET, WRITTEN_BY, to_onnx
from cvae_export.onnxruntime_web import find_onnxruntime_web
from cvae_export.web_page import MODEL, RUNTIME_FOLDER, copy_page

__all__ = ["web_form"]


def _write(decoder: Decoder, path: Path, opset: int, package: Path | None) -> Written:
    if "mix" not in decoder.functions:
        raise ExportError("web: its page mixes classes, and this decoder has no mix: give mix_fn, or leave web out")
    runtime = find_onnxruntime_web(package)
    copy_page(path, to_onnx(decoder.functions["mix"], opset).SerializeToString(deterministic=True), runtime)
    written_by = {**WRITTEN_BY, "onnxruntime-web": runtime.version}
    return Written(("mix",), written_by, files={"mix": (MODEL,)}, opset=opset)


def _load(path: Path) -> Iterator[Loaded]:
    session = NodeSession(path / MODEL, path / RUNTIME_FOLDER)

    def mix(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"image": session.mix(inputs["z"], inputs["class_weights"])}

    def decode(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"image": session.mix(inputs["z"], np.eye(session.classes, dtype=np.float32)[inputs["label"]])}

    yield Loaded("decode", decode)
    yield Loaded("mix", mix)


def web_form(opset: int = OPSET, package: Path | None = None) -> Form:
    """The form, its model written at an opset; `package` is the folder of onnxruntime-web, by default searched for."""
    return Form("web", "web", partial(_write, opset=opset, package=package), _load)
