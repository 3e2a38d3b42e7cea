"""SavedModel by jax2tf: one XlaCallModule operation per signature, for TensorFlow programs that compile with XLA.

    saved_model_xla/1/    signatures serving_default (= decode) and decode

A stock TF Serving refuses it, and TensorFlow compiles it anew for every batch size: `saved_model` is the one to
serve. The StableHLO inside is written again at the pinned version, since that of a new JAX is newer than TensorFlow
reads.
"""

from pathlib import Path
from typing import Any

import jax
import tensorflow as tf
from jax.experimental import jax2tf
from tensorflow.core.protobuf import saved_model_pb2

from cvae_export.decoder import BATCH, Decoder, Function
from cvae_export.form import Form, Written
from cvae_export.saved_model import load_saved_model, save_saved_model
from cvae_export.stablehlo import PLATFORMS, STABLEHLO_VERSION, at_pinned_version, without_locations

__all__ = ["SAVED_MODEL_XLA"]


def _write(decoder: Decoder, folder: Path) -> Written:
    with without_locations():  # saving is what lowers the function
        version_folder = save_saved_model({"decode": _to_tf_function(decoder.functions["decode"])}, folder)
    path = version_folder / "saved_model.pb"
    path.write_bytes(_with_pinned_modules(path.read_bytes()))
    return Written(
        ("decode",),
        {"tensorflow": tf.__version__, "jax": jax.__version__},
        stablehlo_version=STABLEHLO_VERSION,
    )


def _to_tf_function(function: Function) -> Any:
    inputs = function.signature.inputs
    converted = jax2tf.convert(
        function.call,
        polymorphic_shapes=["(" + ", ".join(map(str, spec.shape)) + ",)" for spec in inputs.values()],
        native_serialization_platforms=PLATFORMS,
        with_gradient=False,
    )
    specs = [
        tf.TensorSpec([None if axis == BATCH else axis for axis in spec.shape], spec.dtype, name)
        for name, spec in inputs.items()
    ]
    return tf.function(converted, input_signature=specs, autograph=False)


def _with_pinned_modules(saved_model: bytes) -> bytes:
    message = saved_model_pb2.SavedModel.FromString(saved_model)
    for meta_graph in message.meta_graphs:
        functions = meta_graph.graph_def.library.function
        for nodes in (meta_graph.graph_def.node, *(function.node_def for function in functions)):
            for node in nodes:
                if node.op == "XlaCallModule":
                    node.attr["module"].s = at_pinned_version(node.attr["module"].s)
    return message.SerializeToString(deterministic=True)


SAVED_MODEL_XLA = Form("saved_model_xla", "saved_model_xla", _write, load_saved_model)
