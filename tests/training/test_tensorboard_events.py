"""TensorBoard events of a run, read back by their framing, whose checksums are computed here from their definition."""

import json
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog

from cvae_training import Config, OutputWarning, StoppedError, create_run, load_run, resume_run
from cvae_training.config import OptimizerConfig
from cvae_training.tensorboard_events import EventLog

TRAIN = sys.modules["cvae_training.train"]  # the package's own `train` is the function
LINES = [
    {"epoch": epoch, "step": 10 * epoch, "train": {"loss": 9.5 / epoch}, "held_out": {"loss": 9.0 / epoch}}
    for epoch in range(1, 6)
]


def crc32c(content: bytes) -> int:
    """Castagnoli's CRC, bit by bit: RFC 3720, appendix B.4."""
    remainder = 0xFFFFFFFF
    for byte in content:
        remainder ^= byte
        for _ in range(8):
            remainder = remainder >> 1 ^ (0x82F63B78 if remainder & 1 else 0)
    return remainder ^ 0xFFFFFFFF


def masked(content: bytes) -> int:
    """As TensorFlow's record format stores it: rotated right by 15 bits, plus a constant."""
    crc = crc32c(content)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def events_in(folder: Path) -> list[Any]:
    """The events of a folder's only file; length, its CRC, content, its CRC."""
    (path,) = folder.iterdir()
    assert "tfevents" in path.name  # by which TensorBoard knows it
    content, events = path.read_bytes(), []
    while content:
        length, length_crc = struct.unpack("<QI", content[:12])
        assert length_crc == masked(content[:8])
        record, content = content[12 : 12 + length], content[12 + length :]
        assert struct.unpack("<I", content[:4]) == (masked(record),)
        content = content[4:]
        events.append(Event.FromString(record))
    return events


def scalars_in(folder: Path) -> dict[int, dict[str, float]]:
    """Each step's scalars, after the two events that begin a file; no step twice."""
    version, start, *rest = events_in(folder)
    assert version.file_version == "brain.Event:2"
    assert (start.step, start.session_log.status) == (0, SessionLog.START)
    steps = [event.step for event in rest]
    assert steps == sorted(set(steps))
    return {event.step: {value.tag: value.simple_value for value in event.summary.value} for event in rest}


def assert_shows_the_metrics(run: Path) -> None:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for part in ("train", "held_out"):
        scalars = scalars_in(run / "tensorboard" / part)
        assert list(scalars) == [line["step"] for line in lines]
        for line in lines:
            shown = {tag: value for tag, value in scalars[line["step"]].items() if tag != "learning_rate"}
            assert shown == pytest.approx(line[part], rel=1e-6)  # float32
            assert ("learning_rate" in scalars[line["step"]]) == (part == "train")


def test_the_checksum_is_castagnolis() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # the check value of CRC catalogues
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, appendix B.4


def test_a_runs_events_are_its_metrics(finished_run: Any) -> None:
    assert_shows_the_metrics(finished_run.folder)


def test_the_learning_rate_is_that_of_each_epochs_last_step(tmp_path: Path) -> None:
    config = OptimizerConfig(learning_rate=0.5, schedule="linear", warmup_steps=20)
    with EventLog(tmp_path, config, 60, LINES[:2]) as log:
        for line in LINES[2:]:
            log(line)
    got = {step: scalars["learning_rate"] for step, scalars in scalars_in(tmp_path / "train").items()}
    # Step t, counted from 0: up to 0.5 at 20, then down to 0 at 60.
    expected = {10: 0.5 * 9 / 20, 20: 0.5 * 19 / 20, 30: 0.5 * 31 / 40, 40: 0.5 * 21 / 40, 50: 0.5 * 11 / 40}
    assert got == pytest.approx(expected, rel=1e-6)


@pytest.fixture
def stretches_of_three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TRAIN, "_next_stretch", lambda *_: 3)


def stop_after(questions: int) -> Callable[[], bool]:
    asked = iter(range(1, 10**9))
    return lambda: next(asked) >= questions


@pytest.mark.usefixtures("stretches_of_three")
def test_a_run_that_is_cut_and_resumed_shows_each_step_once(tiny: Config, tmp_path: Path) -> None:
    config, run = replace(tiny, epochs=5, batch_size=1000, checkpoint_epochs=2), tmp_path / "run"  # epochs of 8 steps
    with pytest.raises(StoppedError, match="step 11;"):
        create_run(run, config, should_stop=stop_after(4))
    assert_shows_the_metrics(run)
    with pytest.raises(StoppedError):  # before another epoch ends
        resume_run(run, should_stop=stop_after(1))
    assert_shows_the_metrics(run)
    resume_run(run)
    assert_shows_the_metrics(run)
    before = {path: path.read_bytes() for path in (run / "tensorboard").rglob("*tfevents*")}
    resume_run(run)
    assert {path: path.read_bytes() for path in (run / "tensorboard").rglob("*tfevents*")} == before


def test_what_a_killed_run_wrote_after_its_checkpoint_is_not_shown_twice(finished_run: Any, tmp_path: Path) -> None:
    run = shutil.copytree(finished_run.folder, tmp_path / "run")
    shutil.rmtree(run / "checkpoints")  # killed after two epochs, before the first checkpoint
    for part in ("train", "held_out"):
        (path,) = (run / "tensorboard" / part).iterdir()
        path.write_bytes(path.read_bytes()[:-5])  # and while it wrote
    resume_run(run)
    assert_shows_the_metrics(run)


def test_a_duplicate_would_be_seen(tmp_path: Path) -> None:
    with EventLog(tmp_path, OptimizerConfig(), 60, LINES) as log:
        log(LINES[-1])
    with pytest.raises(AssertionError):
        scalars_in(tmp_path / "train")


def test_a_changed_byte_would_be_seen(tmp_path: Path) -> None:
    with EventLog(tmp_path, OptimizerConfig(), 60, []) as log:
        log(LINES[0])
    (path,) = (tmp_path / "train").iterdir()
    content = bytearray(path.read_bytes())
    content[-6] ^= 1
    path.write_bytes(content)
    with pytest.raises(AssertionError):
        events_in(tmp_path / "train")


def test_events_are_on_the_disk_before_a_checkpoint_is(tmp_path: Path) -> None:
    log = EventLog(tmp_path, OptimizerConfig(), 60, [])
    for line in LINES:
        log(line)
    log.flush()
    assert list(scalars_in(tmp_path / "held_out")) == [10, 20, 30, 40, 50]
    log.__exit__()


def test_a_writer_that_cannot_be_imported_loses_no_run(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.warns(OutputWarning, match="import of tensorboardX halted.*; training goes on without") as told:
        create_run(tmp_path / "run", replace(tiny, batch_size=2000))
    assert len(told) == 1
    assert load_run(tmp_path / "run").metrics[-1]["epoch"] == tiny.epochs


def test_events_that_cannot_be_written_are_told_once_and_lose_no_run(tiny: Config, tmp_path: Path) -> None:
    run = tmp_path / "run"
    create_run(run, replace(tiny, epochs=1, batch_size=2000))
    shutil.rmtree(run / "checkpoints")
    shutil.rmtree(run / "tensorboard")
    (run / "tensorboard").write_text("in the way")
    expected = re.escape(f"cannot write TensorBoard events to {run}/tensorboard: ") + ".*; training goes on without"
    with pytest.warns(OutputWarning, match=expected) as told:
        resume_run(run)
    assert len(told) == 1
    assert len(load_run(run).metrics) == 1


def test_tensorboard_is_not_imported_before_the_first_epoch_ends() -> None:
    script = "import sys, cvae_training.command; print('tensorboardX' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"


def test_a_loss_that_is_no_number_is_shown_as_such(tmp_path: Path) -> None:
    with EventLog(tmp_path, OptimizerConfig(), 60, []) as log:
        log({"epoch": 1, "step": 10, "train": {"loss": float("nan")}, "held_out": {"loss": float("inf")}})
    assert np.isnan(scalars_in(tmp_path / "train")[10]["loss"])
    assert scalars_in(tmp_path / "held_out")[10]["loss"] == float("inf")
