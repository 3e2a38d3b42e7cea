"""assets.extra/tf_serving_warmup_requests: what TF Serving runs before it serves a version.

A TFRecord file of at most 1,000 PredictionLog messages, here one for each signature and batch size. TF Serving refuses
a version whose warm-up fails, so each request is run here first.

The messages are written by their field numbers, since those of TF Serving's own Python package come only with a second
TensorFlow. Each field that is needed is length-delimited:

    PredictionLog.predict_log = 6    PredictLog.request = 1
    PredictRequest.model_spec = 1    PredictRequest.inputs = 2, a map: key = 1, value = 2
    ModelSpec.name = 1               ModelSpec.signature_name = 3
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from cvae_export.errors import ExportError
from cvae_export.servable_ops import read_saved_model
from cvae_sdk.latents import standard_normal_latents

__all__ = ["BATCH_SIZES", "MAX_RECORDS", "WARMUP_NAME", "write_warmup"]

WARMUP_NAME = "assets.extra/tf_serving_warmup_requests"
MAX_RECORDS = 1000
"""TF Serving refuses a version with more."""
BATCH_SIZES = (1, 64)
"""A lone request, and a batch large enough that its products are split over threads."""
_SEED = 2027


def write_warmup(version_folder: Path, model_name: str, num_classes: int) -> int:
    """Write and try the requests for every signature of the SavedModel in `version_folder`; how many there are.

    Raises ExportError for a signature that TF Serving cannot batch, or that fails.
    """
    (meta_graph,) = read_saved_model(version_folder).meta_graphs
    definitions = {name: meta_graph.signature_def[name] for name in sorted(meta_graph.signature_def)}
    signatures = tf.saved_model.load(str(version_folder)).signatures
    requests = [
        (name, inputs) for name in sorted(signatures) for inputs in _requests(name, definitions[name], num_classes)
    ]
    if len(requests) > MAX_RECORDS:
        raise ExportError(f"saved_model: {len(requests)} warm-up requests, and TF Serving takes {MAX_RECORDS} at most")
    path = version_folder / WARMUP_NAME
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for name, inputs in requests:
            _try(signatures[name], name, inputs)
            writer.write(_prediction_log(model_name, name, inputs))
    return len(requests)


def _requests(name: str, definition: meta_graph_pb2.SignatureDef, num_classes: int) -> Iterator[dict[str, np.ndarray]]:
    for batch in BATCH_SIZES:
        inputs: dict[str, np.ndarray] = {}
        for key in sorted(definition.inputs):
            info = definition.inputs[key]
            shape = [axis.size for axis in info.tensor_shape.dim]
            if info.tensor_shape.unknown_rank or shape[:1] != [-1] or -1 in shape[1:]:
                raise ExportError(
                    f"saved_model: {key} of {name} has the shape {shape}: its first axis alone must be free, "
                    "or TF Serving cannot batch requests"
                )
            inputs[key] = _values(key, tf.dtypes.as_dtype(info.dtype), (batch, *shape[1:]), num_classes)
        yield inputs


def _values(key: str, dtype: tf.DType, shape: tuple[int, ...], num_classes: int) -> np.ndarray:
    """What a client may well send: classes, standard normal latents, weights of classes, pixels."""
    count = int(np.prod(shape))
    if dtype.is_integer:
        return (np.arange(count) % num_classes).reshape(shape).astype(dtype.as_numpy_dtype)
    if not dtype.is_floating:
        raise ExportError(f"saved_model: the input {key} is of {dtype.name}, for which no warm-up request is known")
    if key == "class_weights":
        return np.full(shape, 1 / num_classes, dtype.as_numpy_dtype)
    if len(shape) == 2:
        return standard_normal_latents(_SEED, 0, shape[0], shape[1]).astype(dtype.as_numpy_dtype)
    return np.full(shape, 0.5, dtype.as_numpy_dtype)


def _try(signature: tf.types.experimental.ConcreteFunction, name: str, inputs: Mapping[str, np.ndarray]) -> None:
    try:
        signature(**{key: tf.constant(value) for key, value in inputs.items()})
    except tf.errors.OpError as error:
        # The first line is "Graph execution error:", the last ones say where.
        reasons = [line for line in str(error.message).splitlines() if line and not line.endswith(":")]
        raise ExportError(f"saved_model: the warm-up of {name} fails: {' '.join(reasons)}") from error


def _prediction_log(model_name: str, signature_name: str, inputs: Mapping[str, np.ndarray]) -> bytes:
    model_spec = _field(1, model_name.encode()) + _field(3, signature_name.encode())
    request = _field(1, model_spec)
    for key in sorted(inputs):
        tensor = tf.make_tensor_proto(inputs[key]).SerializeToString(deterministic=True)
        request += _field(2, _field(1, key.encode()) + _field(2, tensor))
    return _field(6, _field(1, request))


def _field(number: int, content: bytes) -> bytes:
    """One length-delimited field: its number and wire type 2, the length, the content."""
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first, the top bit set in all but the last."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])
