"""Protocol Buffers' wire format, read without making a message of what is not known.

A message is a run of fields. Each begins with a varint, 8 * number + kind, and goes on as its kind says:

    0   a varint: 7 bits a byte, the lowest first, the top bit set on all but the last; at most 10 bytes, 64 bits
    2   a length, and as many bytes: text, a message inside, or numbers packed together
    5   4 bytes, little-endian: a float

Kinds 1, 3 and 4 do not occur in what is read here. A reader of Protocol Buffers skips fields that it does not know,
takes the last of several where there should be one, and merges messages; each of these would let two readers see two
models in one file, so that here each is refused. Of a server's answer, which a newer server may have added fields to,
those that are not known are skipped.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Message", "Refused", "Schema", "read_message", "read_varints"]

Kind = Literal["int", "ints", "float", "floats", "text", "texts", "message", "messages", "span"]
Schema = Mapping[int, tuple[str, Kind]]
"""The fields that may be there, by number: name and kind; a plural may be there often, a span stays where it lies."""

_LIMIT = 16_384  # of fields in one message, and of numbers packed together
_WIRES: Mapping[Kind, int] = {"int": 0, "ints": 0, "float": 5, "floats": 5}
_PACKED = ("ints", "floats")


class Refused(ValueError):  # noqa: N818 - it is the file that is refused
    """What is wrong with a file: at which field, what is expected of it, what was found."""

    def __init__(self, field: str, expected: str, found: object) -> None:
        super().__init__(f"{field} must be {expected}, got {found!r}")
        self.field, self.expected, self.found = field, expected, found


@dataclass(frozen=True)
class Message:
    """The fields of a message by name; a message inside is where it begins and ends."""

    ints: Mapping[str, list[int]] = field(default_factory=dict[str, list[int]])
    floats: Mapping[str, list[float]] = field(default_factory=dict[str, list[float]])
    texts: Mapping[str, list[str]] = field(default_factory=dict[str, list[str]])
    spans: Mapping[str, list[tuple[int, int]]] = field(default_factory=dict[str, list[tuple[int, int]]])

    def integer(self, name: str, default: int = 0) -> int:
        """The one number of that name."""
        return self.ints.get(name, (default,))[0]

    def text(self, name: str) -> str:
        """The one text of that name, empty if it is not there."""
        return self.texts.get(name, ("",))[0]

    def names(self) -> set[str]:
        """Of the fields that are there."""
        return {*self.ints, *self.floats, *self.texts, *self.spans}


def read_message(
    content: bytes, span: tuple[int, int], schema: Schema, where: str, longest_text: int, *, skip: bool = False
) -> Message:
    """The message at `span` of a file, whose place in it messages call `where`.

    Raises Refused for what is not in `schema`, or skips it if `skip` is set.
    """
    at, end = span
    ints: dict[str, list[int]] = {}
    floats: dict[str, list[float]] = {}
    texts: dict[str, list[str]] = {}
    spans: dict[str, list[tuple[int, int]]] = {}
    count = 0
    while at < end:
        key, at = _varint(content, at, end, where)
        if key >> 3 not in schema:
            if skip:
                at = _after(content, at, end, key & 7, where)
                continue
            raise Refused(where, "made of fields that are known", f"field {key >> 3}")
        name, kind = schema[key >> 3]
        wire = key & 7
        if (count := count + 1) > _LIMIT:
            raise Refused(where, f"of at most {_LIMIT} fields", count)
        if wire != _WIRES.get(kind, 2) and not (wire == 2 and kind in _PACKED):
            raise Refused(f"{where}.{name}", f"of wire type {_WIRES.get(kind, 2)}", wire)
        if wire == 0:
            value, at = _varint(content, at, end, where)
            known, single = ints.setdefault(name, []), kind == "int"
            known.append(value - (1 << 64) if value >> 63 else value)
        else:
            length, at = (4, at) if wire == 5 else _varint(content, at, end, where)
            if length > end - at:
                raise Refused(f"{where}.{name}", f"at most {end - at} bytes", length)
            stop = at + length
            if kind in ("float", "floats"):
                known, single = floats.setdefault(name, []), kind == "float"
                known.extend(_floats(content, at, stop, f"{where}.{name}"))
            elif kind == "ints":
                known, single = ints.setdefault(name, []), False
                known.extend(read_varints(content, at, stop, f"{where}.{name}"))
            elif kind in ("text", "texts"):
                if length > longest_text:
                    raise Refused(f"{where}.{name}", f"at most {longest_text} bytes", length)
                known, single = texts.setdefault(name, []), kind == "text"
                known.append(_text(content[at:stop], f"{where}.{name}"))
            else:
                known, single = spans.setdefault(name, []), kind != "messages"
                known.append((at, stop))
            at = stop
        if single and len(known) > 1:
            raise Refused(f"{where}.{name}", "there once", "it twice")
        if len(known) > _LIMIT:
            raise Refused(f"{where}.{name}", f"of at most {_LIMIT} values", len(known))
    return Message(ints, floats, texts, spans)


def read_varints(content: bytes, at: int, end: int, where: str) -> list[int]:
    """Signed numbers of 64 bits that are packed together."""
    values: list[int] = []
    while at < end:
        value, at = _varint(content, at, end, where)
        values.append(value - (1 << 64) if value >> 63 else value)
        if len(values) > _LIMIT:
            raise Refused(where, f"of at most {_LIMIT} values", len(values))
    return values


def _varint(content: bytes, at: int, end: int, where: str) -> tuple[int, int]:
    if at < end and (byte := content[at]) < 128:
        return byte, at + 1
    value = shift = 0
    while at < end and shift < 70:
        byte = content[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            if value >> 64:
                raise Refused(where, "made of numbers of 64 bits", value)
            return value, at
        shift += 7
    raise Refused(where, "made of whole fields", "a number that does not end")


def _after(content: bytes, at: int, end: int, wire: int, where: str) -> int:
    """Where a value ends that is not looked at."""
    if wire == 0:
        return _varint(content, at, end, where)[1]
    if wire not in (1, 2, 5):
        raise Refused(where, "of wire type 0, 1, 2 or 5", wire)
    length, at = _varint(content, at, end, where) if wire == 2 else (8 if wire == 1 else 4, at)
    if length > end - at:
        raise Refused(where, f"at most {end - at} bytes", length)
    return at + length


def _text(content: bytes, where: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(where, "UTF-8", content) from error


def _floats(content: bytes, at: int, end: int, where: str) -> tuple[float, ...]:
    if (end - at) % 4 or end - at > 4 * _LIMIT:
        raise Refused(where, f"at most {_LIMIT} times 4 bytes", end - at)
    return struct.unpack_from(f"<{(end - at) // 4}f", content, at)
