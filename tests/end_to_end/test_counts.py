"""What tests count is told when all have run, whichever worker ran them; a failed test's count is not."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import pytest

@pytest.mark.parametrize("tried", [3, 4])
def test_that_counts(tell_count, tried):
    tell_count(len("abc"), tried, "letters")
    assert tried == 3
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_counts_of_passed_tests_are_told_once(tmp_path: Path, workers: str) -> None:
    shutil.copy(Path(__file__).parents[1] / "conftest.py", tmp_path)
    (tmp_path / "test_letters.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--numprocesses", workers, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert lines.count("3 of 3 letters") == 1
    assert "3 of 4 letters" not in lines
