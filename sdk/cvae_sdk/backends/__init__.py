"""One file per runtime; each imports its own heavy library, and only it does."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["Backend"]


class Backend(Protocol):
    """A loaded model. Safe to call from several threads at once."""

    def decode(self, z: npt.NDArray[np.float32], label: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """The exported function: z [batch, latent_dim], label [batch] -> image [batch, height, width, channels]."""
        ...
