"""How near samples are to real images, in the eyes of a classifier.

    class fidelity      share of the samples of a class that the classifier puts into it
    Frechet distance    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))
    precision, recall   shares of samples near held-out images, and the reverse, within a class: see neighbors.py
    nearest training    median distance, in pixels of [0, 1], to the nearest training image of the class
    by training         share of samples whose nearest image of the class is a training, not a held-out one: of m and h
                        images m / (m + h) where nothing was learned by heart, 1 where all was

The Frechet distance is between Gaussians with the moments m, C of the classifier's features: Dowson & Landau 1982;
Heusel et al. 2017 take Inception's features, these here are others, so no number of theirs compares.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float, Int, UInt8

from cvae_training.classifier import Classifier
from cvae_training.data import DataSet
from cvae_training.neighbors import nearest_distances, share_in_balls

__all__ = [
    "SAMPLE_BATCH",
    "Moments",
    "NeighborFigures",
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
class NeighborFigures:
    """How samples lie among real images of their class, and beside it how training images do; None for too few."""

    precision: float | None
    recall: float | None
    real_precision: float | None
    """Of as many training images in place of the samples, or of all there are."""
    real_recall: float | None
    nearest_training: float | None
    real_nearest_training: float | None
    """Of held-out images."""
    nearest_by_training: float | None
    expected_by_training: float | None


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
    neighbors: NeighborFigures


Sampling = Callable[[int, int, int], Float[np.ndarray, "n height width channels"]]
"""(label, batch, n) -> n <= SAMPLE_BATCH samples of a class, in [0, 1], others than those of any other batch."""


def compare_samples(
    sample: Sampling, data: DataSet, classifier: Classifier, samples_per_class: int
) -> tuple[SampleFigures, tuple[SampleFigures, ...]]:
    """Sample every class and compare with real held-out images; the figures over all, and of each class.

    In the overall Frechet distance a class counts as often as it is held out, so that a model is not charged for the
    data's imbalance; class fidelity and the figures of neighbors are means over classes.
    """
    num_classes = len(data.classes)
    predicted, features, distances = [], [], []
    for label in range(num_classes):
        real = [_pixels(split.images[split.labels == label]) for split in (data.train, data.held_out)]
        for batch, start in enumerate(range(0, samples_per_class, SAMPLE_BATCH)):
            images = sample(label, batch, min(SAMPLE_BATCH, samples_per_class - start))
            guesses, rows = classifier(images)
            predicted.append(guesses)
            features.append(rows)
            distances.append(np.stack([nearest_distances(_pixels(images), of_split) for of_split in real]))
    labels = np.repeat(np.arange(num_classes), samples_per_class)
    drawn = _Judged(labels, np.concatenate(predicted), np.concatenate(features))
    nearest = np.concatenate(distances, axis=1)
    train = _Judged(data.train.labels, *classifier(data.train.images))
    held_out = _Judged(data.held_out.labels, *classifier(data.held_out.images))

    fidelity, fidelity_per_class = class_shares(drawn.predicted, drawn.labels, num_classes)
    accuracy, accuracy_per_class = class_shares(held_out.predicted, held_out.labels, num_classes)
    per_class = []
    for label in range(num_classes):
        real = moments(held_out.of_class(label))
        figures = SampleFigures(
            samples=samples_per_class,
            class_fidelity=fidelity_per_class[label],
            frechet_distance=frechet_distance(moments(drawn.of_class(label)), real),
            real_accuracy=accuracy_per_class[label],
            real_frechet_distance=frechet_distance(moments(train.of_class(label)), real),
            neighbors=_among_neighbors(
                drawn.of_class(label),
                train.of_class(label),
                held_out.of_class(label),
                nearest[:, labels == label],
                nearest_distances(
                    _pixels(data.held_out.images[data.held_out.labels == label]),
                    _pixels(data.train.images[data.train.labels == label]),
                ),
            ),
        )
        per_class.append(figures)
    counts = np.bincount(held_out.labels, minlength=num_classes)
    real = moments(held_out.features)
    overall = SampleFigures(
        samples=len(labels),
        class_fidelity=fidelity,
        frechet_distance=frechet_distance(moments(drawn.features, weights=counts[labels].astype(np.float64)), real),
        real_accuracy=accuracy,
        real_frechet_distance=frechet_distance(moments(train.features), real),
        neighbors=_mean_over_classes([figures.neighbors for figures in per_class]),
    )
    return overall, tuple(per_class)


def _among_neighbors(
    samples: Float[np.ndarray, "n features"],
    train: Float[np.ndarray, "m features"],
    held_out: Float[np.ndarray, "h features"],
    nearest: Float[np.ndarray, "2 n"],
    held_out_nearest: Float[np.ndarray, " h"],
) -> NeighborFigures:
    """From features; and from distances in pixels, of samples to training and held-out images, and between these."""
    to_training, to_held_out = nearest
    as_many = train[: len(samples)]
    return NeighborFigures(
        precision=share_in_balls(samples, held_out),
        recall=share_in_balls(held_out, samples),
        real_precision=share_in_balls(as_many, held_out),
        real_recall=share_in_balls(held_out, as_many),
        nearest_training=float(np.median(to_training)) if len(train) else None,
        real_nearest_training=float(np.median(held_out_nearest)) if len(train) and len(held_out) else None,
        nearest_by_training=float((to_training < to_held_out).mean()) if len(train) and len(held_out) else None,
        expected_by_training=len(train) / (len(train) + len(held_out)) if len(train) and len(held_out) else None,
    )


def _mean_over_classes(each: list[NeighborFigures]) -> NeighborFigures:
    means = {}
    for field in fields(NeighborFigures):
        known = [value for figures in each if (value := getattr(figures, field.name)) is not None]
        means[field.name] = float(np.mean(known)) if known else None
    return NeighborFigures(**means)


def _pixels(
    images: UInt8[np.ndarray, "n height width channels"] | Float[np.ndarray, "n height width channels"],
) -> Float[np.ndarray, "n pixels"]:
    rows = images.reshape(len(images), math.prod(images.shape[1:]))
    return rows.astype(np.float32) / 255 if images.dtype == np.uint8 else rows


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
