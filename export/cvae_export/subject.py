"""What an artifact is made of: a decoder, and what is known of where it comes from."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cvae_export.decoder import Decoder, build_decoder
from cvae_training import Config, Run

__all__ = ["Subject", "run_subject"]

# What the images of a data set may be used under, which the weights inherit.
_DATA_LICENCES = {
    "fashion-mnist": "mit",
    "kmnist": "cc-by-sa-4.0",
    "mnist": "cc-by-sa-3.0",
    "mnist-10k": "cc-by-sa-3.0",
}


@dataclass(frozen=True)
class Subject:
    """A decoder, with what the manifest and the card say of its training."""

    decoder: Decoder
    training: Mapping[str, Any]
    """The manifest's `training`; empty where nothing is known, as of a user's own function."""
    licence: str
    """Of the weights, as the card's header has it: an SPDX identifier in lower case, or "other"."""


def run_subject(run: Run) -> Subject:
    """A run's decoder, its settings and its last epoch's metrics."""
    config = _public_config(run.config)
    data_set = config["data"]["data_set"]
    training = {
        "data_set": data_set,
        "images": run.images,
        "config": config,
        "metrics": run.metrics[-1],
        "versions": run.versions,
    }
    return Subject(build_decoder(run), training, _DATA_LICENCES.get(data_set, "other"))


def _public_config(config: Config) -> dict[str, Any]:
    """The settings without the places on somebody's machine that those of the data may name."""
    kind, colon, path = config.data.data_set.partition(":")
    name = kind + colon + re.sub(r"[^\w.-]", "-", Path(path).name)
    values = config.to_dict()
    return values | {"data": values["data"] | {"data_set": name, "data_dir": ""}}
