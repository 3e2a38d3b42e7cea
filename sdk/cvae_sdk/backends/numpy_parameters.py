"""The parameters of a network by name, each taken once, with the shape that it must have."""

from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from cvae_sdk.errors import ModelError, named, one_line

__all__ = ["Floats", "Parameters"]

Floats = npt.NDArray[np.float32]


class Parameters:
    """What a file of weights holds; raises ModelError, naming the parameter that is missing, wrong or left over."""

    def __init__(self, arrays: Mapping[str, npt.NDArray[Any]], file: str) -> None:
        self._arrays = dict(arrays)
        self._file = file

    def take(self, name: str, *shape: int | str) -> Floats:
        """An array of float32 of its own; a size that is a word is any but 0."""
        array = self._arrays.pop(name, None)
        fits = (
            array is not None
            and array.dtype == np.float32
            and len(array.shape) == len(shape)
            and all(
                size == got or (isinstance(size, str) and got > 0) for size, got in zip(shape, array.shape, strict=True)
            )
        )
        if array is None or not fits:
            expected = f"float32 [{', '.join(map(str, shape))}]"
            self._refuse(name, expected, None if array is None else f"{array.dtype} {list(array.shape)}")
        if not np.isfinite(array).all():
            self._refuse(name, "finite numbers", "NaN or infinity")
        return np.array(array, np.float32, order="C")  # aligned, which a file's bytes need not be

    def take_number(self, name: str) -> np.float32:
        """A single number, which a file may hold as an array of one."""
        shape = () if name in self._arrays and self._arrays[name].ndim == 0 else (1,)
        return np.float32(self.take(name, *shape).reshape(()))

    def has_any(self, *parts: str) -> bool:
        """Whether a parameter is left of one of these parts of the network."""
        return any(name.split("/")[0] in parts for name in self._arrays)

    def count(self, layers: str) -> int:
        """How many layers there are of a name that ends in their number: encoder/Dense_."""
        return len({name[len(layers) :].split("/")[0] for name in self._arrays if name.startswith(layers)})

    def finish(self, *unused: str) -> None:
        """Refuse what nothing took but for these parts, since a network with more to it is another one."""
        for name in self._arrays:
            if name.split("/")[0] not in unused:
                self._refuse(name, "no such parameter, by what the file says of its network", name)

    def _refuse(self, name: str, expected: str, found: object) -> NoReturn:
        shown = "nothing" if found is None else one_line(found)
        raise ModelError(
            f"{self._file}: {named(name)} must be {expected}, got {shown}: export the artifact again",
            file=self._file, field=name, expected=expected, found=found,
        )  # fmt: skip
