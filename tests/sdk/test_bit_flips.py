"""One flipped bit anywhere in an artifact is found: ONNX Runtime by itself takes a third of them without a word."""

import contextlib
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from cvae_sdk import ArtifactError, Manifest, ManifestError, Sampler
from cvae_sdk.command import main

FLIPS = 1000
OPENED = ("manifest.json", "onnx/decoder.onnx")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, mnist) -> Path:
    return shutil.copytree(mnist, tmp_path_factory.mktemp("flips") / "mnist")


@contextlib.contextmanager
def flipped(path: Path, bit: int) -> Iterator[None]:
    """The file with one bit other, and as it was again afterwards."""
    with path.open("r+b", buffering=0) as file:
        file.seek(bit // 8)
        byte = file.read(1)
        file.seek(bit // 8)
        file.write(bytes([byte[0] ^ 1 << bit % 8]))
        try:
            yield
        finally:
            file.seek(bit // 8)
            file.write(byte)


def draw(rng: np.random.Generator, folder: Path, paths: tuple[str, ...], least: int) -> list[tuple[str, int]]:
    """FLIPS different bits: `least` in each file, and the others anywhere alike."""
    bits = {path: 8 * (folder / path).stat().st_size for path in paths}
    chosen = {
        (path, int(bit)) for path in paths for bit in rng.choice(bits[path], min(least, bits[path]), replace=False)
    }
    while len(chosen) < FLIPS:
        path = rng.choice(paths, p=np.array(list(bits.values())) / sum(bits.values()))
        chosen.add((str(path), int(rng.integers(bits[str(path)]))))
    return sorted(chosen)


def error_on_opening(folder: Path) -> str:
    try:
        Sampler(folder)
    except ArtifactError as error:
        return type(error).__name__
    return "none"


def count(flips: list[tuple[str, int]], folder: Path, outcome: Callable[[Path], str]) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for path, bit in flips:
        with flipped(folder / path, bit):
            found[path, outcome(folder)] += 1
    return found


def test_a_thousand_flips_in_the_files_that_opening_reads_are_a_thousand_artifact_errors(whole):
    flips = draw(np.random.default_rng(0), whole, OPENED, least=400)
    found = count(flips, whole, error_on_opening)
    assert set(found) == {("manifest.json", "ManifestError"), ("onnx/decoder.onnx", "FileHashError")}
    assert sum(found.values()) == len(set(flips)) == FLIPS
    assert found["manifest.json", "ManifestError"] >= 400
    assert error_on_opening(whole) == "none"


def test_a_thousand_flips_anywhere_in_an_artifact_are_a_thousand_found_by_cvae_verify(whole, capsys):
    paths = tuple(sorted(str(path.relative_to(whole)) for path in whole.rglob("*") if path.is_file()))

    def verify(folder: Path) -> str:
        code = main(["verify", str(folder)])
        out, err = capsys.readouterr()
        return f"exit {code}, {len(out.splitlines())} lines of output, {len(err.splitlines())} of error"

    flips = draw(np.random.default_rng(1), whole, paths, least=20)
    found = count(flips, whole, verify)
    assert {outcome for _, outcome in found} == {"exit 2, 0 lines of output, 1 of error"}
    assert sum(found.values()) == len(set(flips)) == FLIPS
    assert {path for path, _ in found} == set(paths)
    assert verify(whole) == "exit 0, 1 lines of output, 0 of error"


def test_every_flip_in_a_manifest_is_a_manifest_error(mnist):
    content = bytearray((mnist / "manifest.json").read_bytes())
    found = 0
    for bit in range(8 * len(content)):
        content[bit // 8] ^= 1 << bit % 8
        with contextlib.suppress(ManifestError):
            Manifest.parse(bytes(content))
            found -= 1
        found += 1
        content[bit // 8] ^= 1 << bit % 8
    assert found == 8 * len(content)
    assert Manifest.parse(bytes(content)).name == "mnist"
