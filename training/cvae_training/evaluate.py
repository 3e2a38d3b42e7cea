"""What a finished run is worth: bounds on held-out images, and its samples in a classifier's eyes.

    per image     reconstruction, mse, kl, elbo, importance-weighted log-likelihood: means over the same draws
    per sample    z ~ N(0, I), image = mean of p(x | z, label): class fidelity, Frechet distance of features

Likelihoods here have the constant that the loss leaves out, and the KL has weight 1.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Int32, PRNGKeyArray, PyTree, UInt8

from cvae_training.bounds import ACTIVE_VARIANCE, Bounds, latent_variances, log_constant
from cvae_training.classifier import Classifier
from cvae_training.convolution import convolve_in_loops
from cvae_training.data import DataSet, Split
from cvae_training.errors import InputError, RunError
from cvae_training.fidelity import SAMPLE_BATCH, SampleFigures, Sampling, compare_samples
from cvae_training.inference import IMAGE_BATCH, bounds_key, image_bounds, mean_image
from cvae_training.model import Cvae, build_model
from cvae_training.run import Run

__all__ = [
    "Evaluation",
    "EvaluationConfig",
    "LikelihoodFigures",
    "evaluate",
    "evaluate_likelihood",
    "sampler",
]

_SAMPLES = 1
_MOST = 1_000_000


@dataclass(frozen=True)
class EvaluationConfig:
    """How much is drawn, and from which seed."""

    importance_samples: int = 500
    """k: latents per held-out image."""
    samples_per_class: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value in (("k", self.importance_samples), ("samples", self.samples_per_class)):
            if not 1 <= value <= _MOST:
                raise InputError(f"{name} must be from 1 to {_MOST:,}, got {value}")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"seed must be from 0 to 2^32 - 1, got {self.seed}")


@dataclass(frozen=True)
class LikelihoodFigures:
    """Means over held-out images, in nats per image but for the bits per dimension, which are of the negative."""

    images: int
    loss: float
    """reconstruction + kl_weight * kl, what training minimized."""
    reconstruction: float
    mse: float
    kl: float
    elbo: float
    elbo_bits_per_dimension: float
    importance_weighted: float
    importance_weighted_bits_per_dimension: float


@dataclass(frozen=True)
class Evaluation:
    """All figures of a run; those per class are in label order."""

    data_set: str
    classes: tuple[str, ...]
    likelihood: str
    kl_weight: float
    config: EvaluationConfig
    classifier: str
    """Its fingerprint: sample figures compare only where it is the same."""
    active_units: int
    latent_variances: tuple[float, ...]
    """Variance of each latent's posterior mean over the held-out images; above 0.01 it is active."""
    held_out: LikelihoodFigures
    held_out_per_class: tuple[LikelihoodFigures | None, ...]
    samples: SampleFigures
    samples_per_class: tuple[SampleFigures, ...]

    def to_dict(self) -> dict[str, Any]:
        """All of it as what JSON can hold."""
        return dataclasses.asdict(self)


def evaluate(run: Run, data: DataSet, classifier: Classifier, config: EvaluationConfig) -> Evaluation:
    """Every figure of a run on the data set that it was trained on.

    Raises RunError where the data are not what the run was trained on, or its figures are not finite.
    """
    run.require_data(data)
    if len(data.held_out) == 0:
        raise RunError(f"{data.name} has no held-out images to evaluate on")
    held_out, held_out_per_class, variances = evaluate_likelihood(run, data.held_out, config)
    key = jax.random.fold_in(jax.random.key(config.seed), _SAMPLES)
    samples, samples_per_class = compare_samples(sampler(run, key), data, classifier, config.samples_per_class)
    return Evaluation(
        data_set=data.name,
        classes=run.classes,
        likelihood=run.config.objective.likelihood,
        kl_weight=run.config.objective.kl_weight,
        config=config,
        classifier=classifier.fingerprint,
        active_units=int((variances > ACTIVE_VARIANCE).sum()),
        latent_variances=tuple(variances.tolist()),
        held_out=held_out,
        held_out_per_class=held_out_per_class,
        samples=samples,
        samples_per_class=samples_per_class,
    )


def evaluate_likelihood(
    run: Run, held_out: Split, config: EvaluationConfig
) -> tuple[LikelihoodFigures, tuple[LikelihoodFigures | None, ...], Float[np.ndarray, " latent"]]:
    """The figures over all images, of each class (None for one without images), and each latent's variance."""
    parts = [
        _bounds_of_batch(
            build_model(run.config, run.image_shape, convolve=convolve_in_loops()),
            run.config.objective.likelihood,
            len(run.classes),
            run.params,
            held_out.images[start : start + IMAGE_BATCH],
            held_out.labels[start : start + IMAGE_BATCH],
            bounds_key(config.seed, start),
            config.importance_samples,
        )
        for start in range(0, len(held_out), IMAGE_BATCH)
    ]
    means, bounds = jax.tree.map(lambda *arrays: np.concatenate(arrays).astype(np.float64), *parts)
    if not all(np.isfinite(array).all() for array in (means, *bounds)):
        raise RunError("the run's bounds on held-out images are not finite: its training diverged")
    overall = _likelihood_figures(run, bounds)
    each = [held_out.labels == label for label in range(len(run.classes))]
    per_class = tuple(
        _likelihood_figures(run, jax.tree.map(lambda array, of=chosen: array[of], bounds)) if chosen.any() else None
        for chosen in each
    )
    return overall, per_class, latent_variances(means)


def _likelihood_figures(run: Run, bounds: Bounds) -> LikelihoodFigures:
    objective, pixels = run.config.objective, math.prod(run.image_shape)
    constant = log_constant(objective.likelihood, pixels)
    elbo, weighted, log_likelihood, kl, mse = (float(np.mean(array)) for array in bounds)
    elbo, weighted = elbo + constant, weighted + constant
    return LikelihoodFigures(
        images=len(bounds.elbo),
        loss=-log_likelihood + objective.kl_weight * kl,
        reconstruction=-log_likelihood,
        mse=mse,
        kl=kl,
        elbo=elbo,
        elbo_bits_per_dimension=-elbo / pixels / math.log(2),
        importance_weighted=weighted,
        importance_weighted_bits_per_dimension=-weighted / pixels / math.log(2),
    )


def sampler(run: Run, key: PRNGKeyArray) -> Sampling:
    """The run's samples: latents from N(0, I), and the mean image of its likelihood, as it is exported."""

    def sample(label: int, batch: int, n: int) -> Float[np.ndarray, "n height width channels"]:
        own_key = jax.random.fold_in(jax.random.fold_in(key, label), batch)
        images = _draw_batch(run.model, run.config.objective.likelihood, len(run.classes), run.params, label, own_key)
        return np.asarray(images).reshape(SAMPLE_BATCH, *run.image_shape)[:n]

    return sample


def _bounds(
    model: Cvae,
    likelihood: str,
    num_classes: int,
    params: PyTree,
    images: UInt8[Array, "batch height width channels"],
    labels: Int32[Array, " batch"],
    key: PRNGKeyArray,
    draws: Int[Array, ""],
) -> tuple[Float[Array, "batch latent"], Bounds]:
    x = images.reshape(images.shape[0], -1).astype(jnp.float32) / 255
    return image_bounds(model, likelihood, params, x, jax.nn.one_hot(labels, num_classes), key, draws)


def _draw(
    model: Cvae, likelihood: str, num_classes: int, params: PyTree, label: Int[Array, ""], key: PRNGKeyArray
) -> Float[Array, "batch pixels"]:
    z = jax.random.normal(key, (SAMPLE_BATCH, model.latent_dim))
    c = jnp.broadcast_to(jax.nn.one_hot(label, num_classes), (SAMPLE_BATCH, num_classes))
    return mean_image(model, likelihood, params, z, c)


_bounds_of_batch = jax.jit(_bounds, static_argnums=(0, 1, 2))
_draw_batch = jax.jit(_draw, static_argnums=(0, 1, 2))
