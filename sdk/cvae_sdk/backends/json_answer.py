"""JSON that a server answers, whose values may be anything, and tensors in it as nested lists or one flat list.

A float32 is written as the decimal of the same float64, which is exact, and read by rounding to the nearest float64
and then to the nearest float32. That gives back the very float32 that a server wrote, be it with 9 digits or with all.
"""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from cvae_sdk.backends.answered_tensors import not_as_asked
from cvae_sdk.backends.json_numbers import Numbers
from cvae_sdk.bounded_json import parse_json
from cvae_sdk.errors import ProtocolError

__all__ = ["MAX_METADATA", "MAX_NUMBERS", "bytes_of_json", "read_json", "read_list", "read_object", "read_tensor"]

MAX_METADATA = 1 << 20
MAX_NUMBERS = 1 << 13
"""In one request or answer of many rows, which takes a few ms to write or read."""


def bytes_of_json(shapes: tuple[tuple[int, ...], ...]) -> int:
    """That an answer with nested lists of these shapes can have, each number and bracket on a line, deeply indented."""
    items = 0
    for shape in shapes:
        lists = 1
        for size in shape:
            lists *= size
            items += lists
    return 65_536 + 64 * items


def read_json(
    content: bytes | bytearray, values: int, server: str, cut: Mapping[str, Numbers] | None = None
) -> dict[str, Any]:
    """The object that a body is, of at most `values` values beside those cut out of it; ProtocolError for all else."""
    try:
        value = parse_json(bytes(content), unique=True, most_values=values, cut=cut)
    except ValueError as error:
        raise ProtocolError(
            f"{server} does not answer with JSON: {' '.join(str(error).split())[:200]}",
            field="body", expected="JSON", found=str(error)[:200],
        ) from error  # fmt: skip
    return read_object(value, "body", server)


def read_object(value: object, field: str, server: str) -> dict[str, Any]:
    """A JSON object."""
    if not isinstance(value, dict):
        raise not_as_asked(server, field, "an object", _kind(value))
    return cast("dict[str, Any]", value)


def read_list(value: object, field: str, server: str) -> list[Any]:
    """A JSON list."""
    if not isinstance(value, list):
        raise not_as_asked(server, field, "a list", _kind(value))
    return cast("list[Any]", value)


def read_tensor(value: object, field: str, shape: tuple[int, ...], server: str) -> npt.NDArray[np.float32]:
    """A float32 tensor of numbers, nested as deep as `shape` is long, or cut out of the JSON before."""
    if isinstance(value, Numbers):
        if value.values.shape != shape:
            raise not_as_asked(server, field, f"of shape {list(shape)}", list(value.values.shape))
        return value.values
    items = np.array(read_list(value, field, server), dtype=object)
    if items.shape != shape:
        raise not_as_asked(server, field, f"of shape {list(shape)}", list(items.shape))
    if strange := set(map(type, items.ravel().tolist())) - {float, int}:
        raise not_as_asked(server, field, "made of numbers", min(kind.__name__ for kind in strange))
    try:
        with np.errstate(over="ignore"):  # what is too large becomes infinite, which is refused
            return items.astype(np.float64).astype(np.float32)
    except OverflowError as error:
        raise not_as_asked(server, field, "made of float32", "an integer beyond them") from error


def _kind(value: object) -> str:
    if isinstance(value, Numbers):
        return "list"
    return "nothing" if value is None else type(value).__name__
