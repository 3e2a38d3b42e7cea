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
MAX_VALUES = 100_000
_TEXTS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)  # with no way back, so that it is linear
_OPEN, _CLOSE = (91, 123), (93, 125)


def parse_json(content: bytes) -> Any:
    """The value that UTF-8 bytes say; ValueError for what is no JSON, nested too deep, or of too many values.

    A name that is twice in one object has its last value, as Python has it.
    """
    marks = np.frombuffer(_TEXTS.sub(b"", content), np.uint8)
    steps = np.isin(marks, _OPEN).astype(np.int8) - np.isin(marks, _CLOSE).astype(np.int8)
    if len(steps) and (depth := int(np.cumsum(steps, dtype=np.int32).max())) > MAX_DEPTH:
        raise ValueError(f"it is nested {depth} levels deep, more than {MAX_DEPTH}")
    if (values := 1 + int(np.isin(marks, (44, 58, *_OPEN)).sum())) > MAX_VALUES:
        raise ValueError(f"it has {values} values, more than {MAX_VALUES}")
    try:
        return json.loads(content.decode("utf-8"), parse_constant=_no_constant)
    except RecursionError as error:  # the caller itself is deep
        raise ValueError("no room is left to read nested values") from error


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")
