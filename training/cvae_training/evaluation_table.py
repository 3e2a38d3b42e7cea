"""An evaluation as text for a terminal: three tables with a row for all and one per class, and how to read them."""

import textwrap
from collections.abc import Sequence

from cvae_training.bounds import ACTIVE_VARIANCE
from cvae_training.evaluate import Evaluation, LikelihoodFigures
from cvae_training.fidelity import NeighborFigures, SampleFigures

__all__ = ["NOTES", "format_table"]

NOTES = {
    "likelihood": "elbo and iw are in nats per image, with KL weight 1 and the likelihood's constant; bits are those "
    "of the negative, per pixel and channel. l2 is read as N(decoded, I) of pixels in [0, 1]: with that variance of 1 "
    "it compares with other l2 runs only. bernoulli is the cross-entropy of real-valued pixels: it compares with other "
    "bernoulli runs only.",
    "classifier": "Samples are judged by a small classifier of this data set's own training images. The Frechet "
    "distance in its features is no Inception FID: it compares only with the same classifier and data. That of a "
    "single class rests on its few held-out images.",
    "neighbors": "recall is the share of held-out images that lie among the samples of their class in these features, "
    "precision that of samples among held-out images; beside each what as many training images get. nearest is the "
    "median distance to the nearest training image of the class, in pixels; by training the share of samples whose "
    "nearest image of the class is a training, not a held-out one: beside it that of a model with nothing by heart.",
}
"""What the figures do not mean."""

_WIDTH = 100
_HELD_OUT = ("images", "loss", "recon", "mse", "kl", "elbo", "iw", "elbo bits/dim", "iw bits/dim")
_SAMPLES = ("samples", "fidelity", "Frechet", "real accuracy", "real Frechet")
_NEIGHBORS = ("recall", "real", "precision", "real", "nearest", "held-out's nearest", "by training", "expected")


def format_table(evaluation: Evaluation) -> str:
    """All figures but the variances of single latents."""
    names = ("all", *evaluation.classes)
    held_out = (evaluation.held_out, *evaluation.held_out_per_class)
    samples = (evaluation.samples, *evaluation.samples_per_class)
    k = evaluation.config.importance_samples
    return "\n".join(
        (
            f"Held-out images of {evaluation.data_set}: likelihood {evaluation.likelihood}, "
            f"kl_weight {evaluation.kl_weight:g}, importance-weighted (iw) with k = {k:,}",
            *_table(_HELD_OUT, names, [_held_out_cells(figures) for figures in held_out]),
            "",
            f"Active latent units: {evaluation.active_units} of {len(evaluation.latent_variances)} "
            f"(the posterior's mean varies by more than {ACTIVE_VARIANCE})",
            "",
            f"Samples, seed {evaluation.config.seed}, in the eyes of classifier {evaluation.classifier}; "
            "real: held-out images",
            *_table(_SAMPLES, names, [_sample_cells(figures) for figures in samples]),
            "",
            "Diversity and memorising: samples among held-out and training images of their class",
            *_table(_NEIGHBORS, names, [_neighbor_cells(figures.neighbors) for figures in samples]),
            "",
            *(textwrap.fill(note, _WIDTH) for note in NOTES.values()),
        )
    )


def _held_out_cells(figures: LikelihoodFigures | None) -> list[str]:
    if figures is None:
        return ["0", *["-"] * (len(_HELD_OUT) - 1)]
    nats = (figures.loss, figures.reconstruction, figures.mse, figures.kl, figures.elbo, figures.importance_weighted)
    bits = (figures.elbo_bits_per_dimension, figures.importance_weighted_bits_per_dimension)
    return [f"{figures.images:,}", *(f"{value:.2f}" for value in nats), *(f"{value:.4f}" for value in bits)]


def _sample_cells(figures: SampleFigures) -> list[str]:
    return [
        f"{figures.samples:,}",
        _share(figures.class_fidelity),
        _distance(figures.frechet_distance),
        _share(figures.real_accuracy),
        _distance(figures.real_frechet_distance),
    ]


def _neighbor_cells(figures: NeighborFigures) -> list[str]:
    shares = (figures.recall, figures.real_recall, figures.precision, figures.real_precision)
    return [
        *map(_share, shares),
        _distance(figures.nearest_training),
        _distance(figures.real_nearest_training),
        _share(figures.nearest_by_training),
        _share(figures.expected_by_training),
    ]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _distance(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _table(heads: Sequence[str], names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    table = [["class", *heads], *([name, *row] for name, row in zip(names, rows, strict=True))]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in table
    ]
