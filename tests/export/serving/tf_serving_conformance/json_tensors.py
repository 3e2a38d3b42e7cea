"""Tensors as the REST API's JSON: row format (instances, predictions) and column format (inputs, outputs).

A string is text, or bytes as {"b64": ...}; an output is bytes where its name ends in _bytes. NaN, Infinity and
-Infinity are numbers, which Python's json reads and writes by itself.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from tf_serving_conformance.status import invalid_argument

__all__ = ["COLUMNS", "ROWS", "parse_request", "read_inputs", "write_outputs"]

ROWS, COLUMNS = "instances", "inputs"
Inputs = Mapping[str, meta_graph_pb2.TensorInfo]


def parse_request(body: bytes) -> dict[str, Any]:
    """The JSON object of a request."""
    if not body:
        raise invalid_argument("JSON Parse error: The document is empty")
    try:
        document = json.loads(body)
    except ValueError as error:
        raise invalid_argument(f"JSON Parse error: Invalid value. at offset: {getattr(error, 'pos', 0)}") from error
    if not isinstance(document, dict):
        raise invalid_argument(f"JSON Value: {json.dumps(document)} Is not object")
    if not isinstance(document.get("signature_name", ""), str):
        raise invalid_argument(
            f"JSON Value: {json.dumps(document)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return document


def read_inputs(document: Mapping[str, Any], inputs: Inputs) -> tuple[str, dict[str, np.ndarray]]:
    """The format of a request, and its tensors by name."""
    if ROWS in document and COLUMNS in document:
        raise invalid_argument("Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist ")
    if ROWS in document:
        return ROWS, _from_rows(document[ROWS], inputs)
    if COLUMNS in document:
        return COLUMNS, _from_columns(document[COLUMNS], inputs)
    raise invalid_argument("Missing 'inputs' or 'instances' key")


def write_outputs(outputs: Mapping[str, np.ndarray], form: str) -> dict[str, Any]:
    """The answer to a request of that format. A single output goes without its name."""
    listed = {name: _listed(name, value) for name, value in outputs.items()}
    only = next(iter(listed.values())) if len(listed) == 1 else None
    if form == COLUMNS:
        return {"outputs": listed if only is None else only}
    sizes = {name: value.shape[:1] for name, value in outputs.items()}
    if len(set(sizes.values())) != 1 or () in sizes.values():
        raise invalid_argument(f"Tensor name: {max(sizes)} has inconsistent batch size: {sizes}")
    if only is not None:
        return {"predictions": only}
    rows = zip(*listed.values(), strict=True)
    return {"predictions": [dict(zip(listed, row, strict=True)) for row in rows]}


def _from_rows(rows: Any, inputs: Inputs) -> dict[str, np.ndarray]:
    if not isinstance(rows, list):
        raise invalid_argument("Excepting 'instances' to be an list/array")
    if not rows:
        raise invalid_argument("No values in 'instances' array")
    named = _is_object(rows[0])
    if not named and len(inputs) > 1:
        raise invalid_argument(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map"
        )
    columns: dict[str, list[np.ndarray]] = {}
    for i, row in enumerate(rows):
        if _is_object(row) != named:
            raise invalid_argument(f"Expecting {'object but got list' if named else 'value/list but got object'} at "
                                   f"item {i} of input list")  # fmt: skip
        items = row if named else {next(iter(inputs)): row}
        for name, value in items.items():
            if name not in inputs:
                raise invalid_argument(
                    f"Failed to process element: {i} key: {name} of 'instances' list. Error: INVALID_ARGUMENT: JSON "
                    f"object: does not have named input: {name}"
                )
            columns.setdefault(name, []).append(_tensor(value, inputs[name].dtype))
        if set(items) != set(inputs):
            raise invalid_argument(
                f"Failed to process element: {i} of 'instances' list. JSON object: {json.dumps(row)} keys must be "
                f"equal to: {','.join(sorted(inputs))}"
            )
    for name, values in columns.items():
        for i, value in enumerate(values):
            if value.shape != values[0].shape:
                raise invalid_argument(
                    f"Failed to process element: {i} key: {name} of 'instances' list. Error: INVALID_ARGUMENT: "
                    f"Expecting tensor size: {values[0].size} but got: {value.size}"
                )
    return {name: np.stack(values) for name, values in columns.items()}


def _from_columns(columns: Any, inputs: Inputs) -> dict[str, np.ndarray]:
    if not _is_object(columns):
        if len(inputs) > 1:
            raise invalid_argument(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                "tensorinfo_map"
            )
        return {name: _tensor(columns, info.dtype) for name, info in inputs.items()}
    if missing := sorted(set(inputs) - set(columns)):
        raise invalid_argument(f"Missing named input: {missing[0]} in 'inputs' object.")
    return {name: _tensor(columns[name], info.dtype) for name, info in inputs.items()}


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and not _is_bytes(value)


def _is_bytes(value: Any) -> bool:
    return isinstance(value, dict) and list(value) == ["b64"] and isinstance(value["b64"], str)


def _tensor(value: Any, dtype: int) -> np.ndarray:
    shape: list[int] = []
    first = value
    while isinstance(first, list):
        shape.append(len(first))
        if not first:
            break
        first = first[0]
    flat: list[Any] = []
    _flatten(value, shape, 0, tf.dtypes.as_dtype(dtype), flat)
    return np.array(flat, tf.dtypes.as_dtype(dtype).as_numpy_dtype).reshape(shape)


def _flatten(value: Any, shape: list[int], level: int, dtype: tf.DType, flat: list[Any]) -> None:
    if isinstance(value, list):
        if level >= len(shape):
            raise invalid_argument(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
        if len(value) != shape[level]:
            raise invalid_argument(
                f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
            )
        for item in value:
            _flatten(item, shape, level + 1, dtype, flat)
        return
    if level != len(shape):
        raise invalid_argument(
            f"JSON Value: {json.dumps(value)} found at incorrect level: {level + 1} in the JSON DOM. "
            f"Expected at level: {len(shape)}"
        )
    flat.append(_scalar(value, dtype))


def _scalar(value: Any, dtype: tf.DType) -> Any:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if dtype.is_floating and number:
        if np.isfinite(value) and abs(value) > float(dtype.max):
            raise invalid_argument(f"Cannot convert JSON value: {value} to {dtype.name} without loss of precision.")
        return value
    if dtype.is_integer and number and isinstance(value, int) and dtype.min <= value <= dtype.max:
        return value
    if dtype.is_bool and isinstance(value, bool):
        return value
    if dtype == tf.string and isinstance(value, str):
        return value.encode()
    if dtype == tf.string and _is_bytes(value):
        try:
            return base64.b64decode(value["b64"], validate=True)
        except binascii.Error as error:
            raise invalid_argument("Unable to base64 decode") from error
    kind = {dict: "Object", str: "String", bool: str(value), type(None): "Null"}.get(type(value), "Number")
    raise invalid_argument(f"JSON Value: {json.dumps(value)} Type: {kind} is not of expected type: {dtype.name}")


def _listed(name: str, value: np.ndarray) -> Any:
    if value.dtype != np.object_:
        # The shortest decimal that a float32 is read back from; float64's digits would be its noise.
        return _shortest(value) if value.dtype == np.float32 else value.tolist()
    if name.endswith("_bytes"):
        encoded = [{"b64": base64.b64encode(item).decode()} for item in value.reshape(-1)]
    else:
        encoded = [item.decode() for item in value.reshape(-1)]
    return np.array(encoded, object).reshape(value.shape).tolist()


def _shortest(value: np.ndarray) -> Any:
    return np.array([float(str(item)) for item in value.reshape(-1)], np.float64).reshape(value.shape).tolist()
