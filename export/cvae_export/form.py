"""What every form is: a name, a place in the artifact, and two verbs, write it and load it.

A form whose files hold one signature each names them for it: mix.onnx, encode.onnx; and decoder.onnx for decode.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cvae_export.decoder import Decoder

__all__ = ["LATENT_TOLERANCE", "TOLERANCE", "Form", "Loaded", "Runner", "Written", "signature_of", "stem_of"]

TOLERANCE = 1e-5
"""float32 sums in another order differ by about 3e-7 in a pixel; a grey level is 4e-3."""
LATENT_TOLERANCE = 1e-4
"""3e-6 was measured after an inverse flow of 16 layers and its Jacobian; a posterior's deviation is about 0.1."""

Runner = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]
"""Runs a signature of a written form in its own runtime: inputs by name in, outputs by name out."""


def stem_of(signature: str) -> str:
    """The name, without its ending, of the file that holds a signature alone."""
    return "decoder" if signature == "decode" else signature


def signature_of(path: Path) -> str:
    """The signature that a file so named holds."""
    return "decode" if path.stem == "decoder" else path.stem


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
    files: Mapping[str, tuple[str, ...]] | None = None
    """The names of the files that each signature has to itself, in the form's folder."""
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
    tolerance: float = TOLERANCE
    """How far a pixel in [0, 1] may be from the JAX model's."""
    latent_tolerance: float = LATENT_TOLERANCE
    """How far an encoder's mean and logvar may be, relative to a value above 1."""
    if_possible: bool = False
    """Leave the form out of the artifact of a decoder that cannot have it, in place of an ImpossibleFormError."""
