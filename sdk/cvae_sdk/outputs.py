"""Images as a call gives them, chosen by `output`.

uint8     array [n, height, width, channels], each pixel in [0, 1] as the nearest of 256 grey levels
float32   the same array in [0, 1], as the model gives it
pil       a list of PIL images, of mode L or RGB
png       a list of PNG files' bytes
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from cvae_sdk.errors import InputError, one_line

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Images", "Output", "bytes_of_a_pixel", "checked_output", "dtype_of", "finished", "to_uint8", "write_pixels"]

Output = Literal["uint8", "float32", "pil", "png"]
Images = npt.NDArray[Any] | list[Any]
_OUTPUTS = ("uint8", "float32", "pil", "png")


def checked_output(output: object) -> Output:
    """One of the four; InputError for anything else."""
    if not isinstance(output, str) or output not in _OUTPUTS:
        names = ", ".join(_OUTPUTS)
        raise InputError(
            f"output must be one of {names}, got {one_line(output)}", field="output", expected=names, found=output
        )
    return output  # pyright: ignore[reportReturnType]


def dtype_of(output: Output) -> type[np.uint8] | type[np.float32]:
    """Of the array in which images are collected for it."""
    return np.float32 if output == "float32" else np.uint8


def bytes_of_a_pixel(output: Output) -> int:
    """Of that array."""
    return np.dtype(dtype_of(output)).itemsize


def write_pixels(images: npt.NDArray[np.float32], targets: Iterable[npt.NDArray[Any]]) -> None:
    """Write float32 images in [0, 1] into arrays that together are as long, all of float32 or all of uint8.

    For uint8, `images` is scratch from then on.
    """
    scaled, begin = False, 0
    for target in targets:
        if not scaled and target.dtype == np.uint8:
            images *= np.float32(255)
            images += np.float32(0.5)
            scaled = True
        np.copyto(target, images[begin : begin + len(target)], casting="unsafe")
        begin += len(target)


def to_uint8(images: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Pixels in [0, 1] as the nearest of 256 grey levels."""
    levels = np.empty(images.shape, np.uint8)
    write_pixels(images.copy(), [levels])
    return levels


def finished(images: npt.NDArray[Any], output: Output) -> Images:
    """What a call gives of the collected array."""
    if output == "pil":
        return to_pil(images)
    if output == "png":
        from cvae_sdk.png import png_files

        return list(png_files(images))
    return images


def to_pil(images: npt.NDArray[np.uint8]) -> "list[Image]":
    """uint8 images [n, height, width, 1 or 3] as PIL images."""
    from PIL import Image  # takes longer to import than a sample to draw

    return [Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image) for image in images]
