"""Many images as one picture: a sheet, or an animation."""

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from cvae_sdk.errors import TooLargeError, one_line

__all__ = ["animate", "check_frames", "check_sheet", "tile"]

_GAP = 2
_MOST_PIXELS = 1 << 28  # Pillow fails at a larger one too, but only after filling the memory


def tile(images: npt.NDArray[np.uint8], columns: int, gap: int = _GAP, scale: int = 1) -> Image.Image:
    """Lay uint8 images [n, height, width, 1 or 3] in rows of `columns`, `gap` black pixels apart.

    Each pixel is drawn `scale` wide and high. Raises TooLargeError for more than 2^28 pixels.
    """
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    high, wide = _sides(rows, columns, (height, width, channels), gap)
    _check_pixels(high * wide * scale**2, "scale")
    sheet = np.zeros((high, wide, channels), np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        sheet[top : top + height, left : left + width] = image
    picture = Image.fromarray(sheet[..., 0] if channels == 1 else sheet)
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)


def animate(images: npt.NDArray[np.uint8], duration: int, scale: int = 1) -> bytes:
    """A GIF file that shows uint8 images [n, height, width, 1 or 3] for `duration` milliseconds each, without end.

    Each pixel is drawn `scale` wide and high. Raises TooLargeError for frames of more than 2^28 pixels together.
    """
    check_frames(len(images), images.shape[1:], scale)
    frames = [tile(images[i : i + 1], columns=1, scale=scale) for i in range(len(images))]
    content = io.BytesIO()
    frames[0].save(content, "GIF", save_all=True, append_images=frames[1:], duration=duration, loop=0)
    return content.getvalue()


def check_sheet(rows: int, columns: int, image_shape: tuple[int, ...], scale: int) -> None:
    """Raise TooLargeError for a picture that `tile` would not draw, before there are images for it."""
    high, wide = _sides(rows, columns, image_shape, _GAP)
    _check_pixels(high * wide * scale**2, "scale")


def check_frames(count: int, image_shape: tuple[int, ...], scale: int) -> None:
    """Raise TooLargeError for an animation that `animate` would not draw, before there are images for it."""
    _check_pixels(count * image_shape[0] * image_shape[1] * scale**2, "scale")


def _sides(rows: int, columns: int, image_shape: tuple[int, ...], gap: int) -> tuple[int, int]:
    return rows * (image_shape[0] + gap) - gap, columns * (image_shape[1] + gap) - gap


def _check_pixels(pixels: int, field: str) -> None:
    if pixels > _MOST_PIXELS:
        raise TooLargeError(
            f"{one_line(pixels)} pixels do not fit into memory: draw fewer or smaller images",
            field=field, expected=_MOST_PIXELS, found=pixels,
        )  # fmt: skip
