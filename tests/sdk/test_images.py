"""Images laid in rows on a black sheet."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvae_sdk.images import tile


@settings(deadline=None)
@given(
    count=st.integers(1, 12),
    columns=st.integers(1, 14),
    height=st.integers(1, 5),
    width=st.integers(1, 5),
    channels=st.sampled_from([1, 3]),
    gap=st.integers(0, 3),
    scale=st.integers(1, 3),
)
def test_every_pixel_is_an_image_s_or_black(count, columns, height, width, channels, gap, scale):
    images = np.arange(1, 1 + count * height * width * channels, dtype=np.uint32) % 255 + 1
    images = images.astype(np.uint8).reshape(count, height, width, channels)
    picture = tile(images, columns, gap, scale)
    rows = (count + columns - 1) // columns
    assert picture.size == (scale * (columns * (width + gap) - gap), scale * (rows * (height + gap) - gap))
    for x in range(picture.width):
        for y in range(picture.height):
            (column, left), (row, top) = divmod(x // scale, width + gap), divmod(y // scale, height + gap)
            i = row * columns + column
            inside = left < width and top < height and i < count
            expected = images[i, top, left].tolist() if inside else [0] * channels
            pixel = picture.getpixel((x, y))
            assert list(pixel if isinstance(pixel, tuple) else (pixel,)) == expected


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_one_channel_is_grey_and_three_are_red_green_and_blue(channels, mode):
    assert tile(np.zeros((1, 2, 2, channels), np.uint8), 1).mode == mode


def test_images_are_two_pixels_apart_and_drawn_once_their_size_unless_told():
    assert tile(np.zeros((4, 28, 28, 1), np.uint8), 2).size == (58, 58)


def test_a_picture_does_not_change_with_the_images_it_was_made_of():
    images = np.full((1, 2, 2, 1), 9, np.uint8)
    picture = tile(images, 1)
    images[:] = 0
    assert picture.getpixel((0, 0)) == 9
