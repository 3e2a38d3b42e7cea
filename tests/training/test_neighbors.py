"""Nearest neighbors, against loops over single distances and against cases whose answer is plain."""

import math

import numpy as np
import pytest

from cvae_training import neighbors
from cvae_training.neighbors import nearest_distances, share_in_balls


def by_loops(points: np.ndarray, centers: np.ndarray, k: int) -> float:
    radii = []
    for i, center in enumerate(centers):
        others = [math.dist(center, other) for j, other in enumerate(centers) if j != i]
        radii.append(sorted(others)[k - 1])
    inside = [
        any(math.dist(point, center) <= radius for center, radius in zip(centers, radii, strict=True))
        for point in points
    ]
    return sum(inside) / len(inside)


@pytest.mark.parametrize(("n", "m", "k"), [(40, 30, 3), (7, 5, 1), (1, 4, 3), (33, 64, 5)])
@pytest.mark.parametrize("rows", [1024, 5])
def test_shares_equal_those_of_single_distances(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, n: int, m: int, k: int, rows: int
) -> None:
    monkeypatch.setattr(neighbors, "_ROWS", rows)
    points, centers = rng.normal(size=(n, 3)), rng.normal(size=(m, 3))
    assert share_in_balls(points, centers, k) == by_loops(points, centers, k)


def test_a_set_lies_in_its_own_balls(rng: np.random.Generator) -> None:
    points = rng.normal(size=(50, 8)).astype(np.float32)
    assert share_in_balls(points, points) == 1.0


def test_a_model_that_repeats_one_image_is_precise_and_recalls_nothing(rng: np.random.Generator) -> None:
    real = rng.normal(size=(200, 4))
    repeated = np.repeat(real[:1], 100, axis=0)
    assert share_in_balls(repeated, real) == 1.0
    assert share_in_balls(real, repeated) == 1 / 200


def test_points_far_away_are_in_no_ball(rng: np.random.Generator) -> None:
    assert share_in_balls(rng.normal(size=(20, 4)) + 100, rng.normal(size=(20, 4))) == 0.0


@pytest.mark.parametrize(("n", "m"), [(0, 10), (10, 3), (10, 0)])
def test_too_few_points_have_no_share(n: int, m: int) -> None:
    assert share_in_balls(np.zeros((n, 2)), np.zeros((m, 2))) is None


@pytest.mark.parametrize("rows", [1024, 4])
def test_nearest_distances_equal_those_of_single_distances(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(neighbors, "_ROWS", rows)
    points, others = rng.normal(size=(9, 5)), rng.normal(size=(14, 5))
    expected = [min(math.dist(point, other) for other in others) for point in points]
    np.testing.assert_allclose(nearest_distances(points, others), expected, rtol=1e-9)  # float64


def test_a_copy_is_at_no_distance(rng: np.random.Generator) -> None:
    images = rng.random((30, 784)).astype(np.float32)
    np.testing.assert_allclose(nearest_distances(images[:5], images), 0, atol=1e-6)  # squares of 784 terms in float64


def test_nothing_is_infinitely_far_from_nothing() -> None:
    assert nearest_distances(np.zeros((0, 3)), np.ones((4, 3))).shape == (0,)
    assert np.all(np.isinf(nearest_distances(np.ones((2, 3)), np.zeros((0, 3)))))
