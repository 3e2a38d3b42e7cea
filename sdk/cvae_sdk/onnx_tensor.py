"""A constant of an ONNX model: its dimensions are bounded, match its bytes, and its numbers are finite.

A weight that is NaN or infinite is no weight. A constant of one number may be: functions mask with it, and whoever
uses it is told (`finite`).
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cvae_sdk.protobuf import Message, Refused, Schema, read_message, read_varints

__all__ = ["DTYPES", "MAX_DIMENSION", "MAX_RANK", "Constant", "read_constant"]

DTYPES = {1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 8: "string", 9: "bool", 10: "float16",
          11: "float64"}  # fmt: skip
"""TensorProto.DataType's numbers."""
MAX_RANK = 8
MAX_DIMENSION = (1 << 31) - 1
_TEXT = 1024
_SMALL = 64  # integers of a constant that may be a shape
_SCHEMA: Schema = {
    1: ("dims", "ints"), 2: ("data_type", "int"), 4: ("float_data", "span"), 5: ("int32_data", "span"),
    7: ("int64_data", "span"), 8: ("name", "text"), 9: ("raw_data", "span"), 10: ("double_data", "span"),
    12: ("doc_string", "text"), 13: ("external_data", "messages"), 14: ("data_location", "int"),
}  # fmt: skip
_RAW = {1: "<f4", 2: "u1", 3: "i1", 6: "<i4", 7: "<i8", 9: "u1", 10: "<f2", 11: "<f8"}
_LISTS = {1: "float_data", 2: "int32_data", 3: "int32_data", 6: "int32_data", 7: "int64_data", 9: "int32_data",
          10: "int32_data", 11: "double_data"}  # fmt: skip


@dataclass(frozen=True)
class Constant:
    """A constant's name, of a few integers their values, and whether its numbers are finite."""

    name: str
    integers: tuple[int, ...] | None = None
    finite: bool = True


def read_constant(content: bytes, span: tuple[int, int], where: str) -> Constant:
    """The constant at `span` of a file; Refused unless it is whole, and finite if it has more than one number."""
    tensor = read_message(content, span, _SCHEMA, where, _TEXT)
    name = tensor.text("name")
    where = f"{where} {name}" if name else where
    if tensor.spans.get("external_data") or tensor.integer("data_location"):
        raise Refused(f"{where}.external_data", "absent: a constant lies in the model's own file", "another file")
    count = _count(tensor, where)
    code = tensor.integer("data_type")
    if code not in _RAW:
        raise Refused(f"{where}.data_type", f"one of {', '.join(map(str, _RAW))}", code)
    there = [data for data in ("raw_data", *sorted(set(_LISTS.values()))) if data in tensor.spans]
    if len(there) > 1 or (there and there[0] not in ("raw_data", _LISTS[code])):
        raise Refused(f"{where}.data_type", f"of bytes in raw_data or {_LISTS[code]} alone", there)
    at, end = tensor.spans[there[0]][0] if there else (0, 0)
    if there and there[0] != "raw_data" and _LISTS[code].startswith("int"):
        return Constant(name, _check_varints(content, at, end, count, code, where))
    array = _array(content, at, end, count, code, where)
    if code in (1, 10, 11):
        finite = bool(np.isfinite(array).all())
        if not finite and count > 1:
            raise Refused(where, "of finite numbers", "NaN or infinity")
        return Constant(name, finite=finite)
    if code == 9 and count and (largest := int(array.max())) > 1:
        raise Refused(where, "of bytes that are 0 or 1", largest)
    return Constant(name, tuple(map(int, array)) if code in (6, 7) and count <= _SMALL else None)


def _count(tensor: Message, where: str) -> int:
    dims = tensor.ints.get("dims", [])
    if len(dims) > MAX_RANK:
        raise Refused(f"{where}.dims", f"at most {MAX_RANK}", len(dims))
    if wrong := [size for size in dims if not 0 <= size <= MAX_DIMENSION]:
        raise Refused(f"{where}.dims", f"from 0 to {MAX_DIMENSION}", wrong[0])
    return math.prod(dims)


def _array(content: bytes, at: int, end: int, count: int, code: int, where: str) -> npt.NDArray[Any]:
    kind = np.dtype(_RAW[code])
    if end - at != count * kind.itemsize:
        raise Refused(where, f"of {count * kind.itemsize} bytes, as its dims say", end - at)
    return np.frombuffer(content, kind, count, at)


def _check_varints(content: bytes, at: int, end: int, count: int, code: int, where: str) -> tuple[int, ...] | None:
    """Numbers packed one after another: as many as `count`, each of at most 10 bytes; float16 comes as its 16 bits."""
    marks = np.frombuffer(content, np.uint8, end - at, at)
    ends = np.flatnonzero(marks < 128)
    lengths = np.diff(ends, prepend=-1)
    if len(ends) != count or (count and (int(ends[-1]) != end - at - 1 or int(lengths.max()) > 10)):
        raise Refused(where, f"of {count} numbers, as its dims say", len(ends))
    if code == 10 and count:
        starts, bits = ends - lengths + 1, np.zeros(count, np.uint32)
        for i in range(3):
            bits |= (
                np.where(lengths > i, marks[np.minimum(starts + i, len(marks) - 1)] & 127, 0).astype(np.uint32) << 7 * i
            )
        if (
            int(lengths.max()) > 3
            or int(bits.max()) > 0xFFFF
            or not np.isfinite(bits.astype(np.uint16).view(np.float16)).all()
        ):
            raise Refused(where, "of finite numbers", "NaN or infinity")
    if code in (6, 7) and count <= _SMALL:
        return tuple(read_varints(content, at, end, where))
    return None
