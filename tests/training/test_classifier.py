import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from cvae_training import DataSet, Split
from cvae_training import classifier as module
from cvae_training.classifier import ClassifierConfig, cache_folder, load_classifier, train_classifier

SMALL = ClassifierConfig(channels=(4,), features=5, epochs=1, batch_size=32)


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[ClassifierConfig]:
    """The settings of each training from here on."""
    seen: list[ClassifierConfig] = []

    def counted(config: ClassifierConfig, train: Split, num_classes: int) -> module.Classifier:
        seen.append(config)
        return train_classifier(config, train, num_classes)

    monkeypatch.setattr(module, "train_classifier", counted)
    return seen


def cached_file(folder: Path) -> Path:
    (path,) = (folder / "classifiers").iterdir()
    return path


def test_it_learns_and_generalizes(digits: DataSet) -> None:
    classifier = train_classifier(ClassifierConfig(epochs=1, batch_size=32), digits.train, 10)
    predicted, features = classifier(digits.held_out.images)
    assert (predicted == digits.held_out.labels).mean() > 0.9
    assert features.shape == (1500, 64)
    assert (features >= 0).all()


def test_images_may_be_bytes_or_unit_floats(few_digits: DataSet) -> None:
    classifier = train_classifier(SMALL, few_digits.train, 10)
    images = few_digits.held_out.images
    as_bytes, as_floats = classifier(images), classifier(images.astype(np.float32) / 255)
    np.testing.assert_array_equal(as_bytes[0], as_floats[0])
    np.testing.assert_allclose(as_bytes[1], as_floats[1], atol=1e-5)  # a division in XLA or NumPy: one rounding


def test_the_same_settings_give_the_same_bits_and_another_seed_others(few_digits: DataSet) -> None:
    one, same = (train_classifier(SMALL, few_digits.train, 10) for _ in range(2))
    other = train_classifier(replace(SMALL, seed=1), few_digits.train, 10)
    assert one.fingerprint == same.fingerprint
    assert one.fingerprint != other.fingerprint


def test_held_out_images_have_no_part_in_it(
    few_digits: DataSet, tmp_path: Path, trainings: list[ClassifierConfig]
) -> None:
    one = load_classifier(SMALL, few_digits, tmp_path)
    without = Split(few_digits.held_out.images[:1] * 0, few_digits.held_out.labels[:1])
    other = load_classifier(SMALL, replace(few_digits, held_out=without), tmp_path)
    assert one.fingerprint == other.fingerprint
    assert len(trainings) == 1


def test_the_cache_is_reused_bit_for_bit(
    few_digits: DataSet, tmp_path: Path, trainings: list[ClassifierConfig]
) -> None:
    lines: list[str] = []
    first, second = (load_classifier(SMALL, few_digits, tmp_path, lines.append) for _ in range(2))
    assert len(trainings) == 1
    assert lines == ["training a classifier on 96 real images of mnist-10k, once"]
    jax.tree.map(np.testing.assert_array_equal, first.params, second.params)
    np.testing.assert_array_equal(first(few_digits.held_out.images)[1], second(few_digits.held_out.images)[1])
    assert [path.name for path in (tmp_path / "classifiers").iterdir()] == [cached_file(tmp_path).name]


def test_the_cache_is_an_npz(few_digits: DataSet, tmp_path: Path) -> None:
    classifier = load_classifier(SMALL, few_digits, tmp_path)
    with np.load(cached_file(tmp_path), allow_pickle=False) as file:
        np.testing.assert_array_equal(file["params/Conv_0/kernel"], classifier.params["params"]["Conv_0"]["kernel"])


@pytest.mark.parametrize(
    "change",
    [
        lambda data: replace(data, train=Split(data.train.images[::-1].copy(), data.train.labels)),
        lambda data: replace(data, train=Split(data.train.images, data.train.labels[::-1].copy())),
        lambda data: replace(data, name="others"),
    ],
    ids=["images", "labels", "name"],
)
def test_other_data_do_not_share_a_classifier(
    few_digits: DataSet, tmp_path: Path, trainings: list[ClassifierConfig], change: Callable[[DataSet], DataSet]
) -> None:
    load_classifier(SMALL, few_digits, tmp_path)
    load_classifier(SMALL, change(few_digits), tmp_path)
    assert len(trainings) == 2


def test_other_settings_or_another_version_do_not_share_a_classifier(
    few_digits: DataSet, tmp_path: Path, trainings: list[ClassifierConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    load_classifier(SMALL, few_digits, tmp_path)
    load_classifier(replace(SMALL, seed=1), few_digits, tmp_path)
    assert len(trainings) == 2
    monkeypatch.setattr(module, "CLASSIFIER_VERSION", module.CLASSIFIER_VERSION + 1)
    load_classifier(SMALL, few_digits, tmp_path)
    assert len(trainings) == 3


def test_every_kind_of_damage_is_noticed_told_and_mended(
    few_digits: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = load_classifier(SMALL, few_digits, tmp_path)
    path = cached_file(tmp_path)
    content = path.read_bytes()
    # Training again is tested above: here it is the classifier at hand, so that every byte can be tried.
    monkeypatch.setattr(module, "train_classifier", lambda *_: good)
    flips = range(0, 8 * len(content), 8 * len(content) // 400)
    damaged = [bytes((*content[: i // 8], content[i // 8] ^ 1 << i % 8, *content[i // 8 + 1 :])) for i in flips]
    for bad in (*damaged, content[:-1], content[:100], content[:5], b"", content + b"\0"):
        path.write_bytes(bad)
        lines: list[str] = []
        load_classifier(SMALL, few_digits, tmp_path, lines.append)
        assert lines[0] == f"the cached classifier {path} is not used: its SHA-256 does not match"
        assert lines[1].startswith("training a classifier")
        assert path.read_bytes() == content
    print(f"{len(damaged)} bit flips, all noticed")


def test_a_flipped_bit_is_trained_away(few_digits: DataSet, tmp_path: Path, trainings: list[ClassifierConfig]) -> None:
    good = load_classifier(SMALL, few_digits, tmp_path)
    path = cached_file(tmp_path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert load_classifier(SMALL, few_digits, tmp_path).fingerprint == good.fingerprint
    assert load_classifier(SMALL, few_digits, tmp_path).fingerprint == good.fingerprint
    assert len(trainings) == 2


def test_another_classifiers_file_under_this_name_is_noticed(
    few_digits: DataSet, tmp_path: Path, trainings: list[ClassifierConfig]
) -> None:
    load_classifier(SMALL, few_digits, tmp_path / "a")
    load_classifier(replace(SMALL, seed=1), few_digits, tmp_path / "b")
    cached_file(tmp_path / "a").write_bytes(cached_file(tmp_path / "b").read_bytes())
    load_classifier(SMALL, few_digits, tmp_path / "a")
    assert len(trainings) == 3


def test_a_cache_that_cannot_be_written_is_told_and_does_without(few_digits: DataSet, tmp_path: Path) -> None:
    (tmp_path / "classifiers").write_text("a file where a folder should be")
    lines: list[str] = []
    assert load_classifier(SMALL, few_digits, tmp_path, lines.append).num_classes == 10
    assert lines[-1].startswith(f"the classifier is not cached: cannot write {tmp_path / 'classifiers'}")


def test_a_write_that_fails_leaves_nothing(
    few_digits: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    lines: list[str] = []
    load_classifier(SMALL, few_digits, tmp_path, lines.append)
    assert lines[-1].endswith("No space left on device")
    assert list((tmp_path / "classifiers").iterdir()) == []


def test_a_data_sets_name_cannot_leave_the_cache(few_digits: DataSet, tmp_path: Path) -> None:
    load_classifier(SMALL, replace(few_digits, name="folder:/etc/../" + "x" * 300), tmp_path / "cache")
    assert cached_file(tmp_path / "cache").parent == tmp_path / "cache" / "classifiers"


def test_the_cache_folder_is_the_users_or_the_one_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CVAE_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", os.fspath(Path("/x/cache")))
    monkeypatch.setattr(sys, "platform", "linux")
    assert cache_folder() == Path("/x/cache/cvae")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "cvae"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_folder() == Path.home() / "Library" / "Caches" / "cvae"
    monkeypatch.setenv("CVAE_CACHE_DIR", "/y")
    assert cache_folder() == Path("/y")
