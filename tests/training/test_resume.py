"""A run that is cut, wherever and however, goes on to the same bits."""

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from cvae_training import (
    Config,
    InputError,
    RunError,
    StoppedError,
    TrainingError,
    create_run,
    load_run,
    resume_run,
)
from cvae_training.checkpoint import checkpoints, step_of
from cvae_training.train import TrainState

TRAIN = sys.modules["cvae_training.train"]  # the package's own `train` is the function
CUTS = 12
StateOf = Callable[[Path], TrainState]
BitsOf = Callable[[TrainState], list[bytes]]
TellCount = Callable[[int, int, str], None]
MAIN = "import sys; from cvae_training.command import main; sys.exit(main())"


@pytest.fixture
def steps_at_a_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets how many steps a stretch has at most, which time decides otherwise."""

    def choose(steps: int) -> None:
        monkeypatch.setattr(TRAIN, "_next_stretch", lambda *_: steps)

    return choose


def stop_at(step: int) -> Callable[[], bool]:
    """Asks to stop at the first stretch that ends at the step or beyond; stretches of one step are asked one by one."""
    asked = iter(range(1, 10**9))
    return lambda: next(asked) >= step


def test_a_resumed_run_is_the_same_run_bit_for_bit_at_12_cuts(
    full_config: Config,
    undisturbed: Path,
    tmp_path: Path,
    steps_at_a_time: Callable[[int], None],
    state_of: StateOf,
    bits_of: BitsOf,
    tell_count: TellCount,
) -> None:
    steps_at_a_time(1)
    rng = random.Random(1)
    cuts = sorted({17, 34, 67, *rng.sample(range(1, 67), CUTS)})[:CUTS]
    assert any(cut % 17 for cut in cuts)
    assert any(cut % 17 == 0 for cut in cuts)
    expected, same = bits_of(state_of(undisturbed)), 0
    for cut in cuts:
        run = tmp_path / str(cut)
        with pytest.raises(StoppedError, match=f"^stopped at step {cut}; go on with --resume$"):
            create_run(run, full_config, should_stop=stop_at(cut))
        assert step_of(checkpoints(run / "checkpoints")[0]) == cut
        resume_run(run, full_config)
        assert bits_of(state_of(run)) == expected
        assert (run / "metrics.jsonl").read_bytes() == (undisturbed / "metrics.jsonl").read_bytes()
        same += 1
    tell_count(same, len(cuts), "cuts of a run: resumed to the same bits")


def test_a_run_that_is_stopped_again_and_again_is_the_same_run(
    full_config: Config,
    undisturbed: Path,
    tmp_path: Path,
    steps_at_a_time: Callable[[int], None],
    state_of: StateOf,
    bits_of: BitsOf,
) -> None:
    steps_at_a_time(5)
    run = tmp_path / "run"
    with pytest.raises(StoppedError):
        create_run(run, full_config, should_stop=lambda: True)
    for _ in range(3):
        with pytest.raises(StoppedError):
            resume_run(run, should_stop=lambda: True)
    resume_run(run)
    assert bits_of(state_of(run)) == bits_of(state_of(undisturbed))


def test_resuming_a_finished_run_changes_nothing(undisturbed: Path, tmp_path: Path) -> None:
    run = shutil.copytree(undisturbed, tmp_path / "run")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    resume_run(run)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_the_last_checkpoints_and_the_best_are_kept(tiny: Config, tmp_path: Path) -> None:
    config = replace(tiny, epochs=6, batch_size=2000, checkpoint_epochs=1, keep_checkpoints=2)
    create_run(tmp_path / "run", config)
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    best = min(lines, key=lambda line: line["held_out"]["loss"])["step"]
    kept = [step_of(path) for path in checkpoints(tmp_path / "run" / "checkpoints")]
    assert kept == sorted({24, 20, best}, reverse=True)


def test_early_stopping_ends_the_run_and_uses_its_best_checkpoint(tiny: Config, tmp_path: Path) -> None:
    # A rate that is far too high: the held-out loss soon rises.
    optimizer = replace(tiny.optimizer, learning_rate=0.3)
    config = replace(tiny, optimizer=optimizer, epochs=50, batch_size=1000, patience=2)
    create_run(tmp_path / "run", config)
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    losses = [line["held_out"]["loss"] for line in lines]
    assert len(losses) < 50
    assert losses.index(min(losses)) == len(losses) - 3
    assert load_run(tmp_path / "run").metrics[-1]["held_out"]["loss"] == min(losses)
    resume_run(tmp_path / "run")
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == len(losses)


def test_resuming_with_another_setting_names_it(full_config: Config, undisturbed: Path) -> None:
    changed = replace(full_config, optimizer=replace(full_config.optimizer, clip_norm=7.0))
    with pytest.raises(InputError, match=r"^--resume .*: optimizer\.clip_norm is 5\.0, not 7\.0$"):
        resume_run(undisturbed, changed)


def test_resuming_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a run folder"):
        resume_run(tmp_path)


def test_a_run_killed_before_its_first_checkpoint_begins_again(
    full_config: Config, undisturbed: Path, tmp_path: Path, state_of: StateOf, bits_of: BitsOf
) -> None:
    run = shutil.copytree(undisturbed, tmp_path / "run")
    shutil.rmtree(run / "checkpoints")
    resume_run(run)
    assert bits_of(state_of(run)) == bits_of(state_of(undisturbed))
    assert (run / "metrics.jsonl").read_bytes() == (undisturbed / "metrics.jsonl").read_bytes()


def test_a_loss_that_is_not_finite_names_its_step_and_keeps_the_last_good_checkpoint(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(tiny, epochs=3, batch_size=1000, checkpoint_epochs=1, seed=99)  # traced by no other test
    seen = TRAIN._kl_share

    def spoiled(full_config: Config, step: Any) -> Any:
        return jax.numpy.where(step == 19, jax.numpy.nan, seen(config, step))

    monkeypatch.setattr(TRAIN, "_kl_share", spoiled)
    with pytest.raises(TrainingError, match=r"^the loss became nan in step 20: try a lower --learning-rate"):
        create_run(tmp_path / "run", config)
    assert step_of(checkpoints(tmp_path / "run" / "checkpoints")[0]) == 16
    assert np.isfinite(jax.tree.leaves(load_run(tmp_path / "run").params)[0]).all()


SMALL = [
    "--preset", "article", "--epochs", "400", "--batch-size", "1000", "--checkpoint-epochs", "1",
    "--encoder-dimensions", "12,8", "--decoder-dimensions", "10", "--latent-dim", "3",
]  # fmt: skip


def start(run: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", MAIN, "--out", str(run), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_command_resumes(tmp_path: Path, full_config: Config, state_of: StateOf, bits_of: BitsOf) -> None:
    run = tmp_path / "run"
    small = [*SMALL[:3], "3", *SMALL[4:]]
    whole = start(tmp_path / "whole", *small)
    whole.communicate()
    assert whole.returncode == 0
    shutil.copytree(tmp_path / "whole", run)
    newest = checkpoints(run / "checkpoints")[0]
    shutil.rmtree(newest)
    resumed = start(run, "--resume")
    resumed.communicate()
    assert resumed.returncode == 0
    assert hashlib.sha256((run / "metrics.jsonl").read_bytes()).hexdigest() == (
        hashlib.sha256((tmp_path / "whole" / "metrics.jsonl").read_bytes()).hexdigest()
    )
    assert bits_of(state_of(run)) == bits_of(state_of(tmp_path / "whole"))
    refused = start(run, "--resume", "--epochs", "9")
    _, errors = refused.communicate()
    assert refused.returncode == 2
    assert errors == "cvae-train: --resume goes on with the run's own settings: epochs is 3, not 9\n"
    assert os.path.lexists(newest)
