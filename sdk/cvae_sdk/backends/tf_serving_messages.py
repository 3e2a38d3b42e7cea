"""The few Protocol Buffers messages of TF Serving that asking for images takes, so that no library for them is needed.

    ModelSpec                 1 name, 2 version {1 value}, 3 signature_name, 4 version_label
    GetModelMetadataRequest   1 model_spec, 2 metadata_field
    GetModelMetadataResponse  1 model_spec, 2 metadata: map to Any {1 type_url, 2 value: SignatureDefMap}
    SignatureDefMap           1 signature_def: map to SignatureDef {1 inputs, 2 outputs: maps to TensorInfo}
    TensorInfo                2 dtype, 3 tensor_shape
    PredictRequest            1 model_spec, 2 inputs: map to TensorProto, 3 output_filter
    PredictResponse           1 outputs: map to TensorProto, 2 model_spec
    TensorProto               1 dtype, 2 tensor_shape, 4 tensor_content, 5 float_val
    TensorShapeProto          2 dim {1 size}, 3 unknown_rank

A map is a message for each entry, with 1 key and 2 value. tensorflow_serving/apis and tensorflow/core have the whole.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from cvae_sdk.backends import Arrays
from cvae_sdk.backends.address import Address
from cvae_sdk.backends.answered_tensors import Shapes
from cvae_sdk.backends.served_model import FUNCTIONS, ServedModel
from cvae_sdk.manifest_parts import Signature, TensorSpec
from cvae_sdk.protobuf import Message, Refused, Schema, read_message

__all__ = ["metadata_request", "predict_request", "read_metadata", "read_prediction"]

_DTYPES = {1: "float32", 3: "int32", 7: "string", 9: "int64"}
_NUMBERS = {"float32": 1, "int32": 3}
_LONGEST_TEXT = 4096
_ENTRY: Schema = {1: ("key", "text"), 2: ("value", "message")}
_SPEC: Schema = {2: ("version", "message")}
_INTEGER: Schema = {1: ("value", "int")}
_METADATA: Schema = {1: ("model_spec", "message"), 2: ("metadata", "messages")}
_ANY: Schema = {1: ("type_url", "text"), 2: ("value", "span")}
_SIGNATURES: Schema = {1: ("signature_def", "messages")}
_SIGNATURE: Schema = {1: ("inputs", "messages"), 2: ("outputs", "messages")}
_INFO: Schema = {2: ("dtype", "int"), 3: ("tensor_shape", "message")}
_PREDICTION: Schema = {1: ("outputs", "messages")}
_TENSOR: Schema = {
    1: ("dtype", "int"),
    2: ("tensor_shape", "message"),
    4: ("tensor_content", "span"),
    5: ("float_val", "span"),
}
_SHAPE: Schema = {2: ("dim", "messages"), 3: ("unknown_rank", "int")}
_DIM: Schema = {1: ("size", "int")}
_TYPE_URL = "type.googleapis.com/tensorflow.serving.SignatureDefMap"
_Span = tuple[int, int]


def metadata_request(address: Address) -> bytes:
    """GetModelMetadataRequest for the signatures."""
    return _part(1, _model_spec(address, "")) + _part(2, b"signature_def")


def predict_request(address: Address, function: str, inputs: Arrays, outputs: Shapes) -> bytes:
    """PredictRequest for these outputs."""
    parts = [_part(1, _model_spec(address, function))]
    parts += [_part(2, _part(1, name.encode()) + _part(2, _tensor(array))) for name, array in inputs.items()]
    parts += [_part(3, name.encode()) for name in outputs]
    return b"".join(parts)


def read_metadata(content: bytes, model: str) -> ServedModel:
    """What GetModelMetadataResponse says; Refused for what it cannot be."""
    response = _read(content, (0, len(content)), _METADATA, "GetModelMetadataResponse")
    spec = _inner(content, response, "model_spec", _SPEC)
    version = _inner(content, spec, "version", _INTEGER).integer("value", 1)
    entries = dict(_entries(content, response, "metadata"))
    if "signature_def" not in entries:
        raise Refused("GetModelMetadataResponse.metadata", "with signature_def", sorted(entries))
    packed = _read(content, entries["signature_def"], _ANY, "metadata.signature_def")
    if packed.text("type_url") != _TYPE_URL or "value" not in packed.spans:
        raise Refused("metadata.signature_def.type_url", _TYPE_URL, packed.text("type_url"))
    signatures = dict(
        _entries(content, _read(content, packed.spans["value"][0], _SIGNATURES, "metadata"), "signature_def")
    )
    return ServedModel(
        model, version, {name: _signature(content, signatures[name], name) for name in FUNCTIONS if name in signatures}
    )


def read_prediction(content: bytes, shapes: Shapes) -> dict[str, npt.NDArray[np.float32]]:
    """The outputs of PredictResponse; Refused for what was not asked for."""
    response = _read(content, (0, len(content)), _PREDICTION, "PredictResponse")
    outputs = dict(_entries(content, response, "outputs"))
    if outputs.keys() != shapes.keys():
        raise Refused("outputs", str(sorted(shapes)), sorted(outputs))
    return {name: _values(content, outputs[name], f"outputs.{name}", shape) for name, shape in shapes.items()}


def _values(content: bytes, span: _Span, where: str, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    tensor = _read(content, span, _TENSOR, where)
    if tensor.integer("dtype") != _NUMBERS["float32"]:
        raise Refused(f"{where}.dtype", "DT_FLOAT, 1", tensor.integer("dtype"))
    if (found := _shape(content, tensor, "tensor_shape", where)) != shape:
        raise Refused(f"{where}.tensor_shape", str(list(shape)), "an unknown rank" if found is None else list(found))
    given = [name for name in ("tensor_content", "float_val") if name in tensor.spans]
    if len(given) != 1:
        raise Refused(where, "either tensor_content or float_val", given)
    start, end = tensor.spans[given[0]][0]
    if end - start != 4 * math.prod(shape):
        raise Refused(f"{where}.{given[0]}", f"{4 * math.prod(shape)} bytes", end - start)
    return np.frombuffer(content, "<f4", math.prod(shape), start).astype(np.float32, copy=False).reshape(shape)


def _signature(content: bytes, span: _Span, name: str) -> Signature:
    message = _read(content, span, _SIGNATURE, f"signature_def.{name}")
    parts: dict[str, Mapping[str, TensorSpec]] = {}
    for part in ("inputs", "outputs"):
        tensors: dict[str, TensorSpec] = {}
        for tensor, place in _entries(content, message, part):
            where = f"signature_def.{name}.{part}.{tensor}"
            info = _read(content, place, _INFO, where)
            sizes = _shape(content, info, "tensor_shape", where)
            shape = None if sizes is None else tuple("batch" if (i, n) == (0, -1) else n for i, n in enumerate(sizes))
            dtype = info.integer("dtype")
            tensors[tensor] = TensorSpec(
                _DTYPES.get(dtype, f"dtype {dtype}"), ("of unknown rank",) if shape is None else shape
            )
        parts[part] = tensors
    return Signature(**parts)


def _shape(content: bytes, message: Message, name: str, where: str) -> tuple[int, ...] | None:
    """None for a shape of unknown rank; a shape that is left out is that of one number."""
    shape = _inner(content, message, name, _SHAPE, where)
    if shape.integer("unknown_rank"):
        return None
    dims = (_read(content, span, _DIM, f"{where}.{name}.dim") for span in shape.spans.get("dim", ()))
    return tuple(dim.integer("size") for dim in dims)


def _entries(content: bytes, message: Message, name: str) -> Iterator[tuple[str, _Span]]:
    known: set[str] = set()
    for span in message.spans.get(name, ()):
        entry = _read(content, span, _ENTRY, name)
        key = entry.text("key")
        if key in known:
            raise Refused(f"{name}.{key}", "there once", "it twice")
        known.add(key)
        yield key, entry.spans["value"][0] if "value" in entry.spans else (0, 0)


def _inner(content: bytes, message: Message, name: str, schema: Schema, where: str = "") -> Message:
    spans = message.spans.get(name)
    return _read(content, spans[0], schema, f"{where}.{name}" if where else name) if spans else Message()


def _read(content: bytes, span: _Span, schema: Schema, where: str) -> Message:
    return read_message(content, span, schema, where, _LONGEST_TEXT, skip=True)


def _model_spec(address: Address, signature: str) -> bytes:
    spec = _part(1, address.model.encode())
    if address.version is not None:
        spec += _part(2, b"\x08" + _varint(int(address.version)))
    return spec + (_part(3, signature.encode()) if signature else b"")


def _tensor(array: npt.NDArray[Any]) -> bytes:
    shape = b"".join(_part(2, b"\x08" + _varint(size)) for size in array.shape)
    content = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    return b"\x08" + _varint(_NUMBERS[array.dtype.name]) + _part(2, shape) + _part(4, content)


def _part(number: int, content: bytes) -> bytes:
    """A field of wire type 2: bytes, text or a message."""
    return _varint(8 * number + 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes((*encoded, value))
