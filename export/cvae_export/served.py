"""What a server is asked for beside the model's own functions, and a SavedModel alone can carry.

    png_bytes   z, label                                     -> image_bytes string [batch], each a PNG
    sample      label int32 [batch], seed int64 [batch]      -> image

A name that ends in _bytes is base64 in TF Serving's REST. A row of `sample` is Sampler.sample(label, seed=seed) before
it is rounded to grey levels, wherever in a batch it stands: the noise is drawn in the graph, and depends on that row's
seed alone. A seed below 0 stands for the one 2^64 above it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import jax
import numpy as np

from cvae_export.decoder import BATCH, Decoder
from cvae_sdk.latents import standard_normal_latents
from cvae_sdk.manifest import Signature, TensorSpec

__all__ = ["Served", "served_functions"]


@dataclass(frozen=True)
class Served:
    """A signature that is drawn around `decode`, and what it must give."""

    signature: Signature
    expected: Callable[..., Mapping[str, np.ndarray]]
    """The inputs in the signature's order to outputs by name; of image_bytes, the image that the PNG is of."""


def served_functions(decoder: Decoder) -> Mapping[str, Served]:
    """The served signatures of a decoder, by name."""
    decode = decoder.functions["decode"]
    reference = jax.jit(decode.positional)

    def png_bytes(z: np.ndarray, label: np.ndarray) -> dict[str, np.ndarray]:
        return {"image_bytes": np.asarray(reference(z, label))}

    def sample(label: np.ndarray, seed: np.ndarray) -> dict[str, np.ndarray]:
        rows = [standard_normal_latents(int(each) % 2**64, 0, 1, decoder.latent_dim) for each in seed]
        return {"image": np.asarray(reference(np.concatenate(rows), label))}

    label, seed = decode.signature.inputs["label"], TensorSpec("int64", (BATCH,))
    images = {"image_bytes": TensorSpec("string", (BATCH,))}
    return {
        "png_bytes": Served(Signature(decode.signature.inputs, images), png_bytes),
        "sample": Served(Signature({"label": label, "seed": seed}, decode.signature.outputs), sample),
    }
