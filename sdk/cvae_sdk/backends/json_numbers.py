"""Tensors in JSON as nested lists of numbers, read and written without a Python list for each row of pixels.

Such lists are what makes Python's garbage collector look through all that a process holds, for tens of milliseconds in
which no thread runs and no deadline is looked at; and they take twice the time. So a tensor is cut out of an answer
before the rest is parsed. Its brackets and commas must be those of its shape,

    [[.,.],[.,.],[.,.]]       of shape (3, 2), each . a number

and what is between them, numbers and commas, is then one flat list, which is parsed a piece at a time. What is not so
is left to who reads JSON of any kind, and says what is wrong with it.
"""

import json
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from cvae_sdk.backends.deadline import Deadline

__all__ = ["Numbers", "cut_numbers", "write_numbers"]

_PIECE = 65_536
"""Bytes parsed at a time, in a millisecond; after that other threads have their turn, and the deadline is looked at."""
_PARTS = re.compile(
    rb"""
    "[^"\\]*+ (?: \\.[^"\\]*+ )*+ "?                # a text, in which brackets are none
    | (?P<lists> \[ [][0-9eE+.,\ \t\r\n-]*+ )      # lists of numbers, and what else may follow
    """,
    re.DOTALL | re.VERBOSE,
)
_LONG = 256  # numbers; a flat list of fewer may be another thing, a shape, and is fast anyway
_SHAPE_ONLY = bytes.maketrans(b"0123456789eE+.-", b"000000000000000")
_BLANKS = b" \t\r\n"
_FLAT = bytes.maketrans(b"[]", b"  ")


class Numbers:
    """A tensor that was cut out of JSON: float32, of one of the shapes that were asked for."""

    def __init__(self, values: npt.NDArray[np.float32]) -> None:
        self.values = values


def cut_numbers(
    content: bytes, shapes: Iterable[tuple[int, ...]], deadline: Deadline
) -> tuple[bytes, dict[str, Numbers]]:
    """The JSON with a text in place of each tensor of these shapes, and what these texts stand for.

    A short flat list is left, since it may say something else. The texts begin with a NUL, which JSON can only say as
    an escape: one that has it is left whole. Raises DeadlineError.
    """
    cut: dict[str, Numbers] = {}
    if rb"\u0000" in content:
        return content, cut
    skeletons = {_skeleton(shape): shape for shape in shapes if len(shape) != 1 or shape[0] > _LONG}
    parts: list[bytes] = []
    end = 0
    for match in _PARTS.finditer(content):
        if match["lists"] is None:
            continue
        text = match["lists"].rstrip(b", \t\r\n")
        marks = text.translate(_SHAPE_ONLY, _BLANKS)
        shape = skeletons.get(marks.translate(None, b"0"))
        if shape is None or b"]0" in marks or b"0[" in marks:
            continue
        try:
            values = _flat_list(text.translate(_FLAT).decode("ascii"), deadline).reshape(shape)
        except (ValueError, OverflowError):
            continue
        name = f"\0{len(cut)}"
        cut[name] = Numbers(values)
        parts += content[end : match.start()], json.dumps(name).encode("ascii")
        end = match.start() + len(text)
    return (b"".join((*parts, content[end:])), cut) if cut else (content, cut)


def write_numbers(array: npt.NDArray[Any]) -> str:
    """Its nested lists as JSON."""
    parts = json.dumps(array.ravel().tolist(), separators=(",", ":"))[1:-1].split(",")
    for size in reversed(array.shape[1:]):
        parts = [f"[{','.join(parts[at : at + size])}]" for at in range(0, len(parts), size)]
    return f"[{','.join(parts)}]"


def _skeleton(shape: tuple[int, ...]) -> bytes:
    text = b""
    for size in reversed(shape):
        text = b"[" + b",".join([text] * size) + b"]"
    return text


def _flat_list(text: str, deadline: Deadline) -> npt.NDArray[np.float32]:
    pieces: list[npt.NDArray[np.float32]] = []
    at = 0
    while at < len(text):
        if pieces:
            deadline.left()
        end = text.find(",", at + _PIECE)
        end = len(text) if end < 0 else end
        numbers = np.array(json.loads(f"[{text[at:end]}]"), np.float64)
        with np.errstate(over="ignore"):  # what is too large becomes infinite, which is refused
            pieces.append(numbers.astype(np.float32))
        at = end + 1
    return np.concatenate(pieces)
