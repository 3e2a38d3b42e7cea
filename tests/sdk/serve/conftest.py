"""A preview of the committed digits, served by this process."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cvae_sdk import Sampler
from cvae_sdk.preview.endpoints import Subject
from cvae_sdk.preview.server import PreviewServer, bind


@pytest.fixture(scope="session")
def mixer(mnist: Path) -> Sampler:
    """A Sampler of an artifact that can mix classes."""
    return Sampler(mnist)


@pytest.fixture(scope="session")
def port(mixer: Sampler, mnist: Path) -> Iterator[int]:
    """The port at which it is served."""
    with PreviewServer(bind("127.0.0.1", 0), Subject(mixer, str(mnist)), "127.0.0.1") as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()
