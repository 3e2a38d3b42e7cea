"""examples/fastapi_service.py, served by uvicorn: its images are the Sampler's, and a mistake is a sentence."""

import base64
import io
import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cvae_sdk import Sampler

EXAMPLES = Path(__file__).parents[2] / "examples"
Answer = tuple[int, bytes]


@pytest.fixture(scope="module")
def ask() -> Iterator[Callable[..., Answer]]:
    """Ask for a path, or post JSON to it: the status and the body."""
    command = [sys.executable, "-m", "uvicorn", "fastapi_service:app", "--host", "127.0.0.1", "--port", "0"]
    with subprocess.Popen(command, cwd=EXAMPLES, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            told = (re.search(r"running on (http://127\.0\.0\.1:\d+)", line) for line in server.stderr)
            address = next(found[1] for found in told if found)

            def ask(path: str, body: object = None) -> Answer:
                data = None if body is None else json.dumps(body).encode()
                request = urllib.request.Request(address + path, data, {"Content-Type": "application/json"})  # noqa: S310
                try:
                    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                        return answer.status, answer.read()
                except urllib.error.HTTPError as error:
                    with error:
                        return error.code, error.read()

            yield ask
        finally:
            server.terminate()
            server.communicate(timeout=30)


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


def test_it_is_healthy_and_says_which_model_it_serves(ask):
    status, body = ask("/healthz")
    assert (status, json.loads(body)) == (200, {"model": "mnist", "digest": Sampler().manifest.digest})


def test_an_image_is_the_sampler_s(ask):
    expected = Sampler().sample(7, 1, seed=2**64 - 1, first=5, temperature=0.5)[0, ..., 0]
    status, png = ask(f"/images/7.png?seed={2**64 - 1}&first=5&temperature=0.5")
    assert status == 200
    np.testing.assert_array_equal(pixels(png), expected)


def test_requests_at_the_same_time_are_each_answered_with_their_own_image(ask):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, [f"/images/{i % 10}.png?seed=3&first={i}" for i in range(40)]))
    expected = Sampler().sample([i % 10 for i in range(40)], seed=3)[..., 0]
    np.testing.assert_array_equal(np.stack([pixels(png) for _, png in answers]), expected)


def test_many_images_of_one_request_are_the_sampler_s(ask):
    status, body = ask("/images", {"labels": [3, "8", 1], "seed": 9})
    images = [pixels(base64.b64decode(text)) for text in json.loads(body)["images"]]
    assert status == 200
    np.testing.assert_array_equal(np.stack(images), Sampler().sample([3, 8, 1], seed=9)[..., 0])


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        ("/images/eleven.png", None, "unknown class 'eleven'"),
        ("/images/11.png", None, "a label must be from 0 to 9, got 11"),
        ("/images/7.png?temperature=nan", None, "temperature must be"),
        ("/images/7.png?first=-1", None, "first must be"),
        ("/images/7.png?seed=-1", None, "greater than or equal to 0"),
        ("/images", {"labels": []}, "at least 1 item"),
        ("/images", {"labels": [0] * 257}, "at most 256 items"),
    ],
)
def test_a_mistake_is_422_and_a_sentence(ask, path, body, sentence):
    status, answer = ask(path, body)
    assert status == 422
    assert sentence in json.dumps(json.loads(answer), ensure_ascii=False)
