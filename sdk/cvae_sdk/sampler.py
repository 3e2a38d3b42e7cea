"""Labels and a seed in, images out."""

import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

from cvae_sdk.artifact import Artifact, locate
from cvae_sdk.backends import Backend, open_backend
from cvae_sdk.backends.options import OnnxOptions
from cvae_sdk.errors import ArtifactError, GoldenError, InputError, one_line
from cvae_sdk.goldens import GOLDEN_NAME, read_goldens
from cvae_sdk.labels import Labels, to_label, to_labels
from cvae_sdk.latents import standard_normal_latents
from cvae_sdk.manifest import Manifest

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Sampler", "Verification"]

_CHUNK = 1024  # images decoded at a time: enough to be fast, few enough to need little memory
GOLDEN_TOLERANCE = 1e-5
"""Largest difference of a pixel in [0, 1]: runtimes and processors differ by 5e-7, a grey level is 4e-3."""


@dataclass(frozen=True)
class Verification:
    """What `Sampler.verify` checked: files and their bytes, recorded images, and how far from them the model is."""

    files: int
    bytes: int
    goldens: int
    max_abs_error: float


class Sampler:
    """Samples images from an artifact: one shipped with this package, by its name, or the one in a folder.

    Shipped are "mnist", which is the default, and "fashion-mnist"; "./mnist" is a folder of that name.

    Opening checks the manifest, the listing and the model's bytes, and raises ArtifactError or BackendError. One
    Sampler may be used by many threads at once.

        sampler = Sampler()
        images = sampler.sample(7, n=16, seed=0)        uint8 [16, 28, 28, 1]
    """

    def __init__(self, artifact: str | os.PathLike[str] | None = None) -> None:
        self._artifact = Artifact.open(locate(artifact))
        self._backend: Backend = open_backend(self._artifact, OnnxOptions())

    @property
    def manifest(self) -> Manifest:
        """All that the artifact says of itself."""
        return self._artifact.manifest

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes' names, in label order."""
        return self.manifest.classes

    @property
    def latent_dim(self) -> int:
        """The number of latents of an image."""
        return self.manifest.latent_dim

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        return self.manifest.image_shape

    def sample(self, labels: Labels, n: int | None = None, *, seed: int | None = None) -> npt.NDArray[np.uint8]:
        """Draw images: `n` (1 by default) of one label, or one for each label of a sequence.

        A label is an integer or a class's name. Image i depends only on the artifact, the seed, i and its label;
        without a seed, from 0 to 2^64 - 1, every call draws other images. Returns uint8 [n, height, width, channels].
        Raises InputError.
        """
        each = self._labels(labels, n)
        seed = _checked_seed(seed)
        images = _room(len(each), self.image_shape)
        for start in range(0, len(each), _CHUNK):
            chunk = each[start : start + _CHUNK]
            z = standard_normal_latents(seed, start, len(chunk), self.latent_dim)
            images[start : start + len(chunk)] = _to_bytes(self._run_decode(z, chunk))
        return images

    def decode(self, z: npt.NDArray[np.float32], label: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """The exported function itself.

        z is float32 [batch, latent_dim], finite; label holds integers [batch]. Returns float32
        [batch, height, width, channels] in [0, 1]. Raises InputError.
        """
        if not isinstance(z, np.ndarray) or z.dtype != np.float32:  # pyright: ignore[reportUnnecessaryIsInstance]
            kind = z.dtype if isinstance(z, np.ndarray) else type(z).__name__  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InputError(f"z must be a float32 array, got {kind}: use numpy.asarray(z, numpy.float32)")
        if z.ndim != 2 or z.shape[1] != self.latent_dim:
            raise InputError(f"z must have shape (batch, {self.latent_dim}), got {z.shape}")
        if not np.isfinite(z).all():
            raise InputError("z must be finite, got NaN or infinity in it")
        each = to_labels(label, self.classes)
        if len(each) != len(z):
            raise InputError(f"label must have one entry for each of the {len(z)} rows of z, got {len(each)}")
        if len(z) == 0:
            return np.empty((0, *self.image_shape), np.float32)
        return self._run_decode(np.ascontiguousarray(z), each)

    def grid(self, labels: Labels | None = None, n: int = 10, *, seed: int | None = None, scale: int = 1) -> "Image":
        """A PIL picture with one row of `n` images for each label, by default for each class, each pixel `scale` wide.

        Its images are those of `sample` for the labels each repeated n times, with the same seed.
        """
        from cvae_sdk.images import tile  # Pillow takes longer to import than a sample to draw

        n = _checked_count("n", n)
        scale = _checked_count("scale", scale)
        rows = self._labels(range(len(self.classes)) if labels is None else labels, None)
        if len(rows) == 0:
            raise InputError("a grid needs one label or more, got none")
        check_fits(len(rows) * n, self.image_shape)
        return tile(self.sample(np.repeat(rows, n), seed=seed), columns=n, scale=scale)

    def verify(self) -> Verification:
        """Check every file of the artifact and replay its recorded images.

        Raises ArtifactError for a file that is not what was listed, GoldenError for images that differ by more than
        1e-5.
        """
        artifact = Artifact.open(self._artifact.folder)
        size = sum(artifact.check(path) for path in artifact.manifest.files)
        if GOLDEN_NAME not in artifact.manifest.files:
            raise ArtifactError(
                f"the artifact {self.manifest.name} has no {GOLDEN_NAME} to verify against",
                file=GOLDEN_NAME, expected="recorded images", found=None,
            )  # fmt: skip
        z, label, image = read_goldens(artifact.read(GOLDEN_NAME), artifact.manifest)
        error = float(np.abs(self.decode(z, label) - image).max())
        if not error <= GOLDEN_TOLERANCE:
            raise GoldenError(
                f"images differ from the recorded ones by {error:.2g}, more than {GOLDEN_TOLERANCE:.2g}",
                file=GOLDEN_NAME, field="image", expected=GOLDEN_TOLERANCE, found=error,
            )  # fmt: skip
        return Verification(len(artifact.manifest.files), size, len(z), error)

    def _run_decode(self, z: npt.NDArray[np.float32], label: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        return self._backend.run("decode", {"z": z, "label": label})["image"]

    def _labels(self, labels: object, n: object) -> npt.NDArray[np.int32]:
        if isinstance(labels, str) or not isinstance(labels, list | tuple | range | np.ndarray):
            count = 1 if n is None else _checked_count("n", n)
            check_fits(count, self.image_shape)
            return np.full(count, to_label(labels, self.classes), np.int32)
        each = to_labels(labels, self.classes)  # pyright: ignore[reportUnknownArgumentType]
        if n is not None:
            raise InputError(f"n goes with one label, got {len(each)} labels: repeat them with numpy.repeat instead")
        return each


def _room(count: int, image_shape: tuple[int, int, int]) -> npt.NDArray[np.uint8]:
    try:
        return np.empty((count, *image_shape), np.uint8)
    except (MemoryError, ValueError, OverflowError) as error:
        raise InputError(f"{one_line(count)} images do not fit into memory: ask for fewer at a time") from error


def check_fits(count: int, image_shape: tuple[int, int, int]) -> None:
    """InputError if memory has no room for `count` images; a system gives room that is not yet used at no cost."""
    _room(count, image_shape)


def _checked_count(name: str, value: object) -> int:
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer) or value < 1:
        raise InputError(f"{name} must be an integer of at least 1, got {one_line(cast('object', value))}")
    return int(cast("int", value))


def _checked_seed(seed: object) -> int:
    if seed is None:
        return secrets.randbits(64)
    if isinstance(seed, bool | np.bool_) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**64:
        raise InputError(f"seed must be an integer from 0 to 2^64 - 1, got {one_line(cast('object', seed))}")
    return int(cast("int", seed))


def _to_bytes(images: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Pixels in [0, 1] as the nearest of 256 grey levels."""
    scaled = images * np.float32(255)
    scaled += np.float32(0.5)
    return scaled.astype(np.uint8)
