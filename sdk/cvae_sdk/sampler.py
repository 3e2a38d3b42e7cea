"""Labels and a seed in, images out."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Literal, overload

import numpy as np
import numpy.typing as npt

from cvae_sdk.arguments import (
    checked_count,
    checked_first,
    checked_seed,
    checked_temperature,
    checked_total,
    checked_truncation,
)
from cvae_sdk.artifact import Artifact
from cvae_sdk.asynchronous import in_thread, one_ahead
from cvae_sdk.conditions import Conditions, Labels, to_conditions
from cvae_sdk.drawing import Latents, draw, draw_batches
from cvae_sdk.errors import ArtifactError, GoldenError, InputError
from cvae_sdk.memory import check_images_fit
from cvae_sdk.outputs import Images, Output, bytes_of_a_pixel, checked_output, finished
from cvae_sdk.pictures import Pictures

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Sampler", "Verification"]

GOLDEN_TOLERANCE = 1e-5
"""Largest difference of a pixel in [0, 1]: runtimes and processors differ by 5e-7, a grey level is 4e-3."""
_FIRST_STRIDE, _STRIDE, _STRIDE_PIXELS = 512, 1 << 14, 1 << 24
"""A stream's smaller batches are cut out of so many images: few at first, so that the first batch comes at once, then
twice as many each time, up to so many or so many pixels, so that small batches are as fast as large ones."""

_Uint8s = npt.NDArray[np.uint8]
_Float32s = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Verification:
    """What `Sampler.verify` checked: files and their bytes, recorded images, and how far from them the model is."""

    files: int
    bytes: int
    goldens: int
    max_abs_error: float


class Sampler(Pictures):
    """Samples images from an artifact: one shipped with this package, by its name, the one in a folder, or a server's.

    Shipped are "mnist", which is the default, and "fashion-mnist"; "./mnist" is a folder of that name. An address is

        http://HOST:8501/v1/models/NAME     TF Serving, over REST; grpc://HOST:8500/NAME over gRPC
        http://HOST:8000/v2/models/NAME     Triton or KServe, by the Open Inference Protocol

    `backend` is a name, "onnx" by default, "numpy", "stablehlo", "saved_model" or "litert", or one's options; for an
    address RemoteOptions. `manifest` is the artifact, a folder or a name, that a server's model must be.

    Opening checks the manifest, the listing and the model's bytes, and raises ArtifactError or BackendError. One
    Sampler may be used by many threads at once, after a fork, and pickled; close it, or use it in a `with`, to give
    back what it holds.

        sampler = Sampler()
        images = sampler.sample(7, n=16, seed=0)        uint8 [16, 28, 28, 1]
    """

    # fmt: off
    @overload
    def sample(self, labels: Labels, n: int | None = None, *, seed: int | None = None, first: int = 0, temperature: float = 1.0, truncation: float | None = None, output: Literal["uint8"] = "uint8") -> _Uint8s: ...
    @overload
    def sample(self, labels: Labels, n: int | None = None, *, seed: int | None = None, first: int = 0, temperature: float = 1.0, truncation: float | None = None, output: Literal["float32"]) -> _Float32s: ...
    @overload
    def sample(self, labels: Labels, n: int | None = None, *, seed: int | None = None, first: int = 0, temperature: float = 1.0, truncation: float | None = None, output: Literal["pil"]) -> "list[Image]": ...
    @overload
    def sample(self, labels: Labels, n: int | None = None, *, seed: int | None = None, first: int = 0, temperature: float = 1.0, truncation: float | None = None, output: Literal["png"]) -> list[bytes]: ...
    # fmt: on
    def sample(
        self,
        labels: Labels,
        n: int | None = None,
        *,
        seed: int | None = None,
        first: int = 0,
        temperature: float = 1.0,
        truncation: float | None = None,
        output: Output = "uint8",
    ) -> Images:
        """Draw images: `n` (1 by default) of one label, or one for each label of a list.

        A label is an integer, a class's name, or weights that mix classes: {class: weight}, or floats [classes];
        many are a list or an array of labels, or floats [n, classes]. The images have the indices `first` to
        first + n - 1, and image i depends only on the artifact, the seed, i, its label, the temperature and the
        truncation; without a seed, from 0 to 2^64 - 1, every call draws other images.

        `temperature`, 0 to 100, multiplies the latents; `truncation` cuts them off at so many standard deviations.
        Returns uint8 or float32 [n, height, width, channels], or a list of PIL images, or of PNG files: see outputs.py.
        Raises InputError, TooLargeError where memory has no room, ArtifactError where the model cannot mix.
        """
        kind = checked_output(output)
        conditions = self._sampled(labels, n, bytes_of_a_pixel(kind))
        begin = checked_first(first, len(conditions))
        noise = self._noise(checked_seed(seed), begin, checked_temperature(temperature), checked_truncation(truncation))
        return finished(draw(self._model, conditions, noise, kind), kind)

    # fmt: off
    @overload
    def stream(self, labels: Labels, total: int, batch_size: int = 1024, *, seed: int | None = None, first: int = 0, temperature: float = 1.0, truncation: float | None = None, output: Literal["uint8"] = "uint8") -> Iterator[_Uint8s]: ...
    @overload
    def stream(self, labels: Labels, total: int, batch_size: int = 1024, *, seed: int | None = None, first: int = 0, temperature: float = 1.0, truncation: float | None = None, output: Literal["float32"]) -> Iterator[_Float32s]: ...
    @overload
    def stream(self, labels: Labels, total: int, batch_size: int = 1024, *, seed: int | None = None, first: int = 0, temperature: float = 1.0, truncation: float | None = None, output: Literal["pil"]) -> "Iterator[list[Image]]": ...
    @overload
    def stream(self, labels: Labels, total: int, batch_size: int = 1024, *, seed: int | None = None, first: int = 0, temperature: float = 1.0, truncation: float | None = None, output: Literal["png"]) -> Iterator[list[bytes]]: ...
    # fmt: on
    def stream(
        self,
        labels: Labels,
        total: int,
        batch_size: int = 1024,
        *,
        seed: int | None = None,
        first: int = 0,
        temperature: float = 1.0,
        truncation: float | None = None,
        output: Output = "uint8",
    ) -> Iterator[Images]:
        """Draw `total` images in batches, in constant memory: the images of `sample`, whatever the batch size.

        Labels are repeated in order: image i has the label labels[i % len(labels)], by its absolute index i, from
        `first` on, so that a job can be cut anywhere, and its parts joined. The last batch may be shorter. Arguments
        are checked at the call. Raises as `sample` does.
        """
        conditions = self._carried(to_conditions(labels, self.classes))
        count, size, kind = (
            checked_total(total),
            checked_count("batch_size", batch_size),
            checked_output(output),
        )
        if len(conditions) == 0 and count > 0:
            raise InputError("needs one label or more, got none", field="labels", expected=1)
        check_images_fit(min(size, count), self.image_shape, "batch_size", bytes_of_a_pixel(kind))
        begin = checked_first(first, count)
        noise = self._noise(checked_seed(seed), begin, checked_temperature(temperature), checked_truncation(truncation))
        return self._batches(conditions, begin, count, size, noise, kind)

    # fmt: off
    @overload
    async def asample(self, labels: Labels, n: int | None = None, *, seed: int | None = None, first: int = 0, temperature: float = 1.0, truncation: float | None = None, output: Literal["uint8"] = "uint8") -> _Uint8s: ...
    @overload
    async def asample(self, labels: Labels, n: int | None = None, *, seed: int | None = None, first: int = 0, temperature: float = 1.0, truncation: float | None = None, output: Literal["float32"]) -> _Float32s: ...
    @overload
    async def asample(self, labels: Labels, n: int | None = None, *, seed: int | None = None, first: int = 0, temperature: float = 1.0, truncation: float | None = None, output: Literal["pil"]) -> "list[Image]": ...
    @overload
    async def asample(self, labels: Labels, n: int | None = None, *, seed: int | None = None, first: int = 0, temperature: float = 1.0, truncation: float | None = None, output: Literal["png"]) -> list[bytes]: ...
    # fmt: on
    async def asample(
        self,
        labels: Labels,
        n: int | None = None,
        *,
        seed: int | None = None,
        first: int = 0,
        temperature: float = 1.0,
        truncation: float | None = None,
        output: Output = "uint8",
    ) -> Images:
        """`sample` for asyncio: drawn in a thread, while the event loop goes on."""
        return await in_thread(
            lambda: self.sample(
                labels, n, seed=seed, first=first, temperature=temperature, truncation=truncation, output=output
            )
        )

    # fmt: off
    @overload
    def astream(self, labels: Labels, total: int, batch_size: int = 1024, *, seed: int | None = None, first: int = 0, temperature: float = 1.0, truncation: float | None = None, output: Literal["uint8"] = "uint8") -> AsyncIterator[_Uint8s]: ...
    @overload
    def astream(self, labels: Labels, total: int, batch_size: int = 1024, *, seed: int | None = None, first: int = 0, temperature: float = 1.0, truncation: float | None = None, output: Literal["float32"]) -> AsyncIterator[_Float32s]: ...
    @overload
    def astream(self, labels: Labels, total: int, batch_size: int = 1024, *, seed: int | None = None, first: int = 0, temperature: float = 1.0, truncation: float | None = None, output: Literal["pil"]) -> "AsyncIterator[list[Image]]": ...
    @overload
    def astream(self, labels: Labels, total: int, batch_size: int = 1024, *, seed: int | None = None, first: int = 0, temperature: float = 1.0, truncation: float | None = None, output: Literal["png"]) -> AsyncIterator[list[bytes]]: ...
    # fmt: on
    def astream(
        self,
        labels: Labels,
        total: int,
        batch_size: int = 1024,
        *,
        seed: int | None = None,
        first: int = 0,
        temperature: float = 1.0,
        truncation: float | None = None,
        output: Output = "uint8",
    ) -> AsyncIterator[Images]:
        """`stream` for asyncio: each batch is drawn in a thread, one ahead of the one that is used."""
        batches = self.stream(
            labels,
            total,
            batch_size,
            seed=seed,
            first=first,
            temperature=temperature,
            truncation=truncation,
            output=output,
        )
        return one_ahead(batches)

    def verify(self) -> Verification:
        """Check every file of the artifact and replay its recorded images; a server's, if `manifest` was given.

        Raises ArtifactError for a file that is not what was listed, GoldenError for images that differ by more than
        1e-5.
        """
        from cvae_sdk.goldens import GOLDEN_NAME, read_goldens  # which nothing else needs

        if self._model.artifact is None:
            raise ArtifactError("a server's files cannot be checked: give the artifact that it serves as manifest=")
        artifact = Artifact.open(self._model.artifact.folder)
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

    def _sampled(self, labels: object, n: object, bytes_of_a_pixel: int) -> Conditions:
        self._check_labels_fit(labels, bytes_of_a_pixel)
        conditions = self._carried(to_conditions(labels, self.classes))
        if not conditions.one:
            if n is not None:
                raise InputError(
                    f"n goes with one label, got {len(conditions)} labels: repeat them with numpy.repeat instead",
                    field="n", found=n,
                )  # fmt: skip
            return conditions
        count = 1 if n is None else checked_count("n", n, 0)
        check_images_fit(count, self.image_shape, "n", bytes_of_a_pixel)
        return Conditions(np.repeat(conditions.values, count, axis=0), one=False)

    def _batches(
        self, conditions: Conditions, first: int, total: int, size: int, noise: Latents, output: Output
    ) -> Iterator[Images]:
        most = 0 if self._model.remote else min(_STRIDE, _STRIDE_PIXELS // prod(self.image_shape))
        start, at_once = 0, min(_FIRST_STRIDE, most)
        while start < total:
            count = min(size * max(1, at_once // size), total - start)
            rows = (np.arange(count) + (first + start) % max(1, len(conditions))) % max(1, len(conditions))
            batches = draw_batches(
                self._model, Conditions(conditions.values[rows], one=False), _shifted(noise, start), output, size
            )
            batches.reverse()
            while batches:  # none is held here once it is given
                yield finished(batches.pop(), output)
            start, at_once = start + count, min(2 * at_once, most)


def _shifted(noise: Latents, by: int) -> Latents:
    return lambda start, count: noise(by + start, count)
