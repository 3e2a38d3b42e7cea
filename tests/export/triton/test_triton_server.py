"""The real Triton server on the artifact's own model repository: the JAX model's images, over REST and gRPC."""

import itertools
import re
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import numpy as np
import pytest
from google.protobuf import json_format, text_format

from cvae_export import build_decoder
from cvae_export.parity import TOLERANCE, parity_inputs
from cvae_export.triton import triton_name
from cvae_sdk import InputError, Sampler
from cvae_sdk.latents import standard_normal_latents
from cvae_training import Run

PROTOCOLS = ("REST", "gRPC")
SIZES = (1, 2, 7, 64)


def latents_and_labels(first: int, size: int, latent_dim: int) -> tuple[np.ndarray, np.ndarray]:
    """The inputs from number `first` on, with labels in turn, as Triton takes them: label is [batch, 1]."""
    label = (np.arange(first, first + size) % 10).astype(np.int32)[:, None]
    return standard_normal_latents(5, first, size, latent_dim), label


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_gives_jaxs_images_of_every_class(triton, artifact: Path, run: Run, protocol: str, size: int) -> None:
    decode = jax.jit(build_decoder(run).functions["decode"].positional)
    labels: set[int] = set()
    for first in range(0, max(10, size), size):
        z, label = latents_and_labels(first, size, run.config.model.latent_dim)
        code, got = triton.ask(protocol, artifact.name, z=z, label=label)
        assert code == "OK", got
        np.testing.assert_allclose(got["image"], decode(z, label[:, 0]), rtol=0, atol=TOLERANCE)
        labels |= set(label[:, 0].tolist())
    assert labels == set(range(10))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_gives_jaxs_outputs_for_every_signature_in_onnx(triton, artifact: Path, run: Run, protocol: str) -> None:
    functions = build_decoder(run).functions
    files = {path.stem for path in (artifact / "onnx").glob("*.onnx")}
    served = {name: name for name in functions if name in files} | {"decode": "decoder"}
    assert set(served.values()) == files
    for name in served:
        function = functions[name]
        reference = jax.jit(function.call)
        for inputs in parity_inputs(function, len(run.classes)):
            sent = {key: x if x.ndim > 1 else x[:, None] for key, x in inputs.items()}
            code, got = triton.ask(protocol, triton_name(artifact.name, name), **sent)
            assert code == "OK", got
            expected = reference(*inputs.values())
            assert set(got) == set(expected)
            for key, x in got.items():
                np.testing.assert_allclose(x, expected[key], rtol=0, atol=TOLERANCE)


def test_a_thousand_requests_of_eight_clients_at_once_get_the_sdks_images(
    triton, artifact: Path, run: Run, tell_count
) -> None:
    sampler = Sampler(artifact)
    sizes = itertools.cycle(SIZES)
    inputs = [latents_and_labels(7 * i, next(sizes), sampler.latent_dim) for i in range(1000)]
    expected = [sampler.decode(z, label[:, 0]) for z, label in inputs]

    def client(number: int) -> list[bool]:
        answers = [
            triton.ask(PROTOCOLS[number % 2], artifact.name, z=inputs[i][0], label=inputs[i][1])
            for i in range(number, 1000, 8)
        ]
        assert [got for code, got in answers if code != "OK"] == []
        return [
            np.array_equal(got["image"], image) for (_, got), image in zip(answers, expected[number::8], strict=True)
        ]

    with ThreadPoolExecutor(8) as clients:
        equal = sum(itertools.chain.from_iterable(clients.map(client, range(8))))
    assert equal == 1000
    _, stats = triton.rest("GET", f"/v2/models/{artifact.name}/stats")
    assert stats["model_stats"][0]["inference_stats"]["fail"]["count"] == 0
    tell_count(
        equal, 1000, f"requests to Triton of 8 clients ({run.config.model.network} decoder) got the SDK's very images"
    )


def test_serves_its_configuration_as_it_was_written(triton, artifact: Path, schema) -> None:
    model_config = schema("tritonclient.grpc.model_config_pb2").ModelConfig
    _, told = triton.rest("GET", f"/v2/models/{artifact.name}/config")
    told = json_format.ParseDict(told, model_config(), ignore_unknown_fields=True)
    written = (artifact / "serving" / "triton" / artifact.name / "config.pbtxt").read_text()
    written = text_format.Parse(written, model_config())
    assert told.platform in ("", "onnxruntime_onnx")
    for field in ("name", "backend", "max_batch_size", "input", "output", "dynamic_batching", "model_warmup"):
        assert getattr(told, field) == getattr(written, field), field


def test_takes_the_request_of_the_card(triton, artifact: Path, run: Run) -> None:
    ((path, body),) = re.findall(r"curl localhost:8000(\S+) -d '(.*)'", (artifact / "README.md").read_text())
    status, answer = triton.rest("POST", path, body)
    assert status == 200, answer
    z = np.zeros((1, run.config.model.latent_dim), np.float32)
    expected = Sampler(artifact).decode(z, [9])
    assert np.array_equal(np.array(answer["outputs"][0]["data"], np.float32), expected.ravel())


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda z, label: {"z": z[:, :-1], "label": label}, r"unexpected shape for input 'z'"),
        (lambda z, label: {"z": z, "label": label[:, 0]}, r"unexpected shape for input 'label'"),
        (lambda z, label: {"z": z, "label": label[:1]}, r"input 'z' batch size does not match other inputs"),
        (
            lambda z, label: {"z": z.astype(np.float64), "label": label},
            "'z' data-type is 'FP64', but model .* expects 'FP32'",
        ),
        (
            lambda z, label: {"z": z, "label": label.astype(np.int64)},
            "'label' data-type is 'INT64', but model .* expects 'INT32'",
        ),
        (lambda z, label: {"z": z}, r"expected 2 inputs but got 1"),
        (lambda z, label: {"z": z, "label": label, "seed": label}, r"expected 2 inputs but got 3"),
        (lambda z, label: {"z": z, "labels": label}, r"unexpected inference input 'labels'"),
        (
            lambda z, label: {"z": np.resize(z, (4097, z.shape[1])), "label": np.resize(label, (4097, 1))},
            "must be <= 4096",
        ),
    ],
    ids=["latents", "rank", "batches", "float64", "int64", "missing", "too many", "name", "too large"],
)
def test_refuses_bad_input_and_lives_on(triton, artifact: Path, protocol: str, change, message: str) -> None:
    sampler = Sampler(artifact)
    z, label = latents_and_labels(0, 2, sampler.latent_dim)
    code, told = triton.ask(protocol, artifact.name, **change(z, label))
    assert code == {"REST": "400", "gRPC": "INVALID_ARGUMENT"}[protocol], told
    assert re.search(message, told), told
    code, got = triton.ask(protocol, artifact.name, z=z, label=label)
    assert code == "OK", got
    assert np.array_equal(got["image"], sampler.decode(z, label[:, 0]))


def test_does_not_refuse_what_the_sdk_does(triton, artifact: Path) -> None:
    sampler = Sampler(artifact)
    z, label = latents_and_labels(0, 2, sampler.latent_dim)
    for odd in ({"z": z, "label": np.array([[-1], [10]], np.int32)}, {"z": z * np.float32(np.inf), "label": label}):
        assert triton.ask("gRPC", artifact.name, **odd)[0] == "OK"
        with pytest.raises(InputError):
            sampler.decode(odd["z"], odd["label"][:, 0])


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            'name: "z"\n  data_type: TYPE_FP32\n  dims: [ ',
            'name: "z"\n  data_type: TYPE_FP32\n  dims: [ 1',
            "config.pbtxt says",
        ),
        (
            'key: "z" value: { data_type: TYPE_FP32 dims: [ ',
            'key: "z" value: { data_type: TYPE_FP32 dims: [ 1',
            "unexpected shape for input 'z'",
        ),
        ("max_batch_size", "largest_batch_size", 'has no field named "largest_batch_size"'),
    ],
    ids=["input", "warm-up", "field"],
)
def test_does_not_load_a_configuration_of_another_model(
    start_triton: Callable, artifact: Path, tmp_path: Path, before: str, after: str, message: str
) -> None:
    shutil.copytree(artifact / "serving" / "triton", tmp_path / "repository")
    config = tmp_path / "repository" / artifact.name / "config.pbtxt"
    assert before in config.read_text()
    config.write_text(config.read_text().replace(before, after))
    with pytest.raises(RuntimeError, match=message), start_triton(tmp_path / "repository", tmp_path):
        pass
