"""Fields of JSON that may hold anything: a value of the function's type, or a ManifestError that names the field."""

import sys
from collections.abc import Callable
from typing import Any, TypeVar, cast

from cvae_sdk.errors import ManifestError, named, one_line

__all__ = [
    "MANIFEST_NAME",
    "read_integer",
    "read_list",
    "read_mapping",
    "read_number",
    "read_object",
    "read_optional_number",
    "read_optional_string",
    "read_string",
    "refusal",
    "shown",
]

MANIFEST_NAME = "manifest.json"
_LARGEST = 2**63 - 1
_T = TypeVar("_T")


def read_object(value: object, field: str) -> dict[str, Any]:
    """A JSON object."""
    if not isinstance(value, dict):
        raise refusal(field, "an object", value)
    return cast("dict[str, Any]", value)


def read_mapping(value: object, field: str, read: Callable[[object, str], _T], most: int = _LARGEST) -> dict[str, _T]:
    """A JSON object of at most `most` values, which `read` takes."""
    items = read_object(value, field)
    if len(items) > most:
        raise refusal(field, f"an object of at most {most} names", len(items))
    return {name: read(item, f"{field}.{name}") for name, item in items.items()}


def read_list(value: object, field: str, read: Callable[[object, str], _T], most: int = _LARGEST) -> tuple[_T, ...]:
    """A JSON list of at most `most` items, which `read` takes, as a tuple."""
    if not isinstance(value, list):
        raise refusal(field, "a list", value)
    items = cast("list[object]", value)
    if len(items) > most:
        raise refusal(field, f"a list of at most {most} items", len(items))
    return tuple(read(item, f"{field}[{i}]") for i, item in enumerate(items))


def read_string(value: object, field: str) -> str:
    """Text, not empty."""
    if not isinstance(value, str) or not value:
        raise refusal(field, "text", value)
    return value


def read_integer(value: object, field: str, least: int, most: int = _LARGEST) -> int:
    """An integer, no boolean, from `least` to `most`."""
    if type(value) is not int or value < least:
        raise refusal(field, f"an integer of at least {least}", value)
    if value > most:
        raise refusal(field, f"an integer of at most {most}", value)
    return value


def read_number(value: object, field: str) -> float:
    """A number of at least 0, as a float."""
    if type(value) not in (int, float) or not 0 <= cast("float", value) <= sys.float_info.max:
        raise refusal(field, "a number of at least 0", value)
    return float(cast("float", value))


def read_optional_number(value: object, field: str) -> float | None:
    """A number of at least 0, or nothing."""
    return None if value is None else read_number(value, field)


def read_optional_string(value: object, field: str) -> str | None:
    """Text, or nothing."""
    return None if value is None else read_string(value, field)


def refusal(field: str, expected: str, found: object) -> ManifestError:
    """What to raise for a field that must be something else."""
    return ManifestError(
        f"{named(field)} must be {expected}, got {shown(found)}",
        file=MANIFEST_NAME, field=field, expected=expected, found=found,
    )  # fmt: skip


def shown(value: object) -> str:
    """A value as a message shows it."""
    return "nothing" if value is None else one_line(value)
