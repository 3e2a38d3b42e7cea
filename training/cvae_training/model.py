"""The class-conditional VAE as Flax modules: parameters and shapes, no loss.

    mean, logvar = encode(x)        x: flattened images
    z = mean + exp(logvar / 2) * eps
    y = decode(z, c)                c: one row of class weights per image, one-hot for one class
    y = generate(z, c)              z ~ N(0, I), through the learned prior if there is one; else the same as decode

The names are the article's. With its settings (256-128-64, latent 32, 128-256-784) it is the article's model.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from cvae_training.config import Config
from cvae_training.convolution import Convolve, FromImage, ToImage
from cvae_training.flow import Flow
from cvae_training.likelihood import LIKELIHOODS
from cvae_training.recognition import Recognizer

__all__ = ["Cvae", "FeedForward", "Outputs", "build_model"]

_ACTIVATIONS: Mapping[str, Callable[[Array], Array]] = {"relu": nn.relu, "silu": nn.silu}
_FIRST_LOG_SCALE = math.log(0.25)
"""Where a learned scale begins: about the spread of a pixel."""


class Outputs(NamedTuple):
    """What a pass through the network gives."""

    decoded: Float[Array, "batch pixels"]
    mean: Float[Array, "batch latent"]
    logvar: Float[Array, "batch latent"]
    latents: Float[Array, "batch latent"]
    log_prior: Float[Array, " batch"] | None
    """The learned prior's log-density of the latents that were decoded; None where the prior is N(0, I)."""
    log_scale: Float[Array, ""] | float
    """The likelihood's learned scale; 0 where it has none."""


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

    Layers compute in `dtype`; parameters, posterior, prior and what is decoded are float32. With `channels`,
    convolutions stand between the image and the dense layers; the last of `decoder_dimensions` is not used then.
    """

    encoder_dimensions: tuple[int, ...] = (256, 128, 64)
    decoder_dimensions: tuple[int, ...] = (128, 256, 784)
    latent_dim: int = 32
    activation_fn: Callable[[Array], Array] = nn.relu
    drop_last_activation: bool = False
    dtype: str = "float32"
    flow_layers: int = 0
    flow_width: int = 128
    recognizes: bool = False
    learns_scale: bool = False
    image_shape: tuple[int, int, int] = (28, 28, 1)
    channels: tuple[int, ...] = ()
    convolve: Convolve = "xla"

    def setup(self) -> None:
        """Declare the layers; Flax calls it."""
        width = self.encoder_dimensions[-1]
        layers = (self.activation_fn, self.convolve, self.dtype)
        if self.channels:
            self.from_image = FromImage(self.image_shape, self.channels, *layers)
            self.to_image = ToImage(self.image_shape, self.channels[::-1], *layers)
        self.encoder = FeedForward(self.encoder_dimensions, self.activation_fn, dtype=self.dtype)
        self.pre_latent_proj = nn.Dense(self.latent_dim * 2, dtype=self.dtype)
        self.post_latent_proj = nn.Dense(width, dtype=self.dtype)
        self.class_proj = nn.Dense(width, dtype=self.dtype)
        if self.channels:
            self.decoder = FeedForward(self.decoder_dimensions[:-1], self.activation_fn, dtype=self.dtype)
        else:
            self.decoder = FeedForward(
                self.decoder_dimensions, self.activation_fn, self.drop_last_activation, self.dtype
            )
        if self.flow_layers:
            self.prior = Flow(self.flow_layers, self.flow_width, self.latent_dim)
        if self.recognizes:
            self.recognizer = Recognizer()
        if self.learns_scale:
            self.log_scale = self.param("log_scale", nn.initializers.constant(_FIRST_LOG_SCALE), ())

    def reparam(
        self, mean: Float[Array, "batch latent"], logvar: Float[Array, "batch latent"], key: PRNGKeyArray
    ) -> Float[Array, "batch latent"]:
        """Draw from N(mean, exp(logvar)) so that gradients reach both."""
        return mean + jnp.exp(logvar * 0.5) * jax.random.normal(key, mean.shape)

    def encode(
        self, x: Float[Array, "batch pixels"]
    ) -> tuple[Float[Array, "batch latent"], Float[Array, "batch latent"]]:
        """The posterior's mean and log-variance."""
        features = self.from_image(x) if self.channels else x
        posterior = self.pre_latent_proj(self.encoder(features)).astype(jnp.float32)
        mean, logvar = jnp.split(posterior, 2, axis=-1)
        return mean, logvar

    def decode(self, z: Float[Array, "batch latent"], c: Float[Array, "batch classes"]) -> Float[Array, "batch pixels"]:
        """What the likelihood is a function of: rectified values, or logits."""
        decoded = self.decoder(self.post_latent_proj(z) + self.class_proj(c))
        return (self.to_image(decoded) if self.channels else decoded).astype(jnp.float32)

    def generate(
        self, z: Float[Array, "batch latent"], c: Float[Array, "batch classes"]
    ) -> Float[Array, "batch pixels"]:
        """Decode what the prior makes of z ~ N(0, I)."""
        return self.decode(self.from_prior(z, c), c)

    def from_prior(
        self, z: Float[Array, "batch latent"], c: Float[Array, "batch classes"]
    ) -> Float[Array, "batch latent"]:
        """The latents that the prior makes of z ~ N(0, I): z itself, where none is learned."""
        return self.prior(z, c) if self.flow_layers else z

    def to_prior(
        self, latents: Float[Array, "batch latent"], c: Float[Array, "batch classes"]
    ) -> Float[Array, "batch latent"]:
        """The z that the prior makes these latents of: the inverse of `from_prior`."""
        return self.prior.inverse(latents, c)[0] if self.flow_layers else latents

    def log_prior(self, z: Float[Array, "batch latent"], c: Float[Array, "batch classes"]) -> Float[Array, " batch"]:
        """log p(z | c) of the latents that `decode` takes, in nats; of a learned prior only."""
        return self.prior.log_density(z, c)

    def recognize(self, z: Float[Array, "batch latent"], c: Float[Array, "batch classes"]) -> Float[Array, " batch"]:
        """How badly the classifier of latents takes these for the class, in nats; where there is such a classifier."""
        return self.recognizer(z, c)

    def noise_scale(self) -> Float[Array, ""] | float:
        """The log of the likelihood's learned scale; 0 where it has none."""
        return self.log_scale if self.learns_scale else 0.0

    def __call__(
        self, x: Float[Array, "batch pixels"], c: Float[Array, "batch classes"], key: PRNGKeyArray
    ) -> tuple[Float[Array, "batch pixels"], Float[Array, "batch latent"], Float[Array, "batch latent"]]:
        """Encode, draw, decode: (decoded, mean, logvar), as the article's."""
        outputs = self.outputs(x, c, key)
        return outputs.decoded, outputs.mean, outputs.logvar

    def outputs(self, x: Float[Array, "batch pixels"], c: Float[Array, "batch classes"], key: PRNGKeyArray) -> Outputs:
        """Encode, draw, decode, with all that the loss takes."""
        mean, logvar = self.encode(x)
        z = self.reparam(mean, logvar, key)
        log_prior = self.log_prior(z, c) if self.flow_layers else None
        if self.recognizes and self.is_initializing():
            self.recognize(z, c)
        return Outputs(self.decode(z, c), mean, logvar, z, log_prior, self.noise_scale())


def build_model(
    config: Config, image_shape: tuple[int, int, int], dtype: str = "float32", convolve: Convolve = "xla"
) -> Cvae:
    """The network that a config describes, for images of that shape, to compute in `dtype`."""
    likelihood, model = LIKELIHOODS[config.objective.likelihood], config.model
    return Cvae(
        encoder_dimensions=model.encoder_dimensions,
        decoder_dimensions=(*model.decoder_dimensions, math.prod(image_shape)),
        latent_dim=model.latent_dim,
        activation_fn=_ACTIVATIONS[model.activation],
        drop_last_activation=not likelihood.rectifies,
        dtype=dtype,
        flow_layers=model.flow_layers,
        flow_width=model.flow_width,
        recognizes=config.objective.recognition_weight > 0,
        learns_scale=likelihood.learns_scale,
        image_shape=image_shape,
        channels=model.channels if model.network == "conv" else (),
        convolve=convolve,
    )
