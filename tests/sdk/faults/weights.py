"""What can be wrong with weights.safetensors."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
from safetensors.numpy import save

from cvae_sdk import ModelError
from cvae_sdk.safetensors import read_safetensors
from faults.fault import Fault, Planting

MANY = 12
WEIGHTS = "weights.safetensors"


def whole(planting: Planting) -> bytes:
    rng = np.random.default_rng(planting.rng.randrange(2**32))
    arrays = {f"layer_{i}/kernel": rng.normal(size=(3, i + 1)).astype(np.float32) for i in range(4)}
    return save({**arrays, "flags": np.array([True, False])}, {"network": "{}"})


def parts(content: bytes) -> tuple[dict[str, Any], bytes]:
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def joined(header: bytes, data: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header + data


def raw(make: Callable[[bytes, Planting], bytes]) -> Callable[[Planting], None]:
    def act(planting: Planting) -> None:
        read_safetensors(make(whole(planting), planting), WEIGHTS)

    return act


def edit(change: Callable[[dict[str, Any], Planting], object]) -> Callable[[Planting], None]:
    """The header's values are changed."""

    def make(content: bytes, planting: Planting) -> bytes:
        header, data = parts(content)
        change(header, planting)
        return joined(json.dumps(header).encode(), data)

    return raw(make)


def entry(change: Callable[[dict[str, Any], Planting], object]) -> Callable[[Planting], None]:
    """One tensor's values are changed."""
    return edit(
        lambda header, p: change(header[p.rng.choice([name for name in header if name.startswith("layer")])], p)
    )


def floats(value: float, dtype: type = np.float32) -> Callable[[Planting], None]:
    def make(content: bytes, planting: Planting) -> bytes:
        array = np.zeros(planting.rng.randint(1, 50), dtype)
        array[planting.rng.randrange(len(array))] = value
        return save({"a": array})

    return raw(make)


def shift(header: dict[str, Any], planting: Planting) -> None:
    """One tensor begins where another lies."""
    first, second = header["layer_2/kernel"], header["layer_3/kernel"]
    size = second["data_offsets"][1] - second["data_offsets"][0]
    second["data_offsets"] = [first["data_offsets"][0], first["data_offsets"][0] + size]


CASES: tuple[tuple[str, Callable[[Planting], None], int], ...] = (
    ("no bytes", raw(lambda content, p: b""), 1),
    ("fewer bytes than a length has", raw(lambda content, p: content[: p.rng.randint(1, 7)]), MANY),
    ("a header longer than the file", raw(lambda content, p: p.rng.randint(10**4, 2**20).to_bytes(8, "little") + content[8:]), MANY),
    ("a header longer than any", raw(lambda content, p: p.rng.randint(2**20 + 1, 2**64 - 1).to_bytes(8, "little") + content[8:]), MANY),
    ("an empty header", raw(lambda content, p: joined(b"", parts(content)[1])), 1),
    ("a header that is no JSON", raw(lambda content, p: joined(p.rng.randbytes(99), parts(content)[1])), MANY),
    ("a header that is no object", raw(lambda content, p: joined(p.rng.choice([b"[]", b"1", b"null", b'"x"']), parts(content)[1])), MANY),
    ("a header nested deeper than is read", raw(lambda content, p: joined(b'{"a":' + b"[" * p.rng.randint(65, 10**5), b"")), MANY),
    ("a header nested deeper, and whole", raw(lambda content, p: joined(b'{"a":' + b"[" * 100 + b"]" * 100 + b"}", b"")), 1),
    ("a header of more values than are read", raw(lambda content, p: joined(b'{"a":[' + b"0," * 100_000 + b"0]}", b"")), 1),
    ("a name twice", raw(lambda content, p: joined(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"x")), 1),
    ("a name longer than any", edit(lambda header, p: header.update({"x" * p.rng.randint(513, 9999): header.pop("flags")})), MANY),
    ("more tensors than any model has", raw(lambda content, p: joined(json.dumps({f"t{i}": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for i in range(1025)}).encode(), b"")), 1),
    ("metadata that is no object", edit(lambda header, p: header.update(__metadata__=p.rng.choice([[], 1, "x"]))), MANY),
    ("metadata that is no text", edit(lambda header, p: header.update(__metadata__={"network": p.rng.choice([1, None, {}])})), MANY),
    ("a tensor that is no object", edit(lambda header, p: header.update(flags=p.rng.choice([[], 1, "x", None]))), MANY),
    ("a tensor without a dtype", entry(lambda each, p: each.pop("dtype")), 1),
    ("a tensor of an unknown dtype", entry(lambda each, p: each.update(dtype=p.rng.choice(["BF16", "F8_E4M3", "f32", "", 1, "O"]))), MANY),
    ("a tensor without a shape", entry(lambda each, p: each.pop("shape")), 1),
    ("a tensor of a negative size", entry(lambda each, p: each.update(shape=[-1, -3])), 1),
    ("a tensor of a size that is no integer", entry(lambda each, p: each.update(shape=p.rng.choice([[1.5], [True, 3], ["3"], [[3]], "3", 3]))), MANY),
    ("a tensor of a huge size", entry(lambda each, p: each.update(shape=[p.rng.randint(2**20, 2**62)] * 3)), MANY),
    ("a tensor of more axes than any has", entry(lambda each, p: each.update(shape=[1] * p.rng.randint(9, 99))), MANY),
    ("a tensor of another shape than its bytes", entry(lambda each, p: each["shape"].append(p.rng.randint(2, 9))), MANY),
    ("a tensor without offsets", entry(lambda each, p: each.pop("data_offsets")), 1),
    ("a tensor of one offset", entry(lambda each, p: each["data_offsets"].pop()), 1),
    ("a tensor that ends before it begins", entry(lambda each, p: each["data_offsets"].reverse()), MANY),
    ("a tensor of a negative offset", entry(lambda each, p: each.update(data_offsets=[-8, 4])), 1),
    ("a tensor beyond the end", entry(lambda each, p: each.update(data_offsets=[10**6, 10**6 + 12])), 1),
    ("two tensors of the same bytes", edit(shift), 1),
    ("a gap between tensors", edit(lambda header, p: header.pop("layer_1/kernel")), 1),
    ("bytes cut off", raw(lambda content, p: content[: -p.rng.randint(1, 20)]), MANY),
    ("bytes after the end", raw(lambda content, p: content + p.rng.randbytes(p.rng.randint(1, 20))), MANY),
    ("a weight that is NaN", floats(np.nan), MANY),
    ("a weight that is infinite", floats(-np.inf), MANY),
    ("a half weight that is NaN", floats(np.nan, np.float16), MANY),
    ("a double weight that is infinite", floats(np.inf, np.float64), MANY),
    ("a boolean that is neither", raw(lambda content, p: joined(b'{"a":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}}', bytes([1, p.rng.randint(2, 255)]))), MANY),
)  # fmt: skip

FAULTS = tuple(
    Fault(f"weights: {name}", lambda planting: None, ModelError, WEIGHTS, ("expected",), variants, act)
    for name, act, variants in CASES
)
