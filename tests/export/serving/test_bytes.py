"""The _bytes rule of REST, on a model made for it: strings in, text and bytes out."""

import base64
from collections.abc import Iterator

import pytest
import tensorflow as tf
from tf_serving_client import call
from tf_serving_conformance import ConformanceServer

PNG = b"\x89PNG\r\n\x1a\n\x00\xff"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])
    def both(text: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"doubled": text + text, "doubled_bytes": text + text}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])
    def one(text: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"out_bytes": tf.identity(text)}

    base = tmp_path_factory.mktemp("strings") / "strings"
    tf.saved_model.save(tf.Module(), str(base / "1"), {"serving_default": both, "one": one})
    with ConformanceServer("strings", base) as server:
        yield f"{server.url}/v1/models/strings:predict"


def b64(content: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(content).decode()}


def test_text_comes_as_text_and_bytes_as_b64_by_the_outputs_name(url: str) -> None:
    assert call(url, {"instances": ["ab", "c"]}) == (
        200,
        {
            "predictions": [
                {"doubled": "abab", "doubled_bytes": b64(b"abab")},
                {"doubled": "cc", "doubled_bytes": b64(b"cc")},
            ]
        },
    )
    assert call(url, {"inputs": ["ab"]}) == (
        200,
        {"outputs": {"doubled": ["abab"], "doubled_bytes": [b64(b"abab")]}},
    )


def test_bytes_go_in_as_b64(url: str) -> None:
    assert call(url, {"signature_name": "one", "instances": [b64(PNG)]}) == (200, {"predictions": [b64(PNG)]})
    assert call(url, {"signature_name": "one", "inputs": {"text": [b64(PNG)]}}) == (200, {"outputs": [b64(PNG)]})


def test_what_is_no_base64_is_refused(url: str) -> None:
    code, answer = call(url, {"signature_name": "one", "instances": [{"b64": "?"}]})
    assert (code, list(answer)) == (400, ["error"])
    assert "base64" in answer["error"]
