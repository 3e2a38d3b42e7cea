"""The tiny model over each interface."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cvae_sdk.backends.options import RemoteOptions
from cvae_sdk.backends.remote import open_remote
from remote import tiny_model
from remote.scripted_grpc import ScriptedGrpc
from remote.scripted_http import ScriptedServer

FORMS = {
    "rest": "http://127.0.0.1:{}/v1/models/tiny",
    "inference": "http://127.0.0.1:{}/v2/models/tiny",
    "grpc": "grpc://127.0.0.1:{}/tiny",
}


@pytest.fixture(params=FORMS)
def interface(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def server(interface: str) -> Iterator[Any]:
    """A server that is right until a test says otherwise."""
    with ScriptedGrpc() if interface == "grpc" else ScriptedServer() as server:
        yield server


@pytest.fixture
def url(interface: str, server: Any) -> str:
    return FORMS[interface].format(server.port)


@pytest.fixture
def connect(url: str) -> Iterator[Callable[..., Any]]:
    """Opens a backend with options; closed when the test ends."""
    opened: list[Any] = []

    def open_with(**options: Any) -> Any:
        backend, _ = open_remote(url, RemoteOptions(**options), tiny_model.MANIFEST)
        opened.append(backend)
        return backend

    yield open_with
    for backend in opened:
        backend.close()


@pytest.fixture
def http_server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server
