"""A run is the same on any number of devices and processes, but for the rounding of sums; streamed or not, to the bit.

Devices are simulated on the CPU by XLA; processes are real, and meet on loopback.
"""

import json
import os
import shutil
import signal
import socket
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

from cvae_training import Config, DataSet, InputError, RunError, StoppedError, create_run, resume_run
from cvae_training.placement import Placement, place
from cvae_training.processes import connect
from cvae_training.run import RunFolder

# Float32 sums in another order differ by about 1e-7 of their value; measured over these 51 steps: losses by 1.1e-7 of
# theirs, the state by 2e-6.
TOLERANCE = 1e-6
FLAGS = [
    *("--preset", "article", "--kl-weight", "3", "--schedule", "cosine"),
    *("--latent-dim", "3", "--encoder-dimensions", "12,8", "--decoder-dimensions", "10", "--learning-rate", "0.001"),
    *("--likelihood", "bernoulli", "--batch-size", "496", "--epochs", "3", "--checkpoint-epochs", "1", "--seed", "7"),
    *("--warmup-steps", "0", "--keep-checkpoints", "9"),
]
TellCount = Callable[[int, int, str], None]
ALONE: list[tuple[list[str], dict[str, str]]] = [([], {})]
ON_EIGHT = """
import json, sys
from pathlib import Path
import jax
from cvae_training import create_run
from cvae_training.placement import place
from cvae_training.run import RunFolder
from cvae_training.config import Config

assert len(jax.devices()) == 8
folder, own = Path(sys.argv[1]), RunFolder.open(Path(sys.argv[1]) / "alone")
for name, images, devices in (("eight", "resident", 8), ("stream", "streamed", 8), ("two", "resident", 2)):
    placement = place(own.config.batch_size, 0, images, devices)
    create_run(folder / name, own.config, placement=placement)
"""


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def losses(folder: Path) -> np.ndarray:
    return np.array([list(line[split].values()) for line in metrics(folder) for split in ("train", "held_out")])


def close_to(expected: np.ndarray, got: np.ndarray) -> int:
    return int(np.isclose(got, expected, rtol=TOLERANCE, atol=0).sum())


def last_state(folder: Path) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(RunFolder.open(folder).restore())]


def same_bits(a: Path, b: Path) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(last_state(a), last_state(b), strict=True))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def by_flags(count: int) -> list[tuple[list[str], dict[str, str]]]:
    """Flags and environment of each process of a run."""
    coordinator = f"127.0.0.1:{free_port()}"
    flags = ["--coordinator", coordinator, "--num-processes", str(count), "--process-id"]
    return [([*flags, str(number)], {}) for number in range(count)]


def by_slurm(count: int) -> list[tuple[list[str], dict[str, str]]]:
    """As srun starts processes: JAX makes the coordinator's port of the job's number, from 61440 on."""
    job = {"SLURM_JOB_ID": str(free_port()), "SLURM_STEP_NODELIST": "127.0.0.1", "SLURM_NTASKS": str(count)}
    return [
        (["--distributed"], job | {"SLURM_PROCID": str(number), "SLURM_LOCALID": str(number)})
        for number in range(count)
    ]


def start(ways: list[tuple[list[str], dict[str, str]]], *arguments: str | Path) -> list[subprocess.Popen[str]]:
    """cvae-train in as many processes as there are ways to say where they are."""
    command = "import sys; from cvae_training.command import main; sys.exit(main())"
    return [
        subprocess.Popen(
            [sys.executable, "-c", command, *arguments, *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""} | environment,
        )
        for flags, environment in ways
    ]


def ends(started: list[subprocess.Popen[str]]) -> tuple[list[int], list[str]]:
    """Exit codes, and what the processes said of themselves."""
    said = [process.communicate(timeout=240)[1] for process in started]
    own = [[line for line in text.splitlines() if line.startswith("cvae-train: ")] for text in said]
    assert all("Traceback" not in text for text in said), said
    return [process.returncode for process in started], [" ".join(lines) for lines in own]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the runs of one recipe lie; `alone` is the one of one device."""
    folder = tmp_path_factory.mktemp("devices")
    codes, said = ends(start(ALONE, "--out", folder / "alone", *FLAGS))
    assert codes == [0], said
    return folder


@pytest.fixture(scope="module")
def simulated(folder: Path) -> Path:
    """The same recipe on 8 devices of one process, resident and streamed, and on 2 of the 8."""
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", ON_EIGHT, folder], env=os.environ | flags, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("name", ["eight", "two"])
def test_simulated_devices_give_the_losses_of_one(simulated: Path, name: str, tell_count: TellCount) -> None:
    expected = losses(simulated / "alone")
    assert expected.shape == (6, 3)
    np.testing.assert_allclose(losses(simulated / name), expected, rtol=TOLERANCE)
    tell_count(
        close_to(expected, losses(simulated / name)),
        expected.size,
        f"losses on {name} simulated devices: within {TOLERANCE:g} of those on one",
    )
    for got, alone in zip(last_state(simulated / name), last_state(simulated / "alone"), strict=True):
        np.testing.assert_allclose(got, alone, rtol=1e-5, atol=2e-5)


def test_eight_devices_share_each_batch(simulated: Path) -> None:
    """A sum in eight parts is rounded otherwise: had each device computed the whole batch, all bits were the same."""
    assert not same_bits(simulated / "eight", simulated / "alone")


def test_streamed_images_give_eight_devices_the_same_bits(simulated: Path) -> None:
    assert same_bits(simulated / "stream", simulated / "eight")
    assert metrics(simulated / "stream") == metrics(simulated / "eight")


def test_two_processes_give_the_losses_of_one_and_checkpoints_pass_between_them(
    folder: Path, tell_count: TellCount
) -> None:
    codes, said = ends(start(by_flags(2), "--out", folder / "pair", *FLAGS))
    assert codes == [0, 0], said
    expected = losses(folder / "alone")
    np.testing.assert_allclose(losses(folder / "pair"), expected, rtol=TOLERANCE)
    tell_count(
        close_to(expected, losses(folder / "pair")),
        expected.size,
        f"losses of two processes: within {TOLERANCE:g} of those of one",
    )
    assert [len(list((folder / "pair" / "tensorboard" / part).iterdir())) for part in ("train", "held_out")] == [1, 1]
    assert (folder / "pair" / "report.html").stat().st_size > 0
    passed_on = 0
    for ways, source in ((ALONE, "pair"), (by_slurm(2), "alone")):
        run = folder / f"{source}-then-{len(ways)}"
        shutil.copytree(folder / source, run)
        for checkpoint in RunFolder.open(run)._checkpoints()[:-1]:  # back to an earlier one
            shutil.rmtree(checkpoint)
        resumed_at = int(RunFolder.open(run).restore().step)
        assert 0 < resumed_at < 51
        codes, said = ends(start(ways, "--out", run, "--resume"))
        assert codes == [0] * len(ways), said
        np.testing.assert_allclose(losses(run), expected, rtol=TOLERANCE)
        assert int(RunFolder.open(run).restore().step) == 51
        passed_on += 1
    tell_count(passed_on, 2, "checkpoints passed between one and two processes: gone on with to the same losses")


def test_a_signal_to_one_process_stops_both_with_a_checkpoint(folder: Path) -> None:
    run = folder / "signalled"
    started = start(by_flags(2), "--out", run, *FLAGS, "--epochs", "1000000", "--checkpoint-epochs", "1000000")
    while not (run / "metrics.jsonl").exists() or not metrics(run):
        assert all(process.poll() is None for process in started), ends(started)
        time.sleep(0.1)
    os.kill(started[1].pid, signal.SIGTERM)
    codes, said = ends(started)
    assert codes == [143, 143], said
    assert all("go on with --resume" in line for line in said)
    assert RunFolder.open(run).has_checkpoint


def test_an_error_of_the_first_process_ends_both(folder: Path) -> None:
    codes, said = ends(start(by_flags(2), "--out", folder / "alone", *FLAGS))
    assert codes == [2, 2]
    assert all(line.count("cvae-train: ") == 1 and "exists: choose another folder" in line for line in said), said


@pytest.mark.parametrize("cut", [1, 3, 6, 7, 11])
def test_a_streamed_run_is_the_resident_one_though_it_was_cut(
    tiny: Config, few_digits: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    monkeypatch.setattr(sys.modules["cvae_training.train"], "_next_stretch", lambda *_: 1)
    monkeypatch.setattr("cvae_training.stream._CHUNK_BYTES", 4 * 16 * 784)  # 4 of an epoch's 6 steps
    config = replace(tiny, checkpoint_epochs=1)
    create_run(tmp_path / "resident", config, data=few_digits, placement=place(16, 0, "resident"))
    streamed = place(16, 0, "streamed")
    steps = iter(range(1, 13))
    with pytest.raises(StoppedError, match=f"stopped at step {cut};"):
        create_run(
            tmp_path / "run", config, should_stop=lambda: next(steps) == cut, data=few_digits, placement=streamed
        )
    resume_run(tmp_path / "run", data=few_digits, placement=streamed)
    assert same_bits(tmp_path / "run", tmp_path / "resident")
    assert metrics(tmp_path / "run") == metrics(tmp_path / "resident")


def test_a_stream_whose_rows_are_wrong_would_be_seen(
    tiny: Config, few_digits: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cvae_training import stream

    rows = stream.epoch_rows
    create_run(tmp_path / "resident", tiny, data=few_digits, placement=place(16, 0, "resident"))
    monkeypatch.setattr(stream, "epoch_rows", lambda *a, **k: rows(*a, **k)[::-1])
    create_run(tmp_path / "run", tiny, data=few_digits, placement=place(16, 0, "streamed"))
    assert not same_bits(tmp_path / "run", tmp_path / "resident")


def test_images_are_streamed_when_they_would_fill_more_than_half_of_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cvae_training.placement._free_bytes", lambda: 1000)
    assert not place(16, 500).is_streamed
    assert place(16, 501).is_streamed
    assert not place(16, 501, "resident").is_streamed
    assert place(16, 500, "streamed").is_streamed


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: place(16, 0, num_devices=2), "devices must be at most the 1 there are, got 2"),
        (lambda: place(16, 0, num_devices=-1), "devices must be at least 0, got -1"),
        (lambda: connect("127.0.0.1", 2, 0), "coordinator must be HOST:PORT, got '127.0.0.1'"),
        (lambda: connect("127.0.0.1:70000", 2, 0), "coordinator must be HOST:PORT"),
        (lambda: connect("127.0.0.1:5000", 0, 0), "num_processes must be at least 1, got 0"),
        (lambda: connect("127.0.0.1:5000", 2, 2), "process_id must be from 0 to num_processes - 1, got 2 of 2"),
        (lambda: connect("127.0.0.1:5000", 2, -1), "process_id must be from 0"),
    ],
)
def test_devices_and_processes_that_cannot_be_are_told(call: Callable[[], Placement | None], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.parametrize(
    ("flags", "got"),
    [(["--distributed"], "None, None, None"), (["--coordinator", "127.0.0.1:5000"], "127.0.0.1:5000, None, None")],
)
def test_processes_that_nothing_tells_of_are_told(tmp_path: Path, flags: list[str], got: str) -> None:
    codes, said = ends(start([(flags, {})], "--out", tmp_path / "run"))
    assert codes == [2]
    assert said == [
        "cvae-train: coordinator, num_processes and process_id must be given where no cluster's environment says them, "
        f"got {got}"
    ]


def test_more_devices_than_the_batch_divides_into_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "devices", lambda: [None] * 6)
    with pytest.raises(InputError, match="batch_size must divide evenly over the 6 devices, got 16: choose a multiple"):
        place(16, 0)


def test_processes_that_do_not_come_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_: object, **__: object) -> None:
        raise RuntimeError("DEADLINE_EXCEEDED: Barrier timed out.\nAnd more.")

    monkeypatch.setattr(jax.distributed, "initialize", nobody)
    with pytest.raises(RunError, match=r"cannot join the other processes: DEADLINE_EXCEEDED: Barrier timed out\.$"):
        connect("127.0.0.1:5000", 2, 0)
    monkeypatch.setenv("JAX_DISTRIBUTED_TIMEOUT", "soon")
    with pytest.raises(InputError, match="JAX_DISTRIBUTED_TIMEOUT must be seconds, at least 1, got 'soon'"):
        connect("127.0.0.1:5000", 2, 0)
