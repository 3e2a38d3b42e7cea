"""What the client tests know of a server, and how they ask it."""

import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

__all__ = ["PATIENCE", "TOLERANCE", "Served", "call"]

TOLERANCE = 2e-6
"""Two builds of TensorFlow may sum in another order; a pixel is in [0, 1]."""
PATIENCE = 120
"""Seconds until a version must have come; a guard against waiting for ever, not a promise."""


@dataclass(frozen=True)
class Served:
    """Where a server is, and what it serves."""

    url: str
    target: str
    base_path: Path
    artifact: Path
    version: int

    @property
    def name(self) -> str:
        return self.base_path.name

    @property
    def model_url(self) -> str:
        return f"{self.url}/v1/models/{self.name}"

    @property
    def reference(self) -> Any:
        """The version that is served, opened here."""
        return tf.saved_model.load(str(self.base_path / str(self.version)))

    def requests(self) -> list[predict_pb2.PredictRequest]:
        """The version's warm-up requests, which ask each of its signatures."""
        path = self.base_path / str(self.version) / "assets.extra" / "tf_serving_warmup_requests"
        logs = (prediction_log_pb2.PredictionLog.FromString(r.numpy()) for r in tf.data.TFRecordDataset(str(path)))
        requests = [log.predict_log.request for log in logs]
        for request in requests:
            request.model_spec.name = self.name
        return requests

    def expected(self, request: predict_pb2.PredictRequest) -> dict[str, np.ndarray]:
        inputs = {name: tf.constant(tf.make_ndarray(tensor)) for name, tensor in request.inputs.items()}
        outputs = self.reference.signatures[request.model_spec.signature_name](**inputs)
        return {name: value.numpy() for name, value in outputs.items()}

    def states(self) -> dict[int, str]:
        """The state of each version that the server knows."""
        code, answer = call(self.model_url)
        return {int(v["version"]): v["state"] for v in answer["model_version_status"]} if code == 200 else {}

    def wait_for(self, wanted: dict[int, str]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not wanted.items() <= (states := self.states()).items():
            assert time.monotonic() < deadline, f"waited for {wanted}, got {states}"
            time.sleep(0.05)


def call(url: str, body: object = None) -> tuple[int, Any]:
    """The HTTP code and the JSON of an answer; a POST where there is a body, which is JSON unless it is bytes."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data), timeout=PATIENCE) as response:  # noqa: S310
            assert response.headers["Content-Type"] == "application/json"
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())
