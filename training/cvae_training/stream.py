"""Training images streamed to the devices by Grain, which has the next chunks ready in threads of its own.

The only file that knows Grain.
"""

from collections.abc import Iterator
from functools import lru_cache, partial
from typing import NamedTuple

import grain
import jax
import numpy as np
from jaxtyping import Array, Int32, PRNGKeyArray, UInt8

from cvae_training.chunks import Batches, Chunk, epoch_rows
from cvae_training.data import Split
from cvae_training.placement import Placement

__all__ = ["streamed_chunks"]

_CHUNK_BYTES = 32 << 20
_READ = grain.ReadOptions(num_threads=4, prefetch_buffer_size=4)


class _HostChunk(NamedTuple):
    first: int
    end: int
    images: UInt8[np.ndarray, "steps share height width channels"]
    labels: Int32[np.ndarray, "steps share"]


def streamed_chunks(
    split: Split, order_key: PRNGKeyArray, batch_size: int, step: int, last_step: int, placement: Placement
) -> Iterator[Chunk]:
    """As `chunks` gives them, the next one on its way to the devices while a chunk is used."""
    steps = len(split) // batch_size
    batch_bytes = batch_size * split.images[:1].nbytes
    per_chunk = max(1, min(steps, _CHUNK_BYTES // batch_bytes))
    starts = [
        first
        for epoch_start in range(step - step % steps, last_step, steps)
        for first in range(epoch_start, epoch_start + steps, per_chunk)
        if min(first + per_chunk, epoch_start + steps) > step
    ]
    columns = _own_columns(batch_size, placement)
    rows_of = lru_cache(2)(partial(epoch_rows, order_key, num_images=len(split), batch_size=batch_size))

    def read(index: int) -> _HostChunk:
        first = starts[index]
        position = first % steps
        # The last chunk of an epoch repeats its last batch: another shape would have to be compiled for.
        rows = rows_of(first // steps)[:, columns].take(range(position, position + per_chunk), axis=0, mode="clip")
        return _HostChunk(first, first + min(per_chunk, steps - position), split.images[rows], split.labels[rows])

    put = partial(_put, placement=placement, batch_size=batch_size)
    waiting: Chunk | None = None
    for host in grain.MapDataset.range(len(starts)).map(read).to_iter_dataset(_READ):
        batches = Batches(put(host.images), put(host.labels), None)
        if waiting is not None:
            yield waiting
        waiting = Chunk(host.first, host.end, batches)
    if waiting is not None:
        yield waiting


def _own_columns(batch_size: int, placement: Placement) -> slice:
    """Which images of each batch this process's devices take."""
    parts = placement.split(0).addressable_devices_indices_map((batch_size,)).values()
    bounds = [part[0].indices(batch_size) for part in parts if part is not None]
    return slice(min(start for start, _, _ in bounds), max(stop for _, stop, _ in bounds))


def _put(share: np.ndarray, placement: Placement, batch_size: int) -> Array:
    shape = (share.shape[0], batch_size, *share.shape[2:])
    return jax.make_array_from_process_local_data(placement.split(1), share, shape)
