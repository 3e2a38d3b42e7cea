"""TF Serving's messages for the tiny model, field by field, so that each field can be another.

Numbers are those of tensorflow_serving/apis/*.proto and tensorflow/core; test_tf_serving_messages.py reads the same
messages with TF Serving's own library.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from faults.wire import Field, pack, unpack

from cvae_sdk.manifest import TensorSpec
from remote import tiny_model

TYPE_URL = "type.googleapis.com/tensorflow.serving.SignatureDefMap"
DTYPES = {"float32": 1, "int32": 3}


def inside(number: int, *fields: Field) -> Field:
    return Field(number, 2, list(fields))


def text(number: int, content: str | bytes) -> Field:
    return Field(number, 2, content.encode() if isinstance(content, str) else content)


def integer(number: int, value: int) -> Field:
    return Field(number, 0, value % 2**64)


def shape(sizes: tuple[int, ...]) -> Field:
    """TensorShapeProto, of a TensorProto."""
    return inside(2, *(inside(2, integer(1, size)) for size in sizes))


def tensor(array: np.ndarray, *, content: bool = True) -> list[Field]:
    """TensorProto, its numbers in tensor_content or in float_val, as servers may send either."""
    return [integer(1, DTYPES[array.dtype.name]), shape(array.shape), text(4 if content else 5, array.tobytes())]


def prediction(outputs: Mapping[str, list[Field]], *more: Field) -> bytes:
    """PredictResponse."""
    spec = inside(2, text(1, tiny_model.NAME), inside(2, integer(1, 4)), text(3, "decode"))
    return pack([*(inside(1, text(1, name), inside(2, *fields)) for name, fields in outputs.items()), spec, *more])


def infos(number: int, specs: Mapping[str, TensorSpec]) -> list[Field]:
    """Of SignatureDef: its map of inputs or of outputs."""
    return [
        inside(
            number,
            text(1, name),
            inside(
                2,
                text(1, f"{name}:0"),
                integer(2, DTYPES[spec.dtype]),
                inside(3, *(inside(2, integer(1, -1 if size == "batch" else int(size))) for size in spec.shape)),
            ),
        )
        for name, spec in specs.items()
    ]


def signatures(specs: Mapping[str, Any] = tiny_model.SIGNATURES) -> list[Field]:
    """SignatureDefMap, of one signature more than the SDK asks for."""
    known = {
        name: [*infos(1, each.inputs), *infos(2, each.outputs), text(3, "predict")] for name, each in specs.items()
    }
    return [inside(1, text(1, name), inside(2, *fields)) for name, fields in {**known, "other": []}.items()]


def metadata(fields: list[Field], type_url: str = TYPE_URL, key: str = "signature_def") -> bytes:
    """GetModelMetadataResponse."""
    spec = inside(1, text(1, tiny_model.NAME), inside(2, integer(1, 4)))
    return pack([spec, inside(2, text(1, key), inside(2, text(1, type_url), inside(2, *fields)))])


def read_request(content: bytes) -> tuple[str, dict[str, np.ndarray]]:
    """Signature and inputs of a PredictRequest, as the SDK writes it."""

    def fields(content: Any) -> dict[int, list[Any]]:
        found: dict[int, list[Any]] = {}
        for field in unpack(content, (-1,)):
            found.setdefault(field.number, []).append(field.value)
        return found

    request = fields(content)
    inputs: dict[str, np.ndarray] = {}
    for entry in map(fields, request[2]):
        (value,) = map(fields, entry[2])
        sizes = [fields(dim)[1][0] for dim in fields(value[2][0])[2]]
        dtype = {1: "<f4", 3: "<i4"}[value[1][0]]
        inputs[entry[1][0].decode()] = np.frombuffer(value[4][0], dtype).reshape(sizes)
    return fields(request[1][0])[3][0].decode(), inputs
