"""From a run to an artifact: temporary folder, write, compare, hash, manifest last, rename.

The folder appears whole or not at all, whatever stops the export.
"""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cvae_export.card import model_card
from cvae_export.clock import created
from cvae_export.decoder import Decoder, build_decoder
from cvae_export.differences import DifferenceLog
from cvae_export.errors import ExportError
from cvae_export.form import Form
from cvae_export.kserve import write_kserve
from cvae_export.oldest_runtimes import oldest_runtime
from cvae_export.onnx import ONNX
from cvae_export.parity import Arrays, Observer, measure_parity
from cvae_export.report import REPORT_NAME, SAMPLES_PER_CLASS, report_page
from cvae_export.saved_model import SAVED_MODEL
from cvae_export.saved_model_xla import SAVED_MODEL_XLA
from cvae_export.speed import measure_speeds, size_in_bytes
from cvae_export.stablehlo import STABLEHLO
from cvae_export.triton import write_triton
from cvae_sdk import Manifest, Sampler
from cvae_sdk.images import tile
from cvae_sdk.latents import standard_normal_latents
from cvae_sdk.manifest import MANIFEST_NAME, FileRecord, Format
from cvae_sdk.sampler import GOLDEN_NAME
from cvae_training import Config, Run

__all__ = ["FORMS", "export_run"]

FORMS: Sequence[Form] = (STABLEHLO, SAVED_MODEL, SAVED_MODEL_XLA, ONNX)
SAMPLES_NAME = "samples.png"
CARD_NAME = "README.md"
_GOLDEN_SEED = 1
_GOLDENS_PER_CLASS = 2
# What the images of a data set may be used under, which the weights inherit.
_DATA_LICENCES = {
    "fashion-mnist": "mit",
    "kmnist": "cc-by-sa-4.0",
    "mnist": "cc-by-sa-3.0",
    "mnist-10k": "cc-by-sa-3.0",
}


def export_run(
    run: Run,
    out: Path,
    *,
    name: str | None = None,
    forms: Sequence[Form] = FORMS,
    timings: bool = False,
    on_form: Callable[[str, Format], None] = lambda name, form: None,
    on_step: Callable[[str, str], None] = lambda name, what: None,
) -> Manifest:
    """Write every form of a run's decoder to the new folder `out`, compare each with JAX, and give the manifest.

    `name` is the folder's own by default; `timings` puts each form's speed on this machine into the report, in which
    two exports then differ; `on_form` is told of each form that passed, `on_step` of what is done to which form next.
    Raises ExportError, or ParityError for a form that differs; then nothing is left behind.
    """
    if os.path.lexists(out):
        raise ExportError(f"{out} exists: choose another folder, or remove it first")
    decoder = build_decoder(run)
    try:
        with _appearing_whole(out) as folder:
            manifest = _fill(folder, run, decoder, name or out.resolve().name, forms, timings, on_form, on_step)
            _check_with_sdk(folder)
    except OSError as error:
        raise ExportError(f"cannot write {out}: {error.strerror or error}") from error
    return manifest


def _fill(
    folder: Path,
    run: Run,
    decoder: Decoder,
    name: str,
    forms: Sequence[Form],
    timings: bool,
    on_form: Callable[[str, Format], None],
    on_step: Callable[[str, str], None],
) -> Manifest:
    formats: dict[str, Format] = {}
    differences: dict[str, DifferenceLog] = {}
    for form in forms:
        on_step(form.name, "writing")
        written = form.write(decoder, folder / form.path)
        on_step(form.name, "opening")
        loaded = list(form.load(folder / form.path))
        log = differences[form.name] = DifferenceLog()
        parity = measure_parity(form.name, loaded, decoder, observe=_noting(form.name, log, on_step))
        oldest = oldest_runtime(form.name, written)
        formats[form.name] = Format(form.path, parity=parity, oldest_runtime=oldest, **vars(written))
        on_form(form.name, formats[form.name])
    config = _public_config(run.config)
    data_set = config["data"]["data_set"]
    reference = jax.jit(decoder.functions["decode"].positional)
    _write_goldens(folder / GOLDEN_NAME, decoder, reference)
    samples = _samples(decoder, reference)
    tile(samples, columns=SAMPLES_PER_CLASS, scale=2).save(folder / SAMPLES_NAME)
    values: dict[str, Any] = {
        "name": name,
        "version": 1,
        "created": created().strftime("%Y-%m-%dT%H:%M:%SZ"),
        "classes": decoder.classes,
        "latent_dim": decoder.latent_dim,
        "image_shape": decoder.image_shape,
        "signatures": {name: function.signature for name, function in decoder.functions.items()},
        "formats": formats,
        "training": {
            "data_set": data_set,
            "images": run.images,
            "config": config,
            "metrics": run.metrics[-1],
            "versions": run.versions,
        },
    }
    if ONNX.name in formats:
        write_triton(folder, name, values["version"], values["signatures"])
        write_kserve(folder, name)
    licence = _DATA_LICENCES.get(data_set, "other")
    described = Manifest(files={}, **values)
    (folder / CARD_NAME).write_text(model_card(described, licence), encoding="utf-8")
    speeds = (
        measure_speeds(forms, folder, decoder.latent_dim, len(decoder.classes), on_step=on_step) if timings else None
    )
    sizes = {form.name: size_in_bytes(folder / form.path) for form in forms}
    (folder / REPORT_NAME).write_text(report_page(described, samples, sizes, differences, speeds), encoding="utf-8")
    manifest = Manifest(files=dict(_hashed(folder)), **values)
    (folder / MANIFEST_NAME).write_bytes(manifest.to_bytes())
    return manifest


def _public_config(config: Config) -> dict[str, Any]:
    """The settings without the places on somebody's machine that those of the data may name."""
    kind, colon, path = config.data.data_set.partition(":")
    name = kind + colon + re.sub(r"[^\w.-]", "-", Path(path).name)
    values = config.to_dict()
    return values | {"data": values["data"] | {"data_set": name, "data_dir": ""}}


def _write_goldens(path: Path, decoder: Decoder, reference: Callable[..., jax.Array]) -> None:
    label = np.tile(np.arange(len(decoder.classes), dtype=np.int32), _GOLDENS_PER_CLASS)
    z = standard_normal_latents(_GOLDEN_SEED, 0, len(label), decoder.latent_dim)
    np.savez(path, z=z, label=label, image=np.asarray(reference(z, label)))


def _samples(decoder: Decoder, reference: Callable[..., jax.Array]) -> np.ndarray:
    """Images of each class in turn, as bytes."""
    label = np.repeat(np.arange(len(decoder.classes), dtype=np.int32), SAMPLES_PER_CLASS)
    image = np.asarray(reference(standard_normal_latents(0, 0, len(label), decoder.latent_dim), label))
    return (image * 255 + 0.5).astype(np.uint8)


def _noting(name: str, log: DifferenceLog, on_step: Callable[[str, str], None]) -> Observer:
    def observe(signature: str, inputs: Arrays, expected: Arrays, got: Arrays) -> None:
        if "image" in expected:
            log.add(expected["image"], got["image"], inputs.get("label"))
        on_step(name, f"compared {signature} at batch size {len(next(iter(got.values())))}")

    return observe


def _hashed(folder: Path) -> Iterator[tuple[str, FileRecord]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            yield (
                path.relative_to(folder).as_posix(),
                FileRecord(hashlib.sha256(content).hexdigest(), len(content)),
            )


def _check_with_sdk(folder: Path) -> None:
    """The reader that users have must take what was written, and give its goldens."""
    Sampler(folder).verify()


@contextmanager
def _appearing_whole(out: Path) -> Iterator[Path]:
    """A temporary folder beside `out` that becomes `out` at the end, on disk before it is seen; or is removed."""
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        yield folder
        folder.chmod(0o755)  # mkdtemp's own is for its user alone
        for path in (*folder.rglob("*"), folder):
            _sync(path)
        if os.path.lexists(out):
            raise ExportError(f"{out} was made by somebody else meanwhile: choose another folder")
        folder.rename(out)
        _sync(out.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
