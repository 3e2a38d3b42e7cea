"""Save and restore a training state: the only file that knows Orbax."""

import gc
import logging
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import jax
import orbax.checkpoint as ocp

from cvae_training.errors import RunError
from cvae_training.train import TrainState

__all__ = ["restore", "save"]

_Result = TypeVar("_Result")


def save(folder: Path, state: TrainState) -> None:
    """Write `state` to a new folder; Orbax writes beside it and renames, so it is there whole or not at all."""

    def write() -> None:
        with ocp.StandardCheckpointer() as checkpointer:
            checkpointer.save(folder.absolute(), state._asdict())

    _with_one_error(f"cannot save a checkpoint to {folder}", write)


def restore(folder: Path, like: TrainState) -> TrainState:
    """Read back a state of the same tree, shapes and dtypes as `like`, whose arrays may be `jax.ShapeDtypeStruct`.

    Raises RunError where there is no checkpoint, or one that does not fit.
    """
    if not folder.is_dir():
        raise RunError(f"no checkpoint in {folder.parent}: the run did not finish")
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    target = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device), like)

    def read() -> TrainState:
        with ocp.StandardCheckpointer() as checkpointer:
            return TrainState(**checkpointer.restore(folder.absolute(), target._asdict()))

    return _with_one_error(f"cannot restore the checkpoint in {folder.parent}", read)


def _with_one_error(failure: str, action: Callable[[], _Result]) -> _Result:
    """Raise what `action` raises as one RunError, without the tracebacks that Orbax's threads and tasks print besides.

    They come through two loggers and, from tasks that are collected unawaited, through `sys.unraisablehook`.
    """
    loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]
    levels = [logger.level for logger in loggers]
    hook = sys.unraisablehook
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    sys.unraisablehook = lambda _: None
    try:
        return action()
    except Exception as error:  # Orbax and TensorStore raise many types, for a damaged file even bare ones
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        if getattr(hook, "func", None) is not _hear_all_but_stragglers:
            hook = partial(_hear_all_but_stragglers, hook)
    finally:
        gc.collect()
        sys.unraisablehook = hook
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
    raise RunError(f"{failure}: {reason}")


def _hear_all_but_stragglers(hook: Callable[[Any], object], unraisable: Any) -> None:
    # TensorStore's threads end after Orbax has given up, and each finds the event loop closed that it reports to.
    if str(unraisable.exc_value) != "Event loop is closed":
        hook(unraisable)
