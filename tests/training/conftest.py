"""Small data, a small finished run and a terminal, shared by the tests of the trainer."""

import contextlib
import fcntl
import gzip
import os
import struct
import termios
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import jax
import numpy as np
import pytest

from cvae_training import Config, DataSet, Split, create_run, load_data_set
from cvae_training.config import ModelConfig, ObjectiveConfig, OptimizerConfig
from cvae_training.run import RunFolder
from cvae_training.train import EpochReport, TrainState


@pytest.fixture(scope="session")
def digits() -> DataSet:
    return load_data_set("mnist-10k")


@pytest.fixture(scope="session")
def few_digits(digits: DataSet) -> DataSet:
    """96 images to train on, 32 held out."""
    return replace(
        digits,
        train=Split(digits.train.images[:96], digits.train.labels[:96]),
        held_out=Split(digits.held_out.images[:32], digits.held_out.labels[:32]),
    )


@pytest.fixture(scope="session")
def tiny() -> Config:
    """A network that compiles and trains in about a second."""
    return Config(
        model=ModelConfig(latent_dim=3, encoder_dimensions=(12, 8), decoder_dimensions=(10,)),
        objective=ObjectiveConfig(likelihood="bernoulli", kl_weight=1.0),
        optimizer=OptimizerConfig(learning_rate=1e-2),
        epochs=2,
        batch_size=16,
        seed=7,
    )


class FinishedRun(NamedTuple):
    folder: Path
    config: Config
    reports: list[EpochReport]


@pytest.fixture(scope="session")
def finished_run(tiny: Config, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """A run over all of mnist-10k, not to be changed: copy it to damage it."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    config = replace(tiny, batch_size=1000)
    reports: list[EpochReport] = []
    create_run(folder, config, reports.append)
    return FinishedRun(folder, config, reports)


@pytest.fixture(scope="session")
def full_config(tiny: Config) -> Config:
    """4 epochs of 17 steps, with everything on that a checkpoint must hold."""
    optimizer = replace(tiny.optimizer, ema_decay=0.9, schedule="cosine", warmup_steps=5, clip_norm=5.0)
    objective = replace(tiny.objective, kl_warmup_steps=30)
    return replace(tiny, optimizer=optimizer, objective=objective, epochs=4, batch_size=500, checkpoint_epochs=2)


@pytest.fixture(scope="session")
def undisturbed(full_config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of full_config with two checkpoints, not to be changed."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    create_run(folder, full_config)
    return folder


@pytest.fixture(scope="session")
def state_of() -> Callable[[Path], TrainState]:
    """Takes a run's folder to its newest whole checkpoint's state."""
    return lambda run: RunFolder.open(run).restore()


@pytest.fixture(scope="session")
def bits_of() -> Callable[[TrainState], list[bytes]]:
    """Takes a state to its arrays' bytes."""
    return lambda state: [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state)]


@pytest.fixture
def gzipped_idx() -> Callable[[np.ndarray], bytes]:
    """An array as a gzipped IDX file of bytes."""
    return lambda array: gzip.compress(
        struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes(), mtime=0
    )


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


class Server:
    """Files over HTTP on loopback: `replies` has each path's status and body, `cut` the paths whose body ends early."""

    def __init__(self) -> None:
        self.replies: dict[str, tuple[int, bytes]] = {}
        self.cut: set[str] = set()
        self.requests: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.address = f"http://127.0.0.1:{self._server.server_port}/"
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(server) -> type[BaseHTTPRequestHandler]:  # noqa: N805 -- `self` is the request's
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.requests.append(self.path)
                status, body = server.replies.get(self.path, (404, b"not here"))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if self.path in server.cut else body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "*")  # a proxy of the machine's knows nothing of its loopback
    server = Server()
    yield server
    server.close()


class Terminal:
    """A pseudo-terminal: `stream` is what a program writes to, `read` closes it and gives what was written."""

    def __init__(self, columns: int) -> None:
        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.stream = os.fdopen(slave, "w")

    def read(self) -> str:
        self.stream.close()
        content = b""
        with contextlib.suppress(OSError):  # Linux's way to say that the other end is closed
            while part := os.read(self._master, 65536):
                content += part
        os.close(self._master)
        return content.decode()


@pytest.fixture
def terminal() -> Terminal:
    return Terminal(columns=100)


@pytest.fixture
def narrow_terminal() -> Terminal:
    return Terminal(columns=80)
