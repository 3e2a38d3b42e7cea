"""Save and restore a training state: the only file that knows Orbax."""

from pathlib import Path

import jax
import orbax.checkpoint as ocp

from cvae_training.errors import RunError
from cvae_training.train import TrainState

__all__ = ["restore", "save"]


def save(folder: Path, state: TrainState) -> None:
    """Write `state` to a new folder; Orbax writes beside it and renames, so it is there whole or not at all."""
    try:
        with ocp.StandardCheckpointer() as checkpointer:
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
        with ocp.StandardCheckpointer() as checkpointer:
            return TrainState(**checkpointer.restore(folder.absolute(), target._asdict()))
    except Exception as error:  # Orbax and TensorStore raise many types, for a damaged file even bare ones
        raise RunError(f"cannot restore the checkpoint in {folder.parent}: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
