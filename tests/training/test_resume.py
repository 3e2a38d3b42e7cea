"""A run that is cut, wherever and however, goes on to the same bits."""

import contextlib
import hashlib
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from cvae_training import (
    CheckpointWarning,
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
from cvae_training.run import RunFolder

TRAIN = sys.modules["cvae_training.train"]  # the package's own `train` is the function
CUTS = 12
KILLS = 40
FLIPS = 200
MAIN = "import sys; from cvae_training.command import main; sys.exit(main())"


@pytest.fixture(scope="module")
def config(tiny: Config) -> Config:
    """4 epochs of 17 steps, with everything on that a checkpoint must hold."""
    optimizer = replace(tiny.optimizer, ema_decay=0.9, schedule="cosine", warmup_steps=5, clip_norm=5.0)
    objective = replace(tiny.objective, kl_warmup_steps=30)
    return replace(tiny, optimizer=optimizer, objective=objective, epochs=4, batch_size=500, checkpoint_epochs=2)


@pytest.fixture(scope="module")
def undisturbed(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    create_run(folder, config)
    return folder


@pytest.fixture
def steps_at_a_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets how many steps a stretch has at most, which time decides otherwise."""

    def choose(steps: int) -> None:
        monkeypatch.setattr(TRAIN, "_next_stretch", lambda *_: steps)

    return choose


def state_of(run: Path) -> Any:
    return RunFolder.open(run).restore()


def same_bits(a: Any, b: Any) -> bool:
    return all(
        np.asarray(x).tobytes() == np.asarray(y).tobytes()
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


def stop_at(step: int) -> Callable[[], bool]:
    """Asks to stop at the first stretch that ends at the step or beyond; stretches of one step are asked one by one."""
    asked = iter(range(1, 10**9))
    return lambda: next(asked) >= step


def test_a_resumed_run_is_the_same_run_bit_for_bit_at_12_cuts(
    config: Config, undisturbed: Path, tmp_path: Path, steps_at_a_time: Callable[[int], None]
) -> None:
    steps_at_a_time(1)
    rng = random.Random(1)
    cuts = sorted({17, 34, 67, *rng.sample(range(1, 67), CUTS)})[:CUTS]
    assert any(cut % 17 for cut in cuts)
    assert any(cut % 17 == 0 for cut in cuts)
    expected = state_of(undisturbed)
    for cut in cuts:
        run = tmp_path / str(cut)
        with pytest.raises(StoppedError, match=f"^stopped at step {cut}; go on with --resume$"):
            create_run(run, config, should_stop=stop_at(cut))
        assert step_of(checkpoints(run / "checkpoints")[0]) == cut
        resume_run(run, config)
        assert same_bits(state_of(run), expected)
        assert (run / "metrics.jsonl").read_bytes() == (undisturbed / "metrics.jsonl").read_bytes()
    print(f"resumed bit for bit at {len(cuts)} cuts: {cuts}")


def test_a_run_that_is_stopped_again_and_again_is_the_same_run(
    config: Config, undisturbed: Path, tmp_path: Path, steps_at_a_time: Callable[[int], None]
) -> None:
    steps_at_a_time(5)
    run = tmp_path / "run"
    with pytest.raises(StoppedError):
        create_run(run, config, should_stop=lambda: True)
    for _ in range(3):
        with pytest.raises(StoppedError):
            resume_run(run, should_stop=lambda: True)
    resume_run(run)
    assert same_bits(state_of(run), state_of(undisturbed))


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


def test_resuming_with_another_setting_names_it(config: Config, undisturbed: Path) -> None:
    changed = replace(config, optimizer=replace(config.optimizer, clip_norm=7.0))
    with pytest.raises(InputError, match=r"^--resume .*: optimizer\.clip_norm is 5\.0, not 7\.0$"):
        resume_run(undisturbed, changed)


def test_resuming_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a run folder"):
        resume_run(tmp_path)


def test_a_run_killed_before_its_first_checkpoint_begins_again(
    config: Config, undisturbed: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(undisturbed, tmp_path / "run")
    shutil.rmtree(run / "checkpoints")
    resume_run(run)
    assert same_bits(state_of(run), state_of(undisturbed))
    assert (run / "metrics.jsonl").read_bytes() == (undisturbed / "metrics.jsonl").read_bytes()


def test_a_loss_that_is_not_finite_names_its_step_and_keeps_the_last_good_checkpoint(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(tiny, epochs=3, batch_size=1000, checkpoint_epochs=1, seed=99)  # traced by no other test
    seen = TRAIN._kl_share

    def spoiled(config: Config, step: Any) -> Any:
        return jax.numpy.where(step == 19, jax.numpy.nan, seen(config, step))

    monkeypatch.setattr(TRAIN, "_kl_share", spoiled)
    with pytest.raises(TrainingError, match=r"^the loss became nan in step 20: try a lower --learning-rate"):
        create_run(tmp_path / "run", config)
    assert step_of(checkpoints(tmp_path / "run" / "checkpoints")[0]) == 16
    assert np.isfinite(jax.tree.leaves(load_run(tmp_path / "run").params)[0]).all()


class TestDamage:
    """What happens to a checkpoint on a disk."""

    def test_200_random_bit_flips_are_each_named_and_the_one_before_is_used(
        self, undisturbed: Path, tmp_path: Path
    ) -> None:
        run = shutil.copytree(undisturbed, tmp_path / "run")
        newest, older = checkpoints(run / "checkpoints")
        files = [path for path in newest.rglob("*") if path.is_file() and path.stat().st_size]
        weights = [path.stat().st_size for path in files]
        rng, opened = random.Random(2), RunFolder.open(run)
        expected = state_of(
            shutil.copytree(undisturbed, tmp_path / "whole", ignore=shutil.ignore_patterns(newest.name))
        )
        for number in range(FLIPS):
            (path,) = rng.choices(files, weights)
            content = bytearray(path.read_bytes())
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
            original = path.read_bytes()
            path.write_bytes(content)
            with pytest.warns(CheckpointWarning, match=re.escape(f"{newest.name} is damaged: ")):
                restored = opened.restore()
            assert int(restored.step) == step_of(older)
            if number % 20 == 0:
                assert same_bits(restored, expected)
            path.write_bytes(original)
        assert same_bits(opened.restore(), state_of(undisturbed))
        print(f"noticed {FLIPS} of {FLIPS} flipped bits")

    def test_a_missing_file_and_a_file_too_many_are_noticed(self, undisturbed: Path, tmp_path: Path) -> None:
        for number, change in enumerate(
            (lambda state: (state / "_METADATA").unlink(), lambda state: (state / "more").write_text("x"))
        ):
            run = shutil.copytree(undisturbed, tmp_path / str(number))
            change(checkpoints(run / "checkpoints")[0] / "state")
            with pytest.warns(CheckpointWarning):
                assert int(load_run(run).metrics[-1]["epoch"]) == 2

    def test_a_run_with_no_whole_checkpoint_is_refused(self, undisturbed: Path, tmp_path: Path) -> None:
        run = shutil.copytree(undisturbed, tmp_path / "run")
        for path in checkpoints(run / "checkpoints"):
            (path / "sums.json").unlink()
        with pytest.warns(CheckpointWarning), pytest.raises(RunError, match=r"no checkpoint in .* is whole"):
            load_run(run)


SMALL = [
    "--preset", "article", "--epochs", "400", "--batch-size", "1000", "--checkpoint-epochs", "1",
    "--encoder-dimensions", "12,8", "--decoder-dimensions", "10", "--latent-dim", "3",
]  # fmt: skip


def start(run: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", MAIN, "--out", str(run), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_ends_within_5_seconds_with_its_code(tmp_path: Path, number: int, code: int) -> None:
    run = tmp_path / "run"
    training = start(run, *SMALL)
    while not (run / "metrics.jsonl").exists() or not (run / "metrics.jsonl").read_text():
        assert training.poll() is None
        time.sleep(0.05)
    asked = time.monotonic()
    training.send_signal(number)
    _, errors = training.communicate(timeout=60)
    assert time.monotonic() - asked < 5  # what issue and help promise
    assert training.returncode == code
    assert errors.splitlines()[-1].startswith("cvae-train: stopped at step ")
    assert int(errors.split("at step ")[1].split(";")[0]) == step_of(checkpoints(run / "checkpoints")[0])
    assert load_run(run).config.epochs == 400


SAVE_FOREVER = """
import itertools
import jax
from cvae_training import checkpoint
from cvae_training.run import RunFolder
run = RunFolder.open(folder)
state = run.restore()
for step in itertools.count(int(state.step) + 1):
    state = state._replace(step=jax.numpy.int32(step))
    checkpoint.save(run.folder / "checkpoints", state)
    saved(step)
    for old in checkpoint.checkpoints(run.folder / "checkpoints")[2:]:
        checkpoint.remove(old)
"""


def test_40_kills_while_saving_lose_no_acknowledged_checkpoint_and_leave_none_wrong(
    undisturbed: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(undisturbed, tmp_path / "run")
    expected, rng = state_of(undisturbed), random.Random(3)
    context = multiprocessing.get_context("forkserver")  # imports JAX once for all that it starts
    context.set_forkserver_preload(["cvae_training"])
    for _ in range(KILLS):
        acknowledgments, sender = context.Pipe(duplex=False)
        saving = context.Process(target=exec, args=(SAVE_FOREVER, {"folder": run, "saved": sender.send}))
        saving.start()
        sender.close()
        acknowledged = acknowledgments.recv()
        time.sleep(rng.uniform(0, 0.3))
        saving.kill()
        with contextlib.suppress(EOFError):
            while True:
                acknowledged = acknowledgments.recv()
        saving.join()
        acknowledgments.close()
        restored = state_of(run)  # a warning would be an error: none is damaged
        assert int(restored.step) in (acknowledged, acknowledged + 1)
        assert same_bits(restored._replace(step=expected.step), expected)
    print(f"{KILLS} kills: no acknowledged checkpoint lost, none wrong")


def test_a_disk_that_fills_leaves_the_checkpoints_that_were_there(undisturbed: Path, tmp_path: Path) -> None:
    run = shutil.copytree(undisturbed, tmp_path / "run")
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))"
    program = "\n".join(
        [
            "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)",
            f"from pathlib import Path; folder = Path({str(run)!r}); saved = print",
            SAVE_FOREVER.replace("for step in", f"{limit}\nfor step in"),
        ]
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == ""
    assert "RunError: cannot save a checkpoint to" in done.stderr.splitlines()[-1]
    names = {path.name for path in (run / "checkpoints").iterdir()}
    assert names == {path.name for path in (undisturbed / "checkpoints").iterdir()}
    assert same_bits(state_of(run), state_of(undisturbed))


def test_the_command_resumes(tmp_path: Path, config: Config) -> None:
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
    assert same_bits(state_of(run), state_of(tmp_path / "whole"))
    refused = start(run, "--resume", "--epochs", "9")
    _, errors = refused.communicate()
    assert refused.returncode == 2
    assert errors == "cvae-train: --resume goes on with the run's own settings: epochs is 3, not 9\n"
    assert os.path.lexists(newest)
