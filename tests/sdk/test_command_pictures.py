"""What the picture verbs draw, against what Sampler draws; every place that -o can name; and every mistake."""

import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cvae_sdk import Sampler

CVAE = Path(sys.executable).with_name("cvae")
WAYS = ["interpolate", "morph", "neighbors"]


@pytest.fixture(scope="module")
def mixer(mnist) -> Sampler:
    """A Sampler of an artifact that can mix classes."""
    return Sampler(mnist)


def arrays(path: str) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


# What is drawn


def test_sample_takes_temperature_and_truncation(cvae, sampler):
    command = ["sample", "7", "3", "-n", 2, "--seed", 4, "--temperature", 0.5, "--truncation", 1.5, "-o", "a.npz"]
    assert cvae(*command) == (0, b"4 images saved in a.npz\n", "")
    expected = sampler.sample([7, 7, 3, 3], seed=4, temperature=0.5, truncation=1.5)
    np.testing.assert_array_equal(arrays("a.npz")["images"], expected)
    assert (expected != sampler.sample([7, 7, 3, 3], seed=4)).any()


def test_grid_takes_temperature_and_truncation(cvae, sampler):
    assert cvae("grid", "-n", 2, "--seed", 4, "--temperature", 0.5, "--truncation", 1.5)[0] == 0
    expected = sampler.grid(None, 2, seed=4, temperature=0.5, truncation=1.5)
    with Image.open("grid.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), np.asarray(expected))


def test_sample_draws_mixes_beside_classes(cvae, mixer, mnist):
    command = ["sample", "3", "3:1,8:3", "-n", 2, "--seed", 1, "--artifact", mnist, "-o", "a.npz"]
    assert cvae(*command) == (0, b"4 images saved in a.npz\n", "")
    weights = np.zeros((4, 10), np.float32)
    weights[:2, 3] = 1
    weights[2:, [3, 8]] = [0.25, 0.75]
    given = arrays("a.npz")
    np.testing.assert_array_equal(given["class_weights"], weights)
    np.testing.assert_array_equal(given["images"], mixer.sample(weights, seed=1))


def test_interpolate_draws_what_the_sampler_does(cvae, mixer, mnist):
    command = ["interpolate", "3", "8:1,9:1", "--steps", 5, "--seed", 1, "--artifact", mnist, "-o", "a.npz"]
    assert cvae(*command) == (0, b"5 images saved in a.npz\n", "")
    np.testing.assert_array_equal(arrays("a.npz")["images"], mixer.interpolate("3", {"8": 0.5, "9": 0.5}, 5, seed=1))


def test_morph_draws_what_the_sampler_does_in_one_row(cvae, mixer, mnist):
    command = ["morph", "0", "1", "2", "--steps", 3, "--seed", 1, "--artifact", mnist]
    expected = mixer.morph([0, 1, 2], 3, seed=1)
    assert cvae(*command, "-o", "a.npz") == (0, f"{len(expected)} images saved in a.npz\n".encode(), "")
    np.testing.assert_array_equal(arrays("a.npz")["images"], expected)
    assert cvae(*command)[0] == 0
    with Image.open("morph.png") as picture:
        assert picture.size == (30 * len(expected) - 2, 28)


def test_neighbors_draws_what_the_sampler_does(cvae, sampler):
    command = ["neighbors", "7", "-n", 3, "--distance", 0.5, "--seed", 1, "-o", "a.npz"]
    expected = sampler.neighbors(7, 3, seed=1, distance=0.5)
    assert cvae(*command) == (0, f"{len(expected)} images saved in a.npz\n".encode(), "")
    np.testing.assert_array_equal(arrays("a.npz")["images"], expected)


def test_gif_draws_what_the_sampler_does(cvae, mixer, mnist):
    command = ["gif", "0", "1", "--steps", 3, "--scale", 2, "--duration", 50, "--seed", 1, "--artifact", mnist]
    assert cvae(*command) == (0, b"an animation saved in morph.gif\n", "")
    assert Path("morph.gif").read_bytes() == mixer.gif([0, 1], 3, seed=1, scale=2, duration=50)
    with Image.open("morph.gif") as animation:
        assert (animation.format, animation.size, animation.info["loop"]) == ("GIF", (56, 56), 0)
        assert animation.n_frames > 3


@pytest.mark.parametrize("verb", WAYS)
def test_a_way_s_sheet_has_its_own_default_name(cvae, mnist, verb):
    labels = {"interpolate": ["3", "8"], "morph": ["3", "8"], "neighbors": ["3"]}[verb]
    assert cvae(verb, *labels, "--artifact", mnist)[0] == 0
    name = {"interpolate": "interpolation.png", "morph": "morph.png", "neighbors": "neighbors.png"}[verb]
    with Image.open(name) as picture:
        assert picture.format == "PNG"


@pytest.mark.parametrize("threads", [1, 2])
def test_the_number_of_threads_changes_no_pixel(cvae, sampler, threads):
    assert cvae("sample", "7", "-n", 9, "--seed", 1, "--threads", threads, "--backend", "onnx", "-o", "a.npz")[0] == 0
    np.testing.assert_array_equal(arrays("a.npz")["images"], sampler.sample(7, n=9, seed=1))


# Where it goes


def test_npz_holds_images_labels_and_the_seed(cvae):
    seed = int(re.search(rb"of seed (\d+)", cvae("sample", "3", "1", "-n", 2, "-o", "a.npz")[1])[1])
    given = arrays("a.npz")
    assert given.keys() == {"images", "labels", "seed"}
    assert int(given["seed"]) == seed
    np.testing.assert_array_equal(given["labels"], [3, 3, 1, 1])


@pytest.mark.parametrize("made", [False, True])
def test_a_folder_gets_a_png_for_each_image(cvae, sampler, made):
    if made:
        Path("out").mkdir()
    assert cvae("sample", "7", "-n", 3, "--seed", 1, "-o", "out" if made else "out/") == (
        *(0, b"3 images saved in out\n", ""),
    )
    assert sorted(path.name for path in Path("out").iterdir()) == ["000.png", "001.png", "002.png"]
    for i, image in enumerate(sampler.sample(7, n=3, seed=1)):
        with Image.open(f"out/00{i}.png") as picture:
            np.testing.assert_array_equal(np.asarray(picture), image[..., 0])


def test_standard_output_gets_the_sheet_and_nothing_else(cvae):
    code, out, err = cvae("sample", "7", "-n", 4, "--seed", 1, "-o", "-")
    assert (code, err) == (0, "")
    assert cvae("sample", "7", "-n", 4, "--seed", 1, "-o", "a.png")[0] == 0
    assert out == Path("a.png").read_bytes()


def test_standard_output_gets_the_animation(cvae, mnist):
    code, out, _ = cvae("gif", "0", "1", "--steps", 2, "--seed", 1, "--artifact", mnist, "-o", "-")
    with Image.open(io.BytesIO(out)) as animation:
        assert (code, animation.format) == (0, "GIF")


# Mistakes

WRONG = [
    (["sample", "3:1,8"], "cvae: a mix is CLASS:SHARE,CLASS:SHARE with shares of at least 0"),
    (["sample", "3:0"], "cvae: the shares of a mix must sum to a number above 0, got '3:0'"),
    (["sample", "3:1,eight:1"], "cvae: unknown class 'eight'"),
    (["sample", "7", "--temperature", "-1"], "cvae: temperature"),
    (["sample", "7", "--temperature", "nan"], "cvae: temperature"),
    (["sample", "7", "--temperature", "hot"], "cvae sample: argument --temperature: invalid float value: 'hot'"),
    (["sample", "7", "--truncation", "0"], "cvae: truncation"),
    (["sample", "7", "--truncation", "-1"], "cvae: truncation"),
    (["sample", "7", "--truncation", "nan"], "cvae: truncation"),
    (["grid", "--temperature", "inf"], "cvae: temperature"),
    (["sample", "7", "--threads", "0"], "cvae: --threads must be at least 1, got 0"),
    (["sample", "7", "--backend", "numpy", "--threads", "2"], "cvae: --threads is not for the backend numpy"),
    (["sample", "7", "--backend", "torch"], "cvae sample: argument --backend: invalid choice: 'torch'"),
    (["sample", "7", "--artifact", "ftp://nowhere/x"], "cvae: "),
    (["sample", "7", "--artifact", "http://127.0.0.1:1/v1/models/mnist"], "cvae: "),
    (["sample", "7", "-o", "x.gif"], "cvae: the output must be FILE.png (one sheet), FILE.npz (arrays) or FOLDER/"),
    (["sample", "7", "-o", "missing/a.npz"], "cvae: cannot write missing/a.npz: No such file or directory"),
    (["gif", "-o", "a.png"], "cvae: the output must be FILE.gif, got a.png"),
    (["gif", "--steps", "0"], "cvae: --steps must be at least 1, got 0"),
    (["gif", "--steps", str(10**30)], "cvae: "),
    (["gif", "ten"], "cvae: unknown class 'ten'"),
    (["gif", "--duration", "x"], "cvae gif: argument --duration: invalid int value: 'x'"),
    (["morph", "0"], "cvae: "),
    (["morph", "0", "1", "--steps", "-1"], "cvae: --steps must be at least 1, got -1"),
    (["morph", "0", "1", "--scale", "0"], "cvae: --scale must be at least 1, got 0"),
    (["interpolate", "3"], "cvae interpolate: the following arguments are required: END"),
    (["interpolate", "3", "8", "--steps", "0"], "cvae: --steps must be at least 1, got 0"),
    (["interpolate", "3", "8", "--seed", "-1"], "cvae: seed must be an integer from 0 to 2^64 - 1, got -1"),
    (["neighbors", "7", "--distance", "nan"], "cvae: distance"),
    (["neighbors", "7", "-n", "0"], "cvae: -n must be at least 1, got 0"),
    (["neighbors", "7", "--temperature", "1"], "cvae: unrecognized arguments: --temperature 1"),
]


@pytest.mark.parametrize(("arguments", "start"), WRONG, ids=[" ".join(case[0])[:50] for case in WRONG])
def test_a_mistake_exits_2_with_one_line_and_writes_nothing(cvae, tmp_path, mnist, arguments, start):
    if arguments[0] in ("gif", "morph", "interpolate"):
        arguments = [*arguments, "--artifact", mnist]
    code, out, err = cvae(*arguments)
    assert (code, out) == (2, b"")
    assert err.startswith(start)
    assert re.fullmatch(r"[^\n]+\n", err)
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_folder_is_a_line(cvae):
    Path("file").write_bytes(b"")
    code, out, err = cvae("sample", "7", "-o", "file/")
    assert (code, out) == (2, b"")
    assert err == "cvae: cannot write file/000.png: File exists\n"


# The process


def test_a_reader_that_goes_away_ends_the_command_quietly(tmp_path):
    command = f"{CVAE} sample 7 -n 4096 --seed 1 -o - | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["/bin/bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("141\n", "")


def test_a_full_standard_output_is_a_line(tmp_path):
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([CVAE, "info"], cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "cvae: cannot write to standard output: No space left on device\n")
