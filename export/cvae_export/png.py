"""PNG files as grey levels."""

import io

import numpy as np
from PIL import Image

from cvae_export.errors import ExportError

__all__ = ["grey_levels"]


def grey_levels(content: bytes, channels: int) -> np.ndarray:
    """The picture of a PNG file: uint8 [height, width, channels]. Raises ExportError for what is no such PNG."""
    mode = {1: "L", 3: "RGB"}[channels]
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            if picture.mode != mode:
                raise ExportError(f"the PNG has the mode {picture.mode}, not {mode}")
            return np.asarray(picture).reshape(picture.height, picture.width, channels)
    except (OSError, SyntaxError) as error:  # Pillow raises SyntaxError for a damaged chunk
        raise ExportError(f"no PNG: {error}") from error
