"""Every local backend gives what the ONNX backend gives of the same artifact, for every signature and batch size."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from cvae_sdk.artifact import Artifact
from cvae_sdk.backends import Backend, open_backend
from cvae_sdk.backends.options import BACKENDS
from cvae_sdk.errors import ArtifactError, BackendError, ClosedError
from cvae_sdk.goldens import GOLDEN_NAME, read_goldens

OTHERS = [name for name in BACKENDS if name != "onnx"]
SIGNATURES = {"decode": ("image",), "mix": ("image",), "encode": ("mean", "logvar")}
BATCHES = (1, 2, 7, 64, 257)
TOLERANCE = 1e-5  # of float32 sums in another order, as the contract of seeds promises for images
GOLDEN = Path(__file__).parents[2] / "golden" / "artifact-2026-11-23"


def inputs_of(artifact: Artifact, signature: str, batch: int, seed: int = 0) -> dict[str, np.ndarray]:
    manifest, rng = artifact.manifest, np.random.default_rng([seed, batch])
    classes = len(manifest.classes)
    every = {
        "z": rng.standard_normal((batch, manifest.latent_dim), dtype=np.float32),
        "label": rng.integers(0, classes, batch, dtype=np.int32),
        "class_weights": rng.dirichlet(np.ones(classes), batch).astype(np.float32),
        "image": rng.random((batch, *manifest.image_shape), dtype=np.float32),
    }
    return {name: every[name] for name in manifest.signatures[signature].inputs}


def levels(images: np.ndarray) -> np.ndarray:
    return np.floor(images * np.float32(255) + np.float32(0.5)).astype(np.int16)


@pytest.fixture(scope="module")
def opened() -> Iterator[Callable[[Artifact, str], Backend]]:
    """A backend of an artifact by name, opened once."""
    backends: dict[tuple[Path, str], Backend] = {}

    def get(artifact: Artifact, name: str) -> Backend:
        key = artifact.folder, name
        if key not in backends:
            backends[key] = open_backend(artifact, BACKENDS[name]())
        return backends[key]

    yield get
    for backend in backends.values():
        backend.close()


@pytest.mark.parametrize("signature", SIGNATURES)
@pytest.mark.parametrize("name", OTHERS)
def test_a_backend_gives_what_onnx_gives(
    whole: Artifact, opened: Callable[[Artifact, str], Backend], name: str, signature: str
) -> None:
    for batch in BATCHES:
        inputs = inputs_of(whole, signature, batch)
        expected = opened(whole, "onnx").run(signature, inputs)
        outputs = opened(whole, name).run(signature, inputs)
        assert tuple(outputs) == SIGNATURES[signature]
        for output in outputs:
            found, right = outputs[output], expected[output]
            assert found.dtype == np.float32
            assert found.shape == right.shape
            # Latents, unlike pixels, may be larger than 1, and then the rounding is.
            assert np.abs((found - right) / np.maximum(1, np.abs(right))).max() <= TOLERANCE
            if output == "image":
                assert np.abs(levels(found) - levels(right)).max() <= 1


@pytest.mark.parametrize("name", OTHERS)
def test_every_signature_is_there(whole: Artifact, opened: Callable[[Artifact, str], Backend], name: str) -> None:
    assert opened(whole, name).signatures == set(SIGNATURES)


@pytest.mark.parametrize("name", OTHERS)
def test_a_class_is_its_one_hot_weights(whole: Artifact, opened: Callable[[Artifact, str], Backend], name: str) -> None:
    inputs, backend = inputs_of(whole, "decode", 7), opened(whole, name)
    weights = np.eye(len(whole.manifest.classes), dtype=np.float32)[inputs["label"]]
    mixed = backend.run("mix", {"z": inputs["z"], "class_weights": weights})["image"]
    np.testing.assert_allclose(mixed, backend.run("decode", inputs)["image"], atol=TOLERANCE)


@pytest.mark.parametrize("name", OTHERS)
def test_a_large_batch_is_the_same_as_its_parts(
    whole: Artifact, opened: Callable[[Artifact, str], Backend], name: str
) -> None:
    inputs, backend = inputs_of(whole, "decode", 2600), opened(whole, name)
    all_at_once = backend.run("decode", inputs)["image"]
    parts = [
        backend.run("decode", {key: value[i : i + 650] for key, value in inputs.items()}) for i in range(0, 2600, 650)
    ]
    np.testing.assert_allclose(all_at_once, np.concatenate([part["image"] for part in parts]), atol=TOLERANCE)


@pytest.mark.parametrize("signature", SIGNATURES)
@pytest.mark.parametrize("name", OTHERS)
def test_outputs_are_the_callers_own(
    whole: Artifact, opened: Callable[[Artifact, str], Backend], name: str, signature: str
) -> None:
    backend = opened(whole, name)
    for batch in (1, 3, 1100):
        inputs = inputs_of(whole, signature, batch)
        kept = {key: value.copy() for key, value in inputs.items()}
        first = backend.run(signature, inputs)
        right = {output: array.copy() for output, array in first.items()}
        for array in first.values():
            assert array.flags.c_contiguous
            array[...] = 7  # as long as it is held, and into it, nothing else writes
        second = backend.run(signature, inputs)
        for output in right:
            np.testing.assert_array_equal(second[output], right[output])
            assert (first[output] == 7).all()
        for key, value in inputs.items():
            np.testing.assert_array_equal(value, kept[key])


@pytest.mark.parametrize("name", OTHERS)
def test_threads_get_what_one_caller_gets(
    whole: Artifact, opened: Callable[[Artifact, str], Backend], name: str
) -> None:
    backend, workers = opened(whole, name).side_by_side()
    assert workers >= 1
    calls = [(signature, batch) for signature in SIGNATURES for batch in (1, 5, 32)] * 4
    alone = [backend.run(signature, inputs_of(whole, signature, batch)) for signature, batch in calls]
    barrier = threading.Barrier(6)

    def run(thread: int) -> None:
        barrier.wait(30)
        for i in range(len(calls)):
            signature, batch = calls[(i + 5 * thread) % len(calls)]
            outputs = backend.run(signature, inputs_of(whole, signature, batch))
            for output, right in alone[(i + 5 * thread) % len(calls)].items():
                np.testing.assert_array_equal(outputs[output], right)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(run, range(6)))


@pytest.mark.parametrize("name", ["onnx", "stablehlo", "saved_model"])
def test_a_backend_replays_the_images_of_an_earlier_version(name: str) -> None:
    artifact = Artifact.open(GOLDEN)
    z, label, image = read_goldens(artifact.read(GOLDEN_NAME), artifact.manifest)
    backend = open_backend(artifact, BACKENDS[name]())
    found = backend.run("decode", {"z": z, "label": label})["image"]
    np.testing.assert_allclose(found, image, atol=2e-6)  # sums in another order
    assert "encode" not in backend.signatures
    if name != "onnx":
        with pytest.raises(BackendError, match="has no signature encode of this artifact: it has decode"):
            backend.run("encode", {"image": image, "label": label})


@pytest.mark.parametrize(("name", "form"), [("numpy", "weights"), ("litert", "litert")])
def test_a_form_that_the_artifact_lacks_is_an_error_that_lists_those_it_has(name: str, form: str) -> None:
    artifact = Artifact.open(GOLDEN)
    forms = "onnx, saved_model, saved_model_xla, stablehlo"
    with pytest.raises(
        ArtifactError, match=f"has no form {form}: it has {forms}: export it with --forms {form}, "
    ) as caught:
        open_backend(artifact, BACKENDS[name]())
    assert (caught.value.field, caught.value.expected) == (f"formats.{form}", form)
    assert caught.value.found == forms.split(", ")


@pytest.mark.parametrize("name", OTHERS)
def test_a_closed_backend_says_so(mlp: Artifact, name: str) -> None:
    backend = open_backend(mlp, BACKENDS[name]())
    backend.run("decode", inputs_of(mlp, "decode", 1))
    backend.close()
    backend.close()
    with pytest.raises(ClosedError, match="the backend was closed: open the Sampler again"):
        backend.run("decode", inputs_of(mlp, "decode", 1))
