"""weights.safetensors read with NumPy alone, each byte of it accounted for before an array is made.

    8 bytes     n, the header's length, little-endian
    n bytes     the header, JSON: {name: {"dtype", "shape", "data_offsets": [start, end]}, "__metadata__": {text: text}}
    the rest    the tensors' bytes, little-endian, row by row; their offsets follow one another without a gap to the end

Arrays are views of the file's own bytes, so that reading it copies no weight.
"""

import math
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from cvae_sdk.bounded_json import parse_json
from cvae_sdk.errors import ModelError, named, one_line

__all__ = ["MAX_HEADER_BYTES", "MAX_RANK", "MAX_TENSORS", "read_safetensors"]

MAX_HEADER_BYTES = 1 << 20
MAX_TENSORS = 1024
MAX_RANK = 8
_MAX_NAME = 512
_METADATA = "__metadata__"
_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip


def read_safetensors(content: bytes, file: str) -> tuple[dict[str, npt.NDArray[Any]], dict[str, str]]:
    """The tensors by name, which cannot be written to, and the metadata, of the bytes of a file called `file`.

    Raises ModelError for bytes that are no such file, for a tensor of another dtype than NumPy's, and for a float that
    is not finite.
    """
    header, data = _split(content, file)
    metadata = _metadata(header.pop(_METADATA, {}), file)
    if len(header) > MAX_TENSORS:
        raise _wrong(file, None, f"at most {MAX_TENSORS} tensors", len(header))
    arrays: dict[str, npt.NDArray[Any]] = {}
    end = 0
    for name, entry in sorted(header.items(), key=lambda item: _offsets(item[1], item[0], file)):
        start, stop = _offsets(entry, name, file)
        if start != end:
            raise _wrong(file, f"{name}.data_offsets", f"a start of {end}", start)
        arrays[name] = _array(data, entry, start, stop, name, file)
        end = stop
    if end != len(data):
        raise _wrong(file, None, f"{end} bytes of tensors", len(data))
    return {name: arrays[name] for name in header}, metadata


def _split(content: bytes, file: str) -> tuple[dict[str, Any], memoryview]:
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > min(MAX_HEADER_BYTES, len(content) - 8):
        limit = max(0, min(MAX_HEADER_BYTES, len(content) - 8))
        raise _wrong(file, "header", f"at most {limit} bytes", length if len(content) >= 8 else None)
    try:
        header: object = parse_json(content[8 : 8 + length], unique=True)
    except ValueError as error:
        raise ModelError(
            f"{file} is no safetensors file: its header is not JSON: {one_line(str(error))}",
            file=file, field="header", expected="JSON", found=str(error),
        ) from error  # fmt: skip
    if not isinstance(header, dict):
        raise _wrong(file, "header", "an object", header)
    return cast("dict[str, Any]", header), memoryview(content)[8 + length :]


def _metadata(value: object, file: str) -> dict[str, str]:
    texts = cast("dict[str, object]", value) if isinstance(value, dict) else {"": None}
    if not all(isinstance(text, str) for text in texts.values()):
        raise _wrong(file, _METADATA, "texts by name", cast("object", value))
    return cast("dict[str, str]", texts)


def _offsets(entry: Any, name: str, file: str) -> tuple[int, int]:
    if len(name) > _MAX_NAME:
        raise _wrong(file, "header", f"names of at most {_MAX_NAME} characters", len(name))
    value = cast("dict[str, object]", entry).get("data_offsets") if isinstance(entry, dict) else None
    offsets = _sizes(value)
    if offsets is None or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise _wrong(file, f"{name}.data_offsets", "[start, end]", value)
    return offsets[0], offsets[1]


def _array(data: memoryview, entry: dict[str, object], start: int, stop: int, name: str, file: str) -> npt.NDArray[Any]:
    shape, dtype = _sizes(entry.get("shape")), entry.get("dtype")
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise _wrong(file, f"{name}.dtype", f"one of {', '.join(_DTYPES)}", dtype)
    if shape is None or len(shape) > MAX_RANK:
        raise _wrong(file, f"{name}.shape", f"a list of at most {MAX_RANK} sizes", entry.get("shape"))
    kind = np.dtype(_DTYPES[dtype])
    size = math.prod(shape) * kind.itemsize
    if size != stop - start or stop > len(data):
        found = stop - start if stop <= len(data) else max(0, len(data) - start)
        raise _wrong(file, f"{name}.data_offsets", f"{size} bytes for {dtype} {shape}", found)
    array: npt.NDArray[Any] = np.frombuffer(data[start:stop], kind).reshape(shape)
    if kind.kind == "f" and not np.isfinite(array).all():
        raise _wrong(file, name, "finite weights", "NaN or infinity")
    if kind.kind == "b" and (array.view(np.uint8) > 1).any():
        raise _wrong(file, name, "bytes of 0 or 1", int(array.view(np.uint8).max()))
    return array


def _sizes(value: object) -> list[int] | None:
    if not isinstance(value, list):
        return None
    items = cast("list[object]", value)
    return cast("list[int]", items) if all(type(item) is int and 0 <= item < 1 << 40 for item in items) else None


def _wrong(file: str, field: str | None, expected: str, found: object) -> ModelError:
    subject = f"{file}: {named(field)}" if field else file
    return ModelError(
        f"{subject} must have {expected}, got {one_line(found)}: no safetensors file that can be read",
        file=file, field=field, expected=expected, found=found,
    )  # fmt: skip
