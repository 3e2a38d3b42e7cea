"""Images of the JAX model that an artifact keeps: goldens, by which any form can be tried again, and samples to see."""

from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from cvae_export.decoder import Decoder
from cvae_sdk.latents import standard_normal_latents

__all__ = ["sample_images", "write_goldens"]

_GOLDEN_SEED = 1
_GOLDENS_PER_CLASS = 2


def write_goldens(path: Path, decoder: Decoder, reference: Callable[..., jax.Array]) -> None:
    """z, label and the `reference`'s image of them, two of each class, as .npz."""
    label = np.tile(np.arange(len(decoder.classes), dtype=np.int32), _GOLDENS_PER_CLASS)
    z = standard_normal_latents(_GOLDEN_SEED, 0, len(label), decoder.latent_dim)
    np.savez(path, z=z, label=label, image=np.asarray(reference(z, label)))


def sample_images(decoder: Decoder, reference: Callable[..., jax.Array], per_class: int) -> np.ndarray:
    """Images of each class in turn, uint8 [classes * per_class, height, width, channels]."""
    label = np.repeat(np.arange(len(decoder.classes), dtype=np.int32), per_class)
    image = np.asarray(reference(standard_normal_latents(0, 0, len(label), decoder.latent_dim), label))
    return (image * 255 + 0.5).astype(np.uint8)
