"""A run folder: what training leaves, goes on from, and export reads.

config.json       settings, data set, classes and image shape; written first
metrics.jsonl     one line per epoch
checkpoints/      the last states, and the one with the lowest held-out loss
tensorboard/      metrics.jsonl as events
report.html       what a reader may look at; written last, and read by nothing
"""

import json
import sys
import warnings
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from cvae_training import checkpoint
from cvae_training.config import Config
from cvae_training.data import DataSet
from cvae_training.errors import CheckpointWarning, DamagedCheckpointError, RunError
from cvae_training.model import Cvae, build_model
from cvae_training.train import TrainState, count_steps, state_shapes

__all__ = ["RUN_VERSION", "Run", "RunFolder", "load_run"]

RUN_VERSION = 1
_CONFIG, _METRICS, _CHECKPOINTS = "config.json", "metrics.jsonl", "checkpoints"


@dataclass(frozen=True)
class Run:
    """A run's network, parameters and what they were trained on."""

    config: Config
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    images: dict[str, int]
    """How many images each split of the data set has, `train` and `held_out`."""
    params: PyTree
    """The parameters to evaluate and export: their average, where the settings ask for one."""
    metrics: tuple[dict[str, Any], ...]
    """The lines of metrics.jsonl, one per epoch, up to the checkpoint's."""
    versions: dict[str, str]
    """The versions that trained it, by library."""

    @property
    def model(self) -> Cvae:
        """The network whose parameters `params` are."""
        return build_model(self.config, self.image_shape)

    def require_data(self, data: DataSet) -> None:
        """RunError where `data` are not what the run was trained on."""
        images = {"train": len(data.train), "held_out": len(data.held_out)}
        for what, then, now in (
            ("classes", self.classes, data.classes),
            ("image shape", self.image_shape, data.image_shape),
            ("numbers of images", self.images, images),
        ):
            if then != now:
                raise RunError(f"the {what} of {data.name} changed from {then} to {now} since the run: train it again")


@dataclass(frozen=True)
class RunFolder:
    """A run folder's fixed part, and how its changing parts are read and written."""

    folder: Path
    config: Config
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    images: dict[str, int]
    versions: dict[str, str]

    @classmethod
    def describe(cls, folder: Path, config: Config, data: DataSet) -> "RunFolder":
        """The run of `config` on `data` by this process's libraries; nothing is written."""
        libraries = ("cvae-training", "jax", "flax", "optax", "orbax-checkpoint")
        versions = {"python": sys.version.split()[0]} | {name: version(name) for name in libraries}
        images = {"train": len(data.train), "held_out": len(data.held_out)}
        return cls(folder, config, data.classes, data.image_shape, images, versions)

    def create(self) -> None:
        """Make the folder with its config.json and no metrics; RunError where there is one already, or none can be."""
        header = {
            "run_version": RUN_VERSION,
            "config": self.config.to_dict(),
            "classes": self.classes,
            "image_shape": self.image_shape,
            "images": self.images,
            "versions": self.versions,
        }
        try:
            self.folder.mkdir(parents=True)
        except FileExistsError as error:
            raise RunError(f"{self.folder} exists: choose another folder, or remove it first") from error
        except OSError as error:
            raise RunError(f"cannot create {self.folder}: {error.strerror}") from error
        try:
            (self.folder / _CONFIG).write_text(json.dumps(header, indent=2) + "\n")
        except OSError as error:
            raise RunError(f"cannot write to {self.folder}: {error.strerror}") from error
        self.write_metrics([])

    @classmethod
    def open(cls, folder: Path) -> "RunFolder":
        """Read config.json; RunError for a folder that is missing, damaged or of a newer version."""
        path = folder / _CONFIG
        try:
            header = json.loads(path.read_text())
        except OSError as error:
            raise RunError(f"{folder} is not a run folder: cannot read {error.filename}: {error.strerror}") from error
        except ValueError as error:
            raise RunError(f"{folder} has a damaged {_CONFIG} or {_METRICS}: {error}") from error
        try:
            if header["run_version"] > RUN_VERSION:
                raise RunError(
                    f"{folder} is a run of version {header['run_version']}, newer than this cvae-training reads "
                    f"({RUN_VERSION}): pip install -U cvae-training"
                )
            height, width, channels = (int(size) for size in header["image_shape"])
            opened = cls(
                folder,
                Config.from_dict(header["config"]),
                tuple(str(name) for name in header["classes"]),
                (height, width, channels),
                {name: int(header["images"][name]) for name in ("train", "held_out")},
                {str(name): str(value) for name, value in header["versions"].items()},
            )
            if min(len(opened.classes), height, width, channels) < 1:
                raise ValueError("classes and image_shape must not be empty or 0")
            opened.like()
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            field = f"no {error}" if isinstance(error, KeyError) else error
            raise RunError(f"{path} is damaged: {field}") from error
        return opened

    def like(self) -> TrainState:
        """The shapes and dtypes of the run's state."""
        steps = self.config.epochs * count_steps(self.config, self.images["train"])
        return state_shapes(self.config, self.image_shape, len(self.classes), steps)

    def metrics(self, last_step: int | None = None) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl, up to a step; RunError for a file that is damaged."""
        try:
            lines = [json.loads(line) for line in (self.folder / _METRICS).read_text().splitlines()]
            return [line for line in lines if last_step is None or line["step"] <= last_step]
        except OSError as error:
            reason = f"cannot read {error.filename}: {error.strerror}"
            raise RunError(f"{self.folder} is not a run folder: {reason}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{self.folder} has a damaged {_CONFIG} or {_METRICS}: {error}") from error

    def write_metrics(self, lines: list[dict[str, Any]]) -> None:
        """Make `lines` the whole of metrics.jsonl, at once."""
        new = self.folder / f".{_METRICS}"
        try:
            new.write_text("".join(json.dumps(line) + "\n" for line in lines))
            new.rename(self.folder / _METRICS)
        except OSError as error:
            raise RunError(f"cannot write to {self.folder}: {error.strerror}") from error

    def append_metrics(self, line: dict[str, Any]) -> None:
        """Add a line to metrics.jsonl."""
        try:
            with (self.folder / _METRICS).open("a") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise RunError(f"cannot write to {self.folder}: {error.strerror}") from error

    def save(self, state: TrainState) -> None:
        """Save a checkpoint, and remove those that the settings do not ask to keep."""
        checkpoint.save(self.folder / _CHECKPOINTS, state)
        best = best_step(self.metrics(), saved=[checkpoint.step_of(path) for path in self._checkpoints()])
        for path in self._checkpoints()[self.config.keep_checkpoints :]:
            if checkpoint.step_of(path) != best:
                checkpoint.remove(path)

    def restore(self, *, best: bool = False) -> TrainState:
        """The newest checkpoint's state, or the one with the lowest held-out loss.

        A damaged checkpoint is passed over for the newest other one, with a CheckpointWarning that names it. Raises
        RunError where there is none, or none that is whole.
        """
        paths = self._checkpoints()
        if not paths:
            raise RunError(f"no checkpoint in {self.folder}: the run did not come to its first")
        if best:
            step = best_step(self.metrics(), saved=[checkpoint.step_of(path) for path in paths])
            paths.sort(key=lambda path: checkpoint.step_of(path) != step)
        like = self.like()
        for path in paths:
            try:
                return checkpoint.restore(path, like)
            except DamagedCheckpointError as error:
                warnings.warn(f"{error}; using an older one", CheckpointWarning, stacklevel=2)
        raise RunError(f"no checkpoint in {self.folder} is whole; the newest: {paths[0].name}")

    @property
    def has_checkpoint(self) -> bool:
        """Whether a checkpoint was saved, be it damaged since."""
        return bool(self._checkpoints())

    def _checkpoints(self) -> list[Path]:
        return checkpoint.checkpoints(self.folder / _CHECKPOINTS)


def best_step(metrics: list[dict[str, Any]], saved: list[int]) -> int | None:
    """Of the saved steps, that with the lowest held-out loss; the first of equals, None where no saved step has one."""
    losses = {line["step"]: line["held_out"]["loss"] for line in metrics if line["step"] in saved}
    return min(losses, key=lambda step: losses[step], default=None)


def load_run(folder: Path) -> Run:
    """Read a run: its last state, or its best where it was to stop early.

    Raises RunError for a folder that is missing, has no checkpoint, is damaged or comes from a newer version.
    """
    run = RunFolder.open(folder)
    run.metrics()
    state = run.restore(best=run.config.patience > 0)
    metrics = tuple(run.metrics(int(state.step)))
    params = state.evaluated if run.config.rounded_to == "float32" else _rounded_to_float16(state.evaluated)
    return Run(run.config, run.classes, run.image_shape, run.images, params, metrics, run.versions)


def _rounded_to_float16(params: PyTree) -> PyTree:
    """The nearest numbers that float16 holds, as float32; RunError for one beyond its range."""
    with np.errstate(over="ignore"):
        near = jax.tree.map(lambda leaf: np.asarray(leaf).astype(np.float16).astype(np.float32), params)
    if any(np.isinf(leaf).any() for leaf in jax.tree.leaves(near)):
        raise RunError("a parameter is beyond 65504, the largest of float16: train with --rounded-to float32")
    return near
