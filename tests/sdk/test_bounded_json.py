"""JSON is read as Python reads it, within bounds that are known before."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvae_sdk.bounded_json import MAX_DEPTH, MAX_VALUES, parse_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(deadline=None)
@given(VALUES, st.booleans())
def test_a_value_is_read_as_python_reads_it(value, ascii_only):
    text = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    try:
        expected = json.loads(text.decode("utf-8"))
    except UnicodeDecodeError:
        return
    assert parse_json(text) == parse_json(text, unique=True) == expected


@pytest.mark.parametrize("inside", ["[", "{", '\\"[', "\\\\", '[\\"{'])
def test_brackets_in_texts_nest_nothing(inside):
    text = json.dumps([inside * 1000]).encode()
    assert parse_json(text) == [inside * 1000]


@pytest.mark.parametrize("kind", ["list", "object"])
def test_just_so_deep_is_read_and_no_deeper(kind):
    opening, closing = {"list": (b"[", b"]"), "object": (b'{"a":', b"}")}[kind]
    for depth, taken in ((MAX_DEPTH, True), (MAX_DEPTH + 1, False)):
        text = opening * depth + b"1" + closing * depth
        if taken:
            assert parse_json(text)
        else:
            with pytest.raises(ValueError, match=f"nested more than {MAX_DEPTH} levels deep"):
                parse_json(text)


def test_what_is_beside_depth_does_not_hide_it():
    text = b"[" + b"[]," * 6_000 + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"]"
    with pytest.raises(ValueError, match="levels deep"):
        parse_json(text)


def test_just_so_many_values_are_read_and_no_more():
    assert len(parse_json(json.dumps([0] * (MAX_VALUES - 1)).encode())) == MAX_VALUES - 1
    with pytest.raises(ValueError, match=f"more than {MAX_VALUES}"):
        parse_json(json.dumps([0] * MAX_VALUES).encode())


@pytest.mark.parametrize("text", [b'"' + b'\\"' * 500_000, b'"' * 1_000_000, b"\\" * 1_000_000, b'"\\' * 500_000])
def test_quotes_and_escapes_take_no_more_than_linear_time(text):
    start = time.perf_counter()
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)
    assert time.perf_counter() - start < 2  # a quadratic one takes hours


@pytest.mark.parametrize("text", [b'{"a": 1, "a": 1}', b'[{"b": {"a": 1, "a": 2}}]'])
def test_a_name_twice_is_refused_if_asked(text):
    assert parse_json(text)
    with pytest.raises(ValueError, match="a name is there twice"):
        parse_json(text, unique=True)
