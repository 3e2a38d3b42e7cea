"""THE exported function: a run's parameters made part of a pure function of arrays.

    decode   z float32 [batch, latent_dim], label int32 [batch]                        -> image
    mix      z float32 [batch, latent_dim], class_weights float32 [batch, classes]     -> image

image is float32 [batch, height, width, channels] in [0, 1], the likelihood's mean; rows of class_weights sum to 1,
and a one-hot row is the same as its label.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32

from cvae_sdk.manifest import Signature, TensorSpec
from cvae_training import Run
from cvae_training.likelihood import LIKELIHOODS

__all__ = ["BATCH", "Decoder", "Function", "build_decoder"]

BATCH = "batch"


@dataclass(frozen=True)
class Function:
    """A pure JAX function of arrays, with the names, dtypes and shapes of what goes in and comes out."""

    call: Callable[..., Array]
    signature: Signature

    def symbolic_specs(self) -> tuple[jax.ShapeDtypeStruct, ...]:
        """The inputs' shapes and dtypes with a symbolic batch."""
        (batch,) = jax.export.symbolic_shape(BATCH)
        return tuple(
            jax.ShapeDtypeStruct([batch if axis == BATCH else axis for axis in spec.shape], np.dtype(spec.dtype))
            for spec in self.signature.inputs.values()
        )


@dataclass(frozen=True)
class Decoder:
    """What is exported: functions by the name of their signature, `decode` first."""

    functions: Mapping[str, Function]
    latent_dim: int
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]


def build_decoder(run: Run) -> Decoder:
    """The exported functions of a run."""
    model, mean = run.model, LIKELIHOODS[run.config.objective.likelihood].mean
    num_classes, latent_dim = len(run.classes), run.config.model.latent_dim
    params = jax.tree.map(np.asarray, run.params)
    log_scale: Any = model.apply(params, method="noise_scale")

    def mix(
        z: Float[Array, "batch latent"], class_weights: Float[Array, "batch classes"]
    ) -> Float[Array, "batch h w c"]:
        decoded: Any = model.apply(params, z, class_weights, method="generate")
        return mean(decoded, log_scale).reshape(z.shape[0], *run.image_shape)

    def decode(z: Float[Array, "batch latent"], label: Int32[Array, " batch"]) -> Float[Array, "batch h w c"]:
        return mix(z, jax.nn.one_hot(label, num_classes, dtype=jnp.float32))

    z = TensorSpec("float32", (BATCH, latent_dim))
    image = {"image": TensorSpec("float32", (BATCH, *run.image_shape))}
    label = TensorSpec("int32", (BATCH,))
    class_weights = TensorSpec("float32", (BATCH, num_classes))
    return Decoder(
        functions={
            "decode": Function(decode, Signature({"z": z, "label": label}, image)),
            "mix": Function(mix, Signature({"z": z, "class_weights": class_weights}, image)),
        },
        latent_dim=latent_dim,
        classes=run.classes,
        image_shape=run.image_shape,
    )
