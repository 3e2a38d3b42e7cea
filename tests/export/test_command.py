"""The command cvae-export: its mistakes cost one line and exit code 2."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import cvae_training
from cvae_export import artifact, gate
from cvae_export.command import main
from cvae_sdk.manifest import Parity
from cvae_training import CheckpointWarning, Run, checkpoint, create_run, load_run
from cvae_training.config import Config, ModelConfig

NETWORK = ModelConfig(latent_dim=4, encoder_dimensions=(8,), decoder_dimensions=(8,))
CONFIG = Config(model=NETWORK, epochs=1, batch_size=4000)


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    create_run(folder, CONFIG)
    return folder


def mistake(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a mistake gives."""
    try:
        code = main(arguments)
    except SystemExit as stopped:
        code = stopped.code
    assert code == 2
    output = capsys.readouterr()
    assert output.out == ""
    (line,) = output.err.splitlines()
    assert line.startswith("cvae-export: ")
    return line


def test_a_run_becomes_an_artifact(run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(run_folder), "--out", str(tmp_path / "tiny"), "--name", "small"]) == 0
    output = capsys.readouterr()
    assert "artifact small saved in" in output.out
    for form in ("stablehlo", "saved_model", "saved_model_xla", "onnx"):
        assert f"{form:16} max_abs_error" in output.err


def test_a_missing_run_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nowhere is not a run folder" in mistake([str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")], capsys)


def test_a_run_without_checkpoint_is_told(run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    for name in ("config.json", "metrics.jsonl"):
        (unfinished / name).write_bytes((run_folder / name).read_bytes())
    line = mistake([str(unfinished), "--out", str(tmp_path / "out")], capsys)
    assert "no checkpoint in" in line
    assert not (tmp_path / "out").exists()


def test_a_run_whose_checkpoints_are_all_damaged_is_told(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(run_folder, damaged)
    for path in (damaged / "checkpoints").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:-1] + b"?")
    line = mistake([str(damaged), "--out", str(tmp_path / "out")], capsys)
    assert "no checkpoint in" in line
    assert "is whole" in line
    assert not (tmp_path / "out").exists()


def test_a_damaged_checkpoint_that_is_passed_over_is_told_in_a_line(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(folder: Path) -> Run:
        warnings.warn("epoch 2 is damaged: a sum differs; using an older one", CheckpointWarning, stacklevel=1)
        return load_run(folder)

    monkeypatch.setattr(cvae_training, "load_run", load)
    monkeypatch.setattr(artifact, "export_run", lambda *_, **__: SimpleNamespace(name="tiny", formats={}))
    assert main([str(run_folder), "--out", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().err.splitlines()
    assert "cvae-export: epoch 2 is damaged: a sum differs; using an older one" in told


def test_an_output_that_exists_is_told_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "restore", None)
    assert "exists: choose another folder" in mistake([str(tmp_path / "nowhere"), "--out", str(tmp_path)], capsys)


@pytest.mark.parametrize(
    "number", [errno.EROFS, errno.EACCES, errno.ENOSPC], ids=lambda number: errno.errorcode[number]
)
def test_a_folder_that_cannot_be_written_to_costs_one_line(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The error is injected: whoever runs the tests may be allowed to write anywhere."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    line = mistake([str(run_folder), "--out", str(tmp_path / "deep" / "out")], capsys)
    assert line.endswith(f"cannot write {tmp_path / 'deep' / 'out'}: {os.strerror(number)}")
    assert list(tmp_path.iterdir()) == []


def test_missing_arguments_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert "required: --out" in mistake(["run"], capsys)


# An export that comes to its second form and waits there to be stopped.
WAITS_AT_ITS_SECOND_FORM = """
import itertools, os, sys, time
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
from cvae_export import command, gate
calls, measure = itertools.count(1), gate.measure_parity
def measure_or_wait(*arguments, **settings):
    if next(calls) == 2:
        print("waiting", file=sys.stderr, flush=True)
        time.sleep(600)
    return measure(*arguments, **settings)
gate.measure_parity = measure_or_wait
sys.exit(command.main())
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_the_middle_leaves_nothing_behind(run_folder: Path, tmp_path: Path, number: int, code: int) -> None:
    export = subprocess.Popen(
        [sys.executable, "-c", WAITS_AT_ITS_SECOND_FORM, run_folder, "--out", tmp_path / "out"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert export.stderr is not None
    assert any("waiting" in line for line in export.stderr)
    assert len(list(tmp_path.iterdir())) == 1
    os.kill(export.pid, number)
    started = time.monotonic()
    _, rest = export.communicate(timeout=60)
    assert export.returncode == code
    assert "Traceback" not in rest
    assert time.monotonic() - started < 30
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_whose_exception_is_swallowed_still_ends_the_export(
    run_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    code: int,
) -> None:
    measure = gate.measure_parity

    def measure_in_a_finalizer(*arguments: Any, **settings: Any) -> Parity:
        with suppress(BaseException):  # as Python does around finalizers and weak references' callbacks
            os.kill(os.getpid(), number)
            time.sleep(1)
        return measure(*arguments, **settings)

    monkeypatch.setattr(gate, "measure_parity", measure_in_a_finalizer)
    before = signal.getsignal(number)
    assert main([str(run_folder), "--out", str(tmp_path / "out")]) == code
    assert "interrupted" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(number) is before


def test_a_version_is_exported_and_published(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tmp_path / "base"
    (base / "digits" / "4").mkdir(parents=True)
    options = [str(run_folder), "--out", str(tmp_path / "tiny"), "--name", "digits", "--serving-base", str(base)]
    assert main(options) == 0
    assert f"published {base}/digits/5" in capsys.readouterr().out
    published, own = base / "digits" / "5", tmp_path / "tiny" / "saved_model" / "5"
    files = {path.relative_to(own): path.read_bytes() for path in own.rglob("*") if path.is_file()}
    assert files == {path.relative_to(published): path.read_bytes() for path in published.rglob("*") if path.is_file()}
    assert (own / "assets.extra" / "tf_serving_warmup_requests").is_file()


@pytest.mark.parametrize(("version", "message"), [("4", "version 4 exists: "), ("0", "version must be from 1 to ")])
def test_a_version_that_cannot_be_is_told_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], version: str, message: str
) -> None:
    (tmp_path / "nowhere" / "4").mkdir(parents=True)
    options = [str(tmp_path / "nowhere"), "--out", str(tmp_path / "a" / "out"), "--serving-base", str(tmp_path)]
    assert message in mistake([*options, "--version", version], capsys)
    assert not (tmp_path / "a").exists()
