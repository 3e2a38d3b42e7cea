"""Tensors cut out of JSON are those that Python reads there, and cost the garbage collector nothing."""

import gc
import json
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvae_sdk import DeadlineError, ProtocolError
from cvae_sdk.backends.deadline import Deadline
from cvae_sdk.backends.json_answer import read_json, read_tensor
from cvae_sdk.backends.json_numbers import cut_numbers, write_numbers

SHAPES = st.lists(st.integers(1, 4), min_size=2, max_size=4).map(tuple)
LAYOUTS = st.sampled_from(
    [{}, {"separators": (",", ":")}, {"indent": 4}, {"indent": "\t", "separators": (" ,", "\r:")}]
)
IMAGES = (1365, 2, 3, 1)  # 8,190 numbers: one request's worth


def soon() -> Deadline:
    return Deadline.after(30, "here:1")


def drawn(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Finite float32s of every size."""
    bits = np.random.default_rng(seed).integers(0, 2**32, shape, np.uint32)
    floats = bits.view(np.float32)
    return np.where(np.isfinite(floats), floats, np.float32(0))


def read(content: bytes, name: str, shape: tuple[int, ...]) -> np.ndarray:
    rest, cut = cut_numbers(content, [shape], soon())
    return read_tensor(read_json(rest, 10_000, "here:1", cut)[name], name, shape, "here:1")


@settings(deadline=None)
@given(SHAPES, SHAPES, st.integers(0, 2**32), st.text(), LAYOUTS)
def test_what_is_cut_is_what_python_reads(first, second, seed, text, layout):
    one, two = drawn(first, seed), drawn(second, seed + 1)
    values = {"one": one.tolist(), text + "[[1]]": [text], "two": two.tolist(), "others": [[[one.tolist()]], "]"]}
    content = json.dumps(values, **layout).encode()
    rest, cut = cut_numbers(content, [first, second], soon())
    got = read_json(rest, 10_000, "here:1", cut)
    assert got.keys() == values.keys()
    assert got[text + "[[1]]"] == [text]
    assert got["others"] == values["others"]
    for name, expected in (("one", one), ("two", two)):
        assert np.array_equal(read_tensor(got[name], name, expected.shape, "here:1"), expected)
    assert len(cut) == (0 if rb"\u0000" in content else 2)


@pytest.mark.parametrize(("count", "is_cut"), [(256, False), (257, True), (50_000, True)])
def test_a_flat_list_is_cut_if_it_is_too_long_to_be_a_shape(count, is_cut):
    numbers = drawn((count,))
    content = json.dumps({"shape": [count], "a": numbers.tolist()}).encode()
    assert len(cut_numbers(content, [(1,), (count,)], soon())[1]) == is_cut
    assert np.array_equal(read(content, "a", (count,)), numbers)


def test_integers_and_exponents_are_numbers_too():
    assert np.array_equal(read(b'{"a": [[1, -2], [3E2, 4e-1]]}', "a", (2, 2)), np.float32([[1, -2], [300, 0.4]]))


@pytest.mark.parametrize(
    "spoiled",
    [
        "[[1,2],[3,4]", "[[1,2],[3,4]]]", "[[1,2],[3]]", "[[1,2],[3,4],[5,6]]", "[[1,2,3,4]]", "[1,2,3,4]",
        "[[1,]2,[3,4]]", "[[1,2],3[,4]]", "[[1,2]3,[,4]]", "[5[1,2],[3,4]]", "[[1,2],[3,4]5]", "[[1 2,3],[4,5]]",
        "[[1,2],[3,]]", "[[,2],[3,4]]", "[[1,2],,[3,4]]", "[[1,2],[3,4],]", "[[1,2] [3,4]]", "[[1,2],[3,4 5]]",
        "[[1,2],[3,-]]", "[[1,2],[3,+4]]", "[[1,2],[3,04]]", "[[1,2],[3,.4]]", "[[1,2],[3,4.]]", "[[1,2],[3,1e]]",
        "[[1,2],[3,NaN]]", "[[1,2],[3,true]]", "[[1,2],[3,null]]", '[[1,2],[3,"4"]]', "[[1,2],[3,[4]]]", "[[1,2],{}]",
        "[[],[]]", "[[[1,2],[3,4]]]", "[[1,2],[3,4\x0c]]", "[[1,2],[3,1" + "0" * 400 + "]]", "[[1,2],[3," + "1" * 5000,
    ],
)  # fmt: skip
def test_what_is_no_tensor_of_the_shape_is_left_whole_and_refused(spoiled):
    content = f'{{"a": {spoiled}}}'.encode()
    assert cut_numbers(content, [(2, 2)], soon()) == (content, {})
    with pytest.raises(ProtocolError):
        read(content, "a", (2, 2))


def test_a_text_as_those_that_stand_for_tensors_is_none_of_them():
    content = rb'{"a": "\u00000", "b": [[1, 2], [3, 4]]}'
    assert cut_numbers(content, [(2, 2)], soon()) == (content, {})
    with pytest.raises(ProtocolError, match="a must be a list, got 'str'"):
        read(content, "a", (2, 2))
    assert np.array_equal(read(content, "b", (2, 2)), [[1, 2], [3, 4]])


def test_a_tensor_of_the_other_output_s_shape_is_refused():
    rest, cut = cut_numbers(b'{"a": [[1, 2]], "b": [[1], [2]]}', [(1, 2), (2, 1)], soon())
    with pytest.raises(ProtocolError, match=r"b must be of shape \[1, 2\], got \[2, 1\]"):
        read_tensor(read_json(rest, 100, "here:1", cut)["b"], "b", (1, 2), "here:1")


def test_openings_of_lists_take_time_by_their_number_alone():
    content = b"[[1," * 500_000
    assert cut_numbers(content, [(2, 2)], soon()) == (content, {})  # by its square it would take a day


@pytest.fixture
def collections() -> Iterator[Callable[[Callable[[], object]], int]]:
    """How often the garbage collector runs while something is done."""
    gc.collect()
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)

    def count(act: Callable[[], object]) -> int:
        gc.collect()
        start = [stats["collections"] for stats in gc.get_stats()]
        act()
        return sum(stats["collections"] for stats in gc.get_stats()) - sum(start)

    yield count
    gc.set_threshold(*before)


def test_a_tensor_is_read_and_written_without_lists_for_the_garbage_collector(collections):
    images = np.random.default_rng(0).random(IMAGES, np.float32)
    content = json.dumps({"image": images.tolist()}).encode()
    assert collections(lambda: read(content, "image", IMAGES)) == 0
    assert collections(lambda: write_numbers(images)) == 0
    assert collections(lambda: json.loads(content)) > 10  # the count would see them


@settings(deadline=None)
@given(SHAPES, st.integers(0, 2**32), st.booleans())
def test_what_is_written_is_what_python_writes(shape, seed, whole):
    array = drawn(shape, seed)
    array = array.view(np.int32) if whole else array
    assert write_numbers(array) == json.dumps(array.tolist(), separators=(",", ":"))
    assert write_numbers(array.ravel()) == json.dumps(array.ravel().tolist(), separators=(",", ":"))


def test_a_deadline_that_passes_while_a_large_tensor_is_read_is_kept():
    passed = Deadline.after(-1, "here:1")
    for rows, in_time in ((1_000, True), (100_000, False)):
        content = json.dumps({"a": np.ones((rows, 2)).tolist()}).encode()
        if in_time:  # all of it is there, and read in less time than a look at the clock is worth
            assert len(cut_numbers(content, [(rows, 2)], passed)[1]) == 1
        else:
            with pytest.raises(DeadlineError):
                cut_numbers(content, [(rows, 2)], passed)
