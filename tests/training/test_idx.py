import gzip
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from cvae_training import DataError
from cvae_training.idx import read_idx


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


@settings(deadline=None)
@given(arrays(np.uint8, array_shapes(max_dims=4, max_side=6)))
def test_an_idx_file_reads_back_as_it_was_written(array: np.ndarray) -> None:
    read = read_idx(gzip.compress(idx(array)), "x")
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "x is not an IDX file of unsigned bytes: it starts with nothing"),
        (b"\0\0\x08", "x is not an IDX file of unsigned bytes: it starts with 000008"),
        (b"\0\0\x0d\x01\0\0\0\0", "x is not an IDX file of unsigned bytes: it starts with 00000d01"),
        (b"PNG.....", "x is not an IDX file of unsigned bytes: it starts with 504e472e"),
        (b"\0\0\x08\x03\0\0\0\x01\0\0", "x ends inside its header of 16 bytes"),
        (idx(np.zeros((2, 3), np.uint8))[:-1], "x holds 5 bytes of data, its header says 6"),
        (idx(np.zeros((2, 3), np.uint8)) + b"\0", "x holds 7 bytes of data, its header says 6"),
    ],
    ids=["empty", "short magic", "floats", "another format", "cut header", "cut data", "trailing data"],
)
def test_a_file_that_is_no_idx_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=f"^{message}$"):
        read_idx(gzip.compress(content), "x")


def test_a_file_that_is_not_gzipped_is_refused() -> None:
    with pytest.raises(DataError, match=r"^x is not a whole gzip file: Not a gzipped file"):
        read_idx(idx(np.zeros(3, np.uint8)), "x")


WHOLE = np.random.default_rng(0).integers(0, 256, (7, 5), np.uint8)
GZIPPED = gzip.compress(idx(WHOLE), mtime=0)


@settings(deadline=None)
@given(length=st.integers(0, len(GZIPPED) - 1))
def test_a_gzip_file_cut_short_anywhere_is_refused(length: int) -> None:
    with pytest.raises(DataError, match=r"^x is not "):
        read_idx(GZIPPED[:length], "x")


@settings(deadline=None, max_examples=300)
@given(bit=st.integers(0, 8 * len(GZIPPED) - 1))
def test_a_flipped_bit_in_a_gzip_file_is_refused_or_changes_nothing(bit: int) -> None:
    damaged = bytearray(GZIPPED)
    damaged[bit // 8] ^= 1 << bit % 8
    try:
        read = read_idx(bytes(damaged), "x")
    except DataError:
        return
    np.testing.assert_array_equal(read, WHOLE)  # the bit was one of the gzip header's time or system
