"""Labels as text: names first, numbers, and mixes by shares."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvae_sdk import InputError
from cvae_sdk.label_text import entries_to_labels, entry_from_text

CLASSES = ("zero", "2", "two", "a:b,c", "4")


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("zero", "zero"),
        ("0", "zero"),
        ("2", "2"),  # the class of that name, which is number 1
        ("1", "2"),
        ("3", "a:b,c"),
        ("a:b,c", "a:b,c"),
        ("zero:1", {"zero": 1.0}),
        ("zero:1,two:3", {"zero": 0.25, "two": 0.75}),
        ("0:0.5,2:0.5", {"zero": 0.5, "2": 0.5}),
        ("zero:0,two:2", {"zero": 0.0, "two": 1.0}),
    ],
)
def test_a_text_is_a_name_or_else_a_number_or_else_a_mix(text, entry):
    assert entry_from_text(text, CLASSES) == entry


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("three", "unknown class 'three': there are zero, 2, two, a:b,c, 4"),
        ("5", "a label must be from 0 to 4, got 5"),
        ("", "unknown class '': there are"),
        ("1.5", "unknown class '1.5'"),
        ("three:1", "unknown class 'three'"),
        ("zero:1,two", "a mix is CLASS:SHARE,CLASS:SHARE with shares of at least 0, such as 3:1,8:1; got 'zero:1,two'"),
        ("zero:x", "a mix is CLASS:SHARE"),
        ("zero:-1", "a mix is CLASS:SHARE"),
        ("zero:nan", "a mix is CLASS:SHARE"),
        ("zero:inf", "a mix is CLASS:SHARE"),
        ("zero:1,", "a mix is CLASS:SHARE"),
        ("zero:0", "the shares of a mix must sum to a number above 0, got 'zero:0'"),
        ("zero:1e308,two:1e308", "the shares of a mix must sum to a number above 0"),
        ("zero:1,0:1", "the mix 'zero:1,0:1' has the class zero twice"),
    ],
)
def test_any_other_text_is_an_input_error(text, message):
    with pytest.raises(InputError) as caught:
        entry_from_text(text, CLASSES)
    assert str(caught.value).startswith(message)


def test_labels_without_a_mix_are_numbers_and_with_one_all_are_weights():
    labels = entries_to_labels(["two", "zero"], CLASSES)
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, [2, 0])
    weights = entries_to_labels(["two", {"zero": 0.25, "4": 0.75}], CLASSES)
    assert weights.dtype == np.float32
    np.testing.assert_array_equal(weights, [[0, 0, 1, 0, 0], [0.25, 0, 0, 0, 0.75]])


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(CLASSES[:3]), st.floats(1e-6, 1e6), min_size=1))
def test_the_weights_of_a_mix_sum_to_one(shares):
    entry = entry_from_text(",".join(f"{name}:{share!r}" for name, share in shares.items()), CLASSES)
    assert entry.keys() == shares.keys()
    # Up to 3 weights, each rounded to float64 once, and their sum.
    assert abs(sum(entry.values()) - 1) < 1e-15
