"""Images as people take them: bytes, grids, PNG."""

import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = ["tile"]


def tile(images: npt.NDArray[np.uint8], columns: int, gap: int = 2, scale: int = 1) -> Image.Image:
    """Lay uint8 images [n, height, width, 1 or 3] in rows of `columns`, `gap` black pixels apart.

    Each pixel is drawn `scale` wide and high.
    """
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    sheet = np.zeros((rows * (height + gap) - gap, columns * (width + gap) - gap, channels), np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        sheet[top : top + height, left : left + width] = image
    picture = Image.fromarray(sheet[..., 0] if channels == 1 else sheet)
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)
