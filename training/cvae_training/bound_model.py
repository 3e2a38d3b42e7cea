"""A run's network with its parameters, to ask in a notebook: arrays in, NumPy arrays out.

    model = cvae_training.load("runs/mine")
    mean, logvar = model.encode(images)
    model.sample("7", n=16, seed=1)

Compiled underneath, for batches of a few sizes. What is drawn follows from its seed alone.
"""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from cvae_training.bounds import log_constant
from cvae_training.errors import InputError
from cvae_training.inference import IMAGE_BATCH, bounds_key, image_bounds, mean_image, mean_image_of_latents
from cvae_training.labels import Labels, to_labels
from cvae_training.model import Cvae
from cvae_training.run import Run, load_run

__all__ = ["BoundModel", "load"]

_MOST = 1_000_000

Images = Float[np.ndarray, "n height width channels"]
Latents = Float[np.ndarray, "n latent"]


def load(folder: str | os.PathLike[str]) -> "BoundModel":
    """The model of the run in `folder`, with the parameters that are evaluated and exported; raises as `load_run`."""
    return BoundModel(load_run(Path(folder)), str(folder))


@dataclass(frozen=True, repr=False)
class BoundModel:
    """A network bound to its parameters; `load` makes one.

    `images` are uint8, or floats in [0, 1], [n, height, width, channels]; `labels` are integers or class names, one for
    each image, or a single one for all. Results are float32. All raise InputError for what does not fit.
    """

    run: Run
    name: str
    """What to call it in its repr: the run's folder."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes' names, in label order."""
        return self.run.classes

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        return self.run.image_shape

    @property
    def latent_dim(self) -> int:
        """The number of latents of an image."""
        return self.run.config.model.latent_dim

    def encode(self, images: np.ndarray, labels: Labels | None = None) -> tuple[Latents, Latents]:
        """The posterior's mean and log-variance, each [n, latent_dim].

        This network's posterior is q(z | x): labels are checked, and change nothing.
        """
        x = self._pixels(images)
        if labels is not None:
            to_labels(labels, self.classes, len(x))
        return self._batched(_encode, x)

    def decode(self, z: np.ndarray, labels: Labels) -> Images:
        """The mean images of z ~ N(0, I), [n, latent_dim], in [0, 1]: the exported function `decode`."""
        return self._draw(_decode, z, self._one_hot(z, labels))

    def mix(self, z: np.ndarray, class_weights: np.ndarray) -> Images:
        """As `decode`, of classes mixed by weights [n, classes], whose rows sum to 1."""
        return self._draw(_decode, z, class_weights)

    def decode_latents(self, latents: np.ndarray, labels: Labels) -> Images:
        """The mean images of latents as `encode` gives them: those that a learned prior makes of z; else z itself."""
        return self._draw(_decode_latents, latents, self._one_hot(latents, labels))

    def mix_latents(self, latents: np.ndarray, class_weights: np.ndarray) -> Images:
        """As `decode_latents`, of classes mixed by weights [n, classes], whose rows sum to 1."""
        return self._draw(_decode_latents, latents, class_weights)

    def reconstruct(self, images: np.ndarray, labels: Labels) -> Images:
        """The mean images of the posterior's means; nothing is drawn."""
        return self.decode_latents(self.encode(images)[0], labels)

    def sample(self, labels: Labels, n: int | None = None, seed: int = 0) -> Images:
        """Images of latents from N(0, I): `n` (1 by default) of one label, or one for each label of a sequence.

        Image i follows from the seed, from 0 to 2^32 - 1, from i and its label; the SDK draws others.
        """
        if isinstance(labels, int | str | np.generic) or not np.ndim(labels):  # pyright: ignore[reportArgumentType]
            count = 1 if n is None else _integer("n", n, 1, _MOST)
        elif n is not None:
            raise InputError(f"n goes with one label, got {len(labels)} labels: repeat them instead")  # pyright: ignore[reportArgumentType]
        else:
            count = len(labels)  # pyright: ignore[reportArgumentType]
        # Not JAX's normal numbers, which take a second to compile for each n.
        rng = np.random.Generator(np.random.Philox(_integer("seed", seed, 0, 2**32 - 1)))
        return self.decode(rng.standard_normal((count, self.latent_dim), np.float32), labels)

    def log_likelihood(
        self, images: np.ndarray, labels: Labels, k: int = 500, seed: int = 0
    ) -> Float[np.ndarray, " n"]:
        """The importance-weighted bound on log p(x | c) by k latents, in nats per image: Burda et al. 2016.

        With its constant and KL weight 1; the mean over the held-out images, in their order, is cvae-evaluate's for the
        same k and seed.
        """
        x = self._pixels(images)
        c = np.eye(len(self.classes), dtype=np.float32)[to_labels(labels, self.classes, len(x))]
        k, seed = _integer("k", k, 1, _MOST), _integer("seed", seed, 0, 2**32 - 1)
        weighted = self._batched(_weighted, x, c, arguments=lambda start: (bounds_key(seed, start), jnp.int32(k)))
        return weighted + np.float32(log_constant(self.run.config.objective.likelihood, x.shape[1]))

    def __repr__(self) -> str:
        config, classes = self.run.config, self.classes
        names = ", ".join(classes if len(classes) <= 12 else (*classes[:5], "...", classes[-1]))
        ended = "before its first epoch's end"
        if self.run.metrics:
            last = self.run.metrics[-1]
            ended = f"after epoch {last['epoch']} of {config.epochs}, held-out loss {last['held_out']['loss']:.2f}"
        return (
            f"<cvae {self.name}: {config.data.data_set}, {len(classes)} classes ({names}), "
            f"images {' x '.join(map(str, self.image_shape))}, {self.latent_dim} latents, "
            f"{config.objective.likelihood}, {ended}>"
        )

    def _pixels(self, images: np.ndarray) -> Float[np.ndarray, "n pixels"]:
        """Images as rows of float32 in [0, 1]."""
        array = np.asarray(images)
        if array.dtype != np.uint8 and array.dtype.kind != "f":
            raise InputError(f"images must be uint8, or floats in [0, 1], got {array.dtype}")
        if array.ndim != 4 or array.shape[1:] != self.image_shape:
            advice = ": one image is images[None]" if array.shape == self.image_shape else ""
            expected = ", ".join(map(str, self.image_shape))
            raise InputError(f"images must have shape (n, {expected}), got {array.shape}{advice}")
        rows = array.reshape(len(array), math.prod(self.image_shape))
        if array.dtype == np.uint8:
            return rows.astype(np.float32) / np.float32(255)
        if rows.size and not (rows.min() >= 0 and rows.max() <= 1):  # false for NaN
            raise InputError(f"images of floats must be in [0, 1], got {rows.min():g} to {rows.max():g}")
        return rows.astype(np.float32)

    def _one_hot(self, z: np.ndarray, labels: Labels) -> np.ndarray:
        count = len(self._latents(z))
        return np.eye(len(self.classes), dtype=np.float32)[to_labels(labels, self.classes, count)]

    def _draw(self, function: Callable[..., Any], z: np.ndarray, class_weights: np.ndarray) -> Images:
        z, weights = self._latents(z), np.asarray(class_weights)
        if weights.shape != (len(z), len(self.classes)):
            raise InputError(f"class_weights must have shape {(len(z), len(self.classes))}, got {weights.shape}")
        if weights.dtype.kind not in "fiu" or not np.allclose(weights.sum(axis=1), 1, atol=1e-4):
            raise InputError("class_weights must be numbers whose rows sum to 1")
        return self._batched(function, z, weights.astype(np.float32)).reshape(-1, *self.image_shape)

    def _latents(self, z: np.ndarray) -> Latents:
        array = np.asarray(z)
        if array.dtype.kind != "f":
            raise InputError(f"z must be floats, got {array.dtype}")
        if array.ndim != 2 or array.shape[1] != self.latent_dim:
            raise InputError(f"z must have shape (n, {self.latent_dim}), got {array.shape}")
        if not np.isfinite(array).all():
            raise InputError("z must be finite, got NaN or infinity in it")
        return array.astype(np.float32)

    def _batched(
        self,
        function: Callable[..., Any],
        *arrays: np.ndarray,
        arguments: Callable[[int], tuple[Any, ...]] | None = None,
    ) -> Any:
        """`function` over at most IMAGE_BATCH rows at a time, which powers of two are padded to: few compilations."""
        parts = []
        for start in range(0, max(1, len(arrays[0])), IMAGE_BATCH):
            rows = [array[start : start + IMAGE_BATCH] for array in arrays]
            count = len(rows[0])
            missing = min(IMAGE_BATCH, 1 << max(0, count - 1).bit_length()) - count
            padded = [np.pad(part, ((0, missing), (0, 0))) for part in rows]
            extra = () if arguments is None else arguments(start)
            out = function(self.run.model, self.run.config.objective.likelihood, self.run.params, *padded, *extra)
            parts.append(jax.tree.map(lambda array, of=count: np.asarray(array)[:of], out))
        return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def _integer(name: str, value: object, low: int, high: int) -> int:
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer) or not low <= value <= high:
        raise InputError(f"{name} must be an integer from {low} to {high}, got {' '.join(repr(value).split())}")
    return int(value)


def _encode_rows(
    model: Cvae, _: str, params: PyTree, x: Float[Array, "batch pixels"]
) -> tuple[Float[Array, "batch latent"], Float[Array, "batch latent"]]:
    encoded: Any = model.apply(params, x, method="encode")
    return encoded


def _weighted_rows(
    model: Cvae,
    likelihood: str,
    params: PyTree,
    x: Float[Array, "batch pixels"],
    c: Float[Array, "batch classes"],
    key: PRNGKeyArray,
    draws: Array,
) -> Float[Array, " batch"]:
    return image_bounds(model, likelihood, params, x, c, key, draws)[1].importance_weighted


_encode = jax.jit(_encode_rows, static_argnums=(0, 1))
_decode = jax.jit(mean_image, static_argnums=(0, 1))
_decode_latents = jax.jit(mean_image_of_latents, static_argnums=(0, 1))
_weighted = jax.jit(_weighted_rows, static_argnums=(0, 1))
