import gzip
import hashlib
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import cvae_training
from cvae_training import DataError, DataSet, InputError, data_set_names, load_data_set
from cvae_training.sources import SOURCES, PublishedFile

DATA_SETS = Path(cvae_training.__file__).parent / "datasets"
FOLDER = DATA_SETS / "mnist-10k"
IMAGES, LABELS = "mnist-10k-images-idx3-ubyte.gz", "mnist-10k-labels-idx1-ubyte.gz"


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    shutil.copytree(FOLDER, tmp_path / "mnist-10k")
    return tmp_path


def test_the_data_sets_have_these_names() -> None:
    assert data_set_names() == ("emnist-balanced", "emnist-letters", "fashion-mnist", "kmnist", "mnist", "mnist-10k")


def test_mnist_10k_has_8500_training_images_and_1500_held_out(digits: DataSet) -> None:
    for split, size in ((digits.train, 8500), (digits.held_out, 1500)):
        assert (split.images.shape, split.images.dtype) == ((size, 28, 28, 1), np.uint8)
        assert (split.labels.shape, split.labels.dtype) == ((size,), np.int32)
        assert len(split) == size
    assert digits.image_shape == (28, 28, 1)
    assert digits.name == "mnist-10k"


def test_the_classes_are_the_ten_digits_and_each_is_in_both_splits(digits: DataSet) -> None:
    assert digits.classes == ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
    for split in (digits.train, digits.held_out):
        shares = np.bincount(split.labels, minlength=10) / len(split)
        # MNIST's own shares are 9.0 to 11.2 %; 1,500 draws vary by 0.8 % (one standard error).
        assert shares.shape == (10,)
        assert ((shares > 0.06) & (shares < 0.14)).all()


def test_the_pixels_have_mnists_mean_and_deviation(digits: DataSet) -> None:
    # 0.1307 and 0.3081 are MNIST's published figures; 8,500 images differ from 60,000 in the third digit.
    assert digits.train.images.mean() / 255 == pytest.approx(0.1307, abs=0.002)
    assert digits.train.images.std() / 255 == pytest.approx(0.3081, abs=0.002)


def test_the_split_is_by_position_in_the_files(digits: DataSet) -> None:
    images = np.frombuffer(gzip.decompress((FOLDER / IMAGES).read_bytes())[16:], np.uint8).reshape(-1, 28, 28, 1)
    labels = np.frombuffer(gzip.decompress((FOLDER / LABELS).read_bytes())[8:], np.uint8)
    np.testing.assert_array_equal(np.concatenate([digits.train.images, digits.held_out.images]), images)
    np.testing.assert_array_equal(np.concatenate([digits.train.labels, digits.held_out.labels]), labels)


def test_every_call_gives_the_same_split(digits: DataSet) -> None:
    again = load_data_set("mnist-10k")
    for a, b in ((digits.train, again.train), (digits.held_out, again.held_out)):
        np.testing.assert_array_equal(a.images, b.images)
        np.testing.assert_array_equal(a.labels, b.labels)


def test_the_files_are_those_of_the_attribution() -> None:
    attribution = (FOLDER / "ATTRIBUTION.md").read_text()
    assert "Yann LeCun" in attribution
    assert "CC BY-SA 3.0" in attribution
    for name in (IMAGES, LABELS):
        assert f"{hashlib.sha256((FOLDER / name).read_bytes()).hexdigest()}  {name}" in attribution


def test_an_unknown_data_set_lists_those_there_are() -> None:
    with pytest.raises(InputError, match=r"^unknown data set 'cifar': there are emnist-balanced, .*, folder:DIR$"):
        load_data_set("cifar")


def test_a_copy_of_the_files_loads_from_anywhere(copied: Path, digits: DataSet) -> None:
    np.testing.assert_array_equal(load_data_set("mnist-10k", copied).train.images, digits.train.images)


@pytest.mark.parametrize("name", [IMAGES, LABELS])
def test_one_flipped_bit_in_a_file_is_seen(copied: Path, name: str) -> None:
    path = copied / "mnist-10k" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"has SHA-256 [0-9a-f]{64}, expected [0-9a-f]{64}: install cvae-training"):
        load_data_set("mnist-10k", copied)


@pytest.mark.parametrize("name", [IMAGES, LABELS])
def test_a_missing_file_is_named(copied: Path, name: str) -> None:
    (copied / "mnist-10k" / name).unlink()
    with pytest.raises(DataError, match=rf"^cannot read .*{name}: No such file"):
        load_data_set("mnist-10k", copied)


def test_fewer_labels_than_images_are_refused(
    copied: Path, monkeypatch: pytest.MonkeyPatch, gzipped_idx: Callable[[np.ndarray], bytes]
) -> None:
    labels = gzipped_idx(np.zeros(9_999))
    (copied / "mnist-10k" / LABELS).write_bytes(labels)
    source = SOURCES["mnist-10k"]
    shorter = PublishedFile(LABELS, (hashlib.sha256(labels).hexdigest(),))
    monkeypatch.setitem(SOURCES, "mnist-10k", replace(source, train=replace(source.train, labels=shorter)))
    with pytest.raises(DataError, match=r"^data set 'mnist-10k' has 10000 images but 9999 labels$"):
        load_data_set("mnist-10k", copied)


def test_the_held_out_share_is_15_percent(digits: DataSet) -> None:
    assert len(digits.held_out) == math.floor(0.15 * (len(digits.train) + len(digits.held_out)))
