"""The exported functions on a user's arrays: what comes in is checked here, and nowhere after."""

from typing import Any, Self, cast

import numpy as np
import numpy.typing as npt

from cvae_sdk.arguments import checked_unmasked
from cvae_sdk.backends.options import BackendOptions
from cvae_sdk.conditions import Conditions, to_conditions, to_weights
from cvae_sdk.errors import ArtifactError, InputError, one_line
from cvae_sdk.labels import to_labels
from cvae_sdk.manifest import Manifest
from cvae_sdk.memory import check_images_fit
from cvae_sdk.model import Model, Place

__all__ = ["Decoding"]

MOST_LATENT = 1e6
"""Largest size of a latent that is taken; of N(0, I) none is above 7, and of 1e20 a decoder makes NaN."""
_FEW = 8192  # latents whose sum of squares is one thread's work: OpenBLAS takes more threads from 10,000 on


class Decoding:
    """An open model: decode, mix, encode."""

    def __init__(
        self, artifact: Place = None, *, backend: str | BackendOptions | None = None, manifest: Place = None
    ) -> None:
        self._model = Model(artifact, backend, manifest)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back what the runtime holds; calls under way in other threads end, later ones raise ClosedError."""
        self._model.close()

    @property
    def manifest(self) -> Manifest:
        """All that the artifact says of itself."""
        return self._model.manifest

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

    def decode(self, z: npt.NDArray[np.float32], label: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """The exported function itself.

        z is float32 [batch, latent_dim], each finite and at most 1e6 in size; label holds a label or a class's name for
        each row. Returns float32 [batch, height, width, channels] in [0, 1]. Raises InputError.
        """
        rows = self._latents(z)
        given = cast("Any", label)
        if isinstance(label, np.ndarray) and given.ndim > 0:
            _check_rows("label", len(given), len(rows))
        return self._images(rows, Conditions(to_labels(given, self.classes), one=False), "label")

    def mix(self, z: npt.NDArray[np.float32], class_weights: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Images of mixed classes: decode, with class weights in the label's place.

        class_weights are floats [batch, classes] of at least 0 whose rows sum to 1. Raises
        InputError, and ArtifactError where the model has no `mix`.
        """
        rows = self._latents(z)
        weights = _as_array(class_weights)
        if weights.ndim != 2:
            expected = f"floats of shape (batch, {len(self.classes)})"
            raise InputError(
                f"class weights must be {expected}, got {weights.dtype} {weights.shape}",
                field="class_weights", expected=expected, found=weights.shape,
            )  # fmt: skip
        _check_rows("class_weights", len(weights), len(rows))
        conditions = self._carried(Conditions(to_weights(weights, self.classes), one=False))
        return self._images(rows, conditions, "class_weights")

    def encode(
        self, images: npt.NDArray[Any], labels: object
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """The latents that images may have come from: mean and log-variance, float32 [n, latent_dim] each.

        images are uint8, or floats in [0, 1], [n, height, width, channels], or one image; a single channel's axis may
        be left out. labels are one for all images or one for each. decode(mean, labels) is the model's reconstruction.
        Raises InputError, and ArtifactError where the artifact has no encoder.
        """
        self._need("encode")
        pixels = self._pixels(images)
        conditions = to_conditions(labels, self.classes)
        if conditions.values.ndim != 1:
            raise InputError("an encoder takes labels, got class weights", field="labels", expected="labels")
        label = np.ascontiguousarray(
            np.broadcast_to(conditions.values, len(pixels)) if conditions.one else conditions.values
        )
        if len(label) != len(pixels):
            raise InputError(
                f"labels must be one, or one for each of the {len(pixels)} images, got {len(label)}",
                field="labels", expected=len(pixels), found=len(label),
            )  # fmt: skip
        if len(pixels) == 0:
            return np.empty((0, self.latent_dim), np.float32), np.empty((0, self.latent_dim), np.float32)
        outputs = self._model.run("encode", {"image": pixels, "label": label})
        return outputs["mean"], outputs["logvar"]

    def _carried(self, conditions: Conditions) -> Conditions:
        """The conditions, if the model has the signature that takes them."""
        if conditions.signature == "mix":
            self._need("mix")
        return conditions

    def _need(self, signature: str) -> None:
        signatures = self._model.signatures
        if signature not in signatures:
            what = "encoder" if signature == "encode" else "mix of classes"
            found = ", ".join(sorted(signatures))
            raise ArtifactError(
                f"the artifact {self.manifest.name} has no {what} here: it has {found}",
                field="signatures", expected=signature, found=found,
            )  # fmt: skip

    def _images(self, z: npt.NDArray[np.float32], conditions: Conditions, name: str) -> npt.NDArray[np.float32]:
        _check_rows(name, len(conditions), len(z))
        if len(z) == 0:
            return np.empty((0, *self.image_shape), np.float32)
        return self._model.run(conditions.signature, {"z": z, conditions.name: conditions.values})["image"]

    def _latents(self, z: object) -> npt.NDArray[np.float32]:
        if not isinstance(z, np.ndarray) or z.dtype != np.float32:  # pyright: ignore[reportUnknownMemberType]
            kind = cast("Any", z).dtype if isinstance(z, np.ndarray) else type(z).__name__
            raise InputError(
                f"z must be a float32 array, got {kind}: use numpy.asarray(z, numpy.float32)",
                field="z", expected="float32", found=str(kind),
            )  # fmt: skip
        rows = cast("npt.NDArray[np.float32]", z)
        if rows.ndim != 2 or rows.shape[1] != self.latent_dim:
            raise InputError(
                f"z must have shape (batch, {self.latent_dim}), got {rows.shape}",
                field="z", expected=("batch", self.latent_dim), found=rows.shape,
            )  # fmt: skip
        checked_unmasked("z", rows)
        check_images_fit(len(rows), self.image_shape, "z", rows.itemsize)
        rows = np.ascontiguousarray(rows)
        if not _are_small(rows):
            found = float(rows[~(np.abs(rows) <= MOST_LATENT)][0])
            raise InputError(
                f"z must be finite, and from -{MOST_LATENT:g} to {MOST_LATENT:g}, got {found}",
                field="z", expected="finite", found=found,
            )  # fmt: skip
        return rows

    def _pixels(self, images: object) -> npt.NDArray[np.float32]:
        kind: Any = cast("Any", images).dtype if isinstance(images, np.ndarray) else type(images).__name__
        if not isinstance(images, np.ndarray) or not (kind == np.uint8 or kind.kind == "f"):
            raise InputError(
                f"images must be an array of uint8, or of floats in [0, 1], got {kind}",
                field="images", expected="uint8 or floats", found=str(kind),
            )  # fmt: skip
        given, shape = cast("npt.NDArray[Any]", images), self.image_shape
        shapes = (shape, shape[:2]) if shape[2] == 1 else (shape,)
        if given.shape in shapes:
            given = given[np.newaxis]
        if given.shape[1:] not in shapes:
            raise InputError(
                f"images must have shape (n, {', '.join(map(str, shape))}), got {given.shape}",
                field="images", expected=("n", *shape), found=given.shape,
            )  # fmt: skip
        checked_unmasked("images", given)
        check_images_fit(len(given), shape, "images", np.dtype(np.float32).itemsize)
        with np.errstate(over="ignore"):  # infinity is out of range too
            pixels = given.reshape(-1, *shape).astype(np.float32)
        if given.dtype == np.uint8:
            pixels /= np.float32(255)
        elif len(pixels) > 0 and not (pixels.min() >= 0 and pixels.max() <= 1):
            found = float(pixels[~((pixels >= 0) & (pixels <= 1))][0])
            raise InputError(f"images must lie in [0, 1], got {found}", field="images", expected="[0, 1]", found=found)
        return pixels


def _check_rows(name: str, found: int, expected: int) -> None:
    if found != expected:
        raise InputError(
            f"{name} must have one entry for each of the {expected} rows of z, got {found}",
            field=name, expected=expected, found=found,
        )  # fmt: skip


def _are_small(z: npt.NDArray[np.float32]) -> bool:
    """Whether each latent is at most 1e6 in size; NaN is not."""
    if z.size <= _FEW and np.vdot(z, z) <= MOST_LATENT:  # the sum of squares: one pass, a third of the time of two
        return True
    return z.size == 0 or bool(z.max() <= MOST_LATENT and z.min() >= -MOST_LATENT)


def _as_array(class_weights: object) -> npt.NDArray[Any]:
    checked_unmasked("class_weights", class_weights)
    try:
        return np.asarray(class_weights)
    except ValueError as error:  # rows of different lengths
        raise InputError(
            f"class weights must be rows of floats of one length, got {one_line(class_weights)}",
            field="class_weights", expected="rows of one length", found=class_weights,
        ) from error  # fmt: skip
