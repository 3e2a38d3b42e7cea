"""A real Triton server, started on the artifact's own model repository, and Triton's and KServe's own schemas."""

import http.client
import importlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
import types
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

TRITON = Path(__file__).parents[3] / ".triton"
BACKENDS = Path(__file__).parent / "backends"
SECONDS_TO_LIVE = 600


@pytest.fixture(scope="session")
def packages() -> Path:
    """The site-packages of .triton."""
    if (TRITON / "absent").exists():
        pytest.skip((TRITON / "absent").read_text().strip())
    if not (TRITON / ".ready").exists():
        pytest.fail("there is no Triton: make .triton/.ready")
    (found,) = (TRITON / "lib").glob("python3.*/site-packages")
    return found


@pytest.fixture(scope="session")
def schema(packages: Path) -> Callable[[str], types.ModuleType]:
    """Gives a module of .triton by its name, without what its packages import when they are imported."""

    def load(name: str) -> types.ModuleType:
        parents = name.split(".")[:-1]
        for depth in range(1, len(parents) + 1):
            package = types.ModuleType(".".join(parents[:depth]))
            package.__path__ = [str(packages.joinpath(*parents[:depth]))]
            sys.modules.setdefault(package.__name__, package)
        return importlib.import_module(name)

    return load


DATATYPES = {"float32": "FP32", "float64": "FP64", "int32": "INT32", "int64": "INT64"}


@dataclass(frozen=True)
class Triton:
    """A running server. Each call opens a connection of its own."""

    http_port: int
    grpc_port: int
    protos: Any
    stubs: Any

    def rest(self, method: str, path: str, body: str = "") -> tuple[int, Any]:
        """Status and JSON of an answer."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=60)) as connection:
            connection.request(method, path, body)
            answer = connection.getresponse()
            content = answer.read()
        return answer.status, json.loads(content) if content else None

    def ask(self, protocol: str, model: str, **inputs: np.ndarray) -> tuple[str, Any]:
        """ "OK" and the image, or the code and the message of a refusal, over "REST" or "gRPC"."""
        if protocol == "REST":
            tensors = [
                {"name": name, "datatype": DATATYPES[x.dtype.name], "shape": x.shape, "data": x.ravel().tolist()}
                for name, x in inputs.items()
            ]
            status, answer = self.rest("POST", f"/v2/models/{model}/infer", json.dumps({"inputs": tensors}))
            if status != 200:
                return str(status), answer["error"]
            assert {output["datatype"] for output in answer["outputs"]} == {"FP32"}
            return "OK", {
                output["name"]: np.array(output["data"], np.float32).reshape(output["shape"])
                for output in answer["outputs"]
            }
        request = self.protos.ModelInferRequest(model_name=model)
        for name, x in inputs.items():
            request.inputs.add(name=name, datatype=DATATYPES[x.dtype.name], shape=x.shape)
            request.raw_input_contents.append(x.tobytes())
        options = [("grpc.max_receive_message_length", -1), ("grpc.enable_http_proxy", 0)]
        with grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}", options) as channel:
            try:
                answer = self.stubs.GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=60)
            except grpc.RpcError as refusal:
                return refusal.code().name, refusal.details()
        assert {output.datatype for output in answer.outputs} == {"FP32"}
        contents = zip(answer.outputs, answer.raw_output_contents, strict=True)
        return "OK", {
            output.name: np.frombuffer(content, np.float32).reshape(output.shape) for output, content in contents
        }


@pytest.fixture(scope="session")
def start_triton(packages: Path, schema: Callable[[str], types.ModuleType]) -> Callable:
    """A context manager that runs a server on a model repository; `with` gives it ready, and ends it."""
    protos, stubs = schema("tritonclient.grpc.service_pb2"), schema("tritonclient.grpc.service_pb2_grpc")
    home = packages / "pytriton" / "tritonserver"

    @contextmanager
    def start(repository: Path, folder: Path) -> Iterator[Triton]:
        server = Triton(free_port(), free_port(), protos, stubs)
        command = [
            # Whatever becomes of this process, the server ends.
            *("timeout", "--kill-after=10", str(SECONDS_TO_LIVE), home / "bin" / "tritonserver"),
            *(f"--model-repository={repository}", f"--backend-directory={backends(home, folder)}"),
            *("--http-address=127.0.0.1", f"--http-port={server.http_port}"),
            *("--grpc-address=127.0.0.1", f"--grpc-port={server.grpc_port}"),
            # So that config.pbtxt must say all.
            *("--allow-metrics=false", "--disable-auto-complete-config"),
            f"--backend-config=python,shm-region-prefix-name=cvae_{os.getpid()}_{server.http_port}",
        ]
        # The backend's interpreter is the one whose environment comes first in PATH.
        environment = os.environ | {
            "PATH": f"{TRITON / 'bin'}:{os.environ['PATH']}",
            "LD_LIBRARY_PATH": python_library_folder(),
        }
        log = folder / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
            try:
                await_ready(server, process, log)
                yield server
            finally:
                process.terminate()  # which `timeout` hands on, and kills after its 10 s
                process.wait(60)

    return start


def await_ready(server: Triton, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"Triton ended with {process.returncode}: {log.read_text()}")
        try:
            if server.rest("GET", "/v2/health/ready")[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise RuntimeError(f"Triton was not ready after 120 s: {log.read_text()}")


def python_library_folder() -> str:
    """Where libpython3.x.so of .triton's Python lies, which need not be the Python of the tests."""
    command = [TRITON / "bin" / "python", "-c", "import sysconfig; print(sysconfig.get_config_var('LIBDIR'), end='')"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def backends(home: Path, folder: Path) -> Path:
    """A folder of backends: Triton's Python backend with the stub for .triton's Python, and the ones beside this file.

    They are copies, since Triton takes no link that leads out of the folder; but for the stub, which looks for its
    libraries beside the place where it really lies.
    """
    found = folder / "backends"
    shutil.copytree(BACKENDS, found)
    shutil.copytree(home / "backends" / "python", found / "python")
    stub = "triton_python_backend_stub"
    version = home.parents[2].name.removeprefix("python")
    (found / "python" / stub).symlink_to(home / "python_backend_stubs" / version / stub)
    return found


def free_port() -> int:
    """A port below those that the system gives to clients, which could take it before the server does."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@pytest.fixture(scope="module")
def triton(artifact: Path, start_triton: Callable, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Triton]:
    """A server of the artifact's own model repository."""
    with start_triton(artifact / "serving" / "triton", tmp_path_factory.mktemp("triton")) as server:
        yield server
