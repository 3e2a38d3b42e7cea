"""Ways between latents and between classes, as rows of latents and class weights.

interpolate   z(t) = (sin((1 - t) a) z0 + sin(t a) z1) / sin a, a the angle between z0 and z1 (Shoemake 1985), so that
              |z| keeps to what the decoder knows; class weights w(t) = (1 - t) w0 + t w1
morph         z stays; class weights go straight from one class to the next
neighbors     z' = cos(d) z0 + sin(d) z_i, which is N(0, I) as z0 and z_i are, for every distance d in radians
"""

import math
from itertools import pairwise

import numpy as np
import numpy.typing as npt

__all__ = ["between", "morphed", "nearby", "spherical"]

_Rows = npt.NDArray[np.float32]
_NEARLY_PARALLEL = 1e-6  # of an angle's sine: below it a straight line is as good


def spherical(start: _Rows, end: _Rows, steps: int) -> _Rows:
    """`steps` latents [steps, latent_dim] from z `start` to z `end`, both [latent_dim] and both included."""
    z0, z1 = start.astype(np.float64), end.astype(np.float64)
    norms = np.linalg.norm(z0) * np.linalg.norm(z1)
    angle = math.acos(max(-1.0, min(1.0, float(z0 @ z1 / norms)))) if norms > 0 else 0.0
    t = _shares(steps)
    if math.sin(angle) < _NEARLY_PARALLEL:
        rows = (1 - t) * z0 + t * z1
    else:
        rows = (np.sin((1 - t) * angle) * z0 + np.sin(t * angle) * z1) / math.sin(angle)
    rows = rows.astype(np.float32)
    rows[0], rows[-1] = start, end if steps > 1 else start
    return rows


def between(start: _Rows, end: _Rows, steps: int) -> _Rows:
    """`steps` class weights [steps, classes] on the straight way from `start` to `end`, both included."""
    t = _shares(steps)
    return ((1 - t) * start + t * end).astype(np.float32)


def morphed(weights: _Rows, steps: int) -> _Rows:
    """The ways through class weights [n, classes], `steps` from each to the next, the last one included.

    [(n - 1) * steps + 1, classes].
    """
    ways = [between(start, end, steps + 1)[:-1] for start, end in pairwise(weights)]
    return np.concatenate([*ways, weights[-1:]])


def nearby(z: _Rows, distance: float) -> _Rows:
    """Of latents [n + 1, latent_dim] the first, and the n others at that angle from it towards each."""
    rows = math.cos(distance) * z[:1].astype(np.float64) + math.sin(distance) * z.astype(np.float64)
    rows[0] = z[0]
    return rows.astype(np.float32)


def _shares(steps: int) -> npt.NDArray[np.float64]:
    return np.linspace(0.0, 1.0, steps)[:, np.newaxis]
