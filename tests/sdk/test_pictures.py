"""Ways between images: where they begin and end, and each formula, written here anew in float64."""

import io
import math

import numpy as np
import pytest
from PIL import Image

from cvae_sdk import Sampler
from cvae_sdk.latents import standard_normal_latents
from cvae_sdk.paths import spherical

SEED = 12


def noise(sampler: Sampler, count: int) -> np.ndarray:
    return standard_normal_latents(SEED, 0, count, sampler.latent_dim)


def one_hot(*labels: int) -> np.ndarray:
    return np.eye(10, dtype=np.float32)[list(labels)]


# interpolate


def test_a_way_begins_and_ends_with_the_seed_s_own_images(sampler):
    images = sampler.interpolate(3, 8, steps=7, seed=SEED)
    assert images.shape == (7, 28, 28, 1)
    np.testing.assert_array_equal(images[[0, -1]], sampler.sample([3, 8], seed=SEED))


def test_a_way_is_a_great_circle_in_z_and_straight_in_the_classes(sampler):
    steps, (z0, z1) = 5, noise(sampler, 2).astype(np.float64)
    angle = math.acos(z0 @ z1 / np.linalg.norm(z0) / np.linalg.norm(z1))
    z, weights = [], []
    for t in np.arange(steps) / (steps - 1):
        z.append((math.sin((1 - t) * angle) * z0 + math.sin(t * angle) * z1) / math.sin(angle))
        weights.append((1 - t) * one_hot(3)[0] + t * one_hot(8)[0])
    expected = sampler.mix(np.asarray(z, np.float32), np.asarray(weights, np.float32))
    # Latents may differ in their last bit, where cos and sin do: 1e-6 of a pixel.
    np.testing.assert_allclose(
        sampler.interpolate(3, 8, steps, seed=SEED, output="float32"), expected, rtol=0, atol=1e-5
    )


def test_a_way_within_a_class_needs_no_mix(golden_artifact):
    plain = Sampler(golden_artifact)
    images = plain.interpolate(1, 1, 4, seed=SEED)
    np.testing.assert_array_equal(images[[0, -1]], plain.sample([1, 1], seed=SEED))


def test_a_way_of_one_step_is_its_begin(sampler):
    np.testing.assert_array_equal(sampler.interpolate(3, 8, 1, seed=SEED), sampler.sample(3, seed=SEED))


def test_a_way_may_go_between_mixes(sampler):
    images = sampler.interpolate({3: 0.5, 8: 0.5}, "1", 3, seed=SEED, output="float32")
    np.testing.assert_array_equal(images[:1], sampler.sample({3: 0.5, 8: 0.5}, seed=SEED, output="float32"))
    np.testing.assert_array_equal(images[2:], sampler.sample(1, seed=SEED, first=1, output="float32"))


@pytest.mark.parametrize("factor", [1.0, 2.0, -1.0, 0.0])
def test_a_great_circle_between_latents_of_one_line_is_finite(factor):
    z = np.array([1.0, 2.0, -2.0], np.float32)
    rows = spherical(z, np.float32(factor) * z, 5)
    assert np.isfinite(rows).all()
    np.testing.assert_array_equal(rows[[0, -1]], [z, np.float32(factor) * z])


# morph


def test_a_morph_passes_through_each_class_with_one_latent(sampler):
    images = sampler.morph([3, 8, 1], steps=4, seed=SEED)
    assert images.shape == (9, 28, 28, 1)
    z = noise(sampler, 1)
    for place, label in ((0, 3), (4, 8), (8, 1)):
        np.testing.assert_array_equal(images[place], sampler.morph([label, label], 1, seed=SEED)[0])
        # Of the label itself: a runtime's decode is its mix of one class.
        assert np.abs(sampler.decode(z, [label])[0] * 255 - images[place]).max() <= 1


def test_a_morph_goes_straight_from_class_to_class(sampler):
    weights = [one_hot(3)[0], 0.5 * one_hot(3)[0] + 0.5 * one_hot(8)[0], one_hot(8)[0]]
    expected = sampler.mix(np.repeat(noise(sampler, 1), 3, axis=0), np.asarray(weights))
    np.testing.assert_array_equal(sampler.morph([3, 8], 2, seed=SEED, output="float32"), expected)


# neighbors


def test_neighbors_are_the_image_and_those_at_an_angle_from_it(sampler):
    z = noise(sampler, 4).astype(np.float64)
    rows = np.concatenate([z[:1], math.cos(0.4) * z[:1] + math.sin(0.4) * z[1:]]).astype(np.float32)
    images = sampler.neighbors(7, 3, seed=SEED, distance=0.4, output="float32")
    assert images.shape == (4, 28, 28, 1)
    np.testing.assert_allclose(images, sampler.decode(rows, [7] * 4), rtol=0, atol=1e-5)  # as above
    np.testing.assert_array_equal(images[:1], sampler.sample(7, seed=SEED, output="float32"))


def test_neighbors_at_a_quarter_turn_are_the_seed_s_other_images(sampler):
    images = sampler.neighbors(7, 3, seed=SEED, distance=math.pi / 2, output="float32")
    # The cosine of pi / 2 is 6e-17 in float64.
    np.testing.assert_allclose(images, sampler.sample(7, 4, seed=SEED, output="float32"), rtol=0, atol=1e-5)


def test_neighbors_at_no_distance_are_the_image_itself(sampler):
    images = sampler.neighbors(7, 3, seed=SEED, distance=0)
    np.testing.assert_array_equal(images, images[[0, 0, 0, 0]])
    assert len(sampler.neighbors(7, 0, seed=SEED)) == 1


def test_neighbors_are_the_farther_the_greater_the_distance(sampler):
    away = []
    for distance in (0.05, 0.2, 0.8):
        images = sampler.neighbors(7, 20, seed=SEED, distance=distance, output="float32")
        away.append(float(np.square(images[1:] - images[0]).sum()))
    assert away == sorted(away)


# gif


def frames_of(content: bytes) -> tuple[list[np.ndarray], list[int]]:
    with Image.open(io.BytesIO(content)) as file:
        frames, durations = [], []
        for i in range(file.n_frames):
            file.seek(i)
            frames.append(np.asarray(file.convert("L")))
            durations.append(file.info["duration"])
        assert file.info["loop"] == 0
    return frames, durations


def test_a_gif_is_the_morph_through_the_labels_and_back_without_its_last_image(sampler):
    frames, durations = frames_of(sampler.gif([3, 8], steps=5, seed=SEED, duration=60))
    morph = sampler.morph([3, 8, 3], 5, seed=SEED)[:-1, ..., 0]
    assert len(frames) == len(morph) == 10
    assert set(durations) == {60}
    np.testing.assert_array_equal(frames, morph)


def test_a_gif_is_of_all_classes_unless_told_and_drawn_as_large_as_is_asked(sampler):
    frames, _ = frames_of(sampler.gif(steps=1, seed=SEED, scale=3))
    assert len(frames) == 10
    assert frames[0].shape == (84, 84)


def test_a_gif_of_a_seed_is_the_same_bytes(sampler):
    assert sampler.gif([1, 2], 2, seed=0) == sampler.gif([1, 2], 2, seed=0) != sampler.gif([1, 2], 2, seed=1)


# grid


def test_a_grid_is_drawn_with_the_temperature_and_the_truncation(sampler):
    pixels = np.asarray(sampler.grid([3], 1, seed=SEED, temperature=0.5, truncation=1))
    expected = sampler.sample(3, seed=SEED, temperature=0.5, truncation=1)[0, ..., 0]
    np.testing.assert_array_equal(pixels, expected)


def test_a_grid_may_have_rows_of_mixes(sampler):
    pixels = np.asarray(sampler.grid({3: 0.5, 8: 0.5}, 2, seed=SEED))
    images = sampler.sample({3: 0.5, 8: 0.5}, 2, seed=SEED)
    np.testing.assert_array_equal(pixels[:, :28], images[0, ..., 0])
    np.testing.assert_array_equal(pixels[:, 30:], images[1, ..., 0])


@pytest.mark.parametrize("output", ["uint8", "float32", "pil", "png"])
def test_every_picture_comes_in_every_output(sampler, output):
    for images in (
        sampler.interpolate(3, 8, 2, seed=0, output=output),
        sampler.morph([3, 8], 1, seed=0, output=output),
        sampler.neighbors(3, 1, seed=0, output=output),
    ):
        assert len(images) == 2
        assert type(images[0]).__name__ == {"pil": "Image", "png": "bytes"}.get(output, "ndarray")
