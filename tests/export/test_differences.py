"""How far images are from others, in pixels and in grey levels."""

import numpy as np
import pytest

from cvae_export.differences import DifferenceLog
from cvae_sdk.outputs import to_uint8

LEVEL = 1 / 255


def images(*values: float) -> np.ndarray:
    """Images of 2 x 2 pixels, each of one value."""
    return np.repeat(np.array(values, np.float32), 4).reshape(-1, 2, 2, 1)


def test_equal_images_have_no_difference() -> None:
    log = DifferenceLog()
    log.add(images(0, 0.3, 1), images(0, 0.3, 1))
    found = log.overall()
    assert found.images == len(log) == 3
    assert (found.largest, found.mean, found.off, found.off_by_more_than_1, found.off_by_more_than_8) == (0,) * 5


def test_a_pixel_is_off_where_its_level_is_another_and_counts_by_how_many() -> None:
    before = np.full((1, 2, 2, 1), 100 * LEVEL, np.float32)
    after = before + np.array([0.4, 1, 2, 9], np.float32).reshape(1, 2, 2, 1) * np.float32(LEVEL)
    log = DifferenceLog()
    log.add(before, after)
    found = log.overall()
    assert (found.off, found.off_by_more_than_1, found.off_by_more_than_8) == (3 / 4, 2 / 4, 1 / 4)
    assert found.largest == pytest.approx(9 * LEVEL, rel=1e-5)
    assert found.mean == pytest.approx((0.4 + 1 + 2 + 9) / 4 * LEVEL, rel=1e-5)


def test_levels_are_those_of_the_sdk() -> None:
    before, after = np.random.default_rng(0).random((2, 50, 4, 4, 1), np.float32)
    log = DifferenceLog()
    log.add(before, after)
    assert log.overall().off == pytest.approx(np.mean(to_uint8(before) != to_uint8(after)))


def test_batches_and_classes_are_summed_each_by_itself() -> None:
    log = DifferenceLog()
    log.add(images(0, 0), images(0, 0.5), np.array([1, 2]))
    log.add(images(0, 0, 0), images(0, 0, 0.25), np.array([2, 2, 1]))
    log.add(images(0), images(0.75))  # of no class
    assert {size: (found.images, found.largest) for size, found in log.by_batch().items()} == {
        1: (1, 0.75),
        2: (2, 0.5),
        3: (3, 0.25),
    }
    assert {label: (found.images, found.largest, found.off) for label, found in log.by_class().items()} == {
        1: (2, 0.25, 1 / 2),
        2: (3, 0.5, 1 / 3),
    }
    assert log.overall().images == 6
