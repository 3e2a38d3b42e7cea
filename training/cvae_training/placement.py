"""Where a run computes: on every device of every process, each with its share of every batch.

    mesh axis "data"      the images of a batch
    on every device       parameters, optimizer's state, and the training images where they are resident

What is placed where decides how fast a run is, and nothing about its results but the rounding of sums.
"""

import os
from dataclasses import dataclass
from typing import Any, Literal

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from cvae_training.errors import InputError

__all__ = ["Images", "Placement", "place"]

Images = Literal["auto", "resident", "streamed"]
"""resident: all training images lie on each device. streamed: they come from the host's memory in chunks."""

_RESIDENT_SHARE = 0.5


@dataclass(frozen=True)
class Placement:
    """The devices of a run, and whether its images are streamed to them."""

    mesh: Mesh
    is_streamed: bool = False

    @property
    def num_devices(self) -> int:
        """Devices of all processes."""
        return self.mesh.size

    @property
    def everywhere(self) -> NamedSharding:
        """The sharding of what is the same on every device."""
        return NamedSharding(self.mesh, PartitionSpec())

    def split(self, axis: int) -> NamedSharding:
        """The sharding of an array whose `axis` runs over the images of a batch."""
        return NamedSharding(self.mesh, PartitionSpec(*[None] * axis, "data"))

    def replicate(self, tree: PyTree) -> Any:
        """Put what every process has on every device."""
        return jax.device_put(tree, self.everywhere)


def place(batch_size: int, image_bytes: int, images: Images = "auto", num_devices: int = 0) -> Placement:
    """Choose the placement of a run over `image_bytes` of training images.

    `num_devices` is how many to use, 0 for all; with `auto`, images are streamed when they would take more than half
    of a device's free memory. Raises InputError for more devices than there are, or than the batch divides into.
    """
    devices = jax.devices()
    if num_devices < 0:
        raise InputError(f"devices must be at least 0, got {num_devices}")
    if num_devices > len(devices):
        raise InputError(f"devices must be at most the {len(devices)} there are, got {num_devices}")
    if 0 < num_devices < len(devices) and jax.process_count() > 1:
        raise InputError(f"devices must be 0, all of them, where there are several processes, got {num_devices}")
    devices = devices[: num_devices or len(devices)]
    if batch_size % len(devices):
        raise InputError(
            f"batch_size must divide evenly over the {len(devices)} devices, got {batch_size}: "
            f"choose a multiple of {len(devices)}, or fewer devices with --devices"
        )
    if images == "auto":
        images = "resident" if image_bytes <= _RESIDENT_SHARE * _free_bytes() else "streamed"
    return Placement(Mesh(np.array(devices), ("data",)), images == "streamed")


def _free_bytes() -> int:
    """What a device's memory still holds; a CPU's is the host's."""
    stats = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" in stats:
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // len(jax.local_devices())
