"""The class-conditional VAE as Flax modules: parameters and shapes, no loss.

    mean, logvar = encode(x)        x: flattened images
    z = mean + exp(logvar / 2) * eps
    y = decode(z, c)                c: one row of class weights per image, one-hot for one class

The names are the article's. With its settings (256-128-64, latent 32, 128-256-784) it is the article's model.
"""

import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from cvae_training.config import Config

__all__ = ["Cvae", "FeedForward", "build_model"]


class FeedForward(nn.Module):
    """Dense layers with an activation after each, the last one's optional."""

    dimensions: tuple[int, ...] = (256, 128, 64)
    activation_fn: Callable[[Array], Array] = nn.relu
    drop_last_activation: bool = False
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Float[Array, "batch features"]) -> Float[Array, "batch last"]:
        """Map each row through all layers."""
        for i, dimension in enumerate(self.dimensions):
            x = nn.Dense(dimension, dtype=self.dtype)(x)
            if i != len(self.dimensions) - 1 or not self.drop_last_activation:
                x = self.activation_fn(x)
        return x


class Cvae(nn.Module):
    """The network. `drop_last_activation` makes `decode` give logits instead of rectified values.

    Layers compute in `dtype`; parameters, posterior and what is decoded are float32.
    """

    encoder_dimensions: tuple[int, ...] = (256, 128, 64)
    decoder_dimensions: tuple[int, ...] = (128, 256, 784)
    latent_dim: int = 32
    activation_fn: Callable[[Array], Array] = nn.relu
    drop_last_activation: bool = False
    dtype: str = "float32"

    def setup(self) -> None:
        """Declare the layers; Flax calls it."""
        width = self.encoder_dimensions[-1]
        self.encoder = FeedForward(self.encoder_dimensions, self.activation_fn, dtype=self.dtype)
        self.pre_latent_proj = nn.Dense(self.latent_dim * 2, dtype=self.dtype)
        self.post_latent_proj = nn.Dense(width, dtype=self.dtype)
        self.class_proj = nn.Dense(width, dtype=self.dtype)
        self.decoder = FeedForward(self.decoder_dimensions, self.activation_fn, self.drop_last_activation, self.dtype)

    def reparam(
        self, mean: Float[Array, "batch latent"], logvar: Float[Array, "batch latent"], key: PRNGKeyArray
    ) -> Float[Array, "batch latent"]:
        """Draw from N(mean, exp(logvar)) so that gradients reach both."""
        return mean + jnp.exp(logvar * 0.5) * jax.random.normal(key, mean.shape)

    def encode(
        self, x: Float[Array, "batch pixels"]
    ) -> tuple[Float[Array, "batch latent"], Float[Array, "batch latent"]]:
        """The posterior's mean and log-variance."""
        posterior = self.pre_latent_proj(self.encoder(x)).astype(jnp.float32)
        mean, logvar = jnp.split(posterior, 2, axis=-1)
        return mean, logvar

    def decode(self, z: Float[Array, "batch latent"], c: Float[Array, "batch classes"]) -> Float[Array, "batch pixels"]:
        """What the likelihood is a function of: rectified values, or logits."""
        return self.decoder(self.post_latent_proj(z) + self.class_proj(c)).astype(jnp.float32)

    def __call__(
        self, x: Float[Array, "batch pixels"], c: Float[Array, "batch classes"], key: PRNGKeyArray
    ) -> tuple[Float[Array, "batch pixels"], Float[Array, "batch latent"], Float[Array, "batch latent"]]:
        """Encode, draw, decode: (decoded, mean, logvar)."""
        mean, logvar = self.encode(x)
        return self.decode(self.reparam(mean, logvar, key), c), mean, logvar


def build_model(config: Config, image_shape: tuple[int, int, int], dtype: str = "float32") -> Cvae:
    """The network that a config describes, for images of that shape, to compute in `dtype`."""
    return Cvae(
        encoder_dimensions=config.model.encoder_dimensions,
        decoder_dimensions=(*config.model.decoder_dimensions, math.prod(image_shape)),
        latent_dim=config.model.latent_dim,
        drop_last_activation=config.objective.likelihood == "bernoulli",
        dtype=dtype,
    )
