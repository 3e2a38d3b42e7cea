"""Fields of JSON that may hold anything: a value of the function's type, or a ManifestError that names the field."""

import sys
from collections.abc import Callable
from typing import Any, TypeVar, cast

from cvae_sdk.errors import ManifestError, one_line

__all__ = [
    "read_integer",
    "read_list",
    "read_mapping",
    "read_number",
    "read_object",
    "read_optional_number",
    "read_optional_string",
    "read_string",
    "shown",
]

_T = TypeVar("_T")


def read_object(value: object, field: str) -> dict[str, Any]:
    """A JSON object."""
    if not isinstance(value, dict):
        raise ManifestError(f"{field} must be an object, got {shown(value)}")
    return cast("dict[str, Any]", value)


def read_mapping(value: object, field: str, read: Callable[[object, str], _T]) -> dict[str, _T]:
    """A JSON object whose values `read` takes."""
    return {name: read(item, f"{field}.{name}") for name, item in read_object(value, field).items()}


def read_list(value: object, field: str, read: Callable[[object, str], _T]) -> tuple[_T, ...]:
    """A JSON list whose items `read` takes, as a tuple."""
    if not isinstance(value, list):
        raise ManifestError(f"{field} must be a list, got {shown(value)}")
    return tuple(read(item, f"{field}[{i}]") for i, item in enumerate(cast("list[object]", value)))


def read_string(value: object, field: str) -> str:
    """Text, not empty."""
    if not isinstance(value, str) or not value:
        raise ManifestError(f"{field} must be text, got {shown(value)}")
    return value


def read_integer(value: object, field: str, least: int) -> int:
    """An integer, no boolean, of at least `least`."""
    if type(value) is not int or value < least:
        raise ManifestError(f"{field} must be an integer of at least {least}, got {shown(value)}")
    return value


def read_number(value: object, field: str) -> float:
    """A number of at least 0, as a float."""
    if type(value) not in (int, float) or not 0 <= cast("float", value) <= sys.float_info.max:
        raise ManifestError(f"{field} must be a number of at least 0, got {shown(value)}")
    return float(cast("float", value))


def read_optional_number(value: object, field: str) -> float | None:
    """A number of at least 0, or nothing."""
    return None if value is None else read_number(value, field)


def read_optional_string(value: object, field: str) -> str | None:
    """Text, or nothing."""
    return None if value is None else read_string(value, field)


def shown(value: object) -> str:
    """A value as a message shows it."""
    return "nothing" if value is None else one_line(value)
