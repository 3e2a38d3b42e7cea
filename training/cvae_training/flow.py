"""The learned prior: an invertible map from noise to the latents of a class, by affine coupling layers.

    x_0 = z ~ N(0, I)
    x_i = x_{i-1} * exp(s_i) + t_i        where m_i = 0; as before where m_i = 1
    s_i, t_i = network_i(m_i * x_{i-1}, c)

    log p(latents | c) = log N(z; 0, I) - sum_i sum s_i        z = the inverse of latents

Dinh, Sohl-Dickstein & Bengio 2017. Both directions cost the same and are exact. Each layer begins as the identity. s_i
is bounded smoothly, so that float32 can undo each layer; the map is smooth in z and in c, which may weigh several
classes.
"""

import math

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

__all__ = ["LARGEST_LOG_SCALE", "Flow", "kept_latents"]

LARGEST_LOG_SCALE = 1.0
"""No layer scales a latent by more than exp of this, or by less than exp of minus this."""


def kept_latents(layer: int, latent_dim: int) -> Float[np.ndarray, " latent"]:
    """m_i: 1 for the latents that a layer leaves as they are and looks at, 0 for those that it changes.

    Layers come in pairs, each of which keeps what the other changes. A pair parts the latents by a binary digit of
    their index, the next pair by the next digit, so that any two latents are parted by some pair.
    """
    digits = max(1, (latent_dim - 1).bit_length())
    digit = (np.arange(latent_dim) >> (layer // 2 % digits)) & 1
    return (digit ^ (layer & 1)).astype(np.float32)


class Coupling(nn.Module):
    """One layer's network, of one hidden layer of `width`."""

    layer: int
    width: int

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch latent"], c: Float[Array, "batch classes"]
    ) -> tuple[Float[Array, "batch latent"], Float[Array, "batch latent"]]:
        """s and t, both 0 for the latents that are kept."""
        latent_dim = x.shape[-1]
        kept = kept_latents(self.layer, latent_dim)
        changed = np.tile(1 - kept, 2)
        normal, zeros = nn.initializers.lecun_normal(), nn.initializers.zeros
        from_latents = self.param("from_latents", normal, (latent_dim, self.width))
        from_class = self.param("from_class", normal, (c.shape[-1], self.width))
        bias = self.param("bias", zeros, (self.width,))
        kernel = self.param("scale_and_shift", zeros, (self.width, 2 * latent_dim))
        last_bias = self.param("last_bias", zeros, (2 * latent_dim,))
        # The masks are put on the parameters, not on what flows: an exporter folds them away.
        hidden = nn.silu(x @ (from_latents * kept[:, None]) + bias + c @ from_class)
        log_scale, shift = jnp.split(hidden @ (kernel * changed) + last_bias * changed, 2, axis=-1)
        return LARGEST_LOG_SCALE * jnp.tanh(log_scale), shift


class Flow(nn.Module):
    """`layers` coupling layers, each with a network of one hidden layer of `width`."""

    layers: int
    width: int
    latent_dim: int

    def setup(self) -> None:
        """Declare the layers; Flax calls it."""
        self.couplings = [Coupling(layer, self.width) for layer in range(self.layers)]

    def __call__(
        self, z: Float[Array, "batch latent"], c: Float[Array, "batch classes"]
    ) -> Float[Array, "batch latent"]:
        """Map noise to latents."""
        for coupling in self.couplings:
            log_scale, shift = coupling(z, c)
            z = z * jnp.exp(log_scale) + shift
        return z

    def inverse(
        self, latents: Float[Array, "batch latent"], c: Float[Array, "batch classes"]
    ) -> tuple[Float[Array, "batch latent"], Float[Array, " batch"]]:
        """Map latents to the noise that gives them, with log |det dz / dlatents|."""
        log_det = jnp.zeros(latents.shape[0])
        for coupling in reversed(self.couplings):
            log_scale, shift = coupling(latents, c)
            latents = (latents - shift) * jnp.exp(-log_scale)
            log_det = log_det - log_scale.sum(axis=-1)
        return latents, log_det

    def log_density(
        self, latents: Float[Array, "batch latent"], c: Float[Array, "batch classes"]
    ) -> Float[Array, " batch"]:
        """log p(latents | c), in nats."""
        z, log_det = self.inverse(latents, c)
        return log_det - 0.5 * (z**2).sum(axis=-1) - 0.5 * self.latent_dim * math.log(2 * math.pi)
