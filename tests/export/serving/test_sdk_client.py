"""The SDK's own client, over REST and gRPC, asked of the server that `served` is: the images of the local artifact."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tf_serving_client import Served

from cvae_sdk import MetadataError, RefusedError, RemoteOptions, Sampler
from cvae_sdk.artifact import Artifact
from cvae_sdk.backends import Backend, open_backend
from cvae_sdk.backends.options import OnnxOptions
from cvae_sdk.backends.remote import open_remote
from cvae_sdk.latents import standard_normal_latents

TOLERANCE = 1e-5  # of a pixel in [0, 1], what each form may be from the JAX model
SIZES = (1, 2, 7, 64, 257)
INTERFACES = ("REST", "gRPC")
CVAE = Path(sys.executable).with_name("cvae")


@pytest.fixture(scope="module")
def local(served: Served) -> Iterator[Backend]:
    backend = open_backend(Artifact.open(served.artifact), OnnxOptions())
    yield backend
    backend.close()


def address(served: Served, interface: str, *, version: bool = False) -> str:
    number = str(served.version)
    if interface == "gRPC":
        return f"grpc://{served.target}/{served.name}" + (f"/{number}" if version else "")
    return served.model_url + (f"/versions/{number}" if version else "")


@pytest.mark.parametrize("interface", INTERFACES)
def test_gives_the_images_of_the_artifact(served: Served, local: Backend, interface: str, tell_server: None) -> None:
    manifest = Artifact.open(served.artifact).manifest
    backend, _ = open_remote(address(served, interface), RemoteOptions(max_batch=100), manifest)
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


@pytest.mark.parametrize("interface", INTERFACES)
def test_a_manifest_can_be_made_of_the_metadata(served: Served, interface: str) -> None:
    given = Artifact.open(served.artifact).manifest
    backend, made = open_remote(address(served, interface, version=True), RemoteOptions())
    assert (made.latent_dim, made.image_shape, len(made.classes)) == (
        given.latent_dim,
        given.image_shape,
        len(given.classes),
    )
    assert (made.name, made.version) == (served.name, served.version)
    backend.close()


@pytest.mark.parametrize("interface", INTERFACES)
def test_another_model_than_the_manifest_s_is_told(served: Served, interface: str) -> None:
    message = r"decode\.inputs\.z must be float32 \[batch, 24\], got 'float32 \[batch, 32\]'"
    with pytest.raises(MetadataError, match=message):
        Sampler(address(served, interface), manifest="mnist")


@pytest.mark.parametrize("interface", INTERFACES)
def test_a_model_and_a_version_that_are_not_there_are_told_in_the_server_s_words(
    served: Served, interface: str
) -> None:
    url = address(served, interface)
    with pytest.raises(RefusedError, match=r"Servable not found for request: Latest\(nobody\)"):
        open_remote(url.removesuffix(served.name) + "nobody", RemoteOptions())
    version = "/999" if interface == "gRPC" else "/versions/999"
    with pytest.raises(RefusedError, match="Servable not found for request: Specific"):
        open_remote(url + version, RemoteOptions())


def assert_within_a_grey_level(got: np.ndarray, expected: np.ndarray) -> None:
    assert got.dtype == expected.dtype == np.uint8
    assert got.shape == expected.shape
    assert np.abs(got.astype(int) - expected).max(initial=0) <= 1


@pytest.mark.parametrize("interface", INTERFACES)
def test_a_sampler_of_the_server_gives_the_images_of_the_local_one(
    served: Served, interface: str, tell_server: None
) -> None:
    options = RemoteOptions(max_batch=100)
    url, labels = address(served, interface), np.arange(600) % 10
    with Sampler(url, backend=options, manifest=served.artifact) as remote, Sampler(served.artifact) as local:
        assert remote.manifest == local.manifest
        images = local.sample(labels, seed=3)
        assert_within_a_grey_level(remote.sample(labels, seed=3), images)
        batches = list(remote.stream(range(10), 600, 250, seed=3))
        assert [len(batch) for batch in batches] == [250, 250, 100]
        assert_within_a_grey_level(np.concatenate(batches), images)
        floats = remote.sample(7, 9, seed=5, first=20, truncation=1.5, output="float32")
        expected = local.sample(7, 9, seed=5, first=20, truncation=1.5, output="float32")
        np.testing.assert_allclose(floats, expected, rtol=0, atol=TOLERANCE)
        for draw in (
            lambda each: each.sample({3: 0.5, 8: 0.5}, 20, seed=5, temperature=0.7),
            lambda each: each.interpolate(3, 8, seed=1),
            lambda each: each.morph([0, 1, 2], seed=1),
            lambda each: each.neighbors(7, seed=1),
            lambda each: each.reconstruct(images[:150], labels[:150]),
            lambda each: np.asarray(each.grid(seed=0)),
        ):
            assert_within_a_grey_level(draw(remote), draw(local))
        for got, right in zip(
            remote.encode(images[:150], labels[:150]), local.encode(images[:150], labels[:150]), strict=True
        ):
            np.testing.assert_allclose(got, right, rtol=1e-4, atol=1e-4)  # as above
        assert remote.verify().goldens == local.verify().goldens


@pytest.mark.parametrize("interface", INTERFACES)
def test_the_command_samples_from_the_server(served: Served, interface: str, tmp_path: Path) -> None:
    asked = ("sample", "7", "-n", "16", "--seed", "5", "-o", "sevens.npz", "--artifact")
    command = [CVAE, *asked, address(served, interface), "--manifest", served.artifact]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "16 images saved in sevens.npz\n", "")
    with np.load(tmp_path / "sevens.npz") as saved, Sampler(served.artifact) as local:
        assert_within_a_grey_level(saved["images"], local.sample(7, 16, seed=5))


def test_the_readme_s_examples_of_servers_run(served: Served) -> None:
    text = (Path(__file__).parents[3] / "sdk" / "README.md").read_text()
    section = text.partition("\n## Servers\n")[2].partition("\n## ")[0]
    examples = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len(examples) == 2
    for example in examples:
        told = 'manifest="mnist"', "http://localhost:8501/v1/models/mnist", "grpc://localhost:8500/mnist"
        assert sum(each in example for each in told)
        here = f"manifest={str(served.artifact)!r}", address(served, "REST"), address(served, "gRPC")
        for old, new in zip(told, here, strict=True):
            example = example.replace(old, new)
        names: dict[str, Any] = {}
        exec(example, names)  # noqa: S102 - the README's own
        assert names["images"].shape[1:] == (28, 28, 1)
        names["sampler"].close()
