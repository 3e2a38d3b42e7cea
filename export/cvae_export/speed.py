"""How fast forms are on this machine: time to open one, its first call, and the median call by batch size.

Forms are measured in turns, so that what else the machine does hits all of them alike. The libraries are imported
before; inputs and outputs are NumPy arrays, as a caller has them.
"""

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from cvae_export.form import Form, Runner
from cvae_sdk.latents import standard_normal_latents

__all__ = ["BATCH_SIZES", "Speed", "machine", "measure_speeds", "size_in_bytes"]

BATCH_SIZES = (1, 16, 256)
_T = TypeVar("_T")
_SEED = 2026
_TURNS = 5
_TURN_SECONDS = 0.05
_MOST_CALLS = 100  # in a turn
_ENOUGH_SECONDS = 5.0  # of a form at a batch size: it takes no more turns


@dataclass(frozen=True)
class Speed:
    """Seconds: to open the files, of the first call (one image), and of the median call by batch size."""

    load: float
    first_call: float
    calls: Mapping[int, float]


def measure_speeds(
    forms: Sequence[Form],
    folder: Path,
    latent_dim: int,
    num_classes: int,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    on_step: Callable[[str, str], None] = lambda name, step: None,
) -> dict[str, Speed]:
    """The speed of each form in an artifact's `folder` that has a `decode`; `on_step` is told what comes next."""
    runners: dict[str, Runner] = {}
    opened: dict[str, tuple[float, float]] = {}
    for form in forms:
        on_step(form.name, "opening, to be timed")
        load, decode = _timed(lambda form=form: _decode(form, folder))
        if decode is not None:
            first, _ = _timed(lambda decode=decode: decode(_inputs(1, latent_dim, num_classes)))
            runners[form.name], opened[form.name] = decode, (load, first)
    calls: dict[str, dict[int, float]] = {name: {} for name in runners}
    for batch in batch_sizes:
        inputs = _inputs(batch, latent_dim, num_classes)
        taken: dict[str, list[float]] = {name: [] for name in runners}
        for turn in range(_TURNS):
            for name, run in runners.items():
                if sum(taken[name]) >= _ENOUGH_SECONDS:
                    continue
                on_step(name, f"timing batches of {batch}, turn {turn + 1} of {_TURNS}")
                taken[name] += _turn(run, inputs)
        for name, seconds in taken.items():
            calls[name][batch] = statistics.median(seconds)
    return {name: Speed(*opened[name], calls[name]) for name in runners}


def size_in_bytes(path: Path) -> int:
    """The size of a form: a file, or all files in a folder."""
    return sum(file.stat().st_size for file in (path, *path.rglob("*")) if file.is_file())


def machine() -> str:
    """The processor, as its maker calls it where the system tells, and how many cores this process may use."""
    name = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return f"{name}, {cores} {'core' if cores == 1 else 'cores'}, Python {platform.python_version()}"


def _decode(form: Form, folder: Path) -> Runner | None:
    return next((reader.run for reader in form.load(folder / form.path) if reader.signature == "decode"), None)


def _inputs(batch: int, latent_dim: int, num_classes: int) -> dict[str, np.ndarray]:
    label = (np.arange(batch) % num_classes).astype(np.int32)
    return {"z": standard_normal_latents(_SEED, 0, batch, latent_dim), "label": label}


def _turn(run: Runner, inputs: Mapping[str, np.ndarray]) -> list[float]:
    run(inputs)  # whatever a size costs when it is new, or after another form had the caches
    taken: list[float] = []
    while not taken or (sum(taken) < _TURN_SECONDS and len(taken) < _MOST_CALLS):
        seconds, _ = _timed(lambda: run(inputs))
        taken.append(seconds)
    return taken


def _timed(call: Callable[[], _T]) -> tuple[float, _T]:
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result
