"""What every form is: a name, a place in the artifact, and two verbs, write it and load it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cvae_export.decoder import Decoder

__all__ = ["Form", "Loaded", "Runner", "Written"]

Runner = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]
"""Runs a signature of a written form in its own runtime: inputs by name in, outputs by name out."""


@dataclass(frozen=True)
class Loaded:
    """One file of a form, opened in its runtime, as it runs one signature."""

    signature: str
    run: Runner


@dataclass(frozen=True)
class Written:
    """What a form's writer says of what it wrote; see `cvae_sdk.manifest.Format` for the meanings."""

    signatures: tuple[str, ...]
    written_by: Mapping[str, str]
    opset: int | None = None
    stablehlo_version: str | None = None
    expires: str | None = None


@dataclass(frozen=True)
class Form:
    """A form of the model. `path` is a file's or a folder's, relative to the artifact's folder."""

    name: str
    path: str
    write: Callable[[Decoder, Path], Written] = field(repr=False)
    load: Callable[[Path], Iterable[Loaded]] = field(repr=False)
