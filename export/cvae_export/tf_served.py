"""The served signatures as plain TensorFlow graphs around a drawn `decode`; `served` says what they are."""

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from cvae_export.decoder import Decoder
from cvae_export.served import Served
from cvae_export.tf_graph import tensor_spec
from cvae_export.tf_latents import first_latents

__all__ = ["draw_served"]


def draw_served(served: Mapping[str, Served], decode: Any, decoder: Decoder) -> dict[str, Any]:
    """tf.functions of the served signatures, by name; `decode` is a tf.function of z and label."""

    def png_bytes(z: tf.Tensor, label: tf.Tensor) -> dict[str, tf.Tensor]:
        image = decode(z, label)["image"]
        levels = tf.cast(image * 255 + 0.5, tf.uint8)  # the nearest of 256 grey levels, as the SDK rounds
        return {"image_bytes": tf.io.encode_png(levels)}

    def sample(label: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        return decode(first_latents(seed, decoder.latent_dim), label)

    bodies: dict[str, Callable[..., dict[str, tf.Tensor]]] = {"png_bytes": png_bytes, "sample": sample}
    return {
        name: tf.function(
            bodies[name],
            input_signature=[tensor_spec(*item) for item in each.signature.inputs.items()],
            autograph=False,
        )
        for name, each in served.items()
    }
