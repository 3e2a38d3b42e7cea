"""A version appears whole where a server looks, or not at all, and never in the place of another."""

import errno
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

import cvae_export.whole_folder
from cvae_export import ExportError, publish
from cvae_export.publish_command import main
from cvae_export.serving_base import next_version
from cvae_sdk import ArtifactNotFoundError, IntegrityError

MNIST = Path(__file__).parents[2] / "artifacts" / "mnist"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def everything(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_version_has_the_files_that_the_manifest_lists(tmp_path: Path) -> None:
    target = publish(MNIST, tmp_path)
    assert target == tmp_path / "mnist" / "1"
    assert contents(target) == contents(MNIST / "saved_model" / "1")
    listed = json.loads((MNIST / "manifest.json").read_bytes())["files"]
    for path, content in contents(target).items():
        assert hashlib.sha256(content).hexdigest() == listed[f"saved_model/1/{path}"]["sha256"]


def test_versions_are_counted_on_from_the_largest(tmp_path: Path) -> None:
    assert [publish(MNIST, tmp_path).name for _ in range(2)] == ["1", "2"]
    assert publish(MNIST, tmp_path, 20).name == "20"
    (tmp_path / "mnist" / ".99-half").mkdir()
    (tmp_path / "mnist" / "notes").mkdir()
    assert next_version(tmp_path, "mnist") == 21
    assert publish(MNIST, tmp_path, 3).name == "3"
    assert next_version(tmp_path, "mnist") == 21


def test_an_artifact_of_version_seven_is_published_from_its_folder_seven(tmp_path: Path) -> None:
    from cvae_sdk import Manifest

    copy = tmp_path / "seven"
    shutil.copytree(MNIST, copy)
    (copy / "saved_model" / "1").rename(copy / "saved_model" / "7")
    manifest = Manifest.parse((copy / "manifest.json").read_bytes())
    files = {path.replace("saved_model/1/", "saved_model/7/"): record for path, record in manifest.files.items()}
    values = {name: getattr(manifest, name) for name in manifest.__dataclass_fields__} | {"version": 7, "files": files}
    (copy / "manifest.json").write_bytes(Manifest(**values).to_bytes())
    assert contents(publish(copy, tmp_path / "base", 2)) == contents(MNIST / "saved_model" / "1")


@pytest.mark.parametrize("kind", ["version", "empty folder", "file", "dangling link"])
def test_a_version_that_exists_is_never_overwritten(tmp_path: Path, kind: str) -> None:
    (tmp_path / "mnist").mkdir()
    there = tmp_path / "mnist" / "1"
    {
        "version": lambda: shutil.copytree(MNIST / "saved_model" / "1", there),
        "empty folder": there.mkdir,
        "file": there.touch,
        "dangling link": lambda: there.symlink_to("nowhere"),
    }[kind]()
    before = everything(tmp_path)
    with pytest.raises(ExportError, match=r"version 1 exists: .*mnist/1; choose another number"):
        publish(MNIST, tmp_path, 1)
    assert everything(tmp_path) == before


@pytest.mark.parametrize("filled", [False, True])
def test_a_version_that_appears_meanwhile_is_not_overwritten(tmp_path: Path, monkeypatch, filled: bool) -> None:
    there = tmp_path / "mnist" / "1"
    sync = cvae_export.whole_folder._sync

    def meanwhile(path: Path) -> None:
        there.mkdir(exist_ok=True)
        if filled:
            (there / "saved_model.pb").write_bytes(b"theirs")
        sync(path)

    monkeypatch.setattr("cvae_export.whole_folder._sync", meanwhile)
    with pytest.raises(ExportError, match="made by somebody else meanwhile"):
        publish(MNIST, tmp_path, 1)
    assert everything(tmp_path) == ["mnist", "mnist/1", *(["mnist/1/saved_model.pb"] if filled else [])]


def test_one_that_appears_between_the_look_and_the_rename_is_not_overwritten(tmp_path: Path, monkeypatch) -> None:
    publish(MNIST, tmp_path)
    lexists = os.path.lexists
    monkeypatch.setattr("os.path.lexists", lambda path: not Path(path).is_relative_to(tmp_path) and lexists(path))
    before = contents(tmp_path)
    with pytest.raises(ExportError, match="made by somebody else meanwhile"):
        publish(MNIST, tmp_path, 1)
    assert contents(tmp_path) == before
    assert [path.name for path in (tmp_path / "mnist").iterdir()] == ["1"]


@pytest.mark.parametrize(
    "number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT], ids=lambda number: errno.errorcode[number]
)
@pytest.mark.parametrize("call", ["tempfile.mkdtemp", "pathlib.Path.write_bytes", "os.fsync", "pathlib.Path.rename"])
def test_a_disk_that_refuses_leaves_nothing_behind(tmp_path: Path, monkeypatch, number: int, call: str) -> None:
    """The error is injected: a full and a read-only disk, of each call that writes."""
    publish(MNIST, tmp_path / "base")
    before = everything(tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(call, refuse)
        with pytest.raises(ExportError, match=f"cannot write to .*base: {os.strerror(number)}"):
            publish(MNIST, tmp_path / "base")
        with pytest.raises(ExportError, match=f"cannot write to .*new: {os.strerror(number)}"):
            publish(MNIST, tmp_path / "deep" / "new")
    assert everything(tmp_path) == before


def test_files_that_cannot_grow_leave_nothing_behind(tmp_path: Path) -> None:
    """A limit on files' sizes, below that of saved_model.pb, stops the copy in the middle as a full disk does."""
    program = textwrap.dedent(f"""
        import resource, signal, sys
        from cvae_export.publish_command import main
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100 << 10, resource.RLIM_INFINITY))
        sys.exit(main([{str(MNIST)!r}, "--serving-base", {str(tmp_path / "base")!r}]))
    """)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert re.fullmatch(r"cvae-publish: cannot write to .*base: File too large\n", done.stderr)
    assert everything(tmp_path) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt("stop"), SystemExit(143)])
def test_ctrl_c_in_the_middle_leaves_nothing_behind(tmp_path: Path, monkeypatch, error: BaseException) -> None:
    copies = []

    def stop_at_the_third(path: Path, content: bytes) -> None:
        copies.append(path)
        if len(copies) == 3:
            raise error
        with path.open("wb") as file:
            file.write(content)

    monkeypatch.setattr("pathlib.Path.write_bytes", stop_at_the_third)
    with pytest.raises(type(error)):
        publish(MNIST, tmp_path)
    assert len(copies) == 3
    assert copies[0].relative_to(tmp_path).parts[1].startswith(".1-")
    assert everything(tmp_path) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_to_the_command_leaves_nothing_behind(tmp_path: Path, capsys, monkeypatch, number, code) -> None:
    def signal_in_the_middle(path: Path) -> None:
        os.kill(os.getpid(), number)

    monkeypatch.setattr("cvae_export.whole_folder._sync", signal_in_the_middle)
    assert main([str(MNIST), "--serving-base", str(tmp_path)]) == code
    assert "interrupted" in capsys.readouterr().err
    assert everything(tmp_path) == []


def test_who_polls_all_the_time_never_sees_half_a_version(tmp_path: Path, tell_count) -> None:
    whole, seen, stopped = set(contents(MNIST / "saved_model" / "1")), [], threading.Event()

    def poll() -> None:
        while not stopped.is_set():
            seen.extend(set(contents(path)) for path in (tmp_path / "mnist").glob("[0-9]*"))

    poller = threading.Thread(target=poll)
    poller.start()
    for _ in range(20):
        publish(MNIST, tmp_path)
    stopped.set()
    poller.join()
    assert seen
    assert sum(files == whole for files in seen) == len(seen)
    tell_count(len(seen), len(seen), "looks at a version while 20 were published found it whole")


def test_a_damaged_artifact_is_not_published(tmp_path: Path) -> None:
    copy = tmp_path / "damaged"
    shutil.copytree(MNIST, copy)
    path = copy / "saved_model" / "1" / "saved_model.pb"
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match=r"saved_model/1/saved_model\.pb has SHA-256"):
        publish(copy, tmp_path / "base")
    assert not (tmp_path / "base").exists()


def test_what_is_no_artifact_is_told(tmp_path: Path) -> None:
    with pytest.raises(ArtifactNotFoundError, match="no artifact at"):
        publish(tmp_path, tmp_path / "base")
    assert everything(tmp_path) == []


def test_an_artifact_without_a_saved_model_is_told(tmp_path: Path) -> None:
    from cvae_sdk.artifact import locate

    with pytest.raises(ExportError, match="has no saved_model: export it with that form"):
        publish(locate(None), tmp_path / "base")


class TestCommand:
    def test_publishes_and_says_where(self, tmp_path: Path, capsys) -> None:
        assert main([str(MNIST), "--serving-base", str(tmp_path), "--version", "4"]) == 0
        assert capsys.readouterr().out == f"published {tmp_path}/mnist/4\n"

    @pytest.mark.parametrize("version", ["0", "-1", str(2**63)])
    def test_a_number_that_tf_serving_cannot_have_is_told(self, tmp_path: Path, capsys, version: str) -> None:
        assert main([str(MNIST), "--serving-base", str(tmp_path), f"--version={version}"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line == f"cvae-publish: version must be from 1 to 9223372036854775807, got {version}"
        assert everything(tmp_path) == []

    @pytest.mark.parametrize("arguments", [[], [str(MNIST)], [str(MNIST), "--serving-base", "x", "--version", "one"]])
    def test_a_mistake_costs_one_line(self, capsys, arguments: list[str]) -> None:
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("cvae-publish: ")

    def test_imports_no_tensorflow(self) -> None:
        program = (
            "import sys, cvae_export.publish_command, cvae_export.serving_base; print('tensorflow' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert done.stdout == "False\n"
