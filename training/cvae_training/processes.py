"""One run in several processes: they compute together, the first one writes, and an error of one is an error of all."""

import os
from collections.abc import Callable
from typing import TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from cvae_training.errors import InputError, RunError, TrainingError

__all__ = ["any_process", "connect", "is_first", "of_first", "on_first"]

_Result = TypeVar("_Result")
_MESSAGE_BYTES = 2048


def connect(coordinator: str = "", num_processes: int | None = None, process_id: int | None = None) -> None:
    """Join the processes of a run through `jax.distributed`, before anything else uses JAX.

    `coordinator` is HOST:PORT, an address of process 0; what is not given is taken from the cluster's environment
    (SLURM, Open MPI, Cloud TPU, Kubernetes). Raises InputError for what is given in part or not to be found, RunError
    where the others do not come within JAX_DISTRIBUTED_TIMEOUT seconds (300).
    """
    host, colon, port = coordinator.rpartition(":")
    if coordinator and not (host and colon and port.isdecimal() and 0 < int(port) < 2**16):
        raise InputError(f"coordinator must be HOST:PORT, got {coordinator!r}")
    if num_processes is not None and num_processes < 1:
        raise InputError(f"num_processes must be at least 1, got {num_processes}")
    if process_id is not None and not 0 <= process_id < (num_processes or 2**31):
        raise InputError(f"process_id must be from 0 to num_processes - 1, got {process_id} of {num_processes}")
    seconds = os.environ.get("JAX_DISTRIBUTED_TIMEOUT", "300")
    if not seconds.isdecimal() or not int(seconds):
        raise InputError(f"JAX_DISTRIBUTED_TIMEOUT must be seconds, at least 1, got {seconds!r}")
    try:
        jax.distributed.initialize(coordinator or None, num_processes, process_id, initialization_timeout=int(seconds))
    except ValueError as error:
        raise InputError(
            "coordinator, num_processes and process_id must be given where no cluster's environment says them, got "
            f"{coordinator or None}, {num_processes}, {process_id}"
        ) from error
    except RuntimeError as error:
        raise RunError(f"cannot join the other processes: {str(error).splitlines()[0]}") from error


def is_first() -> bool:
    """Whether this is the process that writes: the only one, or number 0."""
    return jax.process_index() == 0


def on_first(action: Callable[[], object]) -> None:
    """Do what the first process alone may do; what TrainingError it raises there is raised in all."""
    if jax.process_count() == 1:
        action()
        return
    failure: TrainingError | None = None
    if is_first():
        try:
            action()
        except TrainingError as error:
            failure = error
    message = str(failure).encode()[:_MESSAGE_BYTES] if failure else b""
    said = multihost_utils.broadcast_one_to_all(np.frombuffer(message.ljust(_MESSAGE_BYTES, b"\0"), np.uint8))
    if failure is not None:
        raise failure
    if text := bytes(np.asarray(said)).rstrip(b"\0"):
        raise RunError(f"process 0: {text.decode(errors='replace')}")


def of_first(value: float) -> float:
    """The first process's value, in all."""
    if jax.process_count() == 1:
        return value
    return float(multihost_utils.broadcast_one_to_all(np.float32(value)))


def any_process(flag: bool) -> bool:
    """Whether the flag is set in any process."""
    if jax.process_count() == 1:
        return flag
    return bool(np.any(multihost_utils.process_allgather(np.array(flag))))
