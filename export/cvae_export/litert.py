"""LiteRT (TensorFlow Lite) from the plain TensorFlow graph: for phones and small boards, any batch.

litert/decoder.tflite    the signatures decode, mix and encode; built-in operators only, weights held once
"""

import re
import tempfile
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from cvae_export.decoder import Decoder
from cvae_export.errors import ExportError, ImpossibleFormError
from cvae_export.form import Form, Loaded, Runner, Written
from cvae_export.quiet import quiet_native_libraries
from cvae_export.tf_graph import to_tf_function

__all__ = ["LITERT"]


def _write(decoder: Decoder, path: Path) -> Written:
    functions = {name: to_tf_function(function) for name, function in decoder.functions.items()}
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(tf.Module(), folder, functions)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=list(functions))
        try:
            with quiet_native_libraries():
                content = converter.convert()
        except Exception as error:  # the converter's own has no public name
            if missing := re.search(r"Custom ops: (.*)", str(error)):
                reason = f"LiteRT has no operator for TensorFlow's {missing[1].strip()}"
                raise ImpossibleFormError("litert", reason) from error
            raise ExportError(f"litert: the converter refuses the graph: {str(error).splitlines()[0]}") from error
    try:
        Interpreter(model_content=content)
    except ValueError as error:  # of some graphs it cannot tell sizes while the batch is free: Equinox's attention
        reason = f"LiteRT does not open what its converter wrote ({str(error).splitlines()[0].rstrip('.')})"
        raise ImpossibleFormError("litert", reason) from error
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return Written(tuple(functions), {"tensorflow": tf.__version__, "ai-edge-litert": version("ai-edge-litert")})


def _load(path: Path) -> Iterable[Loaded]:
    content = path.read_bytes()
    with quiet_native_libraries():
        names = Interpreter(model_content=content).get_signature_list()
        return [Loaded(name, _runner(content, name)) for name in sorted(names)]


def _runner(content: bytes, signature: str) -> Runner:
    # Signatures of one interpreter share its tensors' sizes; the runner resizes them to each batch.
    call = Interpreter(model_content=content).get_signature_runner(signature)
    # The first call, not the interpreter, tells on the terminal what computes.
    call(**{name: np.zeros(detail["shape"], detail["dtype"]) for name, detail in call.get_input_details().items()})

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {name: np.array(output) for name, output in call(**inputs).items()}

    return run


LITERT = Form("litert", "litert/decoder.tflite", _write, _load)
