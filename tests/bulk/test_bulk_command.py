"""cvae bulk: its user's mistakes are one line and exit 2, within seconds; a run says what it made."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cvae_sdk.bulk.labels import to_entries
from cvae_sdk.command import main
from cvae_sdk.errors import BackendUnavailableError, InputError

CVAE = Path(sys.executable).with_name("cvae")


@pytest.fixture
def bulk(capsys, tmp_path, monkeypatch):
    """Run cvae bulk in an empty folder: its exit code, and what it wrote to the two streams."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str, str]:
        try:
            code = main(["bulk", "--total", "10", "--out", "out", *map(str, arguments)])
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def listening() -> Iterator[tuple[str, list[bytes]]]:
    """An address where every caller is told the bytes of the list, and nothing if there are none."""
    answers: list[bytes] = []
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def answer() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(100)
                    for each in answers:
                        connection.sendall(each)
                    connection.recv(100) if not answers else None

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}", answers
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_without_ray_the_line_says_what_to_install(bulk, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert bulk() == (2, "", "cvae: bulk sampling needs Ray: pip install 'cvae-sdk[ray]'\n")
    assert not Path("out").exists()


def test_without_ray_a_dataset_says_what_to_install(monkeypatch):
    from cvae_sdk.bulk import dataset

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(BackendUnavailableError, match="bulk sampling needs Ray"):
        dataset("mnist", "uniform", 10, 0)


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9", "localhost:9"])
def test_an_address_where_nothing_answers_is_one_line_within_seconds(bulk, address):
    started = time.monotonic()
    assert bulk("--address", address) == (2, "", f"cvae: no Ray answers at {address}: Connection refused\n")
    assert time.monotonic() - started < 20  # Ray itself takes 30 s or 2 minutes
    assert not Path("out").exists()


def test_an_address_of_a_name_that_nobody_has_is_one_line(bulk):
    code, out, err = bulk("--address", "nobody.invalid:6379")
    assert (code, out) == (2, "")
    assert err.startswith("cvae: no Ray answers at nobody.invalid:6379: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("answers", [[b"HTTP/1.1 400 Bad Request\r\n\r\n"], [b"-ERR"], [b""]])
def test_an_address_where_something_else_answers_is_one_line(bulk, listening, answers):
    address, said = listening
    said.extend(answers)
    assert bulk("--address", address) == (2, "", f"cvae: no Ray answers at {address}: something else does\n")


def test_an_address_that_accepts_and_is_silent_is_one_line(bulk, listening, monkeypatch):
    monkeypatch.setattr("cvae_sdk.bulk.cluster._PATIENCE", 0.2)
    address, _ = listening
    assert bulk("--address", address) == (2, "", f"cvae: no Ray answers at {address}: timed out\n")


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "127.0.0.1:nine", "ray://", ""])
def test_an_address_that_is_none_is_one_line(bulk, address):
    message = f"cvae: an address is HOST:PORT, ray://HOST:PORT or auto, got {address!r}\n"
    assert bulk("--address", address) == (2, "", message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--labels", "eleven"), "unknown class 'eleven'"),
        (("--labels", "11"), "a label must be from 0 to 9, got 11"),
        (("--labels", "3:1,3:1"), "the mix '3:1,3:1' has the class 3 twice"),
        (("--total", "0"), "--total must be at least 1, got 0"),
        (("--shard-size", "0"), "shard_size must be at least 1, got 0"),
        (("--workers", "0"), "workers must be at least 1, got 0"),
        (("--format", "png"), "argument --format: invalid choice: 'png'"),
        (("--artifact", "nothing/there"), "no artifact at nothing/there"),
        (("--artifact", "https://host/m"), "bulk sampling needs an artifact's own files"),
        (("--out", "."), "holds something and no shards.json"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(bulk, arguments, message, tmp_path):
    (tmp_path / "something").touch()
    code, out, err = bulk(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["something"]


def test_uniform_is_every_class_in_turn_and_labels_may_be_names_numbers_and_mixes():
    classes = ("zero", "one", "two")
    assert to_entries("uniform", classes) == classes
    mixed = to_entries(["two", 1, "zero:1,two:3", {"one": 2, 2: 2}], classes)
    assert mixed == ("two", "one", {"zero": 0.25, "two": 0.75}, {"one": 0.5, "two": 0.5})
    with pytest.raises(InputError, match="labels must be \"uniform\" or a list of labels, got 'two'"):
        to_entries("two", classes)


def test_a_run_whose_worker_is_killed_ends_with_a_line_and_says_and_leaves_nothing_else(tmp_path):
    """Ray's own processes are started, one dies, the others end; neither they nor Ray's token leave anything."""
    arguments = ["--total", "20000", "--shard-size", "500", "--workers", "1", "--seed", "1", "--out", "out"]
    with tempfile.TemporaryDirectory(prefix="b") as short:  # Ray's sockets need a short name
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": short}
        run = subprocess.Popen(
            [CVAE, "bulk", *arguments], stdout=-1, stderr=-1, text=True, cwd=tmp_path, env=environment
        )
        while len(list(tmp_path.glob("out/*.parquet"))) < 3:
            assert run.poll() is None
            time.sleep(0.01)
        os.kill(worker_of(run.pid), signal.SIGKILL)
        out, err = run.communicate(timeout=120)
        left = [path.name for path in Path(short).iterdir() if path.name != ".ses"]  # that is ONNX Runtime's
    assert run.returncode == 0, err
    start, _, end = out.partition(" made in ")
    assert start == "20,000 images"
    assert end.endswith("; 20,000 in 40 shards in out\n")
    assert err.splitlines() == [f"{k} of 40 shards, {500 * k:,} images" for k in range(2, 41, 2)]
    assert left == []
    assert [path.name for path in tmp_path.iterdir() if path.name != ".cache"] == ["out"]  # as above


def worker_of(driver: int) -> int:
    """The process of a driver's Ray that makes shards: Ray gives it the task's name, and another between two tasks."""
    deadline = time.monotonic() + 60
    while not (workers := named_after_the_task(driver)):
        assert time.monotonic() < deadline
    return workers[0]


def named_after_the_task(driver: int) -> list[int]:
    table = subprocess.run(
        ["/bin/ps", "-A", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split(maxsplit=2) for line in table.splitlines()]
    parents = {int(row[0]): int(row[1]) for row in rows}

    def descends(pid: int) -> bool:
        return pid == driver or (pid in parents and descends(parents[pid]))

    return [int(row[0]) for row in rows if "ray::make_shard" in row[-1] and descends(int(row[0]))]
