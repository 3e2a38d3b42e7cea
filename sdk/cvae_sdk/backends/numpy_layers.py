"""Layers in NumPy, as training has them: dense, 3 x 3 convolution, blocks of pixels, activations.

    sigmoid(x) = 1/2 + tanh(x/2)/2          silu(x) = x sigmoid(x)          softplus(x) = max(x, 0) + log(1 + exp(-|x|))

A convolution is one matrix product: of each pixel's 3 x 3 neighbors, or where the output has fewer channels than the
input, of each pixel alone, with all nine parts of the kernel, whose results are then shifted and summed.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cvae_sdk.backends.numpy_parameters import Floats, Parameters

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "Convolution",
    "Dense",
    "blocks_of_pixels",
    "pixels_of_blocks",
    "sigmoid",
    "silu",
    "softplus",
]

Activation = Callable[[Floats], Floats]
_HALF, _ONE = np.float32(0.5), np.float32(1)


def relu(x: Floats) -> Floats:
    """max(x, 0), in x itself."""
    return np.maximum(x, 0, out=x)


def silu(x: Floats) -> Floats:
    """x sigmoid(x), in x itself."""
    x *= _HALF
    gate: Floats = np.tanh(x)
    gate += _ONE
    x *= gate
    return x


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + exp(-x)), in x itself."""
    x *= _HALF
    np.tanh(x, out=x)
    x *= _HALF
    x += _HALF
    return x


def softplus(x: Floats) -> Floats:
    """log(1 + exp(x)), without overflow."""
    tail: Floats = np.log1p(np.exp(-np.abs(x)))
    return np.maximum(x, 0) + tail


ACTIVATIONS: dict[str, Activation] = {"relu": relu, "silu": silu}


@dataclass(frozen=True)
class Dense:
    """x W + b of rows x; never in x itself, so that what follows may be."""

    kernel: Floats
    bias: Floats

    @classmethod
    def take(cls, parameters: Parameters, name: str, inputs: int, outputs: int | str) -> "Dense":
        """That of a name, from `inputs` numbers to so many, or as many as it has."""
        kernel = parameters.take(f"{name}/kernel", inputs, outputs)
        return cls(kernel, parameters.take(f"{name}/bias", kernel.shape[1]))

    @property
    def width(self) -> int:
        """How many numbers it gives of a row."""
        return self.kernel.shape[1]

    def __call__(self, x: Floats) -> Floats:
        """Map each row."""
        y: Floats = x @ self.kernel
        y += self.bias
        return y


@dataclass(frozen=True)
class Convolution:
    """A 3 x 3 convolution of stride 1 with zeros around the image, over [batch, height, width, channels]."""

    kernel: Floats
    """[3, 3, inputs, outputs]"""
    bias: Floats

    @classmethod
    def take(cls, parameters: Parameters, name: str, inputs: int | str, outputs: int | str) -> "Convolution":
        """That of a name, between so many channels, or as many as it has."""
        kernel = parameters.take(f"{name}/kernel", 3, 3, inputs, outputs)
        return cls(kernel, parameters.take(f"{name}/bias", kernel.shape[3]))

    def __call__(self, x: Floats) -> Floats:
        """Convolve."""
        inputs, outputs = self.kernel.shape[2:]
        y = self._by_shifts(x) if outputs < inputs else self._by_neighbors(x)
        y += self.bias
        return y

    def _by_neighbors(self, x: Floats) -> Floats:
        n, height, width, channels = x.shape
        padded = np.zeros((n, height + 2, width + 2, channels), np.float32)
        padded[:, 1:-1, 1:-1] = x
        # Three neighbors in a row are next to one another in memory: a view of them is copied in long runs.
        step = padded.strides
        view = np.lib.stride_tricks.as_strided(
            padded, (n, height, width, 3, 3 * channels), (*step[:3], step[1], step[3]), writeable=False
        )
        rows = view.reshape(n * height * width, 9 * channels)
        y: Floats = rows @ self.kernel.reshape(9 * channels, -1)
        return y.reshape(n, height, width, -1)

    def _by_shifts(self, x: Floats) -> Floats:
        n, height, width, channels = x.shape
        outputs = self.kernel.shape[3]
        every: Floats = x.reshape(-1, channels) @ self.kernel.transpose(2, 0, 1, 3).reshape(channels, 9 * outputs)
        parts = every.reshape(n, height, width, 3, 3, outputs)
        y = np.ascontiguousarray(parts[:, :, :, 1, 1])
        for i in range(3):
            for j in range(3):
                if (i, j) != (1, 1):
                    to_rows, from_rows = _shift(i - 1, height)
                    to_columns, from_columns = _shift(j - 1, width)
                    y[:, to_rows, to_columns] += parts[:, from_rows, from_columns, i, j]
        return y


def _shift(by: int, size: int) -> tuple[slice, slice]:
    """The pixels that have a neighbor `by` further on, and those neighbors."""
    return slice(max(0, -by), size - max(0, by)), slice(max(0, by), size - max(0, -by))


def blocks_of_pixels(x: Floats) -> Floats:
    """Each block of 2 x 2 pixels as one of four times the channels; the sides must be even."""
    n, height, width, channels = x.shape
    blocks = x.reshape(n, height // 2, 2, width // 2, 2, channels).transpose(0, 1, 3, 2, 4, 5)
    return blocks.reshape(n, height // 2, width // 2, 4 * channels)


def pixels_of_blocks(x: Floats) -> Floats:
    """The inverse of `blocks_of_pixels`."""
    n, rows, columns, depth = x.shape
    pixels = x.reshape(n, rows, columns, 2, 2, depth // 4).transpose(0, 1, 3, 2, 4, 5)
    return pixels.reshape(n, 2 * rows, 2 * columns, depth // 4)
