"""encode and reconstruct: the exported encoder on images in any form, and decode of what it says."""

import numpy as np
import onnxruntime
import pytest

from cvae_sdk import Sampler


@pytest.fixture(scope="module")
def encoder(mnist) -> Sampler:
    return Sampler(mnist)


@pytest.fixture(scope="module")
def digits(encoder) -> np.ndarray:
    return encoder.sample([3, 1, 4, 1], seed=2)


def test_encode_is_the_exported_function(encoder, digits, mnist):
    path = encoder.manifest.formats["onnx"].files["encode"][0]
    session = onnxruntime.InferenceSession((mnist / path).read_bytes(), providers=["CPUExecutionProvider"])
    inputs = {"image": digits.astype(np.float32) / np.float32(255), "label": np.array([3, 1, 4, 1], np.int32)}
    mean, logvar = encoder.encode(digits, [3, 1, 4, 1])
    for found, expected in zip((mean, logvar), session.run(["mean", "logvar"], inputs), strict=True):
        assert found.dtype == np.float32
        assert found.shape == (4, 24)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "form",
    [
        lambda images: images[..., 0],
        lambda images: images.astype(np.float32) / np.float32(255),
        lambda images: (images.astype(np.float32) / np.float32(255)).astype(np.float64),
        lambda images: np.asfortranarray(images),
    ],
    ids=["no channel's axis", "float32", "float64", "columns first"],
)
def test_images_in_every_form_are_the_same(encoder, digits, form):
    expected = encoder.encode(digits, [3, 1, 4, 1])
    np.testing.assert_array_equal(encoder.encode(form(digits), [3, 1, 4, 1]), expected)


def test_one_image_and_one_label_for_all(encoder, digits):
    mean, logvar = encoder.encode(digits[0], 3)
    assert mean.shape == logvar.shape == (1, 24)
    np.testing.assert_array_equal(encoder.encode(digits, "1")[0], encoder.encode(digits, [1] * 4)[0])


def test_no_images_have_no_latents(encoder, digits):
    mean, logvar = encoder.encode(digits[:0], 3)
    assert mean.shape == logvar.shape == (0, 24)
    assert encoder.reconstruct(digits[:0], []).shape == (0, 28, 28, 1)


def test_images_are_left_as_they_were(encoder, digits):
    before = digits.copy()
    encoder.encode(digits, 3)
    np.testing.assert_array_equal(digits, before)


def test_a_reconstruction_is_decode_of_the_mean(encoder, digits):
    mean, _ = encoder.encode(digits, [3, 1, 4, 1])
    expected = encoder.decode(mean, [3, 1, 4, 1])
    np.testing.assert_array_equal(encoder.reconstruct(digits, [3, 1, 4, 1], output="float32"), expected)


def test_a_reconstruction_is_nearer_to_its_image_than_to_any_other(encoder, digits):
    drawn = encoder.reconstruct(digits, [3, 1, 4, 1]).astype(float).reshape(4, 1, -1)
    distances = np.square(drawn - digits.astype(float).reshape(1, 4, -1)).sum(axis=2)
    assert distances.argmin(axis=1).tolist() == [0, 1, 2, 3]
