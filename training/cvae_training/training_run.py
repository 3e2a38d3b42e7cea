"""Training into a run folder: from the start, or on from its newest checkpoint, to the same bits.

Of several processes each trains on its devices, and reads for itself; the first writes the folder.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax

from cvae_training import checkpoint
from cvae_training.config import Config
from cvae_training.data import DataSet, load_data_set
from cvae_training.errors import InputError, RunError, StoppedError
from cvae_training.objective import Losses
from cvae_training.placement import Placement, place
from cvae_training.processes import any_process, on_first
from cvae_training.run import RunFolder, load_run
from cvae_training.tensorboard_events import EventLog
from cvae_training.train import EpochReport, TrainState, count_steps, initial_state, state_shapes, train_in_stretches

__all__ = ["StepReport", "create_run", "resume_run"]


class StepReport(NamedTuple):
    """How many steps have been trained, and the mean losses of those of the epoch that is not yet ended."""

    step: int
    train: Losses | None
    """None at the start, and where an epoch has just ended."""


def _nothing(_: EpochReport | StepReport) -> None:
    pass


def _never() -> bool:
    return False


def create_run(
    folder: Path,
    config: Config,
    on_epoch: Callable[[EpochReport], None] = _nothing,
    should_stop: Callable[[], bool] = _never,
    data: DataSet | None = None,
    placement: Placement | None = None,
    on_step: Callable[[StepReport], None] = _nothing,
) -> None:
    """Train by `config` and leave a run in `folder`, which must not exist.

    `on_epoch` is told of each epoch, `on_step` where training starts and then about twice a second; when `should_stop`,
    asked as often, says so, a checkpoint is saved and StoppedError raised. `data` is what `config.data` says, if it has
    been loaded already; `placement` is by default all devices. Raises InputError for settings that cannot be used,
    DataError for a data set that cannot, and RunError for a folder that cannot.
    """
    data = data or load_data_set(config.data)
    placement = placement or place(config.batch_size, data.train.images.nbytes)
    checkpoint.import_meanwhile()
    state = _first_state(config, data)
    run = RunFolder.describe(folder, config, data)
    on_first(run.create)
    _train_on(run, data, placement, state, [], on_epoch, should_stop, on_step)


def resume_run(
    folder: Path,
    config: Config | None = None,
    on_epoch: Callable[[EpochReport], None] = _nothing,
    should_stop: Callable[[], bool] = _never,
    data: DataSet | None = None,
    placement: Placement | None = None,
    on_step: Callable[[StepReport], None] = _nothing,
) -> None:
    """Go on with the run in `folder` from its newest whole checkpoint, or from the start where it has none.

    `config`, where it is given, must be the run's own: InputError names the first setting that is not. The devices may
    be others than before. Else as `create_run`.
    """
    run = RunFolder.open(folder)
    if config is not None and config != run.config:
        raise InputError(f"--resume goes on with the run's own settings: {_difference(config, run.config)}")
    data = data or load_data_set(run.config.data)
    found = RunFolder.describe(folder, run.config, data)
    if (found.classes, found.image_shape, found.images) != (run.classes, run.image_shape, run.images):
        raise RunError(f"the data set {data.name} is not what the run in {folder} was trained on")
    placement = placement or place(run.config.batch_size, data.train.images.nbytes)
    state = run.restore() if run.has_checkpoint else _first_state(run.config, data)
    # What was written after the checkpoint will be written again.
    metrics = run.metrics(int(state.step)) if (folder / "metrics.jsonl").exists() else []
    on_first(lambda: run.write_metrics(metrics))
    _train_on(run, data, placement, state, metrics, on_epoch, should_stop, on_step)


def _first_state(config: Config, data: DataSet) -> TrainState:
    """The state before the first step, with the parameters of another run where the settings name one."""
    total_steps = config.epochs * count_steps(config, len(data.train))
    network = (config, data.image_shape, len(data.classes), total_steps)
    if not config.start_from:
        return initial_state(*network)
    expected = state_shapes(*network).params
    params = load_run(Path(config.start_from)).params
    if jax.tree.map(jax.numpy.shape, params) != jax.tree.map(lambda leaf: leaf.shape, expected):
        raise InputError(f"start_from: {config.start_from} is a run of another network")
    return initial_state(*network, params)


@contextmanager
def _failure_in_one_line() -> Iterator[None]:
    try:
        yield
    except jax.errors.JaxRuntimeError as error:  # out of memory, most of all
        raise RunError(f"training failed: {str(error).splitlines()[0]}") from error


@_failure_in_one_line()
def _train_on(
    run: RunFolder,
    data: DataSet,
    placement: Placement,
    state: TrainState,
    metrics: list[dict[str, Any]],
    on_epoch: Callable[[EpochReport], None],
    should_stop: Callable[[], bool],
    on_step: Callable[[StepReport], None],
) -> None:
    config = run.config
    if _has_stopped_early(config, metrics):
        return
    steps_per_epoch = count_steps(config, len(data.train))
    total_steps = config.epochs * steps_per_epoch
    on_step(StepReport(int(state.step), None))
    with EventLog(run.folder / "tensorboard", config.optimizer, total_steps, metrics) as log_events:
        for stretch in train_in_stretches(config, data, state, placement):
            on_step(_step_report(stretch.state, steps_per_epoch))
            save = partial(_save, run, stretch.state, log_events)
            if stretch.report is not None:
                metrics.append(_to_json(stretch.report))
                on_first(partial(run.append_metrics, metrics[-1]))
                log_events(metrics[-1])
                on_epoch(stretch.report)
                stop_early = _has_stopped_early(config, metrics)
                improved = _epochs_since_best(metrics) == 0
                epoch = stretch.report.epoch
                last = epoch == config.epochs or stop_early
                if last or epoch % config.checkpoint_epochs == 0 or (config.patience > 0 and improved):
                    on_first(save)
                if last:
                    return
            if any_process(should_stop()):
                on_first(save)
                raise StoppedError(f"stopped at step {int(stretch.state.step)}; go on with --resume")


def _save(run: RunFolder, state: TrainState, events: EventLog) -> None:
    events.flush()  # first: a run that goes on from the checkpoint writes no events from before it
    run.save(state)


def _step_report(state: TrainState, steps_per_epoch: int) -> StepReport:
    step = int(state.step)
    done = step % steps_per_epoch
    return StepReport(step, Losses(*(total / done for total in map(float, state.sums))) if done else None)  # pyright: ignore[reportArgumentType]


def _epochs_since_best(metrics: list[dict[str, Any]]) -> int:
    losses = [line["held_out"]["loss"] for line in metrics]
    return len(losses) - 1 - losses.index(min(losses))


def _has_stopped_early(config: Config, metrics: list[dict[str, Any]]) -> bool:
    return bool(metrics) and 0 < config.patience <= _epochs_since_best(metrics)


def _difference(asked: Config, own: Config) -> str:
    for name, value in _flat(own.to_dict()).items():
        if _flat(asked.to_dict())[name] != value:
            return f"{name} is {value}, not {_flat(asked.to_dict())[name]}"
    raise AssertionError("the settings are equal")


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat


def _to_json(report: EpochReport) -> dict[str, Any]:
    values: dict[str, Any] = {"epoch": report.epoch, "step": report.epoch * report.steps}
    for name, parts in (("train", report.train), ("held_out", report.held_out)):
        values[name] = {part: round(float(value), 6) for part, value in parts._asdict().items()}
    return values
