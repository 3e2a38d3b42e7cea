"""A convolutional encoder and decoder, between images of any size and rows of features.

    encoder   image -> blocks of 2 x 2 pixels -> 3 x 3 convolution -> blocks of 2 x 2 -> 3 x 3 convolution -> one row
    decoder   the same steps backwards; blocks are laid out by depth to space: Shi et al. 2016

The sides are padded to multiples of 4 and cropped again. A convolution of stride 1 is one matrix product over patches:
inside a loop on a CPU that is 13 to 15 times as fast as XLA's own, which uses one core there.
"""

import math
from collections.abc import Callable
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

__all__ = ["Convolution", "Convolve", "FromImage", "ToImage", "convolve_in_loops", "depth_to_space", "space_to_depth"]

Convolve = Literal["patches", "xla"]
"""How a convolution is computed, as a matrix product or by XLA's operation; they differ by the rounding of sums."""

Images = Float[Array, "batch height width channels"]
Convolved = Float[Array, "batch height width others"]
Blocks = Float[Array, "batch rows columns depth"]


def convolve_in_loops() -> Convolve:
    """What is fastest on this machine inside a loop."""
    return "patches" if jax.default_backend() == "cpu" else "xla"


class Convolution(nn.Module):
    """A 3 x 3 convolution, zeros around the image."""

    channels: int
    convolve: Convolve
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Images) -> Convolved:
        """Convolve."""
        shape = (3, 3, x.shape[-1], self.channels)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        bias = self.param("bias", nn.initializers.zeros, (self.channels,))
        x, kernel, bias = (values.astype(self.dtype) for values in (x, kernel, bias))
        if self.convolve == "xla":
            axes = ("NHWC", "HWIO", "NHWC")
            return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=axes) + bias
        _, height, width, _ = x.shape
        padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        patches = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
        return jnp.concatenate(patches, axis=-1) @ kernel.reshape(-1, self.channels) + bias


class FromImage(nn.Module):
    """Pixels to features; `channels` are those at a half and at a quarter of the image's sides."""

    image_shape: tuple[int, int, int]
    channels: tuple[int, ...]
    activation_fn: Callable[[Array], Array]
    convolve: Convolve
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Float[Array, "batch pixels"]) -> Float[Array, "batch features"]:
        """Map each row of pixels to a row of features."""
        height, width, _ = self.image_shape
        rows, columns = grid(self.image_shape, len(self.channels))
        side = 2 ** len(self.channels)
        x = x.reshape(-1, *self.image_shape)
        x = jnp.pad(x, ((0, 0), (0, side * rows - height), (0, side * columns - width), (0, 0)))
        for channels in self.channels:
            x = self.activation_fn(Convolution(channels, self.convolve, self.dtype)(space_to_depth(x)))
        return x.reshape(x.shape[0], -1)


class ToImage(nn.Module):
    """Features to pixels; `channels` are those at a quarter and at a half of the image's sides."""

    image_shape: tuple[int, int, int]
    channels: tuple[int, ...]
    activation_fn: Callable[[Array], Array]
    convolve: Convolve
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Float[Array, "batch features"]) -> Float[Array, "batch pixels"]:
        """Map each row of features to a row of pixels, or what the likelihood takes for them."""
        height, width, depth = self.image_shape
        first, *others = self.channels
        rows, columns = grid(self.image_shape, len(self.channels))
        x = self.activation_fn(nn.Dense(rows * columns * first, dtype=self.dtype)(x))
        x = x.reshape(-1, rows, columns, first)
        for channels in others:
            x = self.activation_fn(depth_to_space(Convolution(4 * channels, self.convolve, self.dtype)(x)))
        x = depth_to_space(Convolution(4 * depth, self.convolve, self.dtype)(x))
        # Not x[:, :height, :width], which is a gather where the batch is a symbol, as in export.
        x = lax.slice_in_dim(lax.slice_in_dim(x, 0, height, axis=1), 0, width, axis=2)
        return x.reshape(x.shape[0], height * width * depth)


def grid(image_shape: tuple[int, int, int], halvings: int) -> tuple[int, int]:
    """Rows and columns that are left after the halvings, enough for the whole image."""
    height, width, _ = image_shape
    return math.ceil(height / 2**halvings), math.ceil(width / 2**halvings)


def space_to_depth(x: Images) -> Blocks:
    """Each block of 2 x 2 pixels as one of four times the channels; the sides must be even."""
    batch, height, width, channels = x.shape
    blocks = x.reshape(batch, height // 2, 2, width // 2, 2, channels).transpose(0, 1, 3, 2, 4, 5)
    return blocks.reshape(batch, height // 2, width // 2, 4 * channels)


def depth_to_space(x: Blocks) -> Images:
    """The inverse of `space_to_depth`."""
    batch, rows, columns, depth = x.shape
    pixels = x.reshape(batch, rows, columns, 2, 2, depth // 4).transpose(0, 1, 3, 2, 4, 5)
    return pixels.reshape(batch, 2 * rows, 2 * columns, depth // 4)
