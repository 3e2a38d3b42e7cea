"""A PyTorch Dataset that augments labelled images with sampled ones, of which there is no end.

    pip install cvae-sdk torch

    data = AugmentedImages(images, labels, Sampler("mnist"), length=100_000, seed=0)
    for pixels, target in DataLoader(data, batch_size=64, num_workers=2): ...

Item i depends on i alone: not on workers, batches or the order in which it is asked for. torch_augmentation.py
measures whether it helps.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from cvae_sdk import Sampler

Item = tuple[torch.Tensor, int]


class AugmentedImages(Dataset[Item]):
    """Real images, and after each of them `sampled_per_real` sampled ones: float32 [channels, height, width] in [0, 1].

    Real images come in passes, each in an order of its own. The k-th sampled image is image k of `seed`, of the class
    k % classes. So there is nothing to shuffle: read in order, by any number of workers, a batch is one call of the
    Sampler. An item out of order is one too, and slower.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        sampler: Sampler,
        length: int,
        *,
        sampled_per_real: int = 1,
        seed: int = 0,
    ) -> None:
        """`images` are uint8 [n, height, width, channels], as the Sampler's are, and `labels` integers [n]."""
        if images.dtype != np.uint8 or images.shape != (len(labels), *sampler.image_shape) or not len(labels):
            expected = [len(labels), *sampler.image_shape]
            raise ValueError(f"images must be uint8 {expected}, one or more, got {images.dtype} {list(images.shape)}")
        self.images, self.labels, self.sampler, self.length, self.seed = images, labels, sampler, length, seed
        self.period = 1 + sampled_per_real

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Item:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Item]:
        """The items of a batch; DataLoader calls this in place of __getitem__ for each."""
        if not all(0 <= i < self.length for i in indices):
            raise IndexError(f"an index must be from 0 to {self.length - 1}")
        items: dict[int, Item] = {}
        sampled: dict[int, int] = {}
        for i in indices:
            turn, place = divmod(i, self.period)
            if place == 0:
                items[i] = self._item(*self._real(turn))
            else:
                sampled[turn * (self.period - 1) + place - 1] = i
        for first, count in _runs(sorted(sampled)):
            labels = np.arange(first, first + count) % len(self.sampler.classes)
            drawn = self.sampler.sample(labels, seed=self.seed, first=first)
            items |= {sampled[first + j]: self._item(drawn[j], labels[j]) for j in range(count)}
        return [items[i] for i in indices]

    def _real(self, turn: int) -> tuple[np.ndarray, int]:
        passes, place = divmod(turn, len(self.labels))
        chosen = np.random.default_rng([self.seed, passes]).permutation(len(self.labels))[place]
        return self.images[chosen], self.labels[chosen]

    @staticmethod
    def _item(image: np.ndarray, label: int) -> Item:
        return torch.tensor(image.transpose(2, 0, 1), dtype=torch.float32) / 255, int(label)


def _runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Where numbers follow on each other, ascending: the first of each run and how many it has."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and number == sum(runs[-1]):
            runs[-1] = runs[-1][0], runs[-1][1] + 1
        else:
            runs.append((number, 1))
    return runs
