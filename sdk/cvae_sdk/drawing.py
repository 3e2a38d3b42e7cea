"""Latents and conditions in, images out, in chunks: the same bits however they are cut."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from threading import Condition
from typing import Any

import numpy as np
import numpy.typing as npt

from cvae_sdk.backends import Backend
from cvae_sdk.conditions import Conditions
from cvae_sdk.errors import TooLargeError, one_line
from cvae_sdk.memory import check_images_fit
from cvae_sdk.model import Model
from cvae_sdk.outputs import Output, dtype_of, write_pixels

__all__ = ["Latents", "draw", "draw_batches"]

CHUNK = 512
"""Images at a time: enough to be fast, few enough to stay in the processor's cache."""

Latents = Callable[[int, int], npt.NDArray[np.float32]]
"""(start, count) -> latents [count, latent_dim] of images `start` and on of those to be drawn."""


def draw(model: Model, conditions: Conditions, latents: Latents, output: Output) -> npt.NDArray[Any]:
    """An image for each condition, uint8 or, for the output float32, float32 [n, height, width, channels].

    Many chunks are drawn side by side, each on one thread, where the backend says that this pays. Raises TooLargeError.
    """
    return draw_batches(model, conditions, latents, output, len(conditions))[0]


def draw_batches(
    model: Model, conditions: Conditions, latents: Latents, output: Output, size: int
) -> list[npt.NDArray[Any]]:
    """The same in arrays of `size` images, the last of what is left: at least one array, each with its own memory."""
    count, shape = len(conditions), model.manifest.image_shape
    size = max(1, size)
    batches = [_room(min(size, count - start), shape, dtype_of(output)) for start in range(0, max(1, count), size)]

    def draw_chunks(backend: Model | Backend, chunks: Iterable[_Chunk]) -> None:
        for start, z in chunks:
            inputs = {"z": z, conditions.name: conditions.values[start : start + len(z)]}
            images = backend.run(conditions.signature, inputs)["image"]
            write_pixels(images, _parts(batches, size, start, len(z)))

    backend, workers = model.side_by_side() if count > CHUNK else (model, 1)
    if workers == 1:
        draw_chunks(backend, _chunks(latents, count))
    else:
        shared = _Shared(_chunks(latents, count), workers)

        def work(_: int) -> None:
            try:
                draw_chunks(backend, shared)
            except BaseException:
                shared.end()
                raise

        model.spread(workers, work)
    return batches


_Chunk = tuple[int, npt.NDArray[np.float32]]
"""Where it begins, and its latents."""


def _chunks(latents: Latents, count: int) -> Iterator[_Chunk]:
    for start in range(0, count, CHUNK):
        yield start, latents(start, min(CHUNK, count - start))


def _parts(batches: list[npt.NDArray[Any]], size: int, start: int, count: int) -> list[npt.NDArray[Any]]:
    parts: list[npt.NDArray[Any]] = []
    while count > 0:
        number, begin = divmod(start, size)
        part = batches[number][begin : begin + count]
        parts.append(part)
        start, count = start + len(part), count - len(part)
    return parts


class _Shared:
    """Chunks for many threads, each taken by one of them. There are no more for any once one has failed.

    Latents are a hundred short calls of NumPy: two threads at it at once would only pass the interpreter's lock to and
    fro, and take four times as long. So one thread at a time draws them, for itself or for another that is decoding.
    """

    def __init__(self, chunks: Iterator[_Chunk], ahead: int) -> None:
        self._chunks, self._ahead = chunks, ahead
        self._ready: deque[_Chunk] = deque()
        self._drawing = self._ended = False
        self._changed = Condition()

    def __iter__(self) -> "_Shared":
        return self

    def __next__(self) -> _Chunk:
        while True:
            with self._changed:
                while self._drawing and not self._ready:
                    self._changed.wait()
                if self._drawing or self._ended or len(self._ready) >= self._ahead:
                    if not self._ready:
                        raise StopIteration
                    return self._ready.popleft()
                self._drawing = True
            self._draw()

    def end(self) -> None:
        """Those that are ready are given up too."""
        with self._changed:
            self._ended = True
            self._ready.clear()

    def _draw(self) -> None:
        chunk = None
        try:
            chunk = next(self._chunks, None)
        finally:
            with self._changed:
                self._drawing = False
                if chunk is None:
                    self._ended = True
                elif not self._ended:
                    self._ready.append(chunk)
                self._changed.notify_all()


def _room(count: int, image_shape: tuple[int, int, int], dtype: type[np.uint8] | type[np.float32]) -> npt.NDArray[Any]:
    check_images_fit(count, image_shape, "n", np.dtype(dtype).itemsize)
    try:
        return np.empty((count, *image_shape), dtype)
    except (MemoryError, ValueError, OverflowError) as error:
        raise TooLargeError(
            f"{one_line(count)} images do not fit into memory: ask for fewer at a time, or use stream",
            field="n", expected="fewer", found=count,
        ) from error  # fmt: skip
