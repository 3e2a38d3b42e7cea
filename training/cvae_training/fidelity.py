"""How near samples are to real images, in the eyes of a classifier.

    class fidelity     share of the samples of a class that the classifier puts into it
    Frechet distance   |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))

between Gaussians with the moments m, C of the classifier's features: Dowson & Landau 1982; Heusel et al. 2017 take
Inception's features, these here are others, so no number of theirs compares.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from cvae_training.classifier import Classifier
from cvae_training.data import DataSet

__all__ = [
    "SAMPLE_BATCH",
    "Moments",
    "SampleFigures",
    "Sampling",
    "class_shares",
    "compare_samples",
    "frechet_distance",
    "moments",
]

SAMPLE_BATCH = 500
"""Samples are asked for in batches of at most this many."""


@dataclass(frozen=True)
class Moments:
    """Mean and covariance of features."""

    mean: Float[np.ndarray, " features"]
    covariance: Float[np.ndarray, "features features"]


@dataclass(frozen=True)
class SampleFigures:
    """How samples look to the classifier, and beside it how real held-out images do; None where there are too few."""

    samples: int
    class_fidelity: float | None
    frechet_distance: float | None
    """Of samples from real held-out images."""
    real_accuracy: float | None
    real_frechet_distance: float | None
    """Of real training images from real held-out images."""


Sampling = Callable[[int, int, int], Float[np.ndarray, "n height width channels"]]
"""(label, batch, n) -> n <= SAMPLE_BATCH samples of a class, in [0, 1], others than those of any other batch."""


def compare_samples(
    sample: Sampling, data: DataSet, classifier: Classifier, samples_per_class: int
) -> tuple[SampleFigures, tuple[SampleFigures, ...]]:
    """Sample every class and compare with real held-out images; the figures over all, and of each class.

    In the overall Frechet distance a class counts as often as it is held out, so that a model is not charged for the
    data's imbalance; class fidelity is the mean over classes.
    """
    num_classes = len(data.classes)
    predicted, features = [], []
    for label in range(num_classes):
        for batch, start in enumerate(range(0, samples_per_class, SAMPLE_BATCH)):
            guesses, rows = classifier(sample(label, batch, min(SAMPLE_BATCH, samples_per_class - start)))
            predicted.append(guesses)
            features.append(rows)
    labels = np.repeat(np.arange(num_classes), samples_per_class)
    drawn = _Judged(labels, np.concatenate(predicted), np.concatenate(features))
    train = _Judged(data.train.labels, *classifier(data.train.images))
    held_out = _Judged(data.held_out.labels, *classifier(data.held_out.images))

    fidelity, fidelity_per_class = class_shares(drawn.predicted, drawn.labels, num_classes)
    accuracy, accuracy_per_class = class_shares(held_out.predicted, held_out.labels, num_classes)
    counts = np.bincount(held_out.labels, minlength=num_classes)
    real = moments(held_out.features)
    overall = SampleFigures(
        samples=len(labels),
        class_fidelity=fidelity,
        frechet_distance=frechet_distance(moments(drawn.features, weights=counts[labels].astype(np.float64)), real),
        real_accuracy=accuracy,
        real_frechet_distance=frechet_distance(moments(train.features), real),
    )
    per_class = []
    for label in range(num_classes):
        real = moments(held_out.of_class(label))
        figures = SampleFigures(
            samples=samples_per_class,
            class_fidelity=fidelity_per_class[label],
            frechet_distance=frechet_distance(moments(drawn.of_class(label)), real),
            real_accuracy=accuracy_per_class[label],
            real_frechet_distance=frechet_distance(moments(train.of_class(label)), real),
        )
        per_class.append(figures)
    return overall, tuple(per_class)


@dataclass(frozen=True)
class _Judged:
    """Images as the classifier sees them."""

    labels: Int[np.ndarray, " n"]
    predicted: Int[np.ndarray, " n"]
    features: Float[np.ndarray, "n features"]

    def of_class(self, label: int) -> Float[np.ndarray, "some features"]:
        return self.features[self.labels == label]


def moments(
    features: Float[np.ndarray, "n features"], weights: Float[np.ndarray, " n"] | None = None
) -> Moments | None:
    """Mean and unbiased covariance in float64, of rows that count by `weights`; None for fewer than two that count."""
    rows = features.astype(np.float64)
    if weights is not None:
        rows, weights = rows[weights > 0], weights[weights > 0]
    if len(rows) < 2:
        return None
    covariance = np.atleast_2d(np.cov(rows, rowvar=False, aweights=weights))
    return Moments(np.average(rows, axis=0, weights=weights), covariance)


def frechet_distance(first: Moments | None, second: Moments | None) -> float | None:
    """The squared distance of two Gaussians, never below 0; None where one of them is unknown.

    The trace of (C1 C2)^(1/2) is the sum of the square roots of the eigenvalues of C1^(1/2) C2 C1^(1/2), which is
    symmetric: so it is right for singular covariances too, such as those of features that are always 0.
    """
    if first is None or second is None:
        return None
    values, vectors = np.linalg.eigh(first.covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    product = np.linalg.eigvalsh(root @ second.covariance @ root)
    cross = np.sqrt(np.maximum(product, 0)).sum()
    shift = ((first.mean - second.mean) ** 2).sum()
    return max(0.0, float(shift + np.trace(first.covariance) + np.trace(second.covariance) - 2 * cross))


def class_shares(
    predicted: Int[np.ndarray, " n"], labels: Int[np.ndarray, " n"], num_classes: int
) -> tuple[float | None, tuple[float | None, ...]]:
    """The share that was predicted as labelled, over all and of each class; None for a class without images."""
    right = predicted == labels
    each = [right[labels == label] for label in range(num_classes)]
    overall, *per_class = (float(part.mean()) if len(part) else None for part in (right, *each))
    return overall, tuple(per_class)
