"""What a request asks for, out of its query or its JSON body; RequestError says which field is wrong, and how."""

import contextlib
import json
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast
from urllib.parse import parse_qsl

import numpy as np
import numpy.typing as npt

from cvae_sdk.errors import InputError, one_line
from cvae_sdk.label_text import Entry, entries_to_labels, entry_from_text
from cvae_sdk.labels import to_label

__all__ = ["MOST_IMAGES", "Parameters", "RequestError"]

MOST_IMAGES = 1024
"""Images of one request."""


class RequestError(Exception):
    """A request that is not answered: the status of HTTP, a name for programs, and the field that is wrong."""

    def __init__(self, status: int, kind: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.status, self.kind, self.field = status, kind, field


class Parameters:
    """Named values, each of which may be asked for as what it must be."""

    def __init__(self, values: Mapping[str, object], known: Collection[str], *, text: bool) -> None:
        for name in values:
            if name not in known:
                raise _wrong(name[:80], f"unknown parameter {one_line(name)}: there are {', '.join(sorted(known))}")
        self._values, self._text = values, text

    @classmethod
    def of_query(cls, query: str, known: Collection[str]) -> "Parameters":
        """Those of ?a=1&b=2; `label` may be there several times, others once."""
        try:
            pairs = parse_qsl(
                query, keep_blank_values=True, strict_parsing=bool(query), errors="strict", max_num_fields=200
            )
        except ValueError as error:
            raise _wrong(None, f"the address cannot be read: {one_line(str(error))}") from error
        values: dict[str, object] = {}
        for name, value in pairs:
            if name == "label":
                cast("list[str]", values.setdefault(name, [])).append(value)
            elif name in values:
                raise _wrong(name[:80], f"{one_line(name)} is there twice")
            else:
                values[name] = value
        return cls(values, known, text=True)

    @classmethod
    def of_json(cls, body: bytes, known: Collection[str]) -> "Parameters":
        """Those of a JSON object."""
        try:
            values: object = json.loads(body, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise RequestError(400, "JSONError", f"the body is not JSON: {one_line(str(error))}") from error
        if not isinstance(values, dict):
            raise RequestError(400, "JSONError", f"the body must be a JSON object, got {one_line(values)}")
        return cls(cast("dict[str, object]", values), known, text=False)

    def has(self, name: str) -> bool:
        """Whether it was given; JSON's null is not."""
        return self._values.get(name) is not None

    def integer(self, name: str, default: int, least: int, most: int) -> int:
        """An integer in a range."""
        value = self._values.get(name)
        if value is None:
            return default
        if self._text:
            with contextlib.suppress(ValueError):
                value = int(cast("str", value)) if len(cast("str", value)) <= 40 else value
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise _wrong(name, f"{name} must be an integer from {least} to {most}, got {one_line(value)}")
        return value

    def number(self, name: str, default: float | None, least: float, most: float) -> float | None:
        """A number in a range."""
        value = self._values.get(name)
        if value is None:
            return default
        if self._text:
            with contextlib.suppress(ValueError):
                value = float(cast("str", value))
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise _wrong(name, f"{name} must be a number from {least:g} to {most:g}, got {one_line(value)}")
        return float(value)

    def choice(self, name: str, choices: Sequence[str]) -> str:
        """One of some words, by default the first."""
        value = self._values.get(name, choices[0])
        if value not in choices:
            raise _wrong(name, f"{name} must be one of {', '.join(choices)}, got {one_line(value)}")
        return cast("str", value)

    def labels(self, name: str, classes: tuple[str, ...], default: Sequence[str] | None = None) -> npt.NDArray[Any]:
        """Labels int32 [n] or class weights float32 [n, classes], of one or a list of labels, names and mixes."""
        value = self._values.get(name, default)
        if value is None:
            raise _wrong(name, f"{name} is missing: give a class's number, its name, or a mix of classes")
        each = cast("list[object]", value) if isinstance(value, list | tuple) else [value]
        if not 1 <= len(each) <= MOST_IMAGES:
            raise _wrong(name, f"{name} must be 1 to {MOST_IMAGES} labels, got {len(each)}")
        try:
            return entries_to_labels([self._entry(entry, classes) for entry in each], classes)
        except InputError as error:
            raise _wrong(name, str(error)) from error

    def matrix(self, name: str, columns: int) -> npt.NDArray[np.float32]:
        """Float32 [n, columns] of nested lists of finite numbers; a single list is one row."""
        value = self._values.get(name)
        shape = f"{name} must be a list of 1 to {MOST_IMAGES} lists of {columns} numbers"
        given = cast("list[object]", value) if isinstance(value, list) else []
        if not given:
            raise _wrong(name, f"{shape}, got {one_line(cast('object', value))}")
        rows = given if isinstance(given[0], list) else [given]
        if len(rows) > MOST_IMAGES:
            raise _wrong(name, f"{shape}, got {len(rows)}")
        for row in rows:
            if not isinstance(row, list) or len(cast("list[object]", row)) != columns:
                raise _wrong(name, f"{shape}, got {one_line(cast('object', row))}")
            for number in cast("list[object]", row):
                if isinstance(number, bool) or not isinstance(number, int | float) or not abs(number) < 1e30:
                    raise _wrong(name, f"{shape}, got {one_line(number)} among them")
        return np.array(rows, np.float32)

    def _entry(self, value: object, classes: tuple[str, ...]) -> Entry:
        if isinstance(value, str):
            return entry_from_text(value, classes)
        if isinstance(value, dict):
            shares = cast("dict[str, object]", value)
            if not all(
                not isinstance(share, bool) and isinstance(share, int | float) and 0 <= share < 1e30
                for share in shares.values()
            ):
                raise InputError(f"the shares of a mix must be numbers of at least 0, got {one_line(shares)}")
            whole = math.fsum(cast("Mapping[str, float]", shares).values())
            if not whole > 0:
                raise InputError(f"the shares of a mix must sum to a number above 0, got {one_line(shares)}")
            return {
                classes[to_label(name, classes)]: share / whole
                for name, share in cast("Mapping[str, float]", shares).items()
            }
        return classes[to_label(value, classes)]


def _wrong(field: str | None, message: str) -> RequestError:
    return RequestError(400, "InputError", message, field)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
