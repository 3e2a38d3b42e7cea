"""The decoder in NumPy: latents and classes to images.

h     = z' P + C c                 z' = prior(z, c), or z where none is learned
y     = layers(h)                  dense ones, then blocks of pixels and convolutions where the network has them
image = E[x | y]                   by the likelihood: Kingma & Welling 2014
"""

import math
from dataclasses import dataclass

import numpy as np

from cvae_sdk.backends.numpy_flow import Classes, Flow, project
from cvae_sdk.backends.numpy_layers import ACTIVATIONS, Convolution, Dense, pixels_of_blocks, sigmoid, softplus
from cvae_sdk.backends.numpy_network import Network
from cvae_sdk.backends.numpy_parameters import Floats, Parameters

__all__ = ["Decoder"]

_SMALLEST_SCALE = 1 / 510  # half a grey level


@dataclass(frozen=True)
class Decoder:
    """Its layers; `take` makes one."""

    network: Network
    flow: Flow
    from_latents: Dense
    from_class: Dense
    dense: tuple[Dense, ...]
    to_image: tuple[Dense, tuple[Convolution, ...]] | None
    scale: np.float32
    """Of the logistic likelihood; 1 for the others."""

    @classmethod
    def take(cls, parameters: Parameters, network: Network, flow: Flow, latent_dim: int) -> "Decoder":
        """The decoder's own of the parameters."""
        from_latents = Dense.take(parameters, "post_latent_proj", latent_dim, "width")
        width = from_latents.width
        from_class = Dense.take(parameters, "class_proj", network.classes, width)
        layers: list[Dense] = []
        for i in range(network.dense_layers):
            is_image = not network.convolutions and i + 1 == network.dense_layers
            outputs = math.prod(network.image_shape) if is_image else "width"
            layers.append(Dense.take(parameters, f"decoder/Dense_{i}", width, outputs))
            width = layers[-1].width
        scale = np.float32(1)
        if network.likelihood in ("gaussian", "logistic"):
            log_scale = parameters.take_number("log_scale")
            if network.likelihood == "logistic":
                scale = np.maximum(np.exp(log_scale), np.float32(_SMALLEST_SCALE))
        to_image = _take_to_image(parameters, network, width) if network.convolutions else None
        return cls(network, flow, from_latents, from_class, tuple(layers), to_image, scale)

    @property
    def widest(self) -> int:
        """About the most numbers that one image needs at a time."""
        convolutions = self.to_image[1] if self.to_image else ()
        pixels = math.prod(self.network.image_shape[:2])
        widths = [layer.width for layer in self.dense] + [4 * pixels * c.kernel.shape[2] for c in convolutions]
        return max([self.from_latents.width, math.prod(self.network.image_shape), *widths])

    def __call__(self, z: Floats, c: Classes) -> Floats:
        """Images [batch, height, width, channels] of z [batch, latent_dim] and labels or class weights."""
        activation = ACTIVATIONS[self.network.activation]
        x = self.from_latents(self.flow.latents(z, c))
        x += project(c, self.from_class.kernel) + self.from_class.bias
        for i, layer in enumerate(self.dense):
            x = layer(x)
            if i + 1 < len(self.dense) or self.network.last_activation:
                x = activation(x)
        height, width, channels = self.network.image_shape
        if self.to_image is not None:
            first, convolutions = self.to_image
            rows, columns = _grid(self.network)
            x = activation(first(x)).reshape(len(x), rows, columns, -1)
            for i, convolution in enumerate(convolutions):
                x = pixels_of_blocks(convolution(x))
                if i + 1 < len(convolutions):
                    x = activation(x)
            x = np.ascontiguousarray(x[:, :height, :width])
        return self._mean(x).reshape(len(x), height, width, channels)

    def _mean(self, x: Floats) -> Floats:
        if self.network.likelihood == "logistic":
            scale = self.scale
            x = scale * (softplus(x / scale) - softplus((x - np.float32(1)) / scale))
        elif self.network.likelihood != "l2":
            return sigmoid(x)
        return np.clip(x, 0, 1, out=x)


def _grid(network: Network) -> tuple[int, int]:
    """Rows and columns that are left after the halvings, enough for the whole image."""
    side = 2**network.convolutions
    return -(-network.image_shape[0] // side), -(-network.image_shape[1] // side)


def _take_to_image(parameters: Parameters, network: Network, width: int) -> tuple[Dense, tuple[Convolution, ...]]:
    rows, columns = _grid(network)
    channels: int | str = "channels"
    layers: list[Convolution] = []
    for i in range(network.convolutions):
        last = 4 * network.image_shape[2] if i + 1 == network.convolutions else "4 channels"
        layers.append(Convolution.take(parameters, f"to_image/Convolution_{i}", channels, last))
        channels = layers[-1].kernel.shape[3] // 4
    first = layers[0].kernel.shape[2]
    return Dense.take(parameters, "to_image/Dense_0", width, rows * columns * first), tuple(layers)
