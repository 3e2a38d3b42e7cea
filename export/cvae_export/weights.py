"""The parameters alone, without pickle: weights.safetensors, by the names that `--trainable` takes.

The file's header says of the network what the shapes do not; `numpy_decoder` needs nothing else.
"""

import json
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from cvae_export.decoder import Decoder
from cvae_export.errors import ImpossibleFormError
from cvae_export.form import Form, Loaded, Runner, Written
from cvae_export.numpy_decoder import generate, read_weights

__all__ = ["WEIGHTS"]


def _write(decoder: Decoder, path: Path) -> Written:
    if decoder.network is None:
        raise ImpossibleFormError("weights", "only a network that cvae-train trained has this form")
    # One entry, since the library writes several in an order that changes from run to run.
    metadata = {"network": json.dumps(decoder.network, sort_keys=True)}
    path.write_bytes(save({name: np.ascontiguousarray(array) for name, array in decoder.parameters.items()}, metadata))
    return Written(("decode", "mix"), {"safetensors": version("safetensors")})


def _load(path: Path) -> Iterable[Loaded]:
    weights, network = read_weights(path)
    one_hot = np.eye(network["classes"], dtype=np.float32)

    def runner(class_weights: Any) -> Runner:
        def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {"image": generate(weights, network, inputs["z"], class_weights(inputs))}

        return run

    return [
        Loaded("decode", runner(lambda inputs: one_hot[inputs["label"]])),
        Loaded("mix", runner(lambda inputs: inputs["class_weights"])),
    ]


WEIGHTS = Form("weights", "weights.safetensors", _write, _load)
