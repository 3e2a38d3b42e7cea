"""How far a form's images are from the JAX model's, in pixels of [0, 1] and in the grey levels that people see.

largest    max |form - jax|
mean       mean |form - jax|
off        share of pixels whose level floor(255 x + 1/2) is another; likewise by more than 1 level, by more than 8
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

__all__ = ["DifferenceLog", "Differences"]


@dataclass(frozen=True)
class Differences:
    """The differences of some images; shares are of their pixels."""

    images: int
    largest: float
    mean: float
    off: float
    off_by_more_than_1: float
    off_by_more_than_8: float


@dataclass(frozen=True)
class _Image:
    """Of one image: what it was made from, its largest and mean difference, and the shares of its pixels."""

    batch: int
    label: int | None
    measured: tuple[float, float, float, float, float]


@dataclass
class DifferenceLog:
    """Collects the differences of batches of images, and sums them up: all, by batch size, by class."""

    _images: list[_Image] = field(default_factory=list)

    def add(self, expected: np.ndarray, got: np.ndarray, label: np.ndarray | None = None) -> None:
        """Note a batch of float images in [0, 1], [batch, height, width, channels]; `label` if each has one class."""
        axes = (1, 2, 3)
        error = np.abs(got.astype(np.float64) - expected)
        levels = np.abs(_levels(got) - _levels(expected))
        columns = (error.max(axes), error.mean(axes), *((levels > by).mean(axes) for by in (0, 1, 8)))
        labels = [None] * len(got) if label is None else label.tolist()
        for of, *measured in zip(labels, *(column.tolist() for column in columns), strict=True):
            self._images.append(_Image(len(got), of, tuple(measured)))

    def __len__(self) -> int:
        return len(self._images)

    def overall(self) -> Differences:
        """The differences of all images."""
        return _summed(self._images)

    def by_batch(self) -> dict[int, Differences]:
        """The differences by the size of the batch that an image was in."""
        return self._grouped(lambda image: image.batch)

    def by_class(self) -> dict[int, Differences]:
        """The differences by label, of the images that have one."""
        return self._grouped(lambda image: image.label)

    def _grouped(self, key: Callable[[_Image], int | None]) -> dict[int, Differences]:
        groups: defaultdict[int, list[_Image]] = defaultdict(list)
        for image in self._images:
            if (of := key(image)) is not None:
                groups[of].append(image)
        return {of: _summed(images) for of, images in sorted(groups.items())}


def _levels(image: np.ndarray) -> np.ndarray:
    return np.floor(image.astype(np.float32) * np.float32(255) + np.float32(0.5)).astype(np.int16)


def _summed(images: list[_Image]) -> Differences:
    largest, *means = zip(*(image.measured for image in images), strict=True)
    return Differences(len(images), max(largest), *(sum(mean) / len(images) for mean in means))
