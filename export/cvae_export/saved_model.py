"""SavedModel of plain TensorFlow operations: a TF Serving base path, any batch, no flags.

saved_model/1/    signatures serving_default (= decode), decode and mix
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tensorflow as tf

from cvae_export.decoder import Decoder
from cvae_export.errors import ExportError
from cvae_export.form import Form, Loaded, Runner, Written
from cvae_export.tf_graph import Constant, to_tf_function

__all__ = ["SAVED_MODEL", "load_saved_model", "save_saved_model"]

_VERSION = "1"


def save_saved_model(functions: dict[str, Any], folder: Path) -> Path:
    """Write tf.functions, by signature, as version 1 of a TF Serving base path, and give that version's folder.

    The signature that a server uses when none is asked for is decode.
    """
    module = tf.Module()
    try:
        tf.saved_model.save(module, str(folder / _VERSION), {"serving_default": functions["decode"], **functions})
    except tf.errors.OpError as error:
        raise ExportError(f"cannot write {folder.name}: {str(error.message).splitlines()[0]}") from error
    (folder / _VERSION / "assets").rmdir()  # empty, and lost by whatever keeps files only
    return folder / _VERSION


def load_saved_model(folder: Path) -> Iterable[Loaded]:
    """Open version 1 as a server does, by its signatures."""
    model = tf.saved_model.load(str(folder / _VERSION))
    return [Loaded(name, _runner(function)) for name, function in sorted(model.signatures.items())]


def _runner(function: Any) -> Runner:
    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        outputs = function(**{name: tf.constant(array) for name, array in inputs.items()})
        return {name: tensor.numpy() for name, tensor in outputs.items()}

    return run


def _shared_constants() -> Constant:
    """Arrays as tensors outside the functions' graphs, each held once however many signatures use it."""
    held: dict[tuple[str, tuple[int, ...], bytes], tf.Tensor] = {}

    def constant(value: np.ndarray) -> tf.Tensor:
        identity = (value.dtype.name, value.shape, value.tobytes())
        if value.size == 1:
            return tf.constant(value)
        if identity not in held:
            with tf.init_scope():
                held[identity] = tf.constant(value)
        return held[identity]

    return constant


def _write(decoder: Decoder, folder: Path) -> Written:
    constant = _shared_constants()
    functions = {name: to_tf_function(function, constant) for name, function in decoder.functions.items()}
    save_saved_model(functions, folder)
    return Written(tuple(functions), {"tensorflow": tf.__version__, "jax": jax.__version__})


SAVED_MODEL = Form("saved_model", "saved_model", _write, load_saved_model)
