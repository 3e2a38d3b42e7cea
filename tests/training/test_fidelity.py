"""Distances between Gaussians against closed forms and SciPy, and fidelity with generators whose fault is planted."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from cvae_training import DataSet, Split
from cvae_training.classifier import Classifier, ClassifierConfig, train_classifier
from cvae_training.fidelity import Moments, class_shares, compare_samples, frechet_distance, moments

SIZE = 6


def random_moments(seed: int, rank: int = SIZE) -> Moments:
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(SIZE, rank))
    return Moments(rng.normal(size=SIZE), factor @ factor.T)


def distance(first: Moments, second: Moments) -> float:
    value = frechet_distance(first, second)
    assert value is not None
    return value


def test_equal_covariances_leave_the_squared_distance_of_means() -> None:
    gaussian = random_moments(0)
    moved = Moments(gaussian.mean + np.array([3, 4, 0, 0, 0, 0]), gaussian.covariance)
    # Float64 sums of order 100, and square roots of eigenvalues that lost half of their digits at worst.
    assert distance(gaussian, moved) == pytest.approx(25, abs=1e-6)


def test_commuting_covariances_have_a_closed_form(rng: np.random.Generator) -> None:
    rotation, _ = np.linalg.qr(rng.normal(size=(SIZE, SIZE)))
    a, b = rng.uniform(0.1, 4, size=(2, SIZE))
    first = Moments(np.zeros(SIZE), rotation @ np.diag(a) @ rotation.T)
    second = Moments(np.ones(SIZE), rotation @ np.diag(b) @ rotation.T)
    assert distance(first, second) == pytest.approx(SIZE + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum(), rel=1e-9)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_any_covariances_agree_with_scipys_matrix_root(one: int, other: int) -> None:
    first, second = random_moments(one), random_moments(other)
    root = scipy.linalg.sqrtm(first.covariance @ second.covariance)
    trace = np.trace(first.covariance + second.covariance - 2 * np.real(root))
    expected = ((first.mean - second.mean) ** 2).sum() + trace
    # sqrtm loses digits where a product of covariances is nearly singular; distances here are of order 10.
    assert distance(first, second) == pytest.approx(expected, rel=1e-5, abs=1e-5)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(1, SIZE))
def test_the_distance_is_symmetric_and_not_negative(one: int, other: int, rank: int) -> None:
    first, second = random_moments(one, rank), random_moments(other)
    # A singular covariance's eigenvalues near 0 are known to 1e-15, their square roots to 3e-8, times order 10.
    assert distance(first, second) == pytest.approx(distance(second, first), abs=1e-5)
    assert distance(first, second) >= 0


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, SIZE))
def test_the_distance_to_itself_is_zero(seed: int, rank: int) -> None:
    gaussian = random_moments(seed, rank)
    assert distance(gaussian, gaussian) == pytest.approx(0, abs=1e-5)  # as above


def test_features_that_are_always_0_add_nothing(rng: np.random.Generator) -> None:
    features = rng.normal(size=(2, 50, 3)) * [[[1]], [[2]]]
    padded = np.concatenate([features, np.zeros((2, 50, 2))], axis=2)
    assert frechet_distance(*map(moments, padded)) == pytest.approx(frechet_distance(*map(moments, features)), abs=1e-6)


def test_moments_are_those_of_numpy_in_float64(rng: np.random.Generator) -> None:
    features = (1000 + rng.normal(size=(200, 3))).astype(np.float32)
    got = moments(features)
    assert got is not None
    rows = features.astype(np.float64)
    np.testing.assert_allclose(got.mean, rows.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(got.covariance, np.cov(rows.T), rtol=1e-9)


def test_weights_count_as_often_as_repeated_rows(rng: np.random.Generator) -> None:
    features, counts = rng.normal(size=(400, 3)), rng.integers(0, 4, size=400)
    got, expected = moments(features, counts.astype(np.float64)), moments(np.repeat(features, counts, axis=0))
    assert got is not None
    assert expected is not None
    np.testing.assert_allclose(got.mean, expected.mean, rtol=1e-9)
    # Weights are no counts to the unbiased estimate: its denominators differ by about 1 in 400.
    np.testing.assert_allclose(got.covariance, expected.covariance, rtol=0.01)


def test_one_row_has_no_distance(rng: np.random.Generator) -> None:
    assert moments(rng.normal(size=(1, 3))) is None
    assert moments(rng.normal(size=(2, 3)), np.array([1.0, 0.0])) is None
    assert frechet_distance(None, random_moments(0)) is None
    assert frechet_distance(random_moments(0), None) is None


def test_shares_are_counted_by_the_asked_class() -> None:
    overall, per_class = class_shares(np.array([0, 0, 1, 1, 0]), np.array([0, 0, 0, 1, 1]), 3)
    assert overall == pytest.approx(3 / 5)
    assert per_class == (pytest.approx(2 / 3), pytest.approx(1 / 2), None)


@pytest.fixture(scope="module")
def classifier(digits: DataSet) -> Classifier:
    return train_classifier(ClassifierConfig(channels=(8, 16), features=16, epochs=1, batch_size=32), digits.train, 10)


class RealDigits:
    """A generator that cannot be better: real held-out images of the class it is asked for, or one `shift` further."""

    def __init__(self, data: DataSet, shift: int = 0) -> None:
        self._data = data
        self._shift = shift

    def __call__(self, label: int, batch: int, n: int) -> np.ndarray:
        of_class = self._data.held_out.images[self._data.held_out.labels == (label + self._shift) % 10]
        return np.resize(of_class, (n, *of_class.shape[1:])).astype(np.float32) / 255


def test_real_images_of_the_asked_class_are_as_faithful_as_the_classifier_is_accurate(
    digits: DataSet, classifier: Classifier
) -> None:
    counts = np.bincount(digits.held_out.labels)
    n = int(counts.max())
    overall, per_class = compare_samples(RealDigits(digits), digits, classifier, n)
    assert overall.real_accuracy is not None
    assert overall.real_accuracy > 0.85  # one epoch of a tiny network
    assert overall.samples == 10 * n
    assert len(per_class) == 10
    for label, figures in enumerate(per_class):
        # Each image is drawn once, some twice.
        assert figures.class_fidelity == pytest.approx(figures.real_accuracy, abs=1 - counts[label] / n)
    # The same images but for those drawn twice, where real training images are others.
    assert overall.frechet_distance is not None
    assert overall.real_frechet_distance is not None
    assert overall.frechet_distance < overall.real_frechet_distance


def test_real_images_of_another_class_are_not_faithful_but_as_near(digits: DataSet, classifier: Classifier) -> None:
    right, right_per_class = compare_samples(RealDigits(digits), digits, classifier, 150)
    wrong, wrong_per_class = compare_samples(RealDigits(digits, shift=1), digits, classifier, 150)
    assert wrong.class_fidelity is not None
    assert wrong.class_fidelity < 0.05
    assert (wrong.real_accuracy, wrong.real_frechet_distance) == (right.real_accuracy, right.real_frechet_distance)
    # Taken together they are the same images, so only the distance within each class sees the fault.
    assert wrong.frechet_distance is not None
    assert wrong.frechet_distance < 5 * (wrong.real_frechet_distance or 0)
    for a, b in zip(right_per_class, wrong_per_class, strict=True):
        assert (b.frechet_distance or 0) > 20 * (a.frechet_distance or 0)
        assert (b.frechet_distance or 0) > 5 * (b.real_frechet_distance or 0)


def test_noise_is_far(digits: DataSet, classifier: Classifier, rng: np.random.Generator) -> None:
    def noise(label: int, batch: int, n: int) -> np.ndarray:
        return rng.random((n, 28, 28, 1), np.float32)

    overall, _ = compare_samples(noise, digits, classifier, 50)
    assert (overall.frechet_distance or 0) > 20 * (overall.real_frechet_distance or 0)


def test_a_distance_of_all_classes_takes_them_as_often_as_they_are_held_out(
    digits: DataSet, classifier: Classifier
) -> None:
    # Half of the classes are neither held out nor trained on: samples of them must not count.
    train, held_out = (Split(s.images[s.labels < 5], s.labels[s.labels < 5]) for s in (digits.train, digits.held_out))
    halved = replace(digits, train=train, held_out=held_out)
    overall, per_class = compare_samples(RealDigits(digits), halved, classifier, 150)
    # Far less than the distance between classes.
    assert (overall.frechet_distance or 0) < (overall.real_frechet_distance or 0)
    assert per_class[7].frechet_distance is None
    assert per_class[7].real_accuracy is None
    assert per_class[7].class_fidelity is not None
    assert per_class[7].neighbors.recall is None
    assert per_class[7].neighbors.nearest_training is None


def test_a_model_that_repeats_one_training_image_a_class_is_seen(digits: DataSet, classifier: Classifier) -> None:
    def repeat(label: int, batch: int, n: int) -> np.ndarray:
        first = digits.train.images[digits.train.labels == label][:1].astype(np.float32) / 255
        return np.repeat(first, n, axis=0)

    overall, per_class = compare_samples(repeat, digits, classifier, 100)
    for figures in (overall.neighbors, *(each.neighbors for each in per_class)):
        assert (figures.recall or 0) < 0.01
        assert (figures.real_recall or 0) > 0.7
        assert figures.nearest_by_training == 1.0
        assert figures.nearest_training == pytest.approx(0, abs=1e-5)
        assert (figures.real_nearest_training or 0) > 1


def test_held_out_images_recall_themselves_and_are_nearest_to_themselves(
    digits: DataSet, classifier: Classifier
) -> None:
    overall, _ = compare_samples(RealDigits(digits), digits, classifier, 200)
    assert overall.neighbors.recall == 1.0
    assert overall.neighbors.precision == 1.0
    assert overall.neighbors.nearest_by_training == 0.0
    assert overall.neighbors.nearest_training == pytest.approx(overall.neighbors.real_nearest_training, rel=0.05)


def test_fresh_real_images_are_nearest_to_training_images_as_often_as_these_are_many(
    digits: DataSet, classifier: Classifier
) -> None:
    kept, drawn = (Split(digits.held_out.images[i::2], digits.held_out.labels[i::2]) for i in range(2))
    fresh = RealDigits(replace(digits, held_out=drawn))
    overall, _ = compare_samples(fresh, replace(digits, held_out=kept), classifier, 60)
    expected = overall.neighbors.expected_by_training
    assert expected == pytest.approx(8500 / 9250, abs=0.01)
    # 600 draws of which a tenth is not nearest: a standard error of 0.011.
    assert overall.neighbors.nearest_by_training == pytest.approx(expected, abs=0.045)
    assert overall.neighbors.recall == pytest.approx(overall.neighbors.real_recall, abs=0.1)
