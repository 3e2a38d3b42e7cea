"""The SDK's own client, over REST and gRPC, asked of the server that `served` is: the images of the local artifact."""

from collections.abc import Iterator

import numpy as np
import pytest
from tf_serving_client import Served

from cvae_sdk import MetadataError, RefusedError, RemoteOptions
from cvae_sdk.artifact import Artifact, locate
from cvae_sdk.backends import Backend, open_backend
from cvae_sdk.backends.options import OnnxOptions
from cvae_sdk.backends.remote import open_remote
from cvae_sdk.latents import standard_normal_latents

TOLERANCE = 1e-5  # of a pixel in [0, 1], what each form may be from the JAX model
SIZES = (1, 2, 7, 64, 257)
INTERFACES = ("REST", "gRPC")


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
    other = Artifact.open(locate("mnist")).manifest
    message = r"decode\.inputs\.z must be float32 \[batch, 24\], got 'float32 \[batch, 32\]'"
    with pytest.raises(MetadataError, match=message):
        open_remote(address(served, interface), RemoteOptions(), other)


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
