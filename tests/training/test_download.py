"""Downloads from a server on loopback; nothing here needs a network."""

import hashlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from cvae_training import DataError
from cvae_training.download import cache_folder, download

CONTENT = bytes(range(256)) * 400
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NOBODY = "http://127.0.0.1:1/"  # a port on which nobody listens


@pytest.fixture
def server(server: Any) -> Any:
    """It has the file whole in good/, changed in bad/ and cut short in cut/."""
    server.replies = {
        "/good/file.gz": (200, CONTENT),
        "/bad/file.gz": (200, CONTENT[:-1] + b"x"),
        "/cut/file.gz": (200, CONTENT),
        "/broken/file.gz": (500, b"oops"),
    }
    server.cut = {"/cut/file.gz"}
    return server


def fetch(folder: Path, *mirrors: str) -> Path:
    return download("digits", "file.gz", SHA256, mirrors, folder)


def test_a_file_comes_from_the_first_mirror(server: Any, tmp_path: Path) -> None:
    path = fetch(tmp_path / "new", server.address + "good/", server.address + "bad/")
    assert path == tmp_path / "new" / "file.gz"
    assert path.read_bytes() == CONTENT
    assert server.requests == ["/good/file.gz"]
    assert [entry.name for entry in path.parent.iterdir()] == ["file.gz"]


@pytest.mark.parametrize("first", ["bad/", "cut/", "broken/", "missing/", None])
def test_the_second_mirror_is_used_when_the_first_fails(first: str | None, server: Any, tmp_path: Path) -> None:
    path = fetch(tmp_path, NOBODY if first is None else server.address + first, server.address + "good/")
    assert path.read_bytes() == CONTENT
    assert server.requests[-1] == "/good/file.gz"


@pytest.mark.parametrize(
    ("mirror", "reason"),
    [("bad/", "a file with another SHA-256"), ("broken/", "500 Server Error"), ("missing/", "404 Client Error")],
)
def test_a_failed_mirror_is_named_with_its_reason(mirror: str, reason: str, server: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=re.escape(f"{server.address}{mirror}: {reason}")):
        fetch(tmp_path, server.address + mirror)
    assert list(tmp_path.iterdir()) == []


def test_a_cut_connection_leaves_nothing_in_the_cache(server: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^cannot download"):
        fetch(tmp_path, server.address + "cut/")
    assert list(tmp_path.iterdir()) == []


def test_when_all_mirrors_are_down_one_line_says_what_to_do(server: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        fetch(tmp_path, NOBODY, server.address + "cut/", server.address + "bad/")
    message = str(caught.value)
    assert message.startswith(f"cannot download file.gz of data set 'digits' into {tmp_path} ({NOBODY}: ")
    assert message.endswith("get the file yourself and name its folder with --data-dir")
    assert "\n" not in message


def test_a_cached_file_is_used_without_a_request(server: Any, tmp_path: Path) -> None:
    for _ in range(3):
        assert fetch(tmp_path, server.address + "good/").read_bytes() == CONTENT
    assert len(server.requests) == 1


@pytest.mark.parametrize("damaged", [b"", CONTENT[:-1], CONTENT[:-1] + b"x"], ids=["empty", "cut", "changed"])
def test_a_damaged_cached_file_is_fetched_again(damaged: bytes, server: Any, tmp_path: Path) -> None:
    (tmp_path / "file.gz").write_bytes(damaged)
    assert fetch(tmp_path, server.address + "good/").read_bytes() == CONTENT
    assert server.requests == ["/good/file.gz"]


def test_a_cache_that_cannot_be_written_is_named(server: Any, tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    with pytest.raises(DataError, match=rf"^cannot download file.gz .* into {re.escape(str(tmp_path))}/cache/digits "):
        fetch(tmp_path / "cache" / "digits", server.address + "good/")


def test_a_download_shows_a_bar_on_a_terminal(
    server: Any, tmp_path: Path, terminal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", terminal.stream)
    fetch(tmp_path, server.address + "good/")
    assert re.search(r"100%.*102k/102k", terminal.read())


def test_a_download_says_nothing_elsewhere(server: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    fetch(tmp_path, server.address + "good/")
    assert capfd.readouterr() == ("", "")


def test_the_cache_is_in_the_users_cache_folder_or_where_the_variable_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CVAE_DATA_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "cvae"
    monkeypatch.setenv("CVAE_DATA_DIR", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
