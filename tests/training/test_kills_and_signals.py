"""A process that is told to end saves first; one that is killed loses no checkpoint that it had saved."""

import contextlib
import multiprocessing
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest

from cvae_training import load_run
from cvae_training.checkpoint import checkpoints, step_of
from cvae_training.run import RunFolder
from cvae_training.train import TrainState

KILLS = 40
MAIN = "import sys; from cvae_training.command import main; sys.exit(main())"
StateOf = Callable[[Path], TrainState]
BitsOf = Callable[[TrainState], list[bytes]]
TellCount = Callable[[int, int, str], None]
LONG = [
    "--preset", "article", "--epochs", "400", "--batch-size", "1000", "--checkpoint-epochs", "1",
    "--encoder-dimensions", "12,8", "--decoder-dimensions", "10", "--latent-dim", "3",
]  # fmt: skip


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_ends_within_5_seconds_with_its_code(
    tmp_path: Path, number: int, code: int, tell_count: TellCount
) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-c", MAIN, "--out", run, *LONG]
    training = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not (run / "metrics.jsonl").exists() or not (run / "metrics.jsonl").read_text():
        assert training.poll() is None
        time.sleep(0.05)
    asked = time.monotonic()
    training.send_signal(number)
    _, errors = training.communicate(timeout=60)
    seconds = time.monotonic() - asked
    assert seconds < 5  # what issue and help promise
    assert training.returncode == code
    assert errors.splitlines()[-1].startswith("cvae-train: stopped at step ")
    assert int(errors.split("at step ")[1].split(";")[0]) == step_of(checkpoints(run / "checkpoints")[0])
    assert load_run(run).config.epochs == 400
    tell_count(1, 1, f"{signal.Signals(number).name}: saved, and ended with {code} after {seconds:.1f} s")


SAVE_FOREVER = """
import itertools
import jax
from cvae_training import checkpoint
state = jax.tree.map(jax.numpy.asarray, state)
for step in itertools.count(int(state.step) + 1):
    state = state._replace(step=jax.numpy.int32(step))
    checkpoint.save(folder, state)
    saved(step)
    for old in checkpoint.checkpoints(folder)[2:]:
        checkpoint.remove(old)
"""


def test_40_kills_while_saving_lose_no_acknowledged_checkpoint_and_leave_none_wrong(
    undisturbed: Path, tmp_path: Path, bits_of: BitsOf, tell_count: TellCount
) -> None:
    run = RunFolder.open(shutil.copytree(undisturbed, tmp_path / "run"))
    restored, rng, kept = run.restore(), random.Random(3), 0
    expected = restored
    context = multiprocessing.get_context("forkserver")  # imports JAX once for all that it starts
    context.set_forkserver_preload(["cvae_training"])
    for _ in range(KILLS):
        acknowledgments, sender = context.Pipe(duplex=False)
        state = jax.tree.map(np.asarray, restored)
        names = {"folder": run.folder / "checkpoints", "state": state, "saved": sender.send}
        saving = context.Process(target=exec, args=(SAVE_FOREVER, names))
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
        restored = run.restore()  # a warning would be an error: none is damaged
        assert int(restored.step) in (acknowledged, acknowledged + 1)
        assert bits_of(restored._replace(step=expected.step)) == bits_of(expected)
        kept += 1
    tell_count(kept, KILLS, "kills while saving: no checkpoint lost, none wrong")
