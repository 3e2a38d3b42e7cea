"""That the tensors of an answer are those that were asked for, and images such as a decoder can give."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from cvae_sdk.errors import ProtocolError, one_line

__all__ = ["TOLERANCE", "Shapes", "check_tensor", "count_numbers", "not_as_asked"]

Shapes = Mapping[str, tuple[int, ...]]
"""Of the outputs that a request asks for, by name; each is float32."""
TOLERANCE = 1e-5
"""That a pixel may lie outside [0, 1]: what runtimes may differ by."""


def count_numbers(shapes: Shapes) -> int:
    """Of all outputs together."""
    return sum(math.prod(shape) for shape in shapes.values())


def check_tensor(name: str, tensor: npt.NDArray[Any], server: str) -> npt.NDArray[np.float32]:
    """The output of that name, finite, and of an image within [0, 1]; ProtocolError for one that is not."""
    if name == "image":
        low, high = float(tensor.min()), float(tensor.max())  # NaN if one is there
        if not (low >= -TOLERANCE and high <= 1 + TOLERANCE):
            found = low if not low >= -TOLERANCE else high
            raise not_as_asked(server, name, "pixels from 0 to 1", found)
        return tensor if low >= 0 and high <= 1 else np.clip(tensor, 0, 1)
    if not np.isfinite(tensor).all():
        raise not_as_asked(server, name, "finite numbers", tensor[~np.isfinite(tensor)].flat[0].item())
    return tensor


def not_as_asked(server: str, field: str, expected: object, found: object) -> ProtocolError:
    """What to raise for a part of an answer that must be something else."""
    return ProtocolError(
        f"{server} gives what was not asked for: {field} must be {expected}, got "
        f"{'nothing' if found is None else one_line(found)}",
        field=field, expected=expected, found=found,
    )  # fmt: skip
