"""JSON from a stranger: its nesting and its size are known before any value of it is made.

Nesting is the largest sum of +1 for each [ or { and -1 for each ] or }, up to a byte, with texts cut out; a value but
the first has one of , : [ { before it, so that these count the values.
"""

import json
import re
from typing import Any

import numpy as np

__all__ = ["MAX_DEPTH", "MAX_VALUES", "parse_json"]

MAX_DEPTH = 64
MAX_VALUES = 25_000
_TEXTS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)  # with no way back, so that it is linear
_STEP = np.zeros(256, np.int8)
_STEP[list(b"[{")], _STEP[list(b"]}")] = 1, -1
_CHUNK = 1 << 16  # bytes that are looked at together, so that this takes less memory than they do


def parse_json(content: bytes, *, unique: bool = False) -> Any:
    """The value that UTF-8 bytes say; ValueError for what is no JSON, nested too deep, or of too many values.

    A name that is twice in one object has its last value, as Python has it, or if `unique` is a ValueError.
    """
    marks = _TEXTS.sub(b"", content)
    depth = 0
    for start in range(0, len(marks), _CHUNK):
        depths = np.cumsum(_STEP[np.frombuffer(marks[start : start + _CHUNK], np.uint8)], dtype=np.int32)
        if (deepest := depth + int(depths.max())) > MAX_DEPTH:
            raise ValueError(f"it is nested {deepest} levels deep, more than {MAX_DEPTH}")
        depth += int(depths[-1])
    if (values := 1 + sum(map(marks.count, (b",", b":", b"[", b"{")))) > MAX_VALUES:
        raise ValueError(f"it has {values} values, more than {MAX_VALUES}")
    del marks
    try:
        return json.loads(
            content.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_once if unique else None
        )
    except RecursionError as error:  # the caller itself is deep
        raise ValueError("no room is left to read nested values") from error


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a name is there twice")
    return values
