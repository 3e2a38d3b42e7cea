"""A polling server and cvae-publish: the new version comes whole, the old one goes. Asked of what `served` is."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import tensorflow as tf
from tf_serving_client import Served, call
from tf_serving_conformance import ConformanceServer

from cvae_export import ExportError, publish
from cvae_export.warmup import WARMUP_NAME


@contextmanager
def published(served: Served) -> Iterator[int]:
    """One more version, taken away at the end."""
    version = served.version + 1
    path = publish(served.artifact, served.base_path.parent, version)
    try:
        yield version
    finally:
        shutil.rmtree(path)
        served.wait_for({served.version: "AVAILABLE"})


def test_a_published_version_is_served_and_the_old_one_goes_and_comes_back(served: Served) -> None:
    body = {"inputs": {"z": [[0.0] * 32], "label": [3]}}
    before = call(f"{served.model_url}:predict", body)
    with published(served) as version:
        served.wait_for({version: "AVAILABLE", served.version: "END"})
        _, answer = call(f"{served.model_url}/metadata")
        assert answer["model_spec"]["version"] == str(version)
        assert call(f"{served.model_url}:predict", body) == before
        code, answer = call(f"{served.model_url}/versions/{served.version}:predict", body)
        assert (code, list(answer)) == (404, ["error"])
    _, answer = call(f"{served.model_url}/metadata")
    assert answer["model_spec"]["version"] == str(served.version)


def test_a_folder_whose_name_is_no_number_is_not_served(served: Served) -> None:
    """Under such a name a version is written; the one published after it shows that the server has looked."""
    half = served.base_path / f".{served.version + 1}-half"
    half.mkdir()
    (half / "saved_model.pb").write_bytes(b"half")
    try:
        with published(served) as version:
            served.wait_for({version: "AVAILABLE"})
            assert set(served.states()) <= {served.version, version}
    finally:
        shutil.rmtree(half)


def test_a_version_that_is_served_is_not_replaced(served: Served) -> None:
    with pytest.raises(ExportError, match=f"version {served.version} exists"):
        publish(served.artifact, served.base_path.parent, served.version)
    assert served.states()[served.version] == "AVAILABLE"


class TestTheConformanceServer:
    """What it does with versions that TF Serving would refuse. The real one tries such a version for minutes."""

    @pytest.fixture
    def base(self, served: Served, tmp_path: Path) -> Path:
        publish(served.artifact, tmp_path, 1)
        return tmp_path / served.name

    def damaged(self, base: Path, version: int, name: str, content: bytes) -> None:
        shutil.copytree(base / "1", base / f".{version}")
        (base / f".{version}" / name).write_bytes(content)
        (base / f".{version}").rename(base / str(version))

    @pytest.mark.parametrize(
        ("name", "content"),
        [("saved_model.pb", b"half"), (WARMUP_NAME, b"these are no records"), ("variables/variables.index", b"")],
    )
    def test_keeps_the_old_version_where_the_new_one_does_not_load(
        self, served: Served, base: Path, name: str, content: bytes
    ) -> None:
        with ConformanceServer(served.name, base) as here:
            self.damaged(base, 2, name, content)
            server = Served(here.url, here.target, base, served.artifact, 1)
            server.wait_for({1: "AVAILABLE", 2: "END"})
            _, answer = call(f"{server.model_url}/versions/2")
            (status,) = answer["model_version_status"]
            assert status["status"]["error_code"] != "OK"
            assert status["status"]["error_message"]
            assert call(f"{server.model_url}/metadata")[1]["model_spec"]["version"] == "1"

    def test_refuses_more_warm_up_than_tf_serving_takes(self, served: Served, base: Path, tmp_path: Path) -> None:
        (record, *_) = [record.numpy() for record in tf.data.TFRecordDataset(str(base / "1" / WARMUP_NAME))]
        with tf.io.TFRecordWriter(str(tmp_path / "many")) as writer:
            for _ in range(1001):
                writer.write(record)
        with ConformanceServer(served.name, base) as here:
            self.damaged(base, 2, WARMUP_NAME, (tmp_path / "many").read_bytes())
            server = Served(here.url, here.target, base, served.artifact, 1)
            server.wait_for({1: "AVAILABLE", 2: "END"})
            _, answer = call(f"{server.model_url}/versions/2")
            assert "exceeds the maximum (1000)" in answer["model_version_status"][0]["status"]["error_message"]
