"""Published data sets, by small copies of their files in the real layout; nothing here needs a network."""

import hashlib
import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from cvae_training import DataError, load_data_set
from cvae_training.config import DataConfig
from cvae_training.sources import SOURCES, IdxPair, PublishedFile, Source

MNIST_LIKE = ("mnist", "fashion-mnist", "kmnist")
EMNIST = ("emnist-letters", "emnist-balanced")
NAMES = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz")


class Small(NamedTuple):
    """Twenty training and eight held-out images, as arrays and as the files that hold them."""

    train: tuple[np.ndarray, np.ndarray]
    held_out: tuple[np.ndarray, np.ndarray]
    files: dict[str, bytes]


@pytest.fixture
def small(rng: np.random.Generator, gzipped_idx: Callable[[np.ndarray], bytes]) -> Small:
    train = rng.integers(0, 256, (20, 5, 3), np.uint8), np.arange(20) % 10
    held_out = rng.integers(0, 256, (8, 5, 3), np.uint8), np.arange(8)
    names = [*NAMES, "t10k-labels-idx1-ubyte.gz"]
    files = {name: gzipped_idx(array) for name, array in zip(names, (*train, *held_out), strict=True)}
    return Small(train, held_out, files)


def with_hashes(source: Source, files: dict[str, bytes], **changes: Any) -> Source:
    """The source as if these were its files."""

    def hashed(pair: IdxPair | None) -> IdxPair:
        assert pair is not None
        return IdxPair(
            *(PublishedFile(file.name, (hashlib.sha256(files[file.name]).hexdigest(),)) for file in vars(pair).values())
        )

    return replace(source, train=hashed(source.train), held_out=hashed(source.held_out), **changes)


def write(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def fashion(small: Small, monkeypatch: pytest.MonkeyPatch, server: Any, tmp_path: Path) -> Small:
    """fashion-mnist of the small files, from the server's two folders; installed nowhere."""
    mirrors = (server.address + "a/", server.address + "b/")
    source = with_hashes(SOURCES["fashion-mnist"], small.files, mirrors=mirrors, found_in=(tmp_path / "installed",))
    monkeypatch.setitem(SOURCES, "fashion-mnist", source)
    monkeypatch.setenv("CVAE_DATA_DIR", str(tmp_path / "cache"))
    server.replies = {f"/b/{name}": (200, content) for name, content in small.files.items()}
    return small


def assert_is(data: Any, small: Small) -> None:
    for split, (images, labels) in ((data.train, small.train), (data.held_out, small.held_out)):
        np.testing.assert_array_equal(split.images, images[..., None])
        np.testing.assert_array_equal(split.labels, labels)
        assert (split.images.dtype, split.labels.dtype) == (np.uint8, np.int32)


def test_the_official_training_files_are_trained_on_whole_and_the_test_files_held_out(fashion: Small) -> None:
    data = load_data_set("fashion-mnist")
    assert_is(data, fashion)
    assert data.classes[9] == "Ankle boot"
    assert data.notes == ()


def test_each_file_is_downloaded_once_from_the_mirror_that_has_it(fashion: Small, server: Any, tmp_path: Path) -> None:
    for _ in range(2):
        load_data_set("fashion-mnist")
    assert sorted(server.requests) == sorted(f"/{mirror}/{name}" for name in fashion.files for mirror in "ab")
    assert sorted(path.name for path in (tmp_path / "cache" / "fashion-mnist").iterdir()) == sorted(fashion.files)


def test_no_mirror_and_no_file_is_one_line_that_names_the_file(fashion: Small, server: Any) -> None:
    server.replies = {}
    with pytest.raises(DataError, match=rf"^cannot download {NAMES[0]} of data set 'fashion-mnist' .* --data-dir$"):
        load_data_set("fashion-mnist")


def test_an_installed_package_is_found_before_any_download(fashion: Small, server: Any, tmp_path: Path) -> None:
    write(tmp_path / "installed", fashion.files)
    assert_is(load_data_set("fashion-mnist"), fashion)
    assert server.requests == []


def test_an_installed_package_that_is_not_whole_is_passed_over(fashion: Small, server: Any, tmp_path: Path) -> None:
    write(tmp_path / "installed", fashion.files | {NAMES[2]: b"another"})
    assert_is(load_data_set("fashion-mnist"), fashion)
    assert len(server.requests) == 8


def test_debians_package_is_looked_for_where_debian_puts_it() -> None:
    assert SOURCES["fashion-mnist"].found_in == (Path("/usr/share/datasets/fashion-mnist"),)


@pytest.mark.parametrize("folder", ["", "fashion-mnist"])
def test_files_on_disk_are_read_and_nothing_is_downloaded(
    folder: str, fashion: Small, server: Any, tmp_path: Path
) -> None:
    write(tmp_path / "disk" / folder, fashion.files)
    assert_is(load_data_set(DataConfig("fashion-mnist", data_dir=str(tmp_path / "disk"))), fashion)
    assert_is(load_data_set("fashion-mnist", tmp_path / "disk"), fashion)
    assert server.requests == []


def test_a_file_missing_on_disk_is_named_and_not_downloaded(fashion: Small, server: Any, tmp_path: Path) -> None:
    write(tmp_path / "disk", fashion.files)
    (tmp_path / "disk" / NAMES[2]).unlink()
    with pytest.raises(DataError, match=rf"^cannot read .*disk/{NAMES[2]}: No such file or directory$"):
        load_data_set("fashion-mnist", tmp_path / "disk")
    assert server.requests == []


def test_a_file_on_disk_with_another_hash_is_named(fashion: Small, tmp_path: Path) -> None:
    write(tmp_path / "disk", fashion.files | {NAMES[2]: b"another"})
    with pytest.raises(DataError, match=rf"^.*{NAMES[2]} has SHA-256 \w+, expected \w+: get the file again$"):
        load_data_set("fashion-mnist", tmp_path / "disk")


def test_every_hash_of_a_file_is_accepted(fashion: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = SOURCES["fashion-mnist"]
    images = source.train.images
    both = replace(images, sha256=("0" * 64, *images.sha256))
    monkeypatch.setitem(SOURCES, "fashion-mnist", replace(source, train=replace(source.train, images=both)))
    assert_is(load_data_set("fashion-mnist", write(tmp_path / "disk", fashion.files)), fashion)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        (NAMES[0], np.zeros((19, 5, 3)), "data set 'fashion-mnist' has 19 images but 20 labels"),
        (NAMES[0], np.zeros((20, 15)), f"{NAMES[0]} has 2 dimensions, expected 3"),
        (NAMES[1], np.zeros((20, 1)), f"{NAMES[1]} has 2 dimensions, expected 1"),
        (NAMES[1], np.full(20, 10), f"{NAMES[1]} has the label 10, expected 0 to 9"),
        (
            NAMES[2],
            np.zeros((8, 4, 3)),
            "data set 'fashion-mnist' has training images of shape (5, 3, 1) but held-out images of (4, 3, 1)",
        ),
    ],
    ids=["counts", "images", "labels", "range", "shapes"],
)
def test_files_that_do_not_fit_together_are_refused(
    name: str,
    array: np.ndarray,
    message: str,
    small: Small,
    gzipped_idx: Callable[[np.ndarray], bytes],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    files = small.files | {name: gzipped_idx(array)}
    monkeypatch.setitem(SOURCES, "fashion-mnist", with_hashes(SOURCES["fashion-mnist"], files))
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        load_data_set("fashion-mnist", write(tmp_path, files))


def emnist_files(name: str, small: Small, gzipped_idx: Callable[[np.ndarray], bytes]) -> dict[str, bytes]:
    """The small images as EMNIST stores them: rows and columns exchanged, letters counted from 1."""
    part, first = name.removeprefix("emnist-"), 1 if name == "emnist-letters" else 0
    files = {}
    for split, (images, labels) in (("train", small.train), ("test", small.held_out)):
        files[f"emnist-{part}-{split}-images-idx3-ubyte.gz"] = gzipped_idx(images.transpose(0, 2, 1))
        files[f"emnist-{part}-{split}-labels-idx1-ubyte.gz"] = gzipped_idx(labels + first)
    return files


def zipped(path: Path, files: dict[str, bytes]) -> bytes:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"gzip/{name}", content)
    return path.read_bytes()


@pytest.mark.parametrize("name", EMNIST)
def test_emnist_comes_upright_and_counted_from_0_from_its_archive(
    name: str,
    small: Small,
    gzipped_idx: Callable[[np.ndarray], bytes],
    monkeypatch: pytest.MonkeyPatch,
    server: Any,
    tmp_path: Path,
) -> None:
    content = zipped(tmp_path / "source.zip", emnist_files(name, small, gzipped_idx))
    archive = PublishedFile("gzip.zip", (hashlib.sha256(content).hexdigest(),))
    source = replace(SOURCES[name], mirrors=(server.address,), archive=archive)
    monkeypatch.setitem(SOURCES, name, source)
    monkeypatch.setenv("CVAE_DATA_DIR", str(tmp_path / "cache"))
    server.replies = {"/gzip.zip": (200, content)}
    assert_is(load_data_set(name), small)
    assert_is(load_data_set(name, tmp_path / "cache"), small)
    assert server.requests == ["/gzip.zip"]
    write(tmp_path / "disk", {"gzip.zip": content[:-1]})
    with pytest.raises(DataError, match=r"gzip\.zip has SHA-256 \w+, expected \w+: get the file again$"):
        load_data_set(name, tmp_path / "disk")


@pytest.mark.parametrize("name", EMNIST)
def test_emnists_files_can_lie_on_disk_without_their_archive(
    name: str, small: Small, gzipped_idx: Callable[[np.ndarray], bytes], tmp_path: Path
) -> None:
    assert_is(load_data_set(name, write(tmp_path, emnist_files(name, small, gzipped_idx))), small)


def test_an_archive_without_the_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = zipped(tmp_path / "gzip.zip", {"emnist-digits-train-images-idx3-ubyte.gz": b""})
    archive = PublishedFile("gzip.zip", (hashlib.sha256(content).hexdigest(),))
    monkeypatch.setitem(SOURCES, "emnist-letters", replace(SOURCES["emnist-letters"], archive=archive))
    with pytest.raises(DataError, match=r"^.*gzip\.zip has no emnist-letters-train-images-idx3-ubyte\.gz$"):
        load_data_set("emnist-letters", tmp_path)


def test_a_letter_0_is_refused(small: Small, gzipped_idx: Callable[[np.ndarray], bytes], tmp_path: Path) -> None:
    files = emnist_files("emnist-letters", small, gzipped_idx)
    files["emnist-letters-train-labels-idx1-ubyte.gz"] = gzipped_idx(np.zeros(20))
    with pytest.raises(DataError, match=r"labels-idx1-ubyte\.gz has the label 0, expected 1 to 26$"):
        load_data_set("emnist-letters", write(tmp_path, files))


def test_emnist_has_the_classes_of_its_paper() -> None:
    # Cohen et al. 2017: 26 letters; balanced has 47 classes, 15 small letters counted as their capitals.
    assert len(SOURCES["emnist-letters"].classes) == 26
    balanced = SOURCES["emnist-balanced"].classes
    assert len(balanced) == len(set(balanced)) == 47
    small = set("abcdefghijklmnopqrstuvwxyz") - set("cijklmopsuvwxyz")
    assert set(balanced[36:]) == small


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_every_download_has_a_sha256_and_more_than_one_mirror(name: str) -> None:
    source = SOURCES[name]
    pairs = [pair for pair in (source.train, source.held_out) if pair is not None]
    files = [source.archive] if source.archive else [file for pair in pairs for file in vars(pair).values()]
    assert all(file.sha256 and all(re.fullmatch("[0-9a-f]{64}", value) for value in file.sha256) for file in files)
    assert len(source.mirrors) >= 2 or name == "mnist-10k"
    assert all(mirror.endswith("/") for mirror in source.mirrors)


def test_no_two_files_have_one_sha256() -> None:
    pairs = [pair for source in SOURCES.values() for pair in (source.train, source.held_out) if pair is not None]
    sums = [value for pair in pairs for file in vars(pair).values() for value in file.sha256]
    assert len(sums) == len(set(sums)) == 2 + 4 * 2 + 4 * 2
