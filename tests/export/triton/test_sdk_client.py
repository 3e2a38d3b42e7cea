"""The SDK's own client, asked of the real Triton with the artifact's model repository: the images of the artifact."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from cvae_sdk import MetadataError, RefusedError, RemoteOptions, Sampler
from cvae_sdk.artifact import Artifact
from cvae_sdk.backends import open_backend
from cvae_sdk.backends.options import OnnxOptions
from cvae_sdk.backends.remote import open_remote
from cvae_sdk.latents import standard_normal_latents
from cvae_training import Run

TOLERANCE = 1e-5  # of a pixel in [0, 1], what each form may be from the JAX model
SIZES = (1, 2, 7, 64, 257)


@pytest.mark.parametrize("binary", [True, False], ids=["bytes", "JSON"])
def test_gives_the_images_of_the_artifact(
    triton, artifact: Path, binary: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Artifact.open(artifact)
    manifest, local = opened.manifest, open_backend(opened, OnnxOptions())
    if not binary:  # a server without the extension
        monkeypatch.setattr("cvae_sdk.backends.open_inference._BINARY", "an extension that there is not")
    url = f"http://127.0.0.1:{triton.http_port}/v2/models/{artifact.name}"
    backend, _ = open_remote(url, RemoteOptions(max_batch=100), manifest)
    assert backend.signatures == {"decode", "mix", "encode"}
    for size in SIZES:
        z = standard_normal_latents(3, 0, size, manifest.latent_dim)
        label = (np.arange(size) % len(manifest.classes)).astype(np.int32)
        weights = np.random.default_rng(size).dirichlet(np.ones(len(manifest.classes)), size).astype(np.float32)
        decode = {"z": z, "label": label}
        image = local.run("decode", decode)["image"]
        for signature, inputs in (("decode", decode), ("mix", {"z": z, "class_weights": weights})):
            got, expected = backend.run(signature, inputs)["image"], local.run(signature, inputs)["image"]
            np.testing.assert_allclose(got, expected, rtol=0, atol=TOLERANCE)
            levels = [np.rint(x * 255).astype(int) for x in (got, expected)]
            assert np.abs(levels[0] - levels[1]).max() <= 1
        got, expected = (each.run("encode", {"image": image, "label": label}) for each in (backend, local))
        for name in ("mean", "logvar"):  # whose scale is not an image's
            np.testing.assert_allclose(got[name], expected[name], rtol=1e-4, atol=1e-4)
    backend.close()
    local.close()


def test_a_manifest_can_be_made_of_the_metadata(triton, artifact: Path) -> None:
    given = Artifact.open(artifact).manifest
    url = f"http://127.0.0.1:{triton.http_port}/v2/models/{artifact.name}/versions/{given.version}"
    backend, made = open_remote(url, RemoteOptions())
    fields = ("latent_dim", "image_shape", "version")
    assert [getattr(made, field) for field in fields] == [getattr(given, field) for field in fields]
    assert made.signatures == {name: given.signatures[name] for name in ("decode", "mix", "encode")}
    assert made.classes == tuple(map(str, range(len(given.classes))))
    backend.close()


def test_a_batch_larger_than_triton_takes_is_refused_in_its_words(
    triton, artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cvae_sdk.backends.open_inference._MAX_BINARY", 1 << 28)  # else it is split before that
    manifest = Artifact.open(artifact).manifest
    url = f"http://127.0.0.1:{triton.http_port}/v2/models/{artifact.name}"
    backend, _ = open_remote(url, RemoteOptions(max_batch=5000), manifest)
    z, label = standard_normal_latents(0, 0, 4097, manifest.latent_dim), np.zeros(4097, np.int32)
    with pytest.raises(RefusedError, match=r"status 400: .*must be <= 4096"):
        backend.run("decode", {"z": z, "label": label})
    backend.close()


def test_a_model_that_is_not_there_is_told_in_triton_s_words(triton) -> None:
    with pytest.raises(RefusedError, match=r"Request for unknown model: 'nobody' is not found"):
        open_remote(f"http://127.0.0.1:{triton.http_port}/v2/models/nobody", RemoteOptions())


def within_a_grey_level(got: np.ndarray, expected: np.ndarray) -> bool:
    return got.dtype == expected.dtype == np.uint8 and bool((np.abs(got.astype(int) - expected) <= 1).all())


def test_a_sampler_of_the_server_gives_the_images_of_the_local_one(triton, artifact: Path) -> None:
    url, options = address(triton, artifact), RemoteOptions(max_batch=100)
    labels = np.arange(600) % 10
    with Sampler(url, backend=options, manifest=artifact) as remote, Sampler(artifact) as local:
        assert remote.manifest == local.manifest
        images = local.sample(labels, seed=3)
        assert within_a_grey_level(remote.sample(labels, seed=3), images)
        assert within_a_grey_level(np.concatenate(list(remote.stream(range(10), 600, 250, seed=3))), images)
        floats = [each.sample(7, 9, seed=5, first=20, output="float32") for each in (remote, local)]
        np.testing.assert_allclose(*floats, rtol=0, atol=TOLERANCE)
        for draw in (
            lambda each: each.sample({3: 0.5, 8: 0.5}, 20, seed=5, temperature=0.7),
            lambda each: each.morph([0, 1, 2], seed=1),
            lambda each: each.reconstruct(images[:150], labels[:150]),
        ):
            assert within_a_grey_level(draw(remote), draw(local))
        assert remote.verify().goldens == local.verify().goldens


def test_a_thousand_requests_of_eight_threads_on_one_sampler_get_the_local_images(
    triton, artifact: Path, tell_count
) -> None:
    sizes = (1, 2, 7, 64)
    with Sampler(address(triton, artifact), manifest=artifact) as remote, Sampler(artifact) as local:
        expected = {size: local.sample(np.arange(size) % 10, seed=4) for size in sizes}

        def ask(number: int) -> bool:
            size = sizes[number % len(sizes)]
            return within_a_grey_level(remote.sample(np.arange(size) % 10, seed=4), expected[size])

        with ThreadPoolExecutor(8) as clients:
            equal = sum(clients.map(ask, range(1000)))
    assert equal == 1000
    tell_count(equal, 1000, "requests of 8 threads on one Sampler of Triton got the local Sampler's images")


def test_another_model_than_the_shipped_one_is_told(triton, artifact: Path, run: Run) -> None:
    with pytest.raises(MetadataError, match="serves another model as") as raised:
        Sampler(address(triton, artifact), manifest="mnist")
    assert raised.value.field == "signatures.decode.inputs.z"
    assert run.config.model.latent_dim != 24


def address(triton, artifact: Path) -> str:
    return f"http://127.0.0.1:{triton.http_port}/v2/models/{artifact.name}"
