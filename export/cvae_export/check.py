"""The gate again, on an artifact that was written before: by its goldens, or against the run it came from."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from cvae_export.decoder import build_decoder
from cvae_export.errors import ExportError, ParityError
from cvae_export.form import LATENT_TOLERANCE, Loaded
from cvae_export.forms import get_forms
from cvae_export.parity import measure_parity
from cvae_sdk import Manifest
from cvae_sdk.artifact import Artifact
from cvae_sdk.goldens import GOLDEN_NAME
from cvae_sdk.manifest import Format, Parity
from cvae_training import Run

__all__ = ["check_artifact"]

_Goldens = dict[str, np.ndarray]


def check_artifact(
    folder: Path, run: Run | None = None, on_form: Callable[[str, Format], None] = lambda name, form: None
) -> Manifest:
    """Check every file of the artifact in `folder`, and run every form again in its own runtime.

    Each form's images are compared with the recorded ones, or, with the run, all its signatures with the JAX model;
    `on_form` is told of each that is within the tolerance that its manifest states, with what was found now. Raises
    ArtifactError for damage, ParityError for a form that differs, ExportError for a run of another model or a form
    that cannot be run here.
    """
    artifact = Artifact.open(folder)
    contents = {path: artifact.read(path) for path in artifact.manifest.files}
    manifest = artifact.manifest
    forms = get_forms(tuple(manifest.formats))
    decoder = None if run is None else build_decoder(run)
    shape = (manifest.latent_dim, manifest.classes, manifest.image_shape)
    if decoder is not None and shape != (decoder.latent_dim, decoder.classes, decoder.image_shape):
        raise ExportError(f"{folder} is not of this run: its latents, classes or images are others")
    if GOLDEN_NAME not in contents:
        raise ExportError(f"{folder} has no {GOLDEN_NAME} to check against")
    with np.load(io.BytesIO(contents[GOLDEN_NAME]), allow_pickle=False) as file:
        goldens = {name: file[name] for name in ("z", "label", "image")}
    for form in forms:
        stated = manifest.formats[form.name]
        loaded = list(form.load(folder / form.path))
        parity = _replay(form.name, loaded, goldens, stated)
        if decoder is not None:
            latents = stated.parity.latent_tolerance or LATENT_TOLERANCE
            parity = measure_parity(form.name, loaded, decoder, stated.parity.tolerance, latents)
        on_form(form.name, replace(stated, parity=parity))
    return manifest


def _replay(name: str, loaded: list[Loaded], goldens: _Goldens, stated: Format) -> Parity:
    worst, cases, tolerance = 0.0, 0, stated.parity.tolerance
    for reader in loaded:
        if reader.signature not in ("decode", "serving_default"):
            continue
        image = reader.run({"z": goldens["z"], "label": goldens["label"]})["image"]
        error = float(np.abs(image.astype(np.float64) - goldens["image"]).max())
        if not error <= tolerance:
            raise ParityError(
                f"{name}: {reader.signature} differs from the recorded images by {error:.3g}, "
                f"more than the tolerance {tolerance:.3g}"
            )
        worst, cases = max(worst, error), cases + len(image)
    return replace(stated.parity, max_abs_error=worst, cases=cases)
