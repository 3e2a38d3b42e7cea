"""Save and restore training states: the only file that knows Orbax.

    checkpoints/step-00000531/state/         Orbax's own files
    checkpoints/step-00000531/sums.json      their SHA-256, by relative path

A checkpoint appears under its name whole and on disk, or not at all. Orbax and TensorStore check no sums of their own:
a flipped bit in an array would be restored without a word.
"""

import gc
import hashlib
import json
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from cvae_training.errors import DamagedCheckpointError, RunError
from cvae_training.objective import Losses
from cvae_training.train import TrainState

if TYPE_CHECKING:
    import orbax.checkpoint as ocp

__all__ = ["checkpoints", "import_meanwhile", "remove", "restore", "save", "step_of"]

_Result = TypeVar("_Result")
_PREFIX = "step-"
_STATE, _SUMS = "state", "sums.json"


def import_meanwhile() -> None:
    """Import Orbax, which takes half a second, in a thread: while the first steps are compiled, say."""
    Thread(target=import_module, args=("orbax.checkpoint",), daemon=True).start()


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in a folder, the newest first."""
    if not folder.is_dir():
        return []
    return sorted((path for path in folder.iterdir() if path.name.startswith(_PREFIX)), reverse=True)


def step_of(checkpoint: Path) -> int:
    """How many steps had been trained when it was saved."""
    return int(checkpoint.name.removeprefix(_PREFIX))


def save(folder: Path, state: TrainState) -> Path:
    """Save `state` as a checkpoint in `folder`, and give its path; one that is there for its step is kept.

    What lies on several devices must be the same on each. Raises RunError where it cannot be written; nothing of it is
    left then.
    """
    target = folder / f"{_PREFIX}{int(state.step):08}"
    if target.exists():
        return target
    work, failure = None, f"cannot save a checkpoint to {target}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".saving-", dir=folder))
        _with_one_error(failure, partial(_write, work / _STATE, state))
        (work / _SUMS).write_text(json.dumps(_sums(work / _STATE), indent=2, sort_keys=True) + "\n")
        for path in (*work.rglob("*"), work):
            _sync(path)
        work.rename(target)
        _sync(folder)
    except OSError as error:
        raise RunError(f"{failure}: {error.strerror}") from error
    finally:
        if work is not None:
            shutil.rmtree(work, ignore_errors=True)
    return target


def restore(checkpoint: Path, like: TrainState) -> TrainState:
    """Read back a state of the same tree, shapes and dtypes as `like`, whose arrays may be `jax.ShapeDtypeStruct`.

    Raises DamagedCheckpointError for files that are not those that were saved, RunError for a state that does not fit.
    """
    try:
        recorded = json.loads((checkpoint / _SUMS).read_text())
        found = _sums(checkpoint / _STATE)
    except (OSError, ValueError) as error:
        raise DamagedCheckpointError(f"{checkpoint} is damaged: {_first_line(error)}") from error
    if found != recorded:
        names = sorted(found.keys() | recorded.keys()) if isinstance(recorded, dict) else [_SUMS]
        name = next(name for name in names if name == _SUMS or found.get(name) != recorded.get(name))
        raise DamagedCheckpointError(f"{checkpoint} is damaged: {name} is not what was saved")
    target = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), like)
    failure = f"cannot restore {checkpoint}"
    values = _with_one_error(failure, partial(_read, checkpoint / _STATE, target))
    state = TrainState(**{**values, "sums": Losses(*values["sums"])})
    for (path, asked), got in zip(jax.tree.leaves_with_path(target), jax.tree.leaves(state), strict=True):
        if (got.shape, got.dtype) != (asked.shape, asked.dtype):  # Orbax gives arrays as they were saved
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            raise RunError(f"{failure}: {name} is {got.dtype} {got.shape}, not {asked.dtype} {asked.shape}")
    return jax.tree.map(jnp.asarray, state)


def _write(folder: Path, state: TrainState) -> None:
    with _checkpointer() as checkpointer:
        checkpointer.save(folder.absolute(), jax.tree.map(np.asarray, state)._asdict())


def _read(folder: Path, target: TrainState) -> dict[str, Any]:
    with _checkpointer() as checkpointer:
        return checkpointer.restore(folder.absolute(), target._asdict())


def _checkpointer() -> "ocp.StandardCheckpointer":
    """One that asks nothing of other processes: each reads for itself, and one writes."""
    import orbax.checkpoint as ocp  # not with this file: what needs no checkpoint need not wait for it

    this = jax.process_index()
    return ocp.StandardCheckpointer(
        multiprocessing_options=ocp.options.MultiprocessingOptions(primary_host=this, active_processes={this})
    )


def remove(checkpoint: Path) -> None:
    """Remove a checkpoint; what is left of it when this is cut short does not pass for one."""
    hidden = checkpoint.with_name(f".removing-{checkpoint.name}")
    checkpoint.rename(hidden)
    shutil.rmtree(hidden, ignore_errors=True)


def _sums(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _with_one_error(failure: str, action: Callable[[], _Result]) -> _Result:
    """Raise what `action` raises as one RunError, without the tracebacks that Orbax's threads and tasks print besides.

    They come through two loggers and, from tasks that are collected unawaited, through `sys.unraisablehook`.
    """
    loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]
    levels = [logger.level for logger in loggers]
    hook, failed = sys.unraisablehook, False
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    sys.unraisablehook = lambda _: None
    try:
        return action()
    except Exception as error:  # Orbax and TensorStore raise many types
        reason, failed = _first_line(error), True
        if getattr(hook, "func", None) is not _hear_all_but_stragglers:
            hook = partial(_hear_all_but_stragglers, hook)
    finally:
        if failed:
            gc.collect()  # the tasks that were left unawaited; it takes a fifth of a second
        sys.unraisablehook = hook
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
    raise RunError(f"{failure}: {reason}")


def _hear_all_but_stragglers(hook: Callable[[Any], object], unraisable: Any) -> None:
    # TensorStore's threads end after Orbax has given up, and each finds the event loop closed that it reports to.
    if str(unraisable.exc_value) != "Event loop is closed":
        hook(unraisable)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
