"""tools/setup.sh and its like tell what is missing in one line, and install nothing then."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout without .venv, as far as setup looks before it downloads."""
    folder = tmp_path / "checkout"
    shutil.copytree(ROOT / "tools", folder / "tools")
    return folder


def python_that(folder: Path, answer: str) -> Path:
    """A stand-in interpreter: a shell script."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{answer}\n")
    path.chmod(0o755)
    return path


def setup(checkout: Path, python: Path) -> tuple[int, list[str]]:
    done = subprocess.run(
        ["/bin/sh", checkout / "tools" / "setup.sh"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHON": str(python)},
    )
    return done.returncode, done.stderr.splitlines()


def test_an_old_python_is_told(checkout: Path, tmp_path: Path) -> None:
    old = python_that(tmp_path, '[ "$1" = --version ] && echo Python 3.9.18 && exit 0; exit 1')
    code, lines = setup(checkout, old)
    assert code != 0
    assert lines == [
        "setup: needs Python 3.11, 3.12 or 3.13 (found: Python 3.9.18); name one with PYTHON=/path/to/python make ..."
    ]
    assert not (checkout / ".venv").exists()


def test_a_python_that_is_not_there_is_told(checkout: Path, tmp_path: Path) -> None:
    code, lines = setup(checkout, tmp_path / "nowhere")
    assert code != 0
    assert len(lines) == 1
    assert lines[0].startswith("setup: needs Python 3.11, 3.12 or 3.13 (found: ")


def test_a_python_without_pip_is_told(checkout: Path, tmp_path: Path) -> None:
    code, lines = setup(checkout, python_that(tmp_path, '[ "$1" = -m ] && exit 1; exit 0'))
    assert code != 0
    assert len(lines) == 1
    assert "has no pip: install it" in lines[0]
    assert not (checkout / ".venv").exists()


def test_without_a_python_for_the_newest_jax_its_tests_say_that_nothing_was_tested(
    checkout: Path, tmp_path: Path
) -> None:
    old = python_that(tmp_path, "exit 1")
    done = subprocess.run(
        ["/bin/sh", checkout / "tools" / "test_latest.sh"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHON": str(old)},
    )
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = done.stdout.splitlines()
    assert line.startswith("test-latest: nothing was tested: the newest JAX needs Python 3.12 or 3.13")
    assert not (checkout / ".venv-latest").exists()


@pytest.mark.parametrize("ci", ["", "true"])
def test_a_machine_that_triton_is_not_published_for_is_told_and_is_an_error_in_ci(
    checkout: Path, tmp_path: Path, ci: str
) -> None:
    (tmp_path / "uname").write_text('#!/bin/sh\n[ "$1" = -s ] && echo Darwin || echo arm64\n')
    (tmp_path / "uname").chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", checkout / "tools" / "triton.sh"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CI": ci},
    )
    reason = "there is no Triton for Darwin on arm64"
    if ci:
        assert (done.returncode, done.stderr) == (1, f"setup: {reason}\n")
        assert not (checkout / ".triton").exists()
    else:
        assert (done.returncode, done.stderr) == (0, f"setup: {reason}: the tests that start Triton are skipped\n")
        assert (checkout / ".triton" / "absent").read_text() == f"{reason}\n"


@pytest.mark.parametrize("found_at", [1, 2, 3, None])
def test_pytorch_is_looked_for_on_disk_then_on_its_own_index_and_last_on_pypi(
    checkout: Path, tmp_path: Path, found_at: int | None
) -> None:
    log = tmp_path / "log"
    for folder in (".venv/bin", "installed", "made"):
        (checkout / folder).mkdir(parents=True)
    python_that(checkout / "made", "echo installed")
    answer = f"""
case "$*" in
    *_base_executable*) echo "$0" ;;
    *"uv venv"*) mkdir -p .torch/bin && cp made/python .torch/bin/python ;;
    *torch==*) echo "$*" >>"{log}" && [ "$(wc -l <"{log}")" = {found_at} ] ;;
esac"""
    python_that(checkout / ".venv" / "bin", answer)
    done = subprocess.run(
        ["/bin/sh", checkout / "tools" / "torch.sh"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    tried = log.read_text().splitlines()
    on_disk, *elsewhere = tried
    assert len(tried) == (found_at or 3)
    assert "--no-index --no-deps torch==2.13.0+cpu" in on_disk
    assert ["--torch-backend cpu" in line for line in elsewhere] == [True, False][: len(elsewhere)]
    assert ("about 3 GB" in done.stdout) == (len(tried) == 3)
    if found_at:
        assert (done.returncode, done.stderr) == (0, "")
        assert (checkout / "installed" / "cvae-sdk.pth").read_text() == f"{checkout / 'sdk'}\n"
    else:
        assert (done.returncode, done.stderr) == (1, "setup: cannot install PyTorch 2.13.0; see above\n")
    assert (checkout / ".torch" / ".ready").exists() == bool(found_at)
