"""A Sampler of a server: its seed's own latents, one deadline for a drawing, and all that a local one can."""

import asyncio
import dataclasses
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cvae_sdk import ArtifactError, ClosedError, DeadlineError, InputError, MetadataError, RemoteOptions, Sampler
from cvae_sdk.backends.remote import open_remote
from cvae_sdk.latents import standard_normal_latents
from cvae_sdk.manifest import Manifest
from remote import tiny_model
from remote.scripted_http import Exchange, ScriptedServer

LATE = 2.0  # seconds above a deadline, on a machine that does much else


@pytest.fixture
def rest(http_server: ScriptedServer) -> str:
    return f"http://127.0.0.1:{http_server.port}/v1/models/tiny"


def slowly(seconds: float) -> Callable[[Exchange], None]:
    def answer(exchange: Exchange) -> None:
        exchange.server.stopping.wait(seconds)
        exchange.send(exchange.good)

    return answer


def right(seed: int, labels: np.ndarray, first: int = 0) -> np.ndarray:
    """The tiny model's images, float32."""
    z = standard_normal_latents(seed, first, len(labels), tiny_model.LATENTS)
    return tiny_model.run("decode", {"z": z, "label": labels})["image"]


def test_the_server_gets_the_very_latents_of_the_seed(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[np.ndarray] = []
    run = tiny_model.run

    def recording(function: str, inputs: Any) -> Any:
        got.append(inputs["z"])
        return run(function, inputs)

    monkeypatch.setattr(tiny_model, "run", recording)
    with Sampler(url, backend=RemoteOptions(max_batch=100)) as sampler:
        images = sampler.sample(1, n=1100, seed=3, first=5, output="float32")
    sent = np.concatenate(got)
    # To the bit: JSON has every digit of a float32, and the other interfaces its bytes.
    assert np.array_equal(sent.view(np.uint32), standard_normal_latents(3, 5, 1100, tiny_model.LATENTS).view(np.uint32))
    assert max(map(len, got)) <= 100
    assert np.array_equal(images, run("decode", {"z": sent, "label": np.full(1100, 1, np.int32)})["image"])


def test_all_calls_of_a_sampler_are_the_model_s(url: str) -> None:
    labels = (np.arange(30) % 3).astype(np.int32)
    expected = right(7, labels)
    with Sampler(url) as sampler:
        assert sampler.classes == ("0", "1", "2")
        assert (sampler.latent_dim, sampler.image_shape) == (tiny_model.LATENTS, tiny_model.IMAGE)
        images = sampler.sample(labels, seed=7)
        assert images.dtype == np.uint8
        assert np.array_equal(images, np.rint(expected * 255))
        parts = list(sampler.stream([0, 1, 2], 30, 7, seed=7))
        assert [len(part) for part in parts] == [7, 7, 7, 7, 2]
        assert np.array_equal(np.concatenate(parts), images)
        assert np.array_equal(asyncio.run(sampler.asample(labels, seed=7)), images)
        mixed = sampler.mix(standard_normal_latents(7, 0, 30, 2), np.eye(3, dtype=np.float32)[labels])
        np.testing.assert_allclose(mixed, expected, rtol=0, atol=1e-6)  # sums of other orders
        assert len(sampler.morph([0, 2], steps=4, seed=1)) == 5  # both ends are among them
        mean, logvar = sampler.encode(expected, labels)
        assert np.array_equal(logvar, -mean)
        assert sampler.reconstruct(expected, labels).shape == images.shape
        assert sampler.sample(2, n=0).shape == (0, *tiny_model.IMAGE)
        with pytest.raises(InputError, match=r"label"):
            sampler.sample(3)
        with pytest.raises(ArtifactError, match=r"a server's files cannot be checked: give the artifact"):
            sampler.verify()


def copied(sampler: Sampler) -> Sampler:
    """As another process would get it."""
    return pickle.loads(pickle.dumps(sampler))  # noqa: S301 - what was written here


def test_a_pickled_sampler_asks_the_same_server(url: str) -> None:
    with Sampler(url, backend=RemoteOptions(max_batch=3)) as sampler, copied(sampler) as other:
        assert np.array_equal(other.sample(1, n=8, seed=2), sampler.sample(1, n=8, seed=2))


def test_nothing_is_sampled_after_close(url: str) -> None:
    sampler = Sampler(url)
    sampler.close()
    with pytest.raises(ClosedError, match="the Sampler was closed: open another"):
        sampler.sample(1)


def test_a_drawing_of_many_parts_has_one_deadline(rest: str, http_server: ScriptedServer) -> None:
    with Sampler(rest, backend=RemoteOptions(deadline=1.0)) as sampler:
        http_server.spoil = slowly(0.3)
        with pytest.raises(DeadlineError, match="within the deadline of 1 s") as raised:
            sampler.sample(1, n=512 * 20, seed=0)
        assert 1.0 <= float(str(raised.value.found)) < 1.0 + LATE
    assert 1 <= http_server.spoiled <= 4


def test_each_batch_of_a_stream_has_a_deadline_of_its_own(rest: str, http_server: ScriptedServer) -> None:
    with Sampler(rest, backend=RemoteOptions(deadline=1.5)) as sampler:
        http_server.spoil = slowly(0.4)
        parts = list(sampler.stream([0, 1], 60, 10, seed=7))  # 2.4 s in all
    assert np.array_equal(np.concatenate(parts), np.rint(255 * right(7, np.arange(60, dtype=np.int32) % 2)))
    assert http_server.spoiled == 6


def test_a_batch_of_a_stream_is_late_by_itself(rest: str, http_server: ScriptedServer) -> None:
    with Sampler(rest, backend=RemoteOptions(deadline=0.5)) as sampler:
        stream = sampler.stream([0, 1], 60, 10, seed=7)
        next(stream)
        http_server.spoil = Exchange.stall
        with pytest.raises(DeadlineError):
            next(stream)


def only_mix() -> Manifest:
    """As the artifacts that are shipped in the wheel."""
    return dataclasses.replace(tiny_model.MANIFEST, signatures={"mix": tiny_model.SIGNATURES["mix"]})


def test_a_manifest_of_mix_alone_says_what_decode_is(url: str) -> None:
    backend, _ = open_remote(url, RemoteOptions(), only_mix())
    assert backend.signatures == {"decode", "mix"}
    z, label = tiny_model.latents(5)
    assert np.array_equal(backend.run("decode", {"z": z, "label": label})["image"], right_of(z, label))
    backend.close()


def right_of(z: np.ndarray, label: np.ndarray) -> np.ndarray:
    return tiny_model.run("decode", {"z": z, "label": label})["image"]


def test_a_manifest_of_mix_alone_is_held_against_decode_too(url: str) -> None:
    other = dataclasses.replace(only_mix(), latent_dim=3)
    message = r"serves another model as tiny: decode\.inputs\.z must be float32 \[batch, 3\], got .*\[batch, 2\]"
    with pytest.raises(MetadataError, match=message) as raised:
        open_remote(url, RemoteOptions(), other)
    assert raised.value.field == "signatures.decode.inputs.z"


def test_a_shipped_artifact_is_not_the_tiny_model(url: str) -> None:
    with pytest.raises(MetadataError, match=r"decode\.inputs\.z must be float32 \[batch, 24\]"):
        Sampler(url, manifest="mnist")
