"""Many images as one picture: a sheet, or an animation."""

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from cvae_sdk.errors import InputError, one_line

__all__ = ["animate", "tile"]

_MOST_PIXELS = 1 << 28  # Pillow fails at a larger one too, but only after filling the memory


def tile(images: npt.NDArray[np.uint8], columns: int, gap: int = 2, scale: int = 1) -> Image.Image:
    """Lay uint8 images [n, height, width, 1 or 3] in rows of `columns`, `gap` black pixels apart.

    Each pixel is drawn `scale` wide and high. Raises InputError for more than 2^28 pixels.
    """
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    high, wide = rows * (height + gap) - gap, columns * (width + gap) - gap
    if high * wide * scale**2 > _MOST_PIXELS:
        raise InputError(
            f"{one_line(high * wide * scale**2)} pixels do not fit into memory: draw fewer or smaller images"
        )
    sheet = np.zeros((high, wide, channels), np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        sheet[top : top + height, left : left + width] = image
    picture = Image.fromarray(sheet[..., 0] if channels == 1 else sheet)
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)


def animate(images: npt.NDArray[np.uint8], duration: int, scale: int = 1) -> bytes:
    """A GIF file that shows uint8 images [n, height, width, 1 or 3] for `duration` milliseconds each, without end.

    Each pixel is drawn `scale` wide and high. Raises InputError for frames of more than 2^28 pixels together.
    """
    frames = [tile(images[i : i + 1], columns=1, scale=scale) for i in range(len(images))]
    content = io.BytesIO()
    frames[0].save(content, "GIF", save_all=True, append_images=frames[1:], duration=duration, loop=0)
    return content.getvalue()
