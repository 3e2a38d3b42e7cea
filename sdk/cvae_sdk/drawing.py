"""Latents and conditions in, images out, in chunks: the same bits however they are cut."""

from collections.abc import Callable
from functools import partial
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from cvae_sdk.backends import Backend
from cvae_sdk.conditions import Conditions
from cvae_sdk.errors import TooLargeError, one_line
from cvae_sdk.memory import check_images_fit
from cvae_sdk.model import Model
from cvae_sdk.outputs import Output, dtype_of, write_pixels

__all__ = ["Latents", "draw"]

CHUNK = 512
"""Images at a time: enough to be fast, few enough to stay in the processor's cache."""

Latents = Callable[[int, int], npt.NDArray[np.float32]]
"""(start, count) -> latents [count, latent_dim] of images `start` and on of those to be drawn."""


def draw(model: Model, conditions: Conditions, latents: Latents, output: Output) -> npt.NDArray[Any]:
    """An image for each condition, uint8 or, for the output float32, float32 [n, height, width, channels].

    Many chunks are drawn side by side, each on one thread, where the backend says that this pays. Raises TooLargeError.
    """
    images = _room(len(conditions), model.manifest.image_shape, dtype_of(output))
    starts = range(0, len(images), CHUNK)
    turn = Lock()

    def draw_chunk(backend: Model | Backend, start: int) -> None:
        rows = conditions.values[start : start + CHUNK]
        # Latents are a hundred short calls of NumPy: two threads at it at once would only pass the interpreter's lock
        # to and fro, and take four times as long.
        with turn:
            z = latents(start, len(rows))
        inputs = {"z": z, conditions.name: rows}
        write_pixels(backend.run(conditions.signature, inputs)["image"], images[start : start + CHUNK])

    backend, workers = model.side_by_side() if len(starts) > 1 else (model, 1)
    if workers == 1:
        for start in starts:
            draw_chunk(backend, start)
    else:
        model.spread(workers, partial(draw_chunk, backend), starts)
    return images


def _room(count: int, image_shape: tuple[int, int, int], dtype: type[np.uint8] | type[np.float32]) -> npt.NDArray[Any]:
    check_images_fit(count, image_shape, "n", np.dtype(dtype).itemsize)
    try:
        return np.empty((count, *image_shape), dtype)
    except (MemoryError, ValueError, OverflowError) as error:
        raise TooLargeError(
            f"{one_line(count)} images do not fit into memory: ask for fewer at a time, or use stream",
            field="n", expected="fewer", found=count,
        ) from error  # fmt: skip
