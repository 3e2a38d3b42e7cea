"""The files that TF Serving wants beside a model, and how to use them.

    serving/tensorflow/models.config           which models, where: --model_config_file
    serving/tensorflow/batching_params.pbtxt   requests joined to batches: --batching_parameters_file
    serving/tensorflow/monitoring.config       figures for Prometheus: --monitoring_config_file
    serving/tensorflow/compose.yaml            a server with all of these: docker compose up

The first three are protobuf text: ModelServerConfig, BatchingParameters and MonitoringConfig.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cvae_sdk.manifest import Manifest, Signature

__all__ = ["FOLDER", "IMAGE", "card_section", "served_name", "write_server_files"]

FOLDER = "serving/tensorflow"
IMAGE = "tensorflow/serving:2.19.1"
"""The server's container image."""
_MAX_EXAMPLE = 400
"""Characters of an example request on the card; an image's pixels would be thousands."""


def served_name(name: str) -> str:
    """An artifact's name as a server's URL, a container's path and a folder can all hold it."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", name).strip(".") or "model"


def write_server_files(artifact: Path, name: str) -> None:
    """Write the files of serving/tensorflow/ into the folder of the artifact that is called `name`."""
    served = served_name(name)
    folder = artifact / FOLDER
    folder.mkdir(parents=True)
    for file, text in (
        ("models.config", _MODELS.format(name=served)),
        ("batching_params.pbtxt", _BATCHING),
        ("monitoring.config", _MONITORING),
        ("compose.yaml", _COMPOSE.format(name=served, image=IMAGE)),
    ):
        (folder / file).write_text(text, encoding="utf-8")


_MODELS = """\
# Models to serve. The newest version of each is served; a new one is found within --file_system_poll_wait_seconds.
model_config_list {{
  config {{
    name: "{name}"
    base_path: "/models/{name}"
    model_platform: "tensorflow"
    # To serve versions 1 and 2 at once:
    # model_version_policy {{ specific {{ versions: 1 versions: 2 }} }}
  }}
}}
"""

_BATCHING = """\
# Requests that wait for a thread are joined, up to 4,096 images; one that finds a thread free does not wait for others.
# The model takes any batch size without compiling anew, so no sizes are listed to be padded to.
max_batch_size { value: 4096 }
batch_timeout_micros { value: 0 }
# Threads that run batches: as many as the server has cores.
num_batch_threads { value: 4 }
# Batches that may wait; beyond it requests are refused with UNAVAILABLE.
max_enqueued_batches { value: 100 }
"""

_MONITORING = """\
prometheus_config {
  enable: true
  path: "/monitoring/prometheus/metrics"
}
"""

_COMPOSE = """\
# docker compose up: gRPC at port 8500, REST at port 8501, of this machine alone.
# SERVING_BASE is a folder of versions, such as cvae-publish adds to; this artifact's own by default.
services:
  tf-serving:
    image: {image}
    command:
      - --model_config_file=/config/models.config
      - --enable_batching=true
      - --batching_parameters_file=/config/batching_params.pbtxt
      - --monitoring_config_file=/config/monitoring.config
      - --file_system_poll_wait_seconds=1
    ports:
      - 127.0.0.1:8500:8500
      - 127.0.0.1:8501:8501
    volumes:
      - ${{SERVING_BASE:-../../saved_model}}:/models/{name}:ro
      - .:/config:ro
    restart: unless-stopped
"""


def card_section(manifest: Manifest) -> str:
    """The model card's lines on TF Serving: how to start it, and requests in row and column format."""
    form = manifest.formats.get("saved_model")
    if form is None:
        return ""
    served = served_name(manifest.name)
    requests = "\n".join(
        f"curl -d '{body}' http://localhost:8501/v1/models/{served}:predict"
        for body in _example_bodies({name: manifest.signatures[name] for name in form.signatures})
    )
    return f"""\

TF Serving: `docker compose -f {FOLDER}/compose.yaml up` serves `saved_model/`, warmed up, with batching and Prometheus
figures. `cvae-publish path/to/{manifest.name} --serving-base DIR` adds it as the next version to `DIR/{served}`, which
a running server finds by itself. Requests in row format (`instances`) and in column format (`inputs`):

```sh
{requests}
```
"""


def _example_bodies(signatures: dict[str, Signature]) -> Iterator[str]:
    """decode in both formats, and every other signature whose inputs are short in row format."""
    for name in sorted(signatures, key=lambda name: (name != "decode", name)):
        row = {key: _zeros(spec.shape[1:], spec.dtype) for key, spec in signatures[name].inputs.items()}
        if "class_weights" in row:  # they sum to 1
            row["class_weights"][0] = 1.0
        named = {} if name == "decode" else {"signature_name": name}
        body = _short_json({**named, "instances": [row]})
        if name == "decode" or len(body) <= _MAX_EXAMPLE:
            yield body
        if name == "decode":
            yield _short_json({"inputs": {key: [value] for key, value in row.items()}})


def _short_json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _zeros(shape: tuple[int | str, ...], dtype: str) -> Any:
    if not shape:
        return 0.0 if dtype.startswith("float") else 0
    return [_zeros(shape[1:], dtype) for _ in range(int(shape[0]))]
