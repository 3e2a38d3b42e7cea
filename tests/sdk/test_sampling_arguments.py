"""What a call of `sample` may ask for beside labels and a seed: mixes, where to begin, how far to go, in which form."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cvae_sdk import Sampler
from cvae_sdk.latents import standard_normal_latents

ONE_HOT = np.eye(10, dtype=np.float32)
HALVES = (ONE_HOT[3] + ONE_HOT[8]) / 2


@pytest.mark.parametrize(
    "labels",
    [
        {3: 0.5, 8: 0.5},
        {"3": 0.5, "8": 0.5},
        {3: np.float32(0.5), np.int8(8): 0.5, 1: 0},
        HALVES,
        HALVES.astype(np.float16),
        HALVES.astype(np.float64),
    ],
)
def test_weights_in_every_form_are_the_same_mix(sampler, labels):
    z = standard_normal_latents(4, 0, 5, sampler.latent_dim)
    expected = sampler.mix(z, np.repeat(HALVES[np.newaxis], 5, axis=0))
    np.testing.assert_array_equal(sampler.sample(labels, 5, seed=4, output="float32"), expected)


def test_rows_of_weights_are_an_image_each(sampler):
    rows = np.stack([HALVES, ONE_HOT[1], ONE_HOT[2]])
    images = sampler.sample(rows, seed=4)
    assert images.shape == (3, 28, 28, 1)
    np.testing.assert_array_equal(images[1:], sampler.sample([1, 2], seed=4, first=1))
    np.testing.assert_array_equal(images[:1], sampler.sample({3: 0.5, 8: 0.5}, seed=4))


def test_a_mix_is_none_of_its_classes(sampler):
    mixed = sampler.sample({3: 0.5, 8: 0.5}, seed=4)
    assert not np.array_equal(mixed, sampler.sample(3, seed=4))
    assert not np.array_equal(mixed, sampler.sample(8, seed=4))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1200), st.integers(0, 1200), st.integers(0, 2**63))
def test_a_job_that_is_cut_anywhere_is_joined_to_the_same_images(sampler, cut, count, start):
    labels = np.arange(count) % 10
    cut = min(cut, count)
    whole = sampler.sample(labels, seed=1, first=start)
    parts = [sampler.sample(labels[:cut], seed=1, first=start), sampler.sample(labels[cut:], seed=1, first=start + cut)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_the_last_image_of_a_seed_can_be_had(sampler):
    z = standard_normal_latents(0, 2**64 - 1, 1, sampler.latent_dim)
    images = sampler.sample(7, seed=0, first=2**64 - 1, output="float32")
    np.testing.assert_array_equal(images, sampler.decode(z, [7]))


@pytest.mark.parametrize(
    ("temperature", "truncation"), [(0.7, None), (1.0, 2.0), (1.5, 0.5), (100, None), (0, None), (0, 1)]
)
def test_temperature_and_truncation_are_those_of_the_latents(sampler, temperature, truncation):
    z = standard_normal_latents(2, 5, 4, sampler.latent_dim, temperature=temperature, truncation=truncation)
    images = sampler.sample(7, 4, seed=2, first=5, temperature=temperature, truncation=truncation, output="float32")
    np.testing.assert_array_equal(images, sampler.decode(z, [7] * 4))


def test_at_temperature_0_all_images_of_a_class_are_one(sampler):
    images = sampler.sample(7, 3, temperature=0)
    np.testing.assert_array_equal(images, images[[0, 0, 0]])


def test_every_output_has_the_pixels_of_uint8(sampler):
    greys = sampler.sample([3, 1, 4], seed=0)
    floats = sampler.sample([3, 1, 4], seed=0, output="float32")
    pictures = sampler.sample([3, 1, 4], seed=0, output="pil")
    files = sampler.sample([3, 1, 4], seed=0, output="png")
    assert floats.dtype == np.float32
    # The nearest level is half a level away at most; which of two, a float32 of about 255 tells to 2e-5.
    assert np.abs(floats.astype(np.float64) * 255 - greys).max() <= 0.5 + 2e-5
    assert all(isinstance(file, bytes) for file in files)
    opened = [Image.open(io.BytesIO(file)) for file in files]
    for images in (pictures, opened):
        assert [image.mode for image in images] == ["L"] * 3
        np.testing.assert_array_equal([np.asarray(image) for image in images], greys[..., 0])


def test_colors_come_out_as_rgb(golden_artifact):
    sampler = Sampler(golden_artifact)
    greys = sampler.sample([0, 1], seed=0)
    pictures = sampler.sample([0, 1], seed=0, output="pil")
    assert [picture.mode for picture in pictures] == ["RGB"] * 2
    np.testing.assert_array_equal([np.asarray(picture) for picture in pictures], greys)


@pytest.mark.parametrize("output", ["pil", "png"])
def test_no_images_are_an_empty_list(sampler, output):
    assert sampler.sample(7, 0, output=output) == sampler.sample([], output=output) == []


def test_no_images_of_no_weights_keep_their_shape(sampler):
    assert sampler.sample(np.zeros((0, 10))).shape == (0, 28, 28, 1)
    assert sampler.mix(np.zeros((0, 24), np.float32), np.zeros((0, 10))).shape == (0, 28, 28, 1)
