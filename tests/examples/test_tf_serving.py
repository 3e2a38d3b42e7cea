"""examples/tf_serving: its server's settings are read as YAML, its client asks the conformance server as a user would.

No container is run. What the compose file says is held against the artifact that it mounts, and its health check is run
by bash; what TF Serving does with such a folder is in tests/export/serving.
"""

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import yaml
from PIL import Image
from tf_serving_conformance import ConformanceServer

from cvae_export.tf_serving import IMAGE
from cvae_sdk import Sampler
from cvae_sdk.artifact import Artifact

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "tf_serving"
SERVICE = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]["tf-serving"]
BASE_PATH = ROOT / "artifacts" / "mnist" / "saved_model"


@pytest.fixture(scope="module")
def server() -> Iterator[ConformanceServer]:
    with ConformanceServer(SERVICE["environment"]["MODEL_NAME"], BASE_PATH) as server:
        yield server


def client(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, FOLDER / "client.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def health_check(port: str) -> int:
    shell, *arguments = SERVICE["healthcheck"]["test"]
    assert shell == "CMD"
    assert sum("8501" in each for each in arguments) == 1
    command = [each.replace("8501", port) for each in arguments]
    return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode


def test_the_server_mounts_the_folder_of_versions_that_export_wrote_and_cannot_change_it():
    (mount,) = SERVICE["volumes"]
    source, target, mode = re.fullmatch(r"(.+):(/[^:]+):(\w+)", mount).groups()
    by_default = re.sub(r"\$\{ARTIFACT:-([^}]+)\}", r"\1", source)
    manifest = Artifact.open(BASE_PATH.parent).manifest
    assert (FOLDER / by_default).resolve() == BASE_PATH
    assert manifest.formats["saved_model"].path == BASE_PATH.name
    assert f"{BASE_PATH.name}/{manifest.version}/saved_model.pb" in manifest.files
    # The image looks for MODEL_NAME below /models, whatever the environment says else.
    assert (target, mode) == (f"/models/{SERVICE['environment']['MODEL_NAME']}", "ro")
    assert set(SERVICE["environment"]) == {"MODEL_NAME"}


def test_the_image_is_the_one_that_artifacts_name():
    assert SERVICE["image"] == IMAGE
    assert re.fullmatch(r"tensorflow/serving:\d+\.\d+\.\d+", SERVICE["image"])


def test_the_addresses_of_the_client_are_those_that_the_server_publishes_to_this_machine_alone():
    told = set(re.findall(r"(?:http|grpc)://[\w.:/-]+", client("--help").stdout))
    name = SERVICE["environment"]["MODEL_NAME"]
    assert told == {f"http://127.0.0.1:8501/v1/models/{name}", f"grpc://127.0.0.1:8500/{name}"}
    published = {f"{urlsplit(each).netloc}:{urlsplit(each).port}" for each in told}
    assert published == set(SERVICE["ports"])


@pytest.mark.parametrize("interface", ["REST", "gRPC"])
def test_the_client_saves_the_picture_of_the_artifact(server, tmp_path, interface):
    address = f"{server.url}/v1/models/mnist" if interface == "REST" else f"grpc://{server.target}/mnist"
    picture = tmp_path / "digits.png"
    done = client("--address", address, "--out", picture, "--seed", 5)
    assert (done.returncode, done.stderr) == (0, "")
    first, last = done.stdout.splitlines()
    assert re.fullmatch(
        r"the server has the parameters of mnist: 20 recorded images, at most \d\.\de-0[6-9] off", first
    )
    assert last == f"100 images of seed 5 saved in {picture}"
    expected = np.asarray(Sampler("mnist").grid(n=10, seed=5, scale=2)).astype(int)
    assert np.abs(np.asarray(Image.open(picture)) - expected).max() <= 1  # what two runtimes round differently


def test_the_health_check_passes_once_the_model_is_served_and_not_before(server, tmp_path):
    port = server.url.rpartition(":")[2]
    assert health_check(port) == 0
    (tmp_path / "mnist").mkdir()
    with ConformanceServer("mnist", tmp_path / "mnist") as empty:
        assert health_check(empty.url.rpartition(":")[2]) != 0
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        closed = str(nobody.getsockname()[1])
    assert health_check(closed) != 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--seed", "-1"], "seed must be an integer from 0"),
        (["--seed", "x"], "argument --seed: invalid int value: 'x'"),
        (["--manifest", "nobody"], "nobody"),
        (["--manifest", "fashion-mnist"], r"decode\.inputs\.z must be float32 \[batch, 64\]"),
        (["--out", "no/such/folder/digits.png"], "No such file or directory"),
        (["--out", "digits.nothing"], "unknown file extension"),
        (["--nothing"], "unrecognized arguments: --nothing"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(server, arguments, sentence):
    done = client("--address", f"{server.url}/v1/models/mnist", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert re.match(rf"client\.py: .*{sentence}", line), line


def test_a_server_that_is_not_there_is_one_line_and_code_2():
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    done = client("--address", f"http://127.0.0.1:{port}/v1/models/mnist")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
