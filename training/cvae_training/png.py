"""Images as one PNG inside a page: a row of them, with see-through gaps."""

import base64
import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from PIL import Image

__all__ = ["Strip", "strip"]

_GAP = 2
_LARGEST_SIDE = 96


class Strip(NamedTuple):
    """A PNG as a data URI, and its size in pixels."""

    uri: str
    width: int
    height: int


def strip(images: Float[np.ndarray, "n height width channels"], groups: int = 1) -> Strip:
    """Images in [0, 1], grey or RGB, beside each other; a gap after each, and a wider one after each `groups`.

    Images larger than 96 pixels are made smaller.
    """
    tiles = [_tile(image) for image in np.floor(images * np.float32(255) + np.float32(0.5)).astype(np.uint8)]
    width, height = tiles[0].size
    lefts = _lefts(len(tiles), width, groups)
    whole = Image.new("RGBA" if tiles[0].mode == "RGB" else "LA", (lefts[-1] + width, height))
    for left, tile in zip(lefts, tiles, strict=True):
        whole.paste(tile.convert(whole.mode), (left, 0))
    content = io.BytesIO()
    whole.save(content, "PNG", optimize=False)
    return Strip("data:image/png;base64," + base64.b64encode(content.getvalue()).decode(), *whole.size)


def _tile(image: np.ndarray) -> Image.Image:
    tile = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    tile.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE))
    return tile


def _lefts(count: int, width: int, groups: int) -> Sequence[int]:
    return [i * (width + _GAP) + (i // groups if groups > 1 else 0) * 2 * _GAP for i in range(count)]
