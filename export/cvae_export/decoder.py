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
from cvae_training.inference import mean_image

__all__ = ["BATCH", "Decoder", "Function", "build_decoder"]

BATCH = "batch"


@dataclass(frozen=True)
class Function:
    """A pure JAX function of arrays, with the names, dtypes and shapes of what goes in and comes out."""

    call: Callable[..., Mapping[str, Array]]
    """Takes the inputs in the signature's order, and gives the outputs by name."""
    signature: Signature

    def positional(self, *inputs: Any) -> Any:
        """`call` for what has no names: the one output, or a tuple of several in the signature's order."""
        outputs = self.call(*inputs)
        ordered = tuple(outputs[name] for name in self.signature.outputs)
        return ordered[0] if len(ordered) == 1 else ordered

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
    model, likelihood = run.model, run.config.objective.likelihood
    num_classes, latent_dim = len(run.classes), run.config.model.latent_dim
    params = jax.tree.map(np.asarray, run.params)

    def mix(
        z: Float[Array, "batch latent"], class_weights: Float[Array, "batch classes"]
    ) -> dict[str, Float[Array, "batch h w c"]]:
        return {"image": mean_image(model, likelihood, params, z, class_weights).reshape(z.shape[0], *run.image_shape)}

    def decode(
        z: Float[Array, "batch latent"], label: Int32[Array, " batch"]
    ) -> dict[str, Float[Array, "batch h w c"]]:
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
