"""A classifier of latents, trained along, that keeps the prior of one class off the latents of the others.

    recognition = -log h(c | latents)                latents ~ q(latents | x): by this h learns, and nothing else does
    confusion   = -log h(c | latents)                latents = prior(z, c), z ~ N(0, I): by this the prior learns, not h

A flow that is fitted by likelihood alone spreads between the clusters of a class; what lies there are draws that no
image of the class has. h sees latents only: no image, and no network that samples are judged by.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

__all__ = ["Recognizer", "recognition_and_confusion"]


class Recognizer(nn.Module):
    """h: two hidden layers of `width`."""

    width: int = 128

    @nn.compact
    def __call__(
        self, latents: Float[Array, "batch latent"], c: Float[Array, "batch classes"]
    ) -> Float[Array, " batch"]:
        """-log h(c | latents), in nats; of weighted classes their mean."""
        hidden = nn.relu(nn.Dense(self.width)(latents))
        hidden = nn.relu(nn.Dense(self.width)(hidden))
        return optax.softmax_cross_entropy(nn.Dense(c.shape[-1])(hidden), c)


def recognition_and_confusion(
    model: Any,
    params: PyTree,
    latents: Float[Array, "batch latent"],
    c: Float[Array, "batch classes"],
    key: PRNGKeyArray,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Both, of a batch's latents and of as many draws of the prior; `model` is a Cvae with a flow and a recognizer."""
    recognition = model.apply(params, jax.lax.stop_gradient(latents), c, method="recognize")
    z = jax.random.normal(key, latents.shape)
    fixed = {"params": params["params"] | {"recognizer": jax.lax.stop_gradient(params["params"]["recognizer"])}}
    confusion = model.apply(fixed, model.apply(params, z, c, method="from_prior"), c, method="recognize")
    return jnp.mean(recognition), jnp.mean(confusion)
