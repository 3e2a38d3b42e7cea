"""A Sampler is the same by every local backend: latents to the bit, images to rounding, errors to the word."""

import copy
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from cvae_sdk import ArtifactError, ClosedError, InputError, Sampler
from cvae_sdk.artifact import Artifact
from cvae_sdk.backends import Arrays, Backend
from cvae_sdk.backends.options import BACKENDS, LitertOptions, OnnxOptions
from cvae_sdk.command import main
from cvae_sdk.drawing import CHUNK
from cvae_sdk.latents import standard_normal_latents

OTHERS = [name for name in BACKENDS if name != "onnx"]
COUNTS = (1, 7, CHUNK, CHUNK + 1, 2 * CHUNK + 277)
TOLERANCE = 1e-5  # what the seed contract promises of images
MNIST = Path(__file__).parents[3] / "artifacts" / "mnist"
Open = Callable[[Artifact | Path, str], Sampler]


@pytest.fixture(scope="module")
def opened() -> Iterator[Open]:
    """The Sampler of an artifact by a backend's name, opened once; not to be closed."""
    samplers: dict[tuple[Path, str], Sampler] = {}

    def get(artifact: Artifact | Path, name: str) -> Sampler:
        folder = artifact if isinstance(artifact, Path) else artifact.folder
        if (folder, name) not in samplers:
            samplers[folder, name] = Sampler(folder, backend=name)
        return samplers[folder, name]

    yield get
    for each in samplers.values():
        each.close()


def assert_same_images(found: np.ndarray, right: np.ndarray) -> None:
    """Float32 within 1e-5, uint8 within one grey level: the seed contract."""
    assert (found.dtype, found.shape) == (right.dtype, right.shape)
    if found.dtype == np.uint8:
        assert np.abs(found.astype(np.int16) - right.astype(np.int16)).max() <= 1
    else:
        assert found.dtype == np.float32
        assert np.abs(found - right).max() <= TOLERANCE


@pytest.mark.parametrize(
    ("found", "right"),
    [
        (np.full(3, 2e-5, np.float32), np.zeros(3, np.float32)),
        (np.array([0.5, np.nan], np.float32), np.full(2, 0.5, np.float32)),
        (np.array([9], np.uint8), np.array([7], np.uint8)),
        (np.array([0], np.uint8), np.array([255], np.uint8)),
        (np.zeros(3, np.float64), np.zeros(3, np.float32)),
    ],
)
def test_images_that_break_the_contract_are_not_taken_for_the_same(found: np.ndarray, right: np.ndarray) -> None:
    with pytest.raises(AssertionError):
        assert_same_images(found, right)


# The seed contract


@pytest.mark.parametrize("output", ["float32", "uint8"])
@pytest.mark.parametrize("name", OTHERS)
def test_a_seed_gives_the_same_images_by_every_backend(whole: Artifact, opened: Open, name: str, output: str) -> None:
    onnx, other = opened(whole, "onnx"), opened(whole, name)
    for n in COUNTS:
        labels = np.arange(n) % len(onnx.classes)
        noise = {"seed": 2**63 + n, "first": 3 * n, "output": output}
        assert_same_images(other.sample(labels, **noise), onnx.sample(labels, **noise))
    for noise in ({"temperature": 0.6}, {"truncation": 1.5}, {"temperature": 2.0, "truncation": 3.0}):
        assert_same_images(
            other.sample("star", 9, seed=4, output=output, **noise),
            onnx.sample("star", 9, seed=4, output=output, **noise),
        )


@pytest.mark.parametrize("name", ["stablehlo", "saved_model"])
def test_a_seed_gives_the_same_digits_by_every_form_of_the_trained_artifact(opened: Open, name: str) -> None:
    labels = np.arange(CHUNK + 89) % 10
    for output in ("float32", "uint8"):
        found, right = (opened(MNIST, each).sample(labels, seed=7, output=output) for each in (name, "onnx"))
        assert_same_images(found, right)


class Recorder:
    """A backend that keeps the latents of each call."""

    def __init__(self, backend: Backend) -> None:
        self.backend, self.latents = backend, list[np.ndarray]()
        self.signatures = backend.signatures

    def run(self, signature: str, inputs: Arrays) -> Arrays:
        self.latents.append(inputs["z"].copy())
        return self.backend.run(signature, inputs)

    def side_by_side(self) -> tuple[Backend, int]:
        return self, self.backend.side_by_side()[1]

    def close(self) -> None:
        self.backend.close()


@pytest.mark.parametrize("name", BACKENDS)
def test_latents_are_the_seeds_own_to_the_last_bit(mlp: Artifact, name: str) -> None:
    with Sampler(mlp.folder, backend=name) as sampler:
        backend = sampler._model._backend
        assert backend is not None
        recorder = sampler._model._backend = Recorder(backend)
        n = 2 * CHUNK + 5
        sampler.sample("circle", n, seed=11, first=77, temperature=0.8, truncation=2.0)
    latents = sorted(recorder.latents, key=lambda each: each.tobytes())
    right = standard_normal_latents(11, 77, n, sampler.latent_dim, temperature=0.8, truncation=2.0)
    chunks = sorted((right[i : i + CHUNK] for i in range(0, n, CHUNK)), key=lambda each: each.tobytes())
    assert [each.tobytes() for each in latents] == [each.tobytes() for each in chunks]


@pytest.mark.parametrize("name", OTHERS)
def test_a_job_that_is_cut_over_backends_and_batch_sizes_is_rejoined(whole: Artifact, opened: Open, name: str) -> None:
    total = CHUNK + 300
    right = opened(whole, "onnx").sample([i % 3 for i in range(total)], seed=5)
    parts = [
        *opened(whole, name).stream([0, 1, 2], 301, 97, seed=5),
        *opened(whole, "onnx").stream([0, 1, 2], 99, 50, seed=5, first=301),
        *opened(whole, name).stream([0, 1, 2], total - 400, 1000, seed=5, first=400),
    ]
    assert_same_images(np.concatenate(parts), right)


# What else a Sampler does


@pytest.mark.parametrize("name", OTHERS)
def test_ways_between_classes_are_the_same_by_every_backend(whole: Artifact, opened: Open, name: str) -> None:
    onnx, other = opened(whole, "onnx"), opened(whole, name)
    ways: tuple[Callable[[Sampler], np.ndarray], ...] = (
        lambda each: each.interpolate(0, {"square": 0.5, "star": 0.5}, 9, seed=1),
        lambda each: each.morph([0, 2, 1], 4, seed=2, output="float32"),
        lambda each: each.neighbors("star", 5, seed=3, distance=0.4),
        lambda each: each.sample({"circle": 0.25, "star": 0.75}, 6, seed=4, output="float32"),
        lambda each: np.asarray(each.grid(seed=5, n=3)),
    )
    for way in ways:
        assert_same_images(way(other), way(onnx))


@pytest.mark.parametrize("name", OTHERS)
def test_images_are_encoded_and_reconstructed_the_same(whole: Artifact, opened: Open, name: str) -> None:
    onnx, other = opened(whole, "onnx"), opened(whole, name)
    images = np.random.default_rng(0).integers(0, 256, (13, *onnx.image_shape), dtype=np.uint8)
    labels = np.arange(13) % 3
    for found, right in zip(other.encode(images, labels), onnx.encode(images, labels), strict=True):
        # Latents may be larger than 1, and then the rounding is.
        assert np.abs((found - right) / np.maximum(1, np.abs(right))).max() <= TOLERANCE
    for output in ("float32", "uint8"):
        found, right = (each.reconstruct(images, labels, output=output) for each in (other, onnx))
        assert_same_images(found, right)


@pytest.mark.parametrize("name", OTHERS)
def test_every_backend_replays_the_recorded_images(whole: Artifact, opened: Open, name: str) -> None:
    assert opened(whole, name).verify().max_abs_error <= TOLERANCE


@pytest.mark.parametrize("name", OTHERS)
def test_no_images_are_an_empty_array_by_every_backend(mlp: Artifact, opened: Open, name: str) -> None:
    sampler = opened(mlp, name)
    assert sampler.sample(1, 0).shape == (0, *sampler.image_shape)
    assert sampler.decode(np.zeros((0, 5), np.float32), []).shape == (0, *sampler.image_shape)
    assert sampler.encode(np.zeros((0, *sampler.image_shape), np.uint8), [])[0].shape == (0, 5)


@pytest.mark.parametrize("name", OTHERS)
def test_calls_are_checked_before_a_runtime_sees_them(mlp: Artifact, opened: Open, name: str) -> None:
    sampler, right = opened(mlp, name), opened(mlp, "onnx")
    z = np.full((1, 5), np.nan, np.float32)
    wrong: tuple[Callable[[Sampler], object], ...] = (
        lambda each: each.sample(3),
        lambda each: each.sample(-1),
        lambda each: each.decode(z, [0]),
        lambda each: each.decode(z[:, :4], [0]),
        lambda each: each.encode(np.zeros((1, 4, 4, 1), np.uint8), [0]),
    )
    for call in wrong:
        with pytest.raises(InputError) as expected:
            call(right)
        with pytest.raises(InputError) as caught:
            call(sampler)
        assert str(caught.value) == str(expected.value)


@pytest.mark.parametrize("name", OTHERS)
def test_8_threads_share_one_sampler_by_every_backend(mlp: Artifact, opened: Open, name: str) -> None:
    sampler, barrier = opened(mlp, name), threading.Barrier(8)
    sizes = (1, 3, CHUNK + 1)
    right = {n: sampler.sample(1, n, seed=n) for n in sizes}

    def draw(_: int) -> None:
        barrier.wait(60)
        for n in sizes * 4:
            np.testing.assert_array_equal(sampler.sample(1, n, seed=n), right[n])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(draw, range(8)))


# Opened, closed, copied, forked


def test_an_unknown_backend_lists_those_there_are(mlp: Artifact) -> None:
    with pytest.raises(
        InputError, match=r"^backend must be one of onnx, numpy, stablehlo, saved_model, litert, got 'torch'$"
    ) as caught:
        Sampler(mlp.folder, backend="torch")
    assert (caught.value.field, caught.value.found) == ("backend", "torch")


@pytest.mark.parametrize(("name", "form"), [(each, {"numpy": "weights"}.get(each, each)) for each in OTHERS])
def test_a_shipped_artifact_says_which_form_it_lacks(name: str, form: str) -> None:
    with pytest.raises(
        ArtifactError,
        match=rf"^the artifact mnist has no form {form}: it has onnx: "
        rf"export it with --forms {form}, or take another backend$",
    ):
        Sampler(backend=name)


@pytest.mark.parametrize("options", [LitertOptions, OnnxOptions])
@pytest.mark.parametrize("threads", [0, -1, True, 1.5, "2", 2**31])
def test_a_number_of_threads_that_is_none_is_refused(
    options: type[LitertOptions] | type[OnnxOptions], threads: object
) -> None:
    with pytest.raises(InputError, match=r"^threads must be an integer from 1 to 1024, or None, got ") as caught:
        options(threads=threads)
    assert (caught.value.field, caught.value.found) == ("threads", threads)


def test_litert_spreads_a_call_over_threads_and_gives_the_same(mlp: Artifact, opened: Open) -> None:
    with Sampler(mlp.folder, backend=LitertOptions(threads=2)) as sampler:
        np.testing.assert_array_equal(sampler.sample(1, 700, seed=0), opened(mlp, "litert").sample(1, 700, seed=0))


@pytest.mark.parametrize("name", OTHERS)
def test_a_sampler_is_copied_pickled_and_closed_by_every_backend(mlp: Artifact, name: str) -> None:
    with Sampler(mlp.folder, backend=name) as sampler:
        right = sampler.sample(2, 5, seed=1)
        copies = [copy.deepcopy(sampler), pickle.loads(pickle.dumps(sampler))]  # noqa: S301 - its own
    for closed in (sampler.close, sampler.close):
        closed()
        for call in (lambda: sampler.sample(2), lambda: pickle.dumps(sampler)):
            with pytest.raises(ClosedError, match="the Sampler was closed: open another"):
                call()
    for each in copies:
        np.testing.assert_array_equal(each.sample(2, 5, seed=1), right)
        each.close()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the system has no /proc")
@pytest.mark.parametrize("name", OTHERS)
def test_opening_and_closing_leaves_no_descriptor(mlp: Artifact, name: str) -> None:
    def cycle() -> int:
        with Sampler(mlp.folder, backend=name) as sampler:
            sampler.sample(0, 3)
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counted without others of its own

    cycle()
    assert [cycle() for _ in range(3)] == [cycle()] * 3


FORK = """
import os, sys, warnings
from cvae_sdk import ForkedError, Sampler
warnings.simplefilter("ignore")  # of threads, that a fork does not take along
sampler = Sampler(sys.argv[1], backend=sys.argv[2])
right = sampler.sample(1, 1100, seed=0)
child = os.fork()
if child == 0:
    # After a fork JAX alone, without the SDK, crashes in sys.exit; multiprocessing's children end by os._exit.
    end = os._exit if sys.argv[2] == "stablehlo" else sys.exit
    try:
        same = (sampler.sample(1, 1100, seed=0) == right).all()
    except ForkedError as error:
        said = "open the Sampler in the process that uses it, or start processes by spawn" in str(error)
        right = (error.field, error.expected, error.found) == ("process", os.getppid(), os.getpid())
        end(3 if said and right else 9)
    end(0 if same else 8)
found = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
assert (sampler.sample(1, 1100, seed=0) == right).all()
sampler.close()
sys.exit(found)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.parametrize(
    ("name", "code"), [("onnx", 0), ("numpy", 0), ("stablehlo", 3), ("saved_model", 3), ("litert", 3)]
)
def test_a_forked_child_draws_the_same_or_says_why_not_and_ends(mlp: Artifact, name: str, code: int) -> None:
    done = run_python(FORK, str(mlp.folder), name)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


ELSEWHERE = """
import pickle, sys
with open(sys.argv[1], "rb") as file:
    sampler, right = pickle.load(file)
assert (sampler.sample(2, 5, seed=1) == right).all()
"""


@pytest.mark.parametrize("name", OTHERS)
def test_a_sampler_is_unpickled_in_another_process(mlp: Artifact, opened: Open, name: str, tmp_path: Path) -> None:
    sampler = opened(mlp, name)
    (tmp_path / "pickle").write_bytes(pickle.dumps((sampler, sampler.sample(2, 5, seed=1))))
    done = run_python(ELSEWHERE, str(tmp_path / "pickle"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    unset = ("TF_CPP_MIN_LOG_LEVEL", "PYTHONWARNINGS")
    rest = {key: value for key, value in os.environ.items() if key not in unset}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False, timeout=300, env=rest
    )


# The command


@pytest.mark.parametrize("name", BACKENDS)
def test_the_command_samples_by_every_backend(mlp: Artifact, opened: Open, name: str, tmp_path: Path) -> None:
    out = tmp_path / "out.npz"
    code = "import sys; from cvae_sdk.command import main; sys.exit(main(sys.argv[1:]))"
    arguments = ("sample", "star", "-n", "5", "--seed", "3", "-o", str(out))
    done = run_python(code, *arguments, "--artifact", str(mlp.folder), "--backend", name)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"5 images saved in {out}\n", "")
    with np.load(out) as arrays:
        assert_same_images(arrays["images"], opened(mlp, "onnx").sample("star", 5, seed=3))


@pytest.mark.parametrize("name", OTHERS)
def test_the_command_says_in_a_line_which_form_is_missing(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "7", "--backend", name]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("cvae: the artifact mnist has no form ")
    assert err.count("\n") == 1
