"""Labels and a seed in, images out: the same images always, and a clear error for all else."""

import hashlib
import io
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvae_sdk import ArtifactNotFoundError, CvaeError, InputError, Sampler
from cvae_sdk.latents import standard_normal_latents
from cvae_sdk.outputs import to_uint8

SEED_MESSAGE = r"seed must be an integer from 0 to 2\^64 - 1"
COUNT_MESSAGE = "n must be an integer of at least"


def assert_nearest_grey(greys: np.ndarray, images: np.ndarray) -> None:
    """Each uint8 level is the nearest to its pixel in [0, 1]; which of two, a float32 of about 255 tells to 2e-5."""
    assert greys.dtype == np.uint8
    assert np.abs(greys - images.astype(np.float64) * 255).max() <= 0.5 + 2e-5


def test_a_sampler_says_what_it_samples(sampler, mnist):
    values = json.loads((mnist / "manifest.json").read_bytes())
    assert sampler.classes == tuple(values["classes"]) == tuple("0123456789")
    assert sampler.latent_dim == values["latent_dim"]
    assert sampler.image_shape == tuple(values["image_shape"]) == (28, 28, 1)
    assert sampler.manifest.name == "mnist"


def test_the_shipped_artifact_samples_as_the_committed_one(sampler, mnist):
    np.testing.assert_array_equal(Sampler(mnist).sample(7, n=3, seed=0), sampler.sample(7, n=3, seed=0))
    np.testing.assert_array_equal(Sampler(str(mnist)).sample(7, n=3, seed=0), sampler.sample(7, n=3, seed=0))


def test_a_shipped_artifact_is_opened_by_its_name(sampler):
    np.testing.assert_array_equal(Sampler("mnist").sample(7, n=3, seed=0), sampler.sample(7, n=3, seed=0))
    clothes = Sampler("fashion-mnist")
    assert clothes.manifest.name == "fashion-mnist"
    assert clothes.classes[9] == "Ankle boot"
    assert clothes.sample("Ankle boot", n=2, seed=0).shape == (2, 28, 28, 1)
    assert clothes.verify().goldens == 20


def test_a_shipped_name_is_that_artifact_wherever_one_is(sampler, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fashion-mnist").mkdir()
    assert Sampler("fashion-mnist").manifest.name == "fashion-mnist"
    for folder in ("./fashion-mnist", Path("fashion-mnist")):
        with pytest.raises(ArtifactNotFoundError, match="the folder has no manifest"):
            Sampler(folder)


def test_a_name_that_is_not_shipped_lists_those_that_are():
    with pytest.raises(ArtifactNotFoundError, match=r"no artifact at mnits: no such folder, and .* fashion-mnist$"):
        Sampler("mnits")


@pytest.mark.parametrize(
    ("labels", "n", "count"),
    [(7, None, 1), ("7", None, 1), (np.uint8(7), 3, 3), (7, np.int64(3), 3), ([3, 1, 4], None, 3), ((3, "1"), None, 2),
     (range(10), None, 10), (np.array([1, 2]), None, 2), ([], None, 0), (np.zeros(0, np.int64), None, 0)],
)  # fmt: skip
def test_samples_are_uint8_images_one_for_each_label(sampler, labels, n, count):
    images = sampler.sample(labels, n, seed=0)
    assert images.dtype == np.uint8
    assert images.shape == (count, *sampler.image_shape)


def test_a_name_and_its_label_are_the_same_class(sampler):
    np.testing.assert_array_equal(sampler.sample("3", n=4, seed=9), sampler.sample(3, n=4, seed=9))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**64 - 1), st.lists(st.integers(0, 9), min_size=1, max_size=12))
def test_samples_are_the_decoded_latents_of_the_seed_in_256_greys(sampler, seed, labels):
    decoded = sampler.decode(standard_normal_latents(seed, 0, len(labels), sampler.latent_dim), labels)
    assert_nearest_grey(sampler.sample(labels, seed=seed), decoded)


def test_grey_levels_are_the_nearest_over_all_of_0_to_1():
    halves = (np.arange(255) + 0.5) / 255
    images = np.concatenate([np.arange(256) / 255, halves - 1e-6, halves + 1e-6, np.linspace(0, 1, 10_001)])
    assert_nearest_grey(to_uint8(images.astype(np.float32)), images)
    assert to_uint8((np.arange(256) / 255).astype(np.float32)).tolist() == list(range(256))


def test_a_level_one_too_dark_is_not_taken_for_the_nearest():
    with pytest.raises(AssertionError):
        assert_nearest_grey(np.array([99], np.uint8), np.array([99.6 / 255]))


def test_samples_are_nearer_to_the_mean_image_of_their_own_class_than_of_another(sampler):
    images = sampler.sample(np.repeat(np.arange(10), 40), seed=0).reshape(10, 40, -1).astype(np.float64)
    means = images[:, 20:].mean(axis=1)
    nearest = np.square(images[:, :20, None] - means).sum(axis=-1).argmin(axis=-1)
    # By chance 10 percent; for handwritten digits about 80 percent of a nearest mean's guesses are right.
    assert (nearest == np.arange(10)[:, None]).mean() > 0.6


@pytest.mark.parametrize("n", [1, 2, 7, 64, 257, 1023, 1024, 1025])
def test_the_first_images_of_a_seed_are_the_same_however_many_are_asked_for(sampler, n):
    """1,500 images are decoded in two chunks; ONNX Runtime's rows are bit-equal for every batch size."""
    np.testing.assert_array_equal(sampler.sample(7, n=n, seed=3), sampler.sample(7, n=1500, seed=3)[:n])


def test_every_chunk_decodes_the_latents_of_its_own_images(sampler):
    labels = np.arange(2500) % 10
    images = sampler.sample(labels, seed=8)
    assert_nearest_grey(images, sampler.decode(standard_normal_latents(8, 0, 2500, sampler.latent_dim), labels))


def test_an_image_depends_on_its_place_and_its_label_and_on_no_other_label(sampler):
    labels = np.arange(1100) % 10
    images = sampler.sample(labels, seed=5)
    others = sampler.sample(np.where(np.arange(1100) % 3 == 0, labels, 9 - labels), seed=5)
    np.testing.assert_array_equal(images[::3], others[::3])
    assert (images[1::3] != others[1::3]).any(axis=(1, 2, 3)).all()


def test_a_list_of_one_label_is_that_label_n_times(sampler):
    np.testing.assert_array_equal(sampler.sample([7] * 5, seed=1), sampler.sample(7, n=5, seed=1))


def test_other_seeds_give_other_images(sampler):
    seeds = [0, 1, 2**32, 2**63, 2**64 - 1]
    assert len({sampler.sample(7, n=2, seed=seed).tobytes() for seed in seeds}) == len(seeds)


def test_a_seed_may_be_any_integer_type(sampler):
    top = sampler.sample(7, seed=2**64 - 1)
    np.testing.assert_array_equal(sampler.sample(7, seed=np.uint64(2**64 - 1)), top)
    np.testing.assert_array_equal(sampler.sample(7, seed=np.int8(5)), sampler.sample(7, seed=5))


def test_without_a_seed_every_call_gives_other_images(sampler):
    assert len({sampler.sample(7).tobytes() for _ in range(10)}) == 10


def test_sampling_leaves_numpy_s_own_stream_alone(sampler):
    before = repr(np.random.get_state())
    sampler.sample(7)
    assert repr(np.random.get_state()) == before


@pytest.mark.parametrize("threads", ["1", "4"])
def test_another_process_with_another_number_of_threads_draws_the_same_images(sampler, threads):
    """One of the two also runs on one processor alone, from which ONNX Runtime takes the number of its threads."""
    pin = "os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])" if threads == "1" else "pass"
    code = (
        f"import os\nif hasattr(os, 'sched_setaffinity'): {pin}\n"
        "import hashlib; from cvae_sdk import Sampler\n"
        "print(hashlib.sha256(Sampler().sample(range(10), seed=11).tobytes()).hexdigest())"
    )
    settings_of_threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), threads)
    result = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **settings_of_threads}, capture_output=True, check=True
    )
    expected = hashlib.sha256(sampler.sample(range(10), seed=11).tobytes()).hexdigest()
    assert result.stdout.decode().strip() == expected


def test_8_threads_share_one_sampler_and_get_what_one_gets(artifact):
    sampler = Sampler(artifact)
    calls = [(label % 10, 1 + label % 7, label) for label in range(8 * 20)]
    serial = [sampler.sample(label, n=n, seed=seed).tobytes() for label, n, seed in calls]
    with ThreadPoolExecutor(8) as pool:
        shared = list(pool.map(lambda call: sampler.sample(call[0], n=call[1], seed=call[2]).tobytes(), calls))
    assert shared == serial


def test_the_runtime_gets_the_very_bytes_that_were_hashed(artifact, monkeypatch):
    models = []
    real = onnxruntime.InferenceSession

    def session(model, *arguments, **options):
        models.append(model)
        return real(model, *arguments, **options)

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    record = Sampler(artifact).manifest.files["onnx/decoder.onnx"]
    assert [hashlib.sha256(model).hexdigest() for model in models] == [record.sha256]


def test_an_open_sampler_no_longer_needs_its_folder(artifact):
    sampler = Sampler(artifact)
    images = sampler.sample(7, n=2, seed=0)
    (artifact / "onnx/decoder.onnx").unlink()
    np.testing.assert_array_equal(sampler.sample(7, n=2, seed=0), images)


# Bad labels, counts and seeds


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (-1, "a label must be from 0 to 9, got -1"),
        (10, "a label must be from 0 to 9, got 10"),
        (3.5, "a label must be an integer or a class name, got 3.5"),
        (True, "a label must be an integer or a class name, got True"),
        (np.False_, "a label must be an integer or a class name, got np.False_"),
        (None, "a label must be an integer or a class name, got None"),
        ("seven", "unknown class 'seven': there are 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"),
        ("77", "unknown class '77'"),
        (b"7", "a label must be an integer or a class name, got b'7'"),
        ({7}, r"a label must be an integer or a class name, got \{7\}"),
        ([1, 10], "a label must be from 0 to 9, got 10"),
        ([1, True], "a label must be an integer or a class name, got True"),
        ([1, None], "a label must be an integer or a class name, got None"),
        ([[1]], r"a label must be an integer or a class name, got \[1\]"),
        (np.array([1.0]), r"class weights must be floats of shape \(10,\) or \(n, 10\), got float64 \(1,\)"),
        (np.ones((2, 2), int), r"labels must have one axis, got shape \(2, 2\)"),
        (np.array(7), r"labels must have one axis, got shape \(\)"),
    ],
)
def test_a_bad_label_is_refused(sampler, labels, message):
    with pytest.raises(InputError, match=message):
        sampler.sample(labels, seed=0)


@pytest.mark.parametrize("n", [-1, True, np.True_, 2.5, 2.0, "2", [2], float("nan")])
def test_a_bad_number_of_images_is_refused(sampler, n):
    with pytest.raises(InputError, match=COUNT_MESSAGE + " 0, got"):
        sampler.sample(7, n=n, seed=0)
    with pytest.raises(InputError, match=COUNT_MESSAGE + " 1, got"):
        sampler.grid(n=n, seed=0)


def test_a_grid_of_no_images_is_refused(sampler):
    with pytest.raises(InputError, match=COUNT_MESSAGE + " 1, got 0"):
        sampler.grid(n=0, seed=0)


@pytest.mark.parametrize(("output", "dtype"), [("uint8", np.uint8), ("float32", np.float32)])
def test_no_images_are_an_empty_array_of_their_shape(sampler, output, dtype):
    for images in (sampler.sample(7, n=0, output=output), sampler.sample([], output=output)):
        assert images.shape == (0, 28, 28, 1)
        assert images.dtype == dtype


@pytest.mark.parametrize("labels", [[3, 1], [7], [], range(3), np.array([1, 2])])
def test_a_number_of_images_for_several_labels_is_refused(sampler, labels):
    with pytest.raises(InputError, match=f"n goes with one label, got {len(labels)} labels: repeat them"):
        sampler.sample(labels, n=2, seed=0)


@pytest.mark.parametrize("n", [10**15, 2**63, 2**64, 10**30])
def test_more_images_than_memory_holds_are_refused(sampler, n):
    with pytest.raises(InputError, match="do not fit into memory"):
        sampler.sample(7, n=n, seed=0)
    with pytest.raises(InputError, match="do not fit into memory"):
        sampler.grid(n=n, seed=0)


@pytest.mark.parametrize("seed", [-1, 2**64, 10**30, True, np.False_, 1.5, 1.0, np.int64(-1), "0", b"0", [0]])
def test_a_bad_seed_is_refused(sampler, seed):
    with pytest.raises(InputError, match=SEED_MESSAGE + ", got "):
        sampler.sample(7, seed=seed)
    with pytest.raises(InputError, match=SEED_MESSAGE + ", got "):
        sampler.grid(seed=seed)


def test_a_number_too_long_for_python_to_print_is_refused_as_any_other(sampler):
    with pytest.raises(InputError, match=SEED_MESSAGE):
        sampler.sample(7, seed=10**5000)
    with pytest.raises(InputError, match=COUNT_MESSAGE):
        sampler.sample(7, n=-(10**5000), seed=0)
    with pytest.raises(InputError, match="do not fit into memory"):
        sampler.sample(7, n=10**5000, seed=0)
    with pytest.raises(InputError, match="do not fit into memory"):
        sampler.grid(scale=10**5000, seed=0)


def test_a_message_about_a_large_array_is_one_short_line(sampler):
    for call in (
        lambda: sampler.sample(7, seed=np.zeros((100, 100))),
        lambda: sampler.sample(7, n=np.zeros((100, 100))),
        lambda: sampler.sample([np.zeros((100, 100))]),
    ):
        with pytest.raises(InputError) as raised:
            call()
        assert len(str(raised.value).splitlines()) == 1
        assert len(str(raised.value)) < 200


def test_a_bad_input_error_is_a_value_error_and_of_the_sdk():
    assert issubclass(InputError, ValueError)
    assert issubclass(InputError, CvaeError)


# decode


def latents(sampler, count: int, seed: int = 0) -> np.ndarray:
    return standard_normal_latents(seed, 0, count, sampler.latent_dim)


@pytest.mark.parametrize("batch", [0, 1, 2, 7, 64, 257])
def test_decode_gives_float32_images_in_0_to_1(sampler, batch):
    images = sampler.decode(latents(sampler, batch), np.arange(batch) % 10)
    assert images.dtype == np.float32
    assert images.shape == (batch, *sampler.image_shape)
    assert ((images >= 0) & (images <= 1)).all()


def test_decode_gives_the_images_that_jax_gave_at_export(sampler, mnist):
    with np.load(io.BytesIO((mnist / "golden.npz").read_bytes())) as golden:
        z, label, image = golden["z"], golden["label"], golden["image"]
    # Sums in another order, through 16 layers of a prior and the decoder: 2.7e-6 was measured at export, two greys
    # are 4e-3 apart.
    np.testing.assert_allclose(sampler.decode(z, label), image, rtol=0, atol=5e-6)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 40), st.data())
def test_a_row_is_decoded_the_same_in_every_batch(sampler, batch, data):
    z, label = latents(sampler, batch), np.arange(batch) % 10
    i = data.draw(st.integers(0, batch - 1))
    together, alone = sampler.decode(z, label)[i], sampler.decode(z[i : i + 1], label[i : i + 1])[0]
    np.testing.assert_array_equal(alone.view(np.uint32), together.view(np.uint32))


def test_decode_takes_strided_latents_and_any_labels(sampler):
    z = latents(sampler, 6)
    expected = sampler.decode(np.ascontiguousarray(z[::2]), [3, 1, 4])
    for label in ((3, 1, 4), np.array([3, 1, 4], np.int64), np.array([3, 1, 4], np.uint8), ["3", "1", "4"]):
        np.testing.assert_array_equal(sampler.decode(z[::2], label), expected)
    np.testing.assert_array_equal(sampler.decode(np.asfortranarray(z)[::2], [3, 1, 4]), expected)


def test_decode_leaves_its_arguments_as_they_were(sampler):
    z, label = latents(sampler, 3), np.arange(3, dtype=np.int32)
    copies = z.copy(), label.copy()
    sampler.decode(z, label)
    np.testing.assert_array_equal(z, copies[0])
    np.testing.assert_array_equal(label, copies[1])


Z = np.zeros((2, 24), np.float32)


@pytest.mark.parametrize(
    ("z", "message"),
    [
        (Z[:, :9], r"z must have shape \(batch, 24\), got \(2, 9\)"),
        (Z.T, r"z must have shape \(batch, 24\), got \(24, 2\)"),
        (Z[0], r"z must have shape \(batch, 24\), got \(24,\)"),
        (Z[None], r"z must have shape \(batch, 24\), got \(1, 2, 24\)"),
        (np.float32(0), "z must be a float32 array, got float32: use"),
        (Z.astype(np.float64), r"z must be a float32 array, got float64: use numpy.asarray\(z, numpy.float32\)"),
        (Z.astype(np.float16), "z must be a float32 array, got float16"),
        (Z.astype(np.int32), "z must be a float32 array, got int32"),
        (Z.astype(">f4"), "z must be a float32 array, got >f4"),
        (Z.astype(object), "z must be a float32 array, got object"),
        (Z.tolist(), "z must be a float32 array, got list"),
        (None, "z must be a float32 array, got NoneType"),
    ],
)
def test_latents_of_the_wrong_type_or_shape_are_refused(sampler, z, message):
    with pytest.raises(InputError, match=message):
        sampler.decode(z, [0, 1])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_latents_that_are_not_finite_are_refused(sampler, value):
    z = Z.copy()
    z[1, 9] = value
    with pytest.raises(InputError, match=r"z must be finite, and from -1e\+06 to 1e\+06, got"):
        sampler.decode(z, [0, 1])


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ([0], "label must have one entry for each of the 2 rows of z, got 1"),
        ([0, 1, 2], "label must have one entry for each of the 2 rows of z, got 3"),
        ([], "label must have one entry for each of the 2 rows of z, got 0"),
        (7, "labels must be .*, got int"),
        (None, "labels must be .*, got NoneType"),
        ("77", "labels must be .*, got str"),
        (np.array(7), r"labels must have one axis, got shape \(\)"),
        (np.zeros((2, 1), np.int32), r"labels must have one axis, got shape \(2, 1\)"),
        ([0, 10], "a label must be from 0 to 9, got 10"),
        ([0, -1], "a label must be from 0 to 9, got -1"),
        ([0, 2**31 - 1], "a label must be from 0 to 9, got 2147483647"),
        ([0, 2**31], "a label must be from 0 to 9, got 2147483648"),
        ([0, 3.5], "a label must be an integer or a class name, got 3.5"),
        ([0, True], "a label must be an integer or a class name, got True"),
        (np.array([0.0, 1.0]), "a label must be an integer or a class name, got 0.0"),
    ],
)
def test_labels_that_do_not_fit_the_latents_are_refused(sampler, label, message):
    with pytest.raises(InputError, match=message):
        sampler.decode(Z, label)


# grid


@pytest.mark.parametrize(
    ("labels", "n", "scale"),
    [(None, 10, 1), ([3, 1, 4], 2, 1), (["7"], 1, 3), (7, 4, 2), ("7", 1, 1), (range(2), 3, 1)],
)
def test_a_grid_is_the_samples_in_rows(sampler, labels, n, scale):
    picture = sampler.grid(labels, n, seed=6, scale=scale)
    each = range(10) if labels is None else [labels] if isinstance(labels, int | str) else labels
    images = sampler.sample([label for label in each for _ in range(n)], seed=6)
    assert picture.size == (scale * (30 * n - 2), scale * (30 * len(each) - 2))
    pixels = np.asarray(picture)[::scale, ::scale]
    for i, image in enumerate(images):
        top, left = 30 * (i // n), 30 * (i % n)
        np.testing.assert_array_equal(pixels[top : top + 28, left : left + 28], image[..., 0])


def test_a_grid_has_a_row_of_ten_for_each_class_unless_told(sampler):
    assert sampler.grid().size == (298, 298)


@pytest.mark.parametrize("labels", [[], (), np.zeros(0, int)])
def test_a_grid_of_no_labels_is_refused(sampler, labels):
    with pytest.raises(InputError, match="needs one label or more, got none"):
        sampler.grid(labels)


@pytest.mark.parametrize("labels", [[10], -1, "ten", [True], np.ones((2, 2), int)])
def test_a_grid_of_bad_labels_is_refused(sampler, labels):
    with pytest.raises(InputError, match=r"a label must be|unknown class|labels must have"):
        sampler.grid(labels)


@pytest.mark.parametrize("scale", [0, -1, True, 1.5, "2", None])
def test_a_bad_scale_is_refused(sampler, scale):
    with pytest.raises(InputError, match="scale must be an integer of at least 1, got"):
        sampler.grid(scale=scale)


@pytest.mark.parametrize("scale", [10**9, 10**12, 10**30])
def test_a_picture_larger_than_memory_is_refused(sampler, scale):
    with pytest.raises(InputError, match="pixels do not fit into memory"):
        sampler.grid(scale=scale, seed=0)
