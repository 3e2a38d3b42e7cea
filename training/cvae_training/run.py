"""A run folder: what training leaves and export reads.

config.json       settings, data set, classes and image shape; written first
metrics.jsonl     one line per epoch
checkpoint/       the last state, written last
"""

import dataclasses
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
from jaxtyping import PyTree

from cvae_training import checkpoint
from cvae_training.config import Config, DataConfig
from cvae_training.data import DataSet, load_data_set
from cvae_training.errors import RunError
from cvae_training.model import Cvae, build_model
from cvae_training.optimizer import build_optimizer
from cvae_training.train import EpochReport, count_steps, initial_state, train

__all__ = ["RUN_VERSION", "Run", "create_run", "load_run"]

RUN_VERSION = 2
"""1: version 0.1.0 of this package. 2: settings data.data_dir and data.image_size, which older runs did without."""


@dataclass(frozen=True)
class Run:
    """A finished run: its network, parameters and what they were trained on."""

    config: Config
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    images: dict[str, int]
    """How many images each split of the data set has, `train` and `held_out`."""
    params: PyTree
    metrics: tuple[dict[str, Any], ...]
    """The lines of metrics.jsonl, one per epoch."""
    versions: dict[str, str]
    """The versions that trained it, by library."""

    @property
    def model(self) -> Cvae:
        """The network whose parameters `params` are."""
        return build_model(self.config, self.image_shape)


def create_run(
    folder: Path,
    config: Config,
    on_epoch: Callable[[EpochReport], None] = lambda _: None,
    data: DataSet | None = None,
) -> None:
    """Train by `config` and leave a run in `folder`, which must not exist.

    `data` is what `config.data` says, if it has been loaded already. Raises InputError for settings that cannot be
    used, DataError for a data set that cannot, and RunError for a folder that cannot.
    """
    data = data or load_data_set(config.data)
    # What settings can only be refused for with the data at hand is refused before a folder is there.
    build_optimizer(config.optimizer, config.epochs * count_steps(config, len(data.train)))
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:
        raise RunError(f"{folder} exists: choose another folder, or remove it first") from error
    except OSError as error:
        raise RunError(f"cannot create {folder}: {error.strerror}") from error
    header = {
        "run_version": RUN_VERSION,
        "config": config.to_dict(),
        "classes": data.classes,
        "image_shape": data.image_shape,
        "images": {"train": len(data.train), "held_out": len(data.held_out)},
        "versions": {"python": sys.version.split()[0]}
        | {name: version(name) for name in ("cvae-training", "jax", "flax", "optax", "orbax-checkpoint")},
    }
    try:
        (folder / "config.json").write_text(json.dumps(header, indent=2) + "\n")
        with (folder / "metrics.jsonl").open("w", buffering=1) as metrics:

            def record(report: EpochReport) -> None:
                metrics.write(json.dumps(_to_json(report)) + "\n")
                on_epoch(report)

            state = train(config, data, record)
    except OSError as error:
        raise RunError(f"cannot write to {folder}: {error.strerror}") from error
    checkpoint.save(folder / "checkpoint", state)


def load_run(folder: Path) -> Run:
    """Read a finished run.

    Raises RunError for a folder that is missing, has no checkpoint, is damaged or comes from a newer version.
    """
    path = folder / "config.json"
    try:
        header = json.loads(path.read_text())
        lines = (folder / "metrics.jsonl").read_text().splitlines()
        metrics = tuple(json.loads(line) for line in lines)
    except OSError as error:
        raise RunError(f"{folder} is not a run folder: cannot read {error.filename}: {error.strerror}") from error
    except ValueError as error:
        raise RunError(f"{folder} has a damaged config.json or metrics.jsonl: {error}") from error
    try:
        if header["run_version"] > RUN_VERSION:
            raise RunError(
                f"{folder} is a run of version {header['run_version']}, newer than this cvae-training reads "
                f"({RUN_VERSION}): pip install -U cvae-training"
            )
        if header["run_version"] < 2 and isinstance(header["config"], dict):
            header["config"]["data"] = dataclasses.asdict(DataConfig()) | header["config"]["data"]
        config = Config.from_dict(header["config"])
        classes = tuple(str(name) for name in header["classes"])
        height, width, channels = (int(size) for size in header["image_shape"])
        if min(len(classes), height, width, channels) < 1:
            raise ValueError("classes and image_shape must not be empty or 0")
        images = {name: int(header["images"][name]) for name in ("train", "held_out")}
        total_steps = config.epochs * count_steps(config, images["train"])
        versions = {str(name): str(value) for name, value in header["versions"].items()}
        like = jax.eval_shape(lambda: initial_state(config, (height, width, channels), len(classes), total_steps))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        field = f"no {error}" if isinstance(error, KeyError) else error
        raise RunError(f"{path} is damaged: {field}") from error
    state = checkpoint.restore(folder / "checkpoint", like)
    return Run(config, classes, (height, width, channels), images, state.params, metrics, versions)


def _to_json(report: EpochReport) -> dict[str, Any]:
    values: dict[str, Any] = {"epoch": report.epoch, "step": report.epoch * report.steps}
    for name, parts in (("train", report.train), ("held_out", report.held_out)):
        values[name] = {part: round(float(value), 6) for part, value in parts._asdict().items()}
    return values
