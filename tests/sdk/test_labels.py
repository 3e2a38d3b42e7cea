"""What a user may call a class, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvae_sdk import InputError
from cvae_sdk.labels import to_label, to_labels

CLASSES = ("cat", "dog", "3", "0")

NOT_LABELS = [
    (-1, "a label must be from 0 to 3, got -1"),
    (4, "a label must be from 0 to 3, got 4"),
    (2**70, "a label must be from 0 to 3, got 1180591620717411303424"),
    (np.int64(-1), "a label must be from 0 to 3, got -1"),
    (np.uint64(2**64 - 1), "a label must be from 0 to 3, got 18446744073709551615"),
    (3.5, "a label must be an integer or a class name, got 3.5"),
    (1.0, "a label must be an integer or a class name, got 1.0"),
    (np.float32(1), r"a label must be an integer or a class name, got np.float32\(1.0\)"),
    (float("nan"), "a label must be an integer or a class name, got nan"),
    (True, "a label must be an integer or a class name, got True"),
    (False, "a label must be an integer or a class name, got False"),
    (np.True_, "a label must be an integer or a class name, got np.True_"),
    (None, "a label must be an integer or a class name, got None"),
    (b"cat", "a label must be an integer or a class name, got b'cat'"),
    ([1], r"a label must be an integer or a class name, got \[1\]"),
    ("mouse", "unknown class 'mouse': there are cat, dog, 3, 0"),
    ("", "unknown class '': there are cat, dog, 3, 0"),
    ("Cat", "unknown class 'Cat': there are"),
    (" cat", "unknown class ' cat': there are"),
    ("1", "unknown class '1': there are"),
    ("a\nb", r"unknown class 'a\\nb': there are"),
]


@pytest.mark.parametrize(("value", "label"), [(0, 0), (3, 3), (np.int8(2), 2), (np.uint64(1), 1), ("dog", 1)])
def test_a_label_is_an_integer_or_a_class_s_name(value, label):
    assert to_label(value, CLASSES) == label
    assert type(to_label(value, CLASSES)) is int


def test_a_class_called_by_a_number_is_found_by_its_name_and_not_by_its_number():
    assert to_label("0", CLASSES) == 3
    assert to_label("3", CLASSES) == 2
    assert to_label(3, CLASSES) == 3


def test_a_numpy_string_is_a_name():
    assert to_label(np.str_("dog"), CLASSES) == 1
    assert to_labels(np.array(["dog", "cat"]), CLASSES).tolist() == [1, 0]


@pytest.mark.parametrize(("value", "message"), NOT_LABELS)
def test_what_is_not_a_label_is_refused(value, message):
    with pytest.raises(InputError, match=message):
        to_label(value, CLASSES)


@pytest.mark.parametrize(("value", "message"), NOT_LABELS)
def test_what_is_not_a_label_is_refused_in_a_list_too(value, message):
    with pytest.raises(InputError, match=message):
        to_labels([0, value], CLASSES)


@pytest.mark.parametrize("value", [10**5000, -(10**5000)], ids=["10^5000", "-10^5000"])
def test_an_integer_too_long_for_python_to_print_is_refused_as_any_other(value):
    with pytest.raises(InputError, match="a label must be from 0 to 3"):
        to_label(value, CLASSES)


@pytest.mark.parametrize(
    "values",
    [[0, 3, 1], (0, 3, 1), np.array([0, 3, 1]), np.array([0, 3, 1], np.uint8), ["cat", "0", np.int16(1)]],
    ids=["list", "tuple", "int64", "uint8", "mixed"],
)
def test_labels_become_int32(values):
    labels = to_labels(values, CLASSES)
    assert labels.dtype == np.int32
    assert labels.tolist() == [0, 3, 1]


def test_labels_of_a_range_are_its_numbers():
    assert to_labels(range(4), CLASSES).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("nothing", [[], (), range(0), np.zeros(0, np.int32), np.zeros(0)])
def test_no_labels_are_int32_too(nothing):
    labels = to_labels(nothing, CLASSES)
    assert labels.dtype == np.int32
    assert labels.shape == (0,)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((2, 2), np.int32), r"labels must have one axis, got shape \(2, 2\)"),
        (np.array(1), r"labels must have one axis, got shape \(\)"),
        (np.array([1.0]), "a label must be an integer or a class name, got 1.0"),
        (np.array([True]), "a label must be an integer or a class name, got True"),
        (np.array([0, -1]), "a label must be from 0 to 3, got -1"),
        (np.array(["2026-11-22"], "datetime64[D]"), "a label must be an integer or a class name"),
        (1, "labels must be .*, got int$"),
        (None, "labels must be .*, got NoneType$"),
        ({0, 1}, "labels must be .*, got set$"),
        ({0: 1}, "labels must be .*, got dict$"),
        (iter([0]), "labels must be .*, got list_iterator$"),
    ],
)
def test_what_is_not_a_list_of_labels_is_refused(values, message):
    with pytest.raises(InputError, match=message):
        to_labels(values, CLASSES)


def test_one_label_is_not_said_to_be_what_labels_must_be():
    with pytest.raises(InputError) as raised:
        to_labels(1, CLASSES)
    assert "must be a label," not in str(raised.value)


@pytest.mark.parametrize("text", ["30", "cat", b"\x01\x02", bytearray(b"\x01")])
def test_text_and_bytes_are_not_lists_of_labels(text):
    """One name where a list of them belongs would else be read letter by letter."""
    with pytest.raises(InputError, match=f"labels must be .*, got {type(text).__name__}$"):
        to_labels(text, CLASSES)


@settings(deadline=None)
@given(st.one_of(st.integers(), st.floats(), st.text(), st.binary(), st.booleans(), st.none(), st.complex_numbers()))
def test_anything_but_an_integer_in_range_or_a_name_is_an_input_error_of_one_line(value):
    if value in CLASSES or (type(value) is int and 0 <= value < len(CLASSES)):
        assert 0 <= to_label(value, CLASSES) < len(CLASSES)
    else:
        with pytest.raises(InputError) as raised:
            to_label(value, CLASSES)
        assert len(str(raised.value).splitlines()) == 1
