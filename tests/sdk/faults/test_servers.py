"""Each fault of a server gives its error: soon, of one line, after as many tries as it may be given; then all is well."""

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from remote import tiny_model
from remote.scripted_grpc import ScriptedGrpc
from remote.scripted_http import ScriptedServer

from cvae_sdk import CvaeError, RemoteOptions
from cvae_sdk.backends.remote import open_remote
from cvae_sdk.backends.retries import FIRST
from faults import servers
from faults.server_fault import GRPC, INFERENCE, REST, ServerFault

LATE = 2.0  # seconds above a deadline, on a machine that does much else
CASES = [(fault, interface) for fault in servers.FAULTS for interface in fault.interfaces]
FORMS = {
    REST: "http://127.0.0.1:{}/v1/models/tiny",
    INFERENCE: "http://127.0.0.1:{}/v2/models/tiny",
    GRPC: "grpc://127.0.0.1:{}/tiny",
}


@contextlib.contextmanager
def serving(fault: ServerFault, interface: str) -> Iterator[Any]:
    """A server that is right as yet."""
    if interface == GRPC and fault.at != "raw":
        with ScriptedGrpc() as server:
            yield server
    else:
        with ScriptedServer(binary=fault.binary) as server:
            yield server


def plant(fault: ServerFault, server: Any) -> None:
    server.at = fault.at
    if fault.at == "raw":
        server.raw = fault.spoil
    else:
        server.spoil = fault.spoil


@pytest.mark.parametrize(("fault", "interface"), CASES, ids=[f"{fault.name} ({how})" for fault, how in CASES])
def test_a_fault_of_a_server_gives_its_error(
    fault: ServerFault, interface: str, capfd: pytest.CaptureFixture[str]
) -> None:
    z, label = tiny_model.latents(5)
    options = RemoteOptions(deadline=fault.deadline, max_batch=50)
    manifest = tiny_model.MANIFEST if fault.manifest else None
    with serving(fault, interface) as server:
        url = FORMS[interface].format(server.port)
        with contextlib.ExitStack() as opened:
            act: Callable[[], object] = functools.partial(open_remote, url, options, manifest)
            if fault.at == "POST":
                backend, _ = open_remote(url, options, manifest)
                opened.callback(backend.close)
                act = functools.partial(backend.run, "decode", {"z": z, "label": label})
            plant(fault, server)
            start = time.perf_counter()
            with pytest.raises(CvaeError) as raised:
                act()
            took = time.perf_counter() - start
            error = raised.value
            assert type(error) is fault.error, error
            assert error.field == fault.field, error
            missing = [name for name in ("expected", "found") if getattr(error, name) is None]
            assert not missing or (missing == ["found"] and str(error).endswith(("nothing", "None"))), error
            assert len(str(error).splitlines()) == 1
            assert str(error).isprintable()
            assert len(str(error)) < 1000
            assert took < min(fault.deadline, 3 * FIRST * fault.tries) + LATE
            if fault.tries and (fault.at != "GET" or fault.tries > 1):
                assert server.spoiled == fault.tries
            server.spoil = server.raw = None
            if fault.at == "POST":  # nothing of the broken answer is left
                images = backend.run("decode", {"z": z, "label": label})["image"]
                np.testing.assert_allclose(
                    images, tiny_model.run("decode", {"z": z, "label": label})["image"], atol=1e-6
                )
    assert capfd.readouterr() == ("", "")
