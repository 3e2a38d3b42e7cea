"""Protocol Buffers' wire format taken apart and put together again, to change a field of a model that is deep inside.

Written anew, with nothing of the SDK's own reader: what is changed must reach it as it is. A field is its number, its
wire type and what it holds: an integer, bytes, or the fields of a message inside.
"""

import random
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass

__all__ = ["Field", "mutate", "pack", "unpack"]

# The fields of ONNX's messages that hold messages, by the path of numbers that leads to them from the model.
_INNER = {
    (7,), (8,), (7, 1), (7, 1, 5), (7, 1, 5, 5), (7, 5), (7, 11), (7, 12), (7, 11, 2), (7, 12, 2), (7, 11, 2, 1),
    (7, 12, 2, 1), (7, 11, 2, 1, 2), (7, 12, 2, 1, 2), (7, 11, 2, 1, 2, 1), (7, 12, 2, 1, 2, 1),
}  # fmt: skip
_EXTREMES = (0, 1, 2, 3, 7, 16, 127, 128, 255, 2**16, 2**31 - 1, 2**31, 2**32, 2**62, 2**63 - 1, 2**63, 2**64 - 1)


@dataclass
class Field:
    number: int
    wire: int
    value: "int | bytes | list[Field]"


def unpack(content: bytes, path: tuple[int, ...] = ()) -> list[Field]:
    fields, at = [], 0
    while at < len(content):
        key, at = _read_varint(content, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _read_varint(content, at)
            fields.append(Field(number, wire, value))
            continue
        length = {1: 8, 5: 4}.get(wire, 0)
        if wire == 2:
            length, at = _read_varint(content, at)
        inside, at = content[at : at + length], at + length
        deeper = (*path, number)
        fields.append(Field(number, wire, unpack(inside, deeper) if deeper in _INNER else inside))
    return fields


def pack(fields: list[Field]) -> bytes:
    content = b""
    for field in fields:
        content += _varint(field.number << 3 | field.wire)
        if isinstance(field.value, int):
            content += _varint(field.value)
        else:
            inside = pack(field.value) if isinstance(field.value, list) else field.value
            content += (_varint(len(inside)) if field.wire == 2 else b"") + inside
    return content


def mutate(content: bytes, rng: random.Random, times: int) -> bytes:
    """The message with so many random changes: of fields, their numbers, types, order and values, or of its bytes."""
    fields = unpack(content)
    for _ in range(times):
        places = list(_places(fields))
        siblings, at = rng.choice(places)
        _change(siblings, at, places, rng)
    content = pack(fields)
    if rng.random() < 0.1:
        spoiled = bytearray(content)
        spoiled[rng.randrange(len(spoiled))] = rng.randrange(256)
        content = bytes(spoiled)
    return content


def _change(siblings: list[Field], at: int, places: list[tuple[list[Field], int]], rng: random.Random) -> None:
    field = siblings[at]
    kind = rng.choice(["value"] * 6 + ["take away", "twice", "move", "number", "wire", "borrow", "new"])
    if kind == "take away":
        del siblings[at]
    elif kind == "twice":
        siblings.insert(at, deepcopy(field))
    elif kind == "move":
        siblings.insert(rng.randrange(len(siblings)), siblings.pop(at))
    elif kind == "number":
        field.number = rng.choice([rng.randrange(1, 30), field.number + 1, rng.choice(siblings).number])
    elif kind == "wire":
        field.wire = rng.choice([0, 1, 2, 5])
        field.value = {0: 1, 1: bytes(8), 2: b"", 5: bytes(4)}[field.wire]
    elif kind == "borrow":
        others, place = rng.choice(places)
        field.wire, field.value = others[place].wire, deepcopy(others[place].value)
    elif kind == "new":
        siblings.insert(at, Field(rng.randrange(1, 30), 0, rng.choice(_EXTREMES)))
    elif isinstance(field.value, int):
        field.value = rng.choice([rng.choice(_EXTREMES), field.value + 1, max(0, field.value - 1), rng.randrange(20)])
    elif isinstance(field.value, bytes):
        field.value = _other_bytes(field.value, places, rng)
    else:
        field.value = [rng.choice(field.value) for _ in field.value] if field.value else [Field(1, 0, 1)]


def _other_bytes(value: bytes, places: list[tuple[list[Field], int]], rng: random.Random) -> bytes:
    texts = [f.value for siblings, at in places if isinstance((f := siblings[at]).value, bytes) and len(f.value) < 40]
    kind = rng.choice(["text", "flip", "cut", "longer", "number", "empty"])
    if kind == "text" and texts:
        return rng.choice(texts)
    if kind == "flip" and value:
        spoiled = bytearray(value)
        spoiled[rng.randrange(len(spoiled))] ^= 1 << rng.randrange(8)
        return bytes(spoiled)
    if kind == "cut":
        return value[: rng.randrange(len(value) + 1)]
    if kind == "longer":
        return value + rng.randbytes(rng.choice([1, 4, 8]))
    if kind == "number" and len(value) >= 8:  # an integer of a shape, or two weights
        at = 8 * rng.randrange(len(value) // 8)
        return value[:at] + rng.choice(_EXTREMES).to_bytes(8, "little") + value[at + 8 :]
    return b""


def _places(fields: list[Field]) -> Iterator[tuple[list[Field], int]]:
    for i, field in enumerate(fields):
        yield fields, i
        if isinstance(field.value, list):
            yield from _places(field.value)


def _read_varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(content):
        byte = content[at]
        value, at, shift = value | (byte & 127) << shift, at + 1, shift + 7
        if byte < 128:
            break
    return value, at


def _varint(value: int) -> bytes:
    content = b""
    while value > 127:
        content += bytes([value & 127 | 128])
        value >>= 7
    return content + bytes([value])
