"""JSON from a stranger: its nesting and its size are known before any value of it is made.

With texts cut out, and brackets alone kept, each taking away of all [] at once takes away the innermost level, so that
it is as deep as that can be done. A value but the first has one of , : [ { before it, so that these count the values.
NumPy is not used: the wheel is built where there is none.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["MAX_DEPTH", "MAX_VALUES", "parse_json"]

MAX_DEPTH = 64
MAX_VALUES = 25_000
_TEXTS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)  # with no way back, so that it is linear
_BRACKETS = bytes.maketrans(b"{}", b"[]")
_OTHERS = bytes(set(range(256)) - set(b"[]{}"))


def parse_json(
    content: bytes, *, unique: bool = False, most_values: int = MAX_VALUES, cut: Mapping[str, object] | None = None
) -> Any:
    """The value that UTF-8 bytes say; ValueError for what is no JSON, nested too deep, or of too many values.

    A name that is twice in one object has its last value, as Python has it, or if `unique` is a ValueError.
    `cut` has, by the text that is in its place as an object's value, what was cut out of the JSON before.
    """
    marks = _TEXTS.sub(b"", content)
    if (values := 1 + sum(map(marks.count, (b",", b":", b"[", b"{")))) > most_values:
        raise ValueError(f"it has {values} values, more than {most_values}")
    brackets = marks.translate(_BRACKETS, _OTHERS)
    del marks
    for _ in range(MAX_DEPTH):
        before, brackets = len(brackets), brackets.replace(b"[]", b"")
        if before == len(brackets):
            break
    if brackets:
        raise ValueError(f"its brackets do not match, or are nested more than {MAX_DEPTH} levels deep")

    def whole(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if unique and len(values) != len(pairs):
            raise ValueError("a name is there twice")
        if cut:
            values = {name: cut.get(value, value) if isinstance(value, str) else value for name, value in pairs}
        return values

    hook = whole if unique or cut else None
    try:
        return json.loads(content.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=hook)
    except RecursionError as error:  # the caller itself is deep
        raise ValueError("no room is left to read nested values") from error


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")
