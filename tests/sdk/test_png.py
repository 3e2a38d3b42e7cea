"""PNG files: Pillow reads what was written, and one planted fault is seen."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cvae_sdk.png import png_files


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 3), st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3]), st.integers(0, 9))
def test_pillow_reads_the_pixels_that_were_written(count, height, width, channels, seed):
    images = np.random.default_rng(seed).integers(0, 256, (count, height, width, channels), np.uint8)
    files = list(png_files(images))
    assert len(files) == count
    for image, content in zip(images, files, strict=True):
        with Image.open(io.BytesIO(content)) as picture:
            picture.load()
            assert (picture.format, picture.mode) == ("PNG", {1: "L", 3: "RGB"}[channels])
            np.testing.assert_array_equal(np.asarray(picture).reshape(image.shape), image)


def test_a_file_does_not_depend_on_its_neighbors(sampler):
    images = sampler.sample(list(range(10)), seed=0)
    assert list(png_files(images))[7] == next(png_files(images[7:8]))


def test_a_flipped_bit_breaks_a_checksum(sampler):
    content = bytearray(next(png_files(sampler.sample(7, seed=0))))
    content[60] ^= 1
    with pytest.raises((OSError, SyntaxError)), Image.open(io.BytesIO(bytes(content))) as picture:
        picture.load()
