"""Images to look at: ways between latents and classes, neighbors, reconstructions, grids and animations."""

from typing import TYPE_CHECKING, Any, Literal, cast, overload

import numpy as np
import numpy.typing as npt

from cvae_sdk.arguments import checked_count, checked_real, checked_seed, checked_temperature, checked_truncation
from cvae_sdk.conditions import Conditions, Labels, to_conditions
from cvae_sdk.decoding import Decoding
from cvae_sdk.drawing import Latents, draw
from cvae_sdk.errors import InputError
from cvae_sdk.latents import standard_normal_latents
from cvae_sdk.memory import check_images_fit
from cvae_sdk.outputs import Images, Output, bytes_of_a_pixel, checked_output, finished
from cvae_sdk.paths import between, morphed, nearby, spherical

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Pictures"]

_Uint8s = npt.NDArray[np.uint8]
_Float32s = npt.NDArray[np.float32]
_FULL_TURN = 2 * np.pi
_LONGEST_FRAME = 655_350  # milliseconds: GIF counts hundredths of a second in 16 bits


class Pictures(Decoding):
    """Pictures of an open model; each is a list of images, or one picture of many."""

    # fmt: off
    @overload
    def interpolate(self, start: Labels, end: Labels, steps: int = 8, *, seed: int | None = None, output: Literal["uint8"] = "uint8") -> _Uint8s: ...
    @overload
    def interpolate(self, start: Labels, end: Labels, steps: int = 8, *, seed: int | None = None, output: Literal["float32"]) -> _Float32s: ...
    @overload
    def interpolate(self, start: Labels, end: Labels, steps: int = 8, *, seed: int | None = None, output: Literal["pil"]) -> "list[Image]": ...
    @overload
    def interpolate(self, start: Labels, end: Labels, steps: int = 8, *, seed: int | None = None, output: Literal["png"]) -> list[bytes]: ...
    # fmt: on
    def interpolate(
        self, start: Labels, end: Labels, steps: int = 8, *, seed: int | None = None, output: Output = "uint8"
    ) -> Images:
        """`steps` images from image 0 of a seed, of the class `start`, to its image 1, of the class `end`, both included.

        Latents go on a great circle, class weights straight; the classes may be the same. Raises InputError, and
        ArtifactError for two classes where the model cannot mix.
        """
        first, last = self._one("start", start), self._one("end", end)
        count, kind = checked_count("steps", steps), checked_output(output)
        check_images_fit(count, self.image_shape, "steps", bytes_of_a_pixel(kind))
        z = standard_normal_latents(checked_seed(seed), 0, 2, self.latent_dim)
        return self._drawn_from(spherical(z[0], z[1], count), self._way(first, last, count), kind)

    # fmt: off
    @overload
    def morph(self, labels: Labels, steps: int = 8, *, seed: int | None = None, output: Literal["uint8"] = "uint8") -> _Uint8s: ...
    @overload
    def morph(self, labels: Labels, steps: int = 8, *, seed: int | None = None, output: Literal["float32"]) -> _Float32s: ...
    @overload
    def morph(self, labels: Labels, steps: int = 8, *, seed: int | None = None, output: Literal["pil"]) -> "list[Image]": ...
    @overload
    def morph(self, labels: Labels, steps: int = 8, *, seed: int | None = None, output: Literal["png"]) -> list[bytes]: ...
    # fmt: on
    def morph(self, labels: Labels, steps: int = 8, *, seed: int | None = None, output: Output = "uint8") -> Images:
        """Image 0 of a seed as it turns from one class into the next: `steps` images for each, and the last one.

        labels are two or more, or rows of class weights; of n of them come (n - 1) * steps + 1 images, of one latent.
        Raises InputError, and ArtifactError where the model cannot mix.
        """
        stops = self._carried(Conditions(self._stops(labels, 2).weights(len(self.classes)), one=False)).values
        count, kind = checked_count("steps", steps), checked_output(output)
        check_images_fit((len(stops) - 1) * count + 1, self.image_shape, "steps", bytes_of_a_pixel(kind))
        rows = morphed(np.asarray(stops, np.float32), count)
        z = standard_normal_latents(checked_seed(seed), 0, 1, self.latent_dim)
        return self._drawn_from(np.repeat(z, len(rows), axis=0), Conditions(rows, one=False), kind)

    # fmt: off
    @overload
    def neighbors(self, label: Labels, n: int = 8, *, seed: int | None = None, distance: float = 0.3, output: Literal["uint8"] = "uint8") -> _Uint8s: ...
    @overload
    def neighbors(self, label: Labels, n: int = 8, *, seed: int | None = None, distance: float = 0.3, output: Literal["float32"]) -> _Float32s: ...
    @overload
    def neighbors(self, label: Labels, n: int = 8, *, seed: int | None = None, distance: float = 0.3, output: Literal["pil"]) -> "list[Image]": ...
    @overload
    def neighbors(self, label: Labels, n: int = 8, *, seed: int | None = None, distance: float = 0.3, output: Literal["png"]) -> list[bytes]: ...
    # fmt: on
    def neighbors(
        self, label: Labels, n: int = 8, *, seed: int | None = None, distance: float = 0.3, output: Output = "uint8"
    ) -> Images:
        """Image 0 of a seed, and `n` images near it: n + 1 in all.

        Each lies `distance` radians, from 0 to 2 pi, from image 0 towards another image of the seed; at pi / 2 it is
        that image. Raises InputError.
        """
        one = self._one("label", label)
        count, kind = checked_count("n", n, 0) + 1, checked_output(output)
        angle = checked_real("distance", distance, 0.0, _FULL_TURN)
        check_images_fit(count, self.image_shape, "n", bytes_of_a_pixel(kind))
        z = nearby(standard_normal_latents(checked_seed(seed), 0, count, self.latent_dim), angle)
        return self._drawn_from(z, Conditions(np.repeat(one.values, count, axis=0), one=False), kind)

    # fmt: off
    @overload
    def reconstruct(self, images: npt.NDArray[Any], labels: Labels, *, output: Literal["uint8"] = "uint8") -> _Uint8s: ...
    @overload
    def reconstruct(self, images: npt.NDArray[Any], labels: Labels, *, output: Literal["float32"]) -> _Float32s: ...
    @overload
    def reconstruct(self, images: npt.NDArray[Any], labels: Labels, *, output: Literal["pil"]) -> "list[Image]": ...
    @overload
    def reconstruct(self, images: npt.NDArray[Any], labels: Labels, *, output: Literal["png"]) -> list[bytes]: ...
    # fmt: on
    def reconstruct(self, images: npt.NDArray[Any], labels: Labels, *, output: Output = "uint8") -> Images:
        """What the model makes of images: decode(mean, labels) of encode(images, labels); see there."""
        kind = checked_output(output)
        mean, _ = self.encode(images, labels)
        given = to_conditions(labels, self.classes).values
        each = np.broadcast_to(given, len(mean)) if len(given) != len(mean) else given
        return self._drawn_from(mean, Conditions(np.ascontiguousarray(each), one=False), kind)

    def grid(
        self,
        labels: Labels | None = None,
        n: int = 10,
        *,
        seed: int | None = None,
        scale: int = 1,
        temperature: float = 1.0,
        truncation: float | None = None,
    ) -> "Image":
        """A PIL picture with one row of `n` images for each label, by default for each class, each pixel `scale` wide.

        Its images are those of `sample` for the labels each repeated n times, with the same seed. Raises InputError.
        """
        n, scale = checked_count("n", n), checked_count("scale", scale)
        rows = self._stops(range(len(self.classes)) if labels is None else labels, 1)
        check_images_fit(len(rows) * n, self.image_shape, "n")
        from cvae_sdk.images import check_sheet, tile  # Pillow takes longer to import than a sample to draw

        check_sheet(len(rows), n, self.image_shape, scale)
        each = Conditions(np.repeat(rows.values, n, axis=0), one=False)
        noise = self._noise(checked_seed(seed), 0, checked_temperature(temperature), checked_truncation(truncation))
        return tile(draw(self._model, each, noise, "uint8"), columns=n, scale=scale)

    def gif(
        self,
        labels: Labels | None = None,
        steps: int = 8,
        *,
        seed: int | None = None,
        scale: int = 1,
        duration: int = 80,
    ) -> bytes:
        """A GIF file of an endless morph through the labels, by default through all classes, and back to the first.

        Each frame stands for `duration` milliseconds, which GIF rounds to hundredths of a second, and each pixel is
        `scale` wide. Raises InputError, and ArtifactError where the model cannot mix.
        """
        scale, duration = checked_count("scale", scale), checked_count("duration", duration, 10)
        if duration > _LONGEST_FRAME:
            raise InputError(
                f"duration must be at most {_LONGEST_FRAME} milliseconds, got {duration}",
                field="duration", expected=_LONGEST_FRAME, found=duration,
            )  # fmt: skip
        stops = self._stops(range(len(self.classes)) if labels is None else labels, 2).weights(len(self.classes))
        from cvae_sdk.images import animate, check_frames

        check_frames(len(stops) * checked_count("steps", steps), self.image_shape, scale)
        images = self.morph(np.concatenate([stops, stops[:1]]), steps, seed=seed)
        return animate(images[:-1], duration, scale)

    def _drawn_from(self, z: _Float32s, conditions: Conditions, output: Output) -> Images:
        """Images of latents that are at hand."""
        latents: Latents = lambda start, count: z[start : start + count]  # noqa: E731
        return finished(draw(self._model, self._carried(conditions), latents, output), output)

    def _noise(self, seed: int, first: int, temperature: float, truncation: float | None) -> Latents:
        """The latents of a seed's images from the index `first` on."""
        dim = self.latent_dim
        return lambda start, count: standard_normal_latents(
            seed, first + start, count, dim, temperature=temperature, truncation=truncation
        )

    def _one(self, name: str, labels: object) -> Conditions:
        conditions = to_conditions(labels, self.classes)
        if not conditions.one:
            raise InputError(
                f"{name} must be one label, got a list of {len(conditions)}", field=name, expected="one label"
            )
        return conditions

    def _check_labels_fit(self, labels: object, bytes_of_a_pixel: int = 1) -> None:
        """Raise TooLargeError for more labels than memory has room for images: before any of them is looked at."""
        array = isinstance(labels, np.ndarray) and cast("npt.NDArray[Any]", labels).ndim > 0
        if array or isinstance(labels, list | tuple):
            check_images_fit(len(cast("Any", labels)), self.image_shape, "labels", bytes_of_a_pixel)

    def _stops(self, labels: object, least: int) -> Conditions:
        self._check_labels_fit(labels)
        conditions = to_conditions(labels, self.classes)
        if len(conditions) < least:
            many = "one label" if least == 1 else f"{least} labels"
            raise InputError(f"needs {many} or more, got {len(conditions) or 'none'}", field="labels", expected=least)
        return self._carried(conditions)

    def _way(self, start: Conditions, end: Conditions, steps: int) -> Conditions:
        if start.values.ndim == end.values.ndim == 1 and start.values[0] == end.values[0]:
            return Conditions(np.repeat(start.values, steps), one=False)
        weights = [each.weights(len(self.classes))[0] for each in (start, end)]
        return Conditions(between(weights[0], weights[1], steps), one=False)
