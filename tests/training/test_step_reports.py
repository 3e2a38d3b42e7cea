"""What whoever watches a run is told between the ends of its epochs."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cvae_training import Config, DataSet, StoppedError, create_run, resume_run
from cvae_training.train import EpochReport
from cvae_training.training_run import StepReport

TRAIN = sys.modules["cvae_training.train"]  # the package's own `train` is the function


def watched(config: Config, data: DataSet, run: Path) -> tuple[list[StepReport], list[EpochReport]]:
    steps: list[StepReport] = []
    epochs: list[EpochReport] = []
    create_run(run, config, epochs.append, data=data, on_step=steps.append)
    return steps, epochs


def test_the_start_every_stretch_and_every_epochs_end_are_told(
    tiny: Config, few_digits: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TRAIN, "_next_stretch", lambda *_: 4)
    steps, _ = watched(tiny, few_digits, tmp_path / "run")  # 2 epochs of 6 steps
    assert [report.step for report in steps] == [0, 4, 6, 10, 12]
    assert [report.train is None for report in steps] == [True, False, True, False, True]


def test_the_losses_told_are_means_over_the_epochs_steps_so_far(
    tiny: Config, few_digits: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Parameters that stay where they are: then the means of a later epoch's steps are those of the same images.
    still = replace(tiny, optimizer=replace(tiny.optimizer, learning_rate=1e-30, weight_decay=0.0), batch_size=24)
    monkeypatch.setattr(TRAIN, "_next_stretch", lambda *_: 1)
    steps, epochs = watched(still, few_digits, tmp_path / "run")  # 2 epochs of 4 steps
    for end, epoch in ((4, epochs[0]), (8, epochs[1])):
        told = [np.asarray(report.train) for report in steps if end - 4 < report.step < end]
        # Each step's own losses, out of the means; the fourth is what the epoch's mean leaves for it.
        sums = [np.zeros(3), *(mean * (i + 1) for i, mean in enumerate(told)), np.asarray(epoch.train) * 4]
        each = np.diff(sums, axis=0)
        assert each.shape == (4, 3)
        # 24 images a step of one distribution, by one network: none is far from the others.
        np.testing.assert_allclose(each[:, 0], each[:, 0].mean(), rtol=0.1)
        assert (each > 0).all()


def test_a_resumed_run_tells_where_it_starts(
    tiny: Config, few_digits: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TRAIN, "_next_stretch", lambda *_: 4)
    monkeypatch.setattr("cvae_training.training_run.load_data_set", lambda _: few_digits)
    with pytest.raises(StoppedError):
        create_run(tmp_path / "run", tiny, should_stop=lambda: True)
    steps: list[StepReport] = []
    resume_run(tmp_path / "run", on_step=steps.append)
    assert [report.step for report in steps] == [4, 6, 10, 12]
