"""Save and restore a training state: the only file that knows Orbax."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jax
import orbax.checkpoint as ocp

from cvae_training.errors import RunError
from cvae_training.train import TrainState

__all__ = ["restore", "save"]


def save(folder: Path, state: TrainState) -> None:
    """Write `state` to a new folder; Orbax writes beside it and renames, so it is there whole or not at all."""
    try:
        with _quiet_if_abandoned(), ocp.StandardCheckpointer() as checkpointer:
            checkpointer.save(folder.absolute(), state._asdict())
    except (OSError, ValueError) as error:
        raise RunError(f"cannot save a checkpoint to {folder}: {_first_line(error)}") from error


def restore(folder: Path, like: TrainState) -> TrainState:
    """Read back a state of the same tree, shapes and dtypes as `like`, whose arrays may be `jax.ShapeDtypeStruct`.

    Raises RunError where there is no checkpoint, or one that does not fit.
    """
    if not folder.is_dir():
        raise RunError(f"no checkpoint in {folder.parent}: the run did not finish")
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    target = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device), like)
    try:
        with _quiet_if_abandoned(), ocp.StandardCheckpointer() as checkpointer:
            return TrainState(**checkpointer.restore(folder.absolute(), target._asdict()))
    except Exception as error:  # Orbax and TensorStore raise many types, for a damaged file even bare ones
        raise RunError(f"cannot restore the checkpoint in {folder.parent}: {_first_line(error)}") from error


@contextmanager
def _quiet_if_abandoned() -> Iterator[None]:
    """Keep what Orbax abandons when it fails off the terminal, from then on; the error itself is raised as any other.

    TensorStore's threads go on to call the event loop that was closed under them, coroutines are dropped in the middle,
    futures are never awaited, and Orbax logs what it raises: each would print a traceback, hundreds in all.
    """
    hook, loggers = sys.unraisablehook, [logging.getLogger(name) for name in ("absl", "asyncio")]
    sys.unraisablehook = _ignore
    for logger in loggers:
        logger.addFilter(_ignore)
    yield
    sys.unraisablehook = hook
    for logger in loggers:
        logger.removeFilter(_ignore)


def _ignore(_: object) -> bool:
    return False


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
