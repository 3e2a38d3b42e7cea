"""What a report shows of a model: reconstructions, samples, and the ways between latents.

    within a class     decode_latents((1 - t) z_a + t z_b, c)                          t from 0 to 1
    between classes    mix_latents((1 - t) z_a + t z_b, (1 - t) c_a + t c_b)

z_a and z_b are the posterior's means of two held-out images.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from cvae_training.bound_model import BoundModel
from cvae_training.data import Split
from cvae_training.png import Strip, strip

__all__ = ["Row", "between_classes", "evenly", "reconstructions", "samples", "within_classes"]

_PAIRS, _SAMPLES, _STEPS = 4, 10, 9


class Row(NamedTuple):
    """Images beside each other, what stands before them, and what they are in words."""

    name: str
    text: str
    strip: Strip


def reconstructions(model: BoundModel, held_out: Split, labels: Sequence[int]) -> list[Row]:
    """For each class, its first held-out images, each with its reconstruction at its right."""
    rows = []
    for label in labels:
        originals = held_out.images[held_out.labels == label][:_PAIRS]
        if len(originals):
            pairs = np.stack([originals / np.float32(255), model.reconstruct(originals, label)], axis=1)
            name = model.classes[label]
            text = f"{len(originals)} held-out images of class {name}, each followed by its reconstruction"
            rows.append(Row(name, text, strip(pairs.reshape(-1, *model.image_shape), groups=2)))
    return rows


def samples(model: BoundModel, labels: Sequence[int]) -> list[Row]:
    """For each class, images of latents from N(0, I)."""
    images = model.sample(np.repeat(labels, _SAMPLES), seed=0).reshape(len(labels), _SAMPLES, *model.image_shape)
    return [
        Row(model.classes[label], f"{_SAMPLES} samples of class {model.classes[label]}", strip(row))
        for label, row in zip(labels, images, strict=True)
    ]


def within_classes(model: BoundModel, held_out: Split, labels: Sequence[int]) -> list[Row]:
    """For each class with two held-out images, the way between its first and its last one."""
    rows = []
    for label in labels:
        of_class = np.flatnonzero(held_out.labels == label)
        if len(of_class) >= 2:
            name = model.classes[label]
            text = f"{_STEPS} images on the way from one held-out image of class {name} to another"
            rows.append(Row(name, text, _way(model, held_out, of_class[[0, -1]])))
    return rows


def between_classes(model: BoundModel, held_out: Split, labels: Sequence[int]) -> list[Row]:
    """The way from a held-out image of each class to one of the next."""
    rows = []
    for first, second in pairwise(labels):
        ends = [np.flatnonzero(held_out.labels == label) for label in (first, second)]
        if all(map(len, ends)):
            names = model.classes[first], model.classes[second]
            text = f"{_STEPS} images on the way from a held-out image of class {names[0]} to one of class {names[1]}"
            rows.append(Row(" to ".join(names), text, _way(model, held_out, np.array([end[0] for end in ends]))))
    return rows


def evenly(count: int, most: int) -> list[int]:
    """At most `most` of the numbers below `count`, the first and the last among them."""
    return sorted(set(np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()))


def _way(model: BoundModel, held_out: Split, ends: Int[np.ndarray, " two"]) -> Strip:
    z, _ = model.encode(held_out.images[ends])
    c = np.eye(len(model.classes), dtype=np.float32)[held_out.labels[ends]]
    return strip(model.mix_latents(_between(z), _between(c)))


def _between(ends: Float[np.ndarray, "two axis"]) -> Float[np.ndarray, "steps axis"]:
    return np.linspace(ends[0], ends[1], _STEPS, dtype=np.float32)
