"""A checkpoint that a disk has damaged is named and passed over, and a disk that is full damages none."""

import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cvae_training import CheckpointWarning, DamagedCheckpointError, RunError, load_run
from cvae_training.checkpoint import checkpoints, restore
from cvae_training.run import RunFolder
from cvae_training.train import TrainState

FLIPS = 200
StateOf = Callable[[Path], TrainState]
BitsOf = Callable[[TrainState], list[bytes]]
TellCount = Callable[[int, int, str], None]


def test_200_random_bit_flips_are_each_named_and_the_one_before_is_used(
    undisturbed: Path, tmp_path: Path, state_of: StateOf, bits_of: BitsOf, tell_count: TellCount
) -> None:
    run = shutil.copytree(undisturbed, tmp_path / "run")
    newest, older = checkpoints(run / "checkpoints")
    files = [path for path in newest.rglob("*") if path.is_file() and path.stat().st_size]
    weights = [path.stat().st_size for path in files]
    rng, opened, named, passed_over = random.Random(2), RunFolder.open(run), 0, 0
    like, expected = opened.like(), bits_of(restore(older, opened.like()))
    for number in range(FLIPS):
        (path,) = rng.choices(files, weights)
        original = path.read_bytes()
        content = bytearray(original)
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(content)
        with pytest.raises(DamagedCheckpointError, match=re.escape(f"{newest.name} is damaged: ")):
            restore(newest, like)
        named += 1
        if number % 10 == 0:
            with pytest.warns(CheckpointWarning, match=re.escape(f"{newest.name} is damaged: ")):
                assert bits_of(opened.restore()) == expected
            passed_over += 1
        path.write_bytes(original)
    assert bits_of(opened.restore()) == bits_of(state_of(undisturbed))
    tell_count(named, FLIPS, "flipped bits in a checkpoint: noticed and named")
    tell_count(passed_over, FLIPS // 10, "damaged checkpoints: passed over for the same bits as the one before")


def test_a_missing_file_and_a_file_too_many_are_noticed(undisturbed: Path, tmp_path: Path) -> None:
    for number, change in enumerate(
        (lambda state: (state / "_METADATA").unlink(), lambda state: (state / "more").write_text("x"))
    ):
        run = shutil.copytree(undisturbed, tmp_path / str(number))
        change(checkpoints(run / "checkpoints")[0] / "state")
        with pytest.warns(CheckpointWarning):
            assert int(load_run(run).metrics[-1]["epoch"]) == 2


def test_a_run_with_no_whole_checkpoint_is_refused(undisturbed: Path, tmp_path: Path) -> None:
    run = shutil.copytree(undisturbed, tmp_path / "run")
    for path in checkpoints(run / "checkpoints"):
        (path / "sums.json").unlink()
    with pytest.warns(CheckpointWarning), pytest.raises(RunError, match=r"no checkpoint in .* is whole"):
        load_run(run)


SAVE_ON_A_FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import jax
from cvae_training import checkpoint
from cvae_training.run import RunFolder
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
run = RunFolder.open(Path(sys.argv[1]))
state = run.restore()
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
checkpoint.save(run.folder / "checkpoints", state._replace(step=state.step + 1))
print("saved")
"""


def test_a_disk_that_fills_leaves_the_checkpoints_that_were_there(
    undisturbed: Path, tmp_path: Path, state_of: StateOf, bits_of: BitsOf
) -> None:
    run = shutil.copytree(undisturbed, tmp_path / "run")
    command = [sys.executable, "-c", SAVE_ON_A_FULL_DISK, run]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == ""
    assert "RunError: cannot save a checkpoint to" in done.stderr.splitlines()[-1]
    names = {path.name for path in (run / "checkpoints").iterdir()}
    assert names == {path.name for path in (undisturbed / "checkpoints").iterdir()}
    assert bits_of(state_of(run)) == bits_of(state_of(undisturbed))
