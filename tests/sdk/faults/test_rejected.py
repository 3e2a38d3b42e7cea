"""Each fault gives its own error: of one line, with what was wrong filled in, and nothing printed, kept open or slow."""

import contextlib
import random
import time
from pathlib import Path

import pytest

from cvae_sdk import CvaeError, Sampler
from faults import files, goldens, manifest, onnx_bytes, weights
from faults.fault import Fault, Planting, clear

FAULTS: tuple[Fault, ...] = (*files.FAULTS, *manifest.FAULTS, *onnx_bytes.FAULTS, *weights.FAULTS, *goldens.FAULTS)
SECONDS = 2


def descriptors() -> set[tuple[str, str]]:
    """Number and target of each that is open, but for that of this look itself."""
    found = set()
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add((path.name, str(path.readlink())))
    return found


@pytest.fixture(scope="module", autouse=True)
def runtime() -> None:
    """ONNX Runtime keeps descriptors of its own from when it is imported."""
    Sampler()


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_a_fault_gives_its_error(fault: Fault, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for variant in range(fault.variants):
        folder = tmp_path / "artifact"
        with pytest.MonkeyPatch.context() as patch:
            planting = Planting(folder, random.Random(f"{fault.name} {variant}"), patch)
            fault.plant(planting)
            before, start = descriptors(), time.perf_counter()
            with pytest.raises(CvaeError) as raised:
                fault.act(planting)
            took = time.perf_counter() - start
        error = raised.value
        assert type(error) is fault.error, error
        assert len(str(error).splitlines()) == 1
        assert str(error).isprintable()
        assert len(str(error)) < 1000
        if fault.file is not None:
            assert error.file == fault.file
        missing = [name for name in fault.says if getattr(error, name) is None]
        assert not missing, f"{missing}: {error}"
        assert took < SECONDS
        error.__cause__ = error.__traceback__ = None
        del raised
        assert descriptors() <= before
        clear(tmp_path)
        tmp_path.mkdir()
    assert capfd.readouterr() == ("", "")


def test_what_nothing_is_planted_in_is_taken(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        planting = Planting(tmp_path / "artifact", random.Random(0), patch)
        planting.write()
    assert Sampler(planting.folder).verify().files == 2
