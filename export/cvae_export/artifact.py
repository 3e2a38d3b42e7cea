"""From a run, or a user's own decoder, to an artifact: temporary folder, write, compare, hash, manifest last, rename.

The folder appears whole or not at all, whatever stops the export.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import jax
import numpy as np

from cvae_export.card import model_card
from cvae_export.clock import created
from cvae_export.decoder import Decoder
from cvae_export.decoder_checks import check_decoder
from cvae_export.differences import DifferenceLog
from cvae_export.errors import ExportError
from cvae_export.form import Form
from cvae_export.forms import get_forms
from cvae_export.kserve import write_kserve
from cvae_export.oldest_runtimes import oldest_runtime
from cvae_export.own_decoder import own_decoder
from cvae_export.parity import Arrays, Observer, measure_parity
from cvae_export.report import REPORT_NAME, SAMPLES_PER_CLASS, report_page
from cvae_export.saved_model import SAVED_MODEL, version_folder
from cvae_export.saved_model_xla import SAVED_MODEL_XLA
from cvae_export.servable_ops import check_servable
from cvae_export.served import served_functions
from cvae_export.speed import measure_speeds, size_in_bytes
from cvae_export.subject import Subject, run_subject
from cvae_export.tf_serving import served_name, write_server_files
from cvae_export.triton import write_triton
from cvae_export.warmup import write_warmup
from cvae_export.whole_folder import appearing_whole
from cvae_sdk import CvaeError, Manifest, Sampler
from cvae_sdk.artifact import Artifact
from cvae_sdk.goldens import GOLDEN_NAME
from cvae_sdk.images import tile
from cvae_sdk.latents import standard_normal_latents
from cvae_sdk.manifest import MANIFEST_NAME, FileRecord, Format, Signature
from cvae_sdk.onnx_model import check_onnx
from cvae_training import Run

__all__ = ["FORMS", "export", "export_run"]

FORMS: Sequence[Form] = get_forms()
SAMPLES_NAME = "samples.png"
CARD_NAME = "README.md"
_GOLDEN_SEED = 1
_GOLDENS_PER_CLASS = 2


def export_run(
    run: Run,
    out: Path,
    *,
    name: str | None = None,
    version: int = 1,
    forms: Sequence[Form] = FORMS,
    timings: bool = False,
    on_form: Callable[[str, Format], None] = lambda name, form: None,
    on_step: Callable[[str, str], None] = lambda name, what: None,
) -> Manifest:
    """Write every form of a run's decoder to the new folder `out`, compare each with JAX, and give the manifest.

    `name` is the folder's own by default; `version` is the model's, and its number in TF Serving; `timings` puts each
    form's speed on this machine into the report, in which two exports then differ; `on_form` is told of each form that
    passed, `on_step` of what is done to which form next. Raises ExportError, or ParityError for a form that differs;
    then nothing is left behind.
    """
    return _export(lambda: run_subject(run), out, name, version, forms, timings, on_form, on_step)


def export(
    fn: Callable[[Any, Any, Any], Any],
    params: Any,
    out: str | os.PathLike[str],
    *,
    latent_dim: int,
    classes: Sequence[str],
    image_shape: Sequence[int],
    mix_fn: Callable[[Any, Any, Any], Any] | None = None,
    name: str | None = None,
    version: int = 1,
    licence: str = "other",
    forms: Sequence[Form] = FORMS,
    timings: bool = False,
    on_form: Callable[[str, Format], None] = lambda name, form: None,
    on_step: Callable[[str, str], None] = lambda name, what: None,
) -> Manifest:
    """Write every form of a decoder of your own to the new folder `out`, compare each with JAX, and give the manifest.

    `fn(params, z, label)` takes z float32 [batch, latent_dim], drawn from N(0, I), and label int32 [batch], and gives
    images float32 [batch, *image_shape] in [0, 1]: of any batch size, each from its own row. `params` is a pytree of
    arrays; `classes` are distinct names in the order of labels. `mix_fn(params, z, class_weights)`, where there is
    one, takes float32 [batch, classes] in the label's place, rows that sum to 1. `licence` goes into the card's header.

    Raises DecoderError for a function that is not so, UnsupportedPrimitiveError for an operation that a form cannot
    have, with its line, and what `export_run` raises; then nothing is left behind.
    """

    def subject() -> Subject:
        decoder = own_decoder(
            fn, params, latent_dim=latent_dim, classes=classes, image_shape=image_shape, mix_fn=mix_fn
        )
        return Subject(decoder, {}, licence)

    return _export(subject, Path(out), name, version, forms, timings, on_form, on_step)


def _export(
    make_subject: Callable[[], Subject],
    out: Path,
    name: str | None,
    version: int,
    forms: Sequence[Form],
    timings: bool,
    on_form: Callable[[str, Format], None],
    on_step: Callable[[str, str], None],
) -> Manifest:
    if os.path.lexists(out):
        raise ExportError(f"{out} exists: choose another folder, or remove it first")
    subject = make_subject()
    check_decoder(subject.decoder)
    try:
        with appearing_whole(out) as folder:
            manifest = _fill(folder, subject, name or out.resolve().name, version, forms, timings, on_form, on_step)
            _check_with_sdk(folder)
    except OSError as error:
        raise ExportError(f"cannot write {out}: {error.strerror or error}") from error
    return manifest


def _fill(
    folder: Path,
    subject: Subject,
    name: str,
    version: int,
    forms: Sequence[Form],
    timings: bool,
    on_form: Callable[[str, Format], None],
    on_step: Callable[[str, str], None],
) -> Manifest:
    decoder = subject.decoder
    formats: dict[str, Format] = {}
    differences: dict[str, DifferenceLog] = {}
    for form in forms:
        on_step(form.name, "writing")
        with _in_one_line(f"{form.name} cannot be written"):
            written = form.write(decoder, folder / form.path)
        on_step(form.name, "opening")
        with _in_one_line(f"{form.name} cannot be opened"):
            loaded = list(form.load(folder / form.path))
        log = differences[form.name] = DifferenceLog()
        observe = _noting(form.name, log, on_step)
        with _in_one_line(f"{form.name} cannot be run"):
            parity = measure_parity(form.name, loaded, decoder, form.tolerance, observe=observe)
        if len(log):
            overall = log.overall()
            parity = replace(
                parity, off_by_more_than_1=overall.off_by_more_than_1, off_by_more_than_8=overall.off_by_more_than_8
            )
        oldest = oldest_runtime(form.name, written)
        inside = form.path if (folder / form.path).is_dir() else str(PurePosixPath(form.path).parent)
        files = {name: tuple(f"{inside}/{file}" for file in each) for name, each in (written.files or {}).items()}
        written = replace(written, files=files or None)
        formats[form.name] = Format(form.path, parity=parity, oldest_runtime=oldest, **vars(written))
        on_form(form.name, formats[form.name])
        if form.path in (SAVED_MODEL.path, SAVED_MODEL_XLA.path):
            version_folder(folder / form.path).rename(folder / form.path / str(version))
    if SAVED_MODEL.name in formats:
        on_step(SAVED_MODEL.name, "warming up")
        _prepare_for_tf_serving(folder, name, len(decoder.classes))
    reference = jax.jit(decoder.functions["decode"].positional)
    _write_goldens(folder / GOLDEN_NAME, decoder, reference)
    samples = _samples(decoder, reference)
    tile(samples, columns=SAMPLES_PER_CLASS, scale=2).save(folder / SAMPLES_NAME)
    values: dict[str, Any] = {
        "name": name,
        "version": version,
        "created": created().strftime("%Y-%m-%dT%H:%M:%SZ"),
        "classes": decoder.classes,
        "latent_dim": decoder.latent_dim,
        "image_shape": decoder.image_shape,
        "signatures": _signatures(decoder, formats),
        "formats": formats,
        "training": subject.training,
    }
    if "onnx" in formats:
        write_triton(folder, name, version, values["signatures"])
        write_kserve(folder, name)
    described = Manifest(files={}, **values)
    (folder / CARD_NAME).write_text(model_card(described, subject.licence), encoding="utf-8")
    speeds = (
        measure_speeds(forms, folder, decoder.latent_dim, len(decoder.classes), on_step=on_step) if timings else None
    )
    sizes = {form.name: size_in_bytes(folder / form.path) for form in forms}
    (folder / REPORT_NAME).write_text(report_page(described, samples, sizes, differences, speeds), encoding="utf-8")
    manifest = Manifest(files=dict(_hashed(folder)), **values)
    (folder / MANIFEST_NAME).write_bytes(manifest.to_bytes())
    return manifest


def _signatures(decoder: Decoder, formats: Mapping[str, Format]) -> dict[str, Signature]:
    """The model's own, and those of the served ones that some form carries."""
    carried = {name for form in formats.values() for name in form.signatures}
    served = {name: each.signature for name, each in served_functions(decoder).items() if name in carried}
    return {name: function.signature for name, function in decoder.functions.items()} | served


def _prepare_for_tf_serving(folder: Path, name: str, num_classes: int) -> None:
    saved_model = version_folder(folder / SAVED_MODEL.path)
    check_servable(saved_model)
    write_warmup(saved_model, served_name(name), num_classes)
    write_server_files(folder, name)


@contextmanager
def _in_one_line(what: str) -> Iterator[None]:
    """What a form's libraries raise, in one line: what they make of a user's own function, nobody knows."""
    try:
        yield
    except (CvaeError, OSError, MemoryError):
        raise
    except Exception as error:  # the libraries' have no common base but this
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "it gives no reason")
        raise ExportError(f"{what}: {type(error).__name__}: {reason[:300]}") from error


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
    """The reader that users have must take what was written, and give its goldens, which it does by ONNX."""
    artifact = Artifact.open(folder)
    if form := artifact.manifest.formats.get("onnx"):
        for signature, (path,) in (form.files or {}).items():
            check_onnx(artifact.read(path), path, artifact.manifest.signatures[signature], form.opset)
        Sampler(folder).verify()
