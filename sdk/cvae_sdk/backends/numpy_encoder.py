"""The encoder in NumPy: images and classes to the z that the decoder takes.

q(latents | x) = N(mean, diag exp(logvar))        then through the inverse of the learned prior, where there is one
"""

import math
from dataclasses import dataclass

import numpy as np

from cvae_sdk.backends.numpy_flow import Classes, Flow
from cvae_sdk.backends.numpy_layers import ACTIVATIONS, Convolution, Dense, blocks_of_pixels
from cvae_sdk.backends.numpy_network import Network
from cvae_sdk.backends.numpy_parameters import Floats, Parameters

__all__ = ["PARTS", "Encoder"]

PARTS = ("encoder", "from_image", "pre_latent_proj")
"""Of a network, those that only the encoder has."""


@dataclass(frozen=True)
class Encoder:
    """Its layers; `take` makes one."""

    network: Network
    flow: Flow
    from_image: tuple[Convolution, ...]
    dense: tuple[Dense, ...]
    to_latents: Dense

    @classmethod
    def take(cls, parameters: Parameters, network: Network, flow: Flow, latent_dim: int) -> "Encoder":
        """The encoder's own of the parameters."""
        height, width, channels = _padded(network)
        convolutions: list[Convolution] = []
        for i in range(network.convolutions):
            layer = Convolution.take(parameters, f"from_image/Convolution_{i}", 4 * channels, "channels")
            convolutions.append(layer)
            height, width, channels = height // 2, width // 2, layer.kernel.shape[3]
        features = height * width * channels
        dense: list[Dense] = []
        for i in range(parameters.count("encoder/Dense_")):
            dense.append(Dense.take(parameters, f"encoder/Dense_{i}", features, "width"))
            features = dense[-1].width
        to_latents = Dense.take(parameters, "pre_latent_proj", features, 2 * latent_dim)
        return cls(network, flow, tuple(convolutions), tuple(dense), to_latents)

    @property
    def widest(self) -> int:
        """About the most numbers that one image needs at a time."""
        latent_dim = self.to_latents.width // 2
        hidden = [c.scale_and_shift.shape[0] * latent_dim for c in self.flow.couplings[:1]]
        convolved = [math.prod(_padded(self.network)[:2]) * layer.kernel.shape[2] * 3 for layer in self.from_image]
        return max([math.prod(self.network.image_shape), *(layer.width for layer in self.dense), *hidden, *convolved])

    def __call__(self, image: Floats, c: Classes) -> tuple[Floats, Floats]:
        """Mean and logvar [batch, latent_dim] of images [batch, height, width, channels]."""
        activation = ACTIVATIONS[self.network.activation]
        x = image
        if self.from_image:
            (_, height, width, _), (all_rows, all_columns, _) = x.shape, _padded(self.network)
            x = np.pad(x, ((0, 0), (0, all_rows - height), (0, all_columns - width), (0, 0)))
            for convolution in self.from_image:
                x = activation(convolution(blocks_of_pixels(x)))
        x = x.reshape(len(x), -1)
        for layer in self.dense:
            x = activation(layer(x))
        x = self.to_latents(x)
        latent_dim = self.to_latents.width // 2
        return self.flow.noise(x[:, :latent_dim], x[:, latent_dim:], c)


def _padded(network: Network) -> tuple[int, int, int]:
    """Height and width that can be halved so often, and the channels."""
    height, width, channels = network.image_shape
    side = 2**network.convolutions
    return -(-height // side) * side, -(-width // side) * side, channels
