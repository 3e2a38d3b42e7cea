"""The command cvae with a server's address for an artifact, in a process of its own."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cvae_sdk import Sampler
from remote.scripted_http import ScriptedServer, http

CVAE = Path(sys.executable).with_name("cvae")


def cvae(folder: Path, *arguments: str) -> tuple[int, str, str]:
    done = subprocess.run([CVAE, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def test_sample_saves_the_server_s_images(url: str, tmp_path: Path) -> None:
    said = cvae(tmp_path, "sample", "2", "-n", "9", "--seed", "5", "--artifact", url, "-o", "twos.npz")
    assert said == (0, "9 images saved in twos.npz\n", "")
    with Sampler(url) as sampler:
        expected = sampler.sample(2, n=9, seed=5)
    with np.load(tmp_path / "twos.npz") as saved:
        assert np.array_equal(saved["images"], expected)


def test_sample_writes_a_picture(url: str, tmp_path: Path) -> None:
    code, _, err = cvae(tmp_path, "sample", "0:1,2:1", "--seed", "5", "--artifact", url, "-o", "mix.png")
    assert (code, err) == (0, "")
    assert (tmp_path / "mix.png").read_bytes().startswith(b"\x89PNG")


def test_another_model_than_the_manifest_s_is_one_line(url: str, tmp_path: Path) -> None:
    code, out, err = cvae(tmp_path, "sample", "2", "--artifact", url, "--manifest", "mnist")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "serves another model as tiny: decode.inputs.z must be float32 [batch, 24]" in err


def test_a_server_that_fails_is_one_line(http_server: ScriptedServer, tmp_path: Path) -> None:
    http_server.spoil = lambda e: e.send(http(b'{"error": "out of\\nmemory"}', "500 Internal Server Error"))
    url = f"http://127.0.0.1:{http_server.port}/v1/models/tiny"
    code, out, err = cvae(tmp_path, "sample", "2", "--artifact", url)
    assert (code, out) == (2, "")
    assert err == f"cvae: 127.0.0.1:{http_server.port} answered with status 500: out of memory\n"


@pytest.mark.parametrize("form", ["http://127.0.0.1:{}/v1/models/m", "grpc://127.0.0.1:{}/m"])
def test_where_no_server_is_is_one_line(form: str, tmp_path: Path, unused_port: Any) -> None:
    code, out, err = cvae(tmp_path, "sample", "2", "--artifact", form.format(unused_port))
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert err.startswith(f"cvae: 127.0.0.1:{unused_port} ")


def test_an_address_of_no_known_form_is_one_line(tmp_path: Path) -> None:
    code, out, err = cvae(tmp_path, "sample", "2", "--artifact", "ftp://host/mnist")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert err.startswith("cvae: a server's address must be one of http(s)://HOST:8501/v1/models/NAME")


@pytest.fixture
def unused_port() -> int:
    """One that was free a moment ago."""
    with ScriptedServer() as server:
        return server.port
