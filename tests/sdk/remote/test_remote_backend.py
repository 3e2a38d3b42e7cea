"""A served model is the model: over each interface, in parts, from many threads, after a fork, and not after close."""

import json
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cvae_sdk import (
    BackendError,
    ClosedError,
    ForkedError,
    RemoteOptions,
    UnreachableError,
)
from cvae_sdk.backends.deadline import Deadline
from cvae_sdk.backends.http_connections import HttpConnections
from cvae_sdk.backends.remote import open_remote
from remote import tiny_model
from remote.scripted_http import Exchange, ScriptedServer, http

TESTS = Path(__file__).parents[1]


def decode_inputs(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    z, label = tiny_model.latents(count, seed)
    return {"z": z, "label": label}


def test_every_function_is_the_model_s(connect: Callable[..., Any]) -> None:
    backend = connect()
    z, label = tiny_model.latents(7)
    weights = np.random.default_rng(1).dirichlet(np.ones(3), 7).astype(np.float32)
    assert backend.signatures == {"decode", "mix", "encode"}
    image = tiny_model.run("decode", {"z": z, "label": label})["image"]
    for name, inputs in (
        ("decode", {"z": z, "label": label}),
        ("mix", {"z": z, "class_weights": weights}),
        ("encode", {"image": image, "label": label}),
    ):
        got, expected = backend.run(name, inputs), tiny_model.run(name, inputs)
        assert got.keys() == expected.keys()
        for key in expected:
            assert got[key].dtype == np.float32
            # The server computes from the very float32 that it was sent, and its answer comes back to the bit.
            assert np.array_equal(got[key], expected[key])


@pytest.mark.parametrize("count", [1, 2, 7, 64, 257])
def test_a_batch_of_any_size_is_split_in_order(connect: Callable[..., Any], server: Any, count: int) -> None:
    backend, inputs = connect(max_batch=10), decode_inputs(count)
    before = len(server.asked)
    images = backend.run("decode", inputs)["image"]
    assert np.array_equal(images, tiny_model.run("decode", inputs)["image"])
    assert len(server.asked) - before == -(-count // 10)


def test_floats_of_every_size_come_through_json_to_the_bit(http_server: ScriptedServer) -> None:
    rng = np.random.default_rng(0)
    floats = rng.integers(0, 2**32, 4000, np.uint32).view(np.float32)
    floats = np.concatenate([floats[np.isfinite(floats)], np.float32([0, -0.0, 1e-45, 3.4028235e38, 1.1754944e-38])])
    mean = floats[: len(floats) // 2 * 2].reshape(-1, 2)
    told = 0

    def tell(exchange: Exchange) -> None:
        nonlocal told
        part = mean[told : told + len(json.loads(exchange.request)["inputs"]["label"])]
        told += len(part)
        exchange.send(http(json_of({"outputs": {"mean": part.tolist(), "logvar": shortest(part)}})))

    http_server.spoil = tell
    url = f"http://127.0.0.1:{http_server.port}/v1/models/tiny"
    backend, _ = open_remote(url, RemoteOptions(max_batch=4000), tiny_model.MANIFEST)
    inputs = {"image": np.zeros((len(mean), 2, 3, 1), np.float32), "label": np.zeros(len(mean), np.int32)}
    got = backend.run("encode", inputs)
    assert np.array_equal(got["mean"].view(np.uint32), mean.view(np.uint32))
    assert np.array_equal(got["logvar"].view(np.uint32), mean.view(np.uint32))
    backend.close()


def json_of(values: Any) -> bytes:
    return json.dumps(values).encode()


def shortest(values: np.ndarray) -> list[list[float]]:
    """With the fewest digits that say each float32, as TF Serving writes them."""
    return [[float(str(value)) for value in row] for row in values]


@pytest.mark.parametrize(("off", "pixel"), [(-5e-6, 0.0), (1 + 5e-6, 1.0)])
def test_a_pixel_that_rounding_took_out_of_the_range_is_brought_back(
    http_server: ScriptedServer, off: float, pixel: float
) -> None:
    url = f"http://127.0.0.1:{http_server.port}/v1/models/tiny"
    backend, _ = open_remote(url, RemoteOptions(), tiny_model.MANIFEST)
    image = np.full((1, 2, 3, 1), 0.5)
    image[0, 0, 0, 0] = off
    http_server.spoil = lambda e: e.send(http(json_of({"outputs": image.tolist()})))
    got = backend.run("decode", decode_inputs(1))["image"]
    assert got[0, 0, 0, 0] == pixel
    assert np.all(got.ravel()[1:] == 0.5)
    backend.close()


def test_a_manifest_is_made_of_what_the_server_says(url: str, interface: str) -> None:
    backend, manifest = open_remote(url, RemoteOptions())
    assert (manifest.name, manifest.version, manifest.created) == ("tiny", 4, "1970-01-01T00:00:00Z")
    assert (manifest.latent_dim, manifest.image_shape, manifest.classes) == (2, (2, 3, 1), ("0", "1", "2"))
    assert manifest.signatures == tiny_model.SIGNATURES
    assert manifest.digest
    backend.close()


def test_the_manifest_that_is_given_is_kept(url: str) -> None:
    backend, manifest = open_remote(url, RemoteOptions(), tiny_model.MANIFEST)
    assert manifest is tiny_model.MANIFEST
    backend.close()


def test_headers_go_with_every_request(connect: Callable[..., Any], server: Any) -> None:
    connect(headers={"X-Api-Key": "s3cret", "Authorization": "Bearer x"}).run("decode", decode_inputs(1))
    for request in server.asked:
        sent = dict(request[-1])
        assert (sent["x-api-key"], sent["authorization"]) == ("s3cret", "Bearer x")


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/v1/models/tiny/versions/4", "/v1/models/tiny/versions/4:predict"),
        ("/v1/models/tiny/labels/stable", "/v1/models/tiny/labels/stable:predict"),
        ("/v2/models/tiny/versions/4", "/v2/models/tiny/versions/4/infer"),
    ],
)
def test_a_version_is_asked_for(http_server: ScriptedServer, path: str, asked: str) -> None:
    backend, _ = open_remote(f"http://127.0.0.1:{http_server.port}{path}", RemoteOptions())
    backend.run("decode", decode_inputs(1))
    assert http_server.asked[-1][1] == asked
    backend.close()


@pytest.mark.parametrize("path", ["v1", "v2"])
def test_connections_are_kept_and_used_again(http_server: ScriptedServer, path: str) -> None:
    backend, _ = open_remote(f"http://127.0.0.1:{http_server.port}/{path}/models/tiny", RemoteOptions())
    for i in range(20):
        backend.run("decode", decode_inputs(3, seed=i))
    assert http_server.connections == 1
    backend.close()


def test_a_connection_that_the_server_closed_meanwhile_costs_no_try(http_server: ScriptedServer) -> None:
    options = RemoteOptions(tries=1)
    backend, _ = open_remote(f"http://127.0.0.1:{http_server.port}/v1/models/tiny", options)

    def last(exchange: Exchange) -> None:
        exchange.send(exchange.good)
        exchange.close()

    for i in range(5):
        http_server.spoil = last
        backend.run("decode", decode_inputs(1, seed=i))
        until(lambda: not http_server._open)
    backend.close()


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_refusal_that_comes_before_all_is_sent_is_read(http_server: ScriptedServer) -> None:
    def refuse(exchange: Exchange) -> None:
        exchange.connection.recv(1000)
        exchange.send(http(b'{"error": "too large"}', "413 No"))

    http_server.raw = refuse
    place = f"127.0.0.1:{http_server.port}"
    connections = HttpConnections("127.0.0.1", http_server.port, place, None, {})
    answer = connections.ask("POST", "/", 1000, Deadline.after(10, place), bytes(50_000_000))
    assert (answer.status, bytes(answer.body)) == (413, b'{"error": "too large"}')
    connections.close()


def test_no_proxy_is_used_and_no_redirect_followed(
    http_server: ScriptedServer, interface: str, server: Any, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{http_server.port}")
        monkeypatch.setenv(name.upper(), f"http://127.0.0.1:{http_server.port}")
    backend, _ = open_remote(url, RemoteOptions())
    backend.run("decode", decode_inputs(1))
    if interface != "grpc":
        place = f"Location: http://127.0.0.1:{http_server.port}/v1/models/tiny:predict"
        server.spoil = lambda e: e.send(http(b"", "307 Temporary Redirect", [place]))
        with pytest.raises(BackendError, match="status 307: a redirect to 'http"):
            backend.run("decode", decode_inputs(1))
    assert http_server.connections == 0
    backend.close()


def test_many_threads_get_the_images_of_their_own_seed(connect: Callable[..., Any], tell_count: Any) -> None:
    backend = connect(max_batch=4)

    def ask(seed: int) -> bool:
        inputs = decode_inputs(1 + seed % 9, seed)
        return np.array_equal(backend.run("decode", inputs)["image"], tiny_model.run("decode", inputs)["image"])

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(200)))


def test_nothing_runs_after_close(connect: Callable[..., Any]) -> None:
    backend = connect()
    backend.close()
    backend.close()
    with pytest.raises(ClosedError, match=r"^the Sampler was closed: open another$"):
        backend.run("decode", decode_inputs(1))


def test_a_call_that_waits_when_it_is_closed_ends_by_its_deadline(connect: Callable[..., Any], server: Any) -> None:
    backend = connect(deadline=1.0)
    server.spoil = lambda asked: asked.stall()
    raised: list[BaseException] = []

    def call() -> None:
        try:
            backend.run("decode", decode_inputs(1))
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    until(lambda: server.spoiled == 1)
    backend.close()
    thread.join(10)
    assert [type(error) for error in raised] == [ClosedError]


def test_a_signature_that_is_not_served_is_told(http_server: ScriptedServer) -> None:
    backend, _ = open_remote(f"http://127.0.0.1:{http_server.port}/v1/models/tiny", RemoteOptions())
    with pytest.raises(BackendError, match=r"does not serve sample, only decode, encode, mix$"):
        backend.run("sample", decode_inputs(1))
    backend.close()


def test_where_nobody_listens_is_unreachable(interface: str, server: Any, url: str) -> None:
    server.__exit__()
    with pytest.raises(UnreachableError) as raised:
        open_remote(url, RemoteOptions(tries=1))
    assert raised.value.field in ("connection", "status")
    assert f"127.0.0.1:{server.port}" in str(raised.value)


@pytest.mark.parametrize("url", ["http://host.invalid:1/v1/models/m", "grpc://host.invalid:1/m"])
def test_a_name_that_is_of_no_host_is_unreachable(url: str) -> None:
    with pytest.raises(UnreachableError, match=r"host\.invalid"):
        open_remote(url, RemoteOptions(tries=1, deadline=10))


def test_a_backend_runs_calls_at_once(connect: Callable[..., Any]) -> None:
    backend = connect()
    assert backend.side_by_side()[1] == 1


def in_child(act: Callable[[], bytes]) -> bytes:
    """What `act` gives in a forked process."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(write, act())
        except BaseException as error:
            os.write(write, type(error).__name__.encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # that is what is tested
@pytest.mark.parametrize("path", ["v1", "v2"])
def test_a_forked_child_makes_connections_of_its_own(path: str) -> None:
    # The server is another process: one that is forked itself, while it serves, is no server.
    program = f"""
        import os, sys, time
        sys.path.insert(0, {str(TESTS)!r})
        from remote.scripted_http import ScriptedServer
        with ScriptedServer() as server:
            print(server.port, flush=True)
            sys.stdin.read()
            print(server.connections, flush=True)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        url = f"http://127.0.0.1:{int(process.stdout.readline())}/{path}/models/tiny"
        backend, _ = open_remote(url, RemoteOptions(deadline=10))
        inputs = decode_inputs(3)
        expected = tiny_model.run("decode", inputs)["image"].tobytes()
        backend.run("decode", inputs)
        for _ in range(3):
            assert in_child(lambda: backend.run("decode", inputs)["image"].tobytes()) == expected
            assert backend.run("decode", inputs)["image"].tobytes() == expected
        backend.close()
        process.stdin.close()
        assert int(process.stdout.readline()) == 4  # the parent's, and one of each child


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_grpc_says_that_it_cannot_go_on_in_a_forked_child() -> None:
    program = f"""
        import os, sys
        sys.path.insert(0, {str(TESTS)!r})
        from remote.test_remote_backend import decode_inputs, in_child
        from remote.scripted_grpc import ScriptedGrpc
        from cvae_sdk import RemoteOptions
        from cvae_sdk.backends.remote import open_remote
        with ScriptedGrpc() as server:
            backend, _ = open_remote(f"grpc://127.0.0.1:{{server.port}}/tiny", RemoteOptions(deadline=5))
            inputs = decode_inputs(2)
            backend.run("decode", inputs)
            print(in_child(lambda: backend.run("decode", inputs)["image"].tobytes()).decode())
            backend.run("decode", inputs)
            backend.close()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == f"{ForkedError.__name__}\n"


def test_without_grpcio_it_says_what_to_install() -> None:
    program = """
        import sys
        sys.modules["grpc"] = None
        from cvae_sdk import BackendUnavailableError, RemoteOptions
        from cvae_sdk.backends.remote import open_remote
        for _ in range(2):
            try:
                open_remote("grpc://127.0.0.1:1/tiny", RemoteOptions())
            except BackendUnavailableError as error:
                print(error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True)
    assert done.stdout == "gRPC is not installed: pip install 'cvae-sdk[grpc]'\n" * 2


def test_rest_imports_no_grpc_and_no_library_for_messages() -> None:
    program = f"""
        import sys
        sys.path.insert(0, {str(TESTS)!r})
        from remote.scripted_http import ScriptedServer
        from cvae_sdk import RemoteOptions
        from cvae_sdk.backends.remote import open_remote
        with ScriptedServer() as server:
            for path in ("v1", "v2"):
                open_remote(f"http://127.0.0.1:{{server.port}}/{{path}}/models/tiny", RemoteOptions())[0].close()
        print({{"grpc", "google.protobuf", "tensorflow", "onnxruntime", "http.client", "email"}} & set(sys.modules))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True)
    assert set(eval(done.stdout)) <= {"onnxruntime"}  # noqa: S307 - a set of names, of our own program


@pytest.mark.parametrize(("verbosity", "silent"), [(None, True), ("INFO", False)])
def test_grpc_writes_nothing_unless_it_is_asked_to(verbosity: str | None, silent: bool) -> None:
    program = """
        import os, sys
        from cvae_sdk import RemoteOptions, UnreachableError
        from cvae_sdk.backends.remote import open_remote
        try:
            open_remote(sys.argv[1], RemoteOptions(tries=1, deadline=5))
        except UnreachableError:
            print("unreachable", os.environ.get("GRPC_VERBOSITY"))
    """
    environment = {name: value for name, value in os.environ.items() if name != "GRPC_VERBOSITY"}
    environment |= {} if verbosity is None else {"GRPC_VERBOSITY": verbosity}
    with ScriptedServer() as server:  # which speaks no TLS
        server.raw = lambda e: (e.send(http(b"")), e.stall())
        url = f"grpcs://127.0.0.1:{server.port}/tiny"
        command = [sys.executable, "-c", textwrap.dedent(program), url]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == f"unreachable {verbosity}\n"
    assert (done.stderr == "") == silent
