"""Diversity and memorising of samples, by distances to their nearest neighbors.

    ball(y)     the points no farther from y than its k-th nearest neighbor among the others of its set
    precision   share of samples in the ball of some real image
    recall      share of real images in the ball of some sample

with k = 3, in a classifier's features: Kynkäänniemi et al. 2019, "Improved precision and recall metric for assessing
generative models". A model that repeats one good image per class has precision 1 and recall near 0.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

__all__ = ["NEIGHBORS", "nearest_distances", "share_in_balls"]

NEIGHBORS = 3
"""k, of the k-th nearest neighbor that bounds a ball."""

_ROWS = 1024


def share_in_balls(
    points: Float[np.ndarray, "n features"], centers: Float[np.ndarray, "m features"], k: int = NEIGHBORS
) -> float | None:
    """The share of points in the ball of some center; None without points, or with no more than k centers."""
    if len(points) == 0 or len(centers) <= k:
        return None
    # A center is the nearest to itself, at 0, and so is not counted; squared distances throughout.
    radii = np.concatenate([np.partition(rows, k, axis=1)[:, k] for rows in _squared_distances(centers, centers)])
    inside = [np.any(rows <= radii, axis=1) for rows in _squared_distances(points, centers)]
    return float(np.concatenate(inside).mean())


def nearest_distances(
    points: Float[np.ndarray, "n features"], others: Float[np.ndarray, "m features"]
) -> Float[np.ndarray, " n"]:
    """The Euclidean distance of each point to the nearest of the others."""
    nearest = np.full(len(points), np.inf)
    for start in range(0, len(others), _ROWS):
        blocks = list(_squared_distances(points, others[start : start + _ROWS]))
        if blocks:
            nearest = np.minimum(nearest, np.concatenate([rows.min(axis=1) for rows in blocks]))
    return np.sqrt(nearest)


def _squared_distances(
    a: Float[np.ndarray, "n features"], b: Float[np.ndarray, "m features"]
) -> Iterator[Float[np.ndarray, "rows m"]]:
    """|a - b|^2 of some rows of `a` at a time, in float64, in which equal rows are at most 1e-6 apart."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    lengths = (b**2).sum(axis=1)
    for start in range(0, len(a), _ROWS):
        rows = a[start : start + _ROWS]
        yield np.maximum((rows**2).sum(axis=1)[:, None] + lengths - 2 * rows @ b.T, 0.0)
