"""The batches of a run, in chunks of consecutive steps of one epoch.

    batch_t = rows [p B, (p + 1) B) of the permutation of the images by fold_in(order_key, epoch of t),
              p = t mod the epoch's steps, B = batch_size

A resident chunk is an epoch: the images lie on each device in the data set's order, and steps pick their rows. A
streamed chunk holds the images of its steps in the order in which these use them. Both give the same batches.
"""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Int32, PRNGKeyArray, UInt8

from cvae_training.data import Split
from cvae_training.placement import Placement

__all__ = ["Batches", "Chunk", "batch_at", "chunks"]


class Batches(NamedTuple):
    """What a chunk's steps take their batches from, on the devices."""

    images: UInt8[Array, "*axes height width channels"]
    """Resident: [n]; streamed: [steps, batch]."""
    labels: Int32[Array, "*axes"]
    rows: Int32[Array, "steps batch"] | None
    """The images of each step, where they are resident."""


class Chunk(NamedTuple):
    """Consecutive steps, from `first` to before `end`, and their batches."""

    first: int
    end: int
    batches: Batches


def batch_at(
    batches: Batches, step: Int32[Array, ""], placement: Placement
) -> tuple[UInt8[Array, "batch height width channels"], Int32[Array, " batch"]]:
    """Images and labels of a chunk's step, counted from its first; each device has its share."""
    split = placement.split(0)
    if batches.rows is None:
        images, labels = batches.images[step], batches.labels[step]
    else:
        rows = jax.lax.with_sharding_constraint(batches.rows[step], split)
        images, labels = batches.images[rows], batches.labels[rows]
    return jax.lax.with_sharding_constraint(images, split), jax.lax.with_sharding_constraint(labels, split)


def chunks(
    split: Split, order_key: PRNGKeyArray, batch_size: int, step: int, last_step: int, placement: Placement
) -> Iterator[Chunk]:
    """The chunks from the one that holds `step` to the one that ends at `last_step`, an epoch's end."""
    if placement.is_streamed:
        from cvae_training.stream import streamed_chunks

        yield from streamed_chunks(split, order_key, batch_size, step, last_step, placement)
        return
    images, labels = placement.replicate((split.images, split.labels))
    steps = len(split) // batch_size
    for first in range(step - step % steps, last_step, steps):
        rows = epoch_rows(order_key, first // steps, len(split), batch_size)
        yield Chunk(first, first + steps, Batches(images, labels, placement.replicate(rows)))


def epoch_rows(
    order_key: PRNGKeyArray, epoch: int, num_images: int, batch_size: int
) -> Int32[np.ndarray, "steps batch"]:
    """The rows of each step's batch of an epoch."""
    order = np.asarray(_permutation(jax.random.fold_in(order_key, epoch), num_images))
    steps = num_images // batch_size
    return order[: steps * batch_size].reshape(steps, batch_size)


@partial(jax.jit, static_argnums=1)
def _permutation(key: PRNGKeyArray, count: int) -> Int32[Array, " count"]:
    return jax.random.permutation(key, count)
