"""cvae bulk on a Ray that is there already: by each kind of address the same bytes; another token is refused."""

import hashlib
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cvae_sdk.bulk.cluster import connected
from cvae_sdk.errors import CvaeError

BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Head:
    port: int
    client_port: int
    environment: dict[str, str]


def free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    """`ray start --head` with a token, as on a cluster's first machine, ended by SIGTERM."""
    port, client_port = free_ports(2)
    without = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment = without | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    environment["RAY_CLIENT_SERVER_CHECK_CHANNEL_TIMEOUT_S"] = "240"  # 30 s are few for its process on a busy machine
    arguments = [f"--port={port}", f"--ray-client-server-port={client_port}", "--num-cpus=1", "--block"]
    arguments += ["--include-dashboard=false", "--disable-usage-stats", f"--object-store-memory={128 * 2**20}"]
    with tempfile.TemporaryDirectory(prefix="b", dir="/tmp", ignore_cleanup_errors=True) as folder:
        told = Path(folder, "told")
        with told.open("w") as file:
            command = [BIN / "ray", "start", "--head", f"--temp-dir={folder}/r", *arguments]
            ray = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
        try:
            deadline = time.monotonic() + 180
            while "Ray runtime started" not in told.read_text():
                assert ray.poll() is None, told.read_text()
                assert time.monotonic() < deadline, told.read_text()
                time.sleep(0.1)
            yield Head(port, client_port, environment)
        finally:
            ray.terminate()
            ray.wait(timeout=60)


def run_bulk(folder: Path, address: str | None, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    arguments = ["--total", "300", "--shard-size", "100", "--seed", "7", "--workers", "1", "--out", folder]
    arguments += [] if address is None else ["--address", address]
    return subprocess.run(
        [BIN / "cvae", "bulk", *arguments], env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def hashes_of(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Without Ray: what `cvae stream` writes."""
    folder = tmp_path_factory.mktemp("stream") / "out"
    arguments = ["--total", "300", "--shard-size", "100", "--seed", "7", "--format", "parquet", "-o", folder]
    subprocess.run([BIN / "cvae", "stream", *arguments], check=True, capture_output=True)
    return hashes_of(folder)


@pytest.mark.parametrize("kind", ["HOST:PORT", "ray://HOST:PORT", "auto"])
def test_a_ray_that_is_there_makes_the_bytes_of_a_stream(head, expected, kind, tmp_path):
    address = {"HOST:PORT": f"127.0.0.1:{head.port}", "ray://HOST:PORT": f"ray://127.0.0.1:{head.client_port}"}
    environment = head.environment | {"RAY_ADDRESS": f"127.0.0.1:{head.port}"}
    run = run_bulk(tmp_path / "out", address.get(kind, "auto"), environment if kind == "auto" else head.environment)
    assert run.returncode == 0, run.stderr
    assert run.stderr.splitlines() == [f"{k} of 3 shards, {100 * k} images" for k in (1, 2, 3)]
    assert hashes_of(tmp_path / "out") == expected


def test_another_token_is_refused_in_a_line_after_what_ray_itself_logs(head, tmp_path):
    environment = head.environment | {"RAY_AUTH_TOKEN": "0" * 64}
    run = run_bulk(tmp_path / "out", f"127.0.0.1:{head.port}", environment)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.splitlines()[-1].startswith(f"cvae: the Ray at 127.0.0.1:{head.port} refuses: ")
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "out").exists()


def test_without_an_address_auto_says_that_no_ray_runs(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("ray.init", _raise_connection_error)  # one may run on the machine of the tests
    with pytest.raises(CvaeError, match="no Ray runs on this machine and RAY_ADDRESS is not set"), connected("auto"):
        pass


def _raise_connection_error(**arguments: object) -> None:
    raise ConnectionError("Could not find any running Ray instance")
