"""weights.safetensors: what is read is what the format's own library wrote (faults/weights.py has what is refused)."""

import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors import SafetensorError
from safetensors.numpy import load, save

from cvae_sdk import ModelError
from cvae_sdk.safetensors import read_safetensors

DTYPES = ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?"]
TENSORS = st.sampled_from(DTYPES).flatmap(
    lambda dtype: arrays.arrays(
        dtype,
        arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
        elements=arrays.from_dtype(np.dtype(dtype), allow_nan=False, allow_infinity=False),
    )
)


@settings(deadline=None)
@given(
    st.dictionaries(st.text(min_size=1).filter(lambda name: name != "__metadata__"), TENSORS, max_size=5),
    st.dictionaries(st.text(), st.text(), min_size=1, max_size=3),
)
def test_what_the_format_s_own_library_wrote_is_read(tensors, metadata):
    got, texts = read_safetensors(save(tensors, metadata), "weights.safetensors")
    assert texts == metadata
    assert got.keys() == tensors.keys()
    for name, array in tensors.items():
        assert (got[name].dtype, got[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(got[name], array)


def test_no_metadata_is_none():
    assert read_safetensors(save({"a": np.zeros(2)}), "w")[1] == {}


def test_arrays_are_views_that_cannot_be_written_to():
    content = save({"a": np.zeros(2**20, np.float32)})
    (array,) = read_safetensors(content, "w")[0].values()
    assert np.shares_memory(array, np.frombuffer(content, np.uint8))
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


def test_random_damage_is_refused_or_read_as_the_format_s_own_library_reads_it(tell_count):
    content = save({"a/b": np.arange(6, dtype=np.float32).reshape(2, 3), "c": np.arange(3)}, {"x": "y"})
    refused, tries = 0, 3000
    for seed in range(tries):
        rng, damaged = random.Random(seed), bytearray(content)
        for _ in range(rng.randint(1, 3)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        try:
            got, _ = read_safetensors(bytes(damaged), "w")
        except ModelError:
            refused += 1
            continue
        expected = load(bytes(damaged))
        assert got.keys() == expected.keys()
        assert all(np.array_equal(got[name], expected[name]) for name in got)
    assert refused > tries / 4
    tell_count(tries, tries, f"damaged weights are refused ({refused}) or read as the format's own library reads them")


def test_a_refusal_says_file_field_and_what_was_found():
    content = save({"a": np.array([1, np.nan], np.float32)})
    with pytest.raises(
        ModelError, match=r"^w\.safetensors: a must have finite weights, got 'NaN or infinity'"
    ) as raised:
        read_safetensors(content, "w.safetensors")
    assert (raised.value.file, raised.value.field) == ("w.safetensors", "a")


def test_what_the_format_s_own_library_refuses_is_refused():
    """Bytes that belong to no tensor: the library's own check, which the planted faults lean on too."""
    header = json.dumps({"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}).encode()
    content = len(header).to_bytes(8, "little") + header + b"xy"
    with pytest.raises(SafetensorError):
        load(content)
    with pytest.raises(ModelError):
        read_safetensors(content, "w")
