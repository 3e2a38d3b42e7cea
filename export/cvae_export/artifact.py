"""From a run, or a user's own decoder, to an artifact: temporary folder, write, compare, hash, manifest last, rename.

The folder appears whole or not at all, whatever stops the export.
"""

import hashlib
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from cvae_export.card import model_card
from cvae_export.clock import created
from cvae_export.decoder import Decoder
from cvae_export.decoder_checks import check_decoder
from cvae_export.differences import DifferenceLog
from cvae_export.errors import ExportError, FormWarning, ImpossibleFormError
from cvae_export.form import Form
from cvae_export.forms import get_forms
from cvae_export.gate import pass_gate
from cvae_export.kserve import write_kserve
from cvae_export.own_decoder import own_decoder
from cvae_export.recorded_images import sample_images, write_goldens
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
from cvae_export.web_page import describe_page
from cvae_export.whole_folder import appearing_whole
from cvae_sdk import Manifest, Sampler
from cvae_sdk.artifact import Artifact
from cvae_sdk.goldens import GOLDEN_NAME
from cvae_sdk.images import tile
from cvae_sdk.manifest import MANIFEST_NAME, FileRecord, Format, Signature
from cvae_sdk.onnx_model import check_onnx
from cvae_training import Run

__all__ = ["FORMS", "export", "export_run"]

FORMS: Sequence[Form] = get_forms()
SAMPLES_NAME = "samples.png"
CARD_NAME = "README.md"


def export_run(
    run: Run,
    out: Path,
    *,
    name: str | None = None,
    version: int = 1,
    forms: Sequence[Form | str] = FORMS,
    timings: bool = False,
    on_form: Callable[[str, Format], None] = lambda name, form: None,
    on_step: Callable[[str, str], None] = lambda name, what: None,
) -> Manifest:
    """Write every form of a run's decoder to the new folder `out`, compare each with JAX, and give the manifest.

    `name` is the folder's own by default; `version` is the model's, and its number in TF Serving; `forms` are names,
    "all" is every one that the decoder can have; `timings` puts each form's speed on this machine into the report, in
    which two exports then differ; `on_form` is told of each form that passed, `on_step` of what is done to which form
    next. Raises ExportError, or ParityError for a form that differs; then nothing is left behind.
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
    forms: Sequence[Form | str] = FORMS,
    timings: bool = False,
    on_form: Callable[[str, Format], None] = lambda name, form: None,
    on_step: Callable[[str, str], None] = lambda name, what: None,
) -> Manifest:
    """Write every form of a decoder of your own to the new folder `out`, compare each with JAX, and give the manifest.

    `fn(params, z, label)` takes z float32 [batch, latent_dim], drawn from N(0, I), and label int32 [batch], and gives
    images float32 [batch, *image_shape] in [0, 1]: of any batch size, each from its own row. `params` is a pytree of
    arrays; `classes` are distinct names in the order of labels. `mix_fn(params, z, class_weights)`, where there is
    one, takes float32 [batch, classes] in the label's place, rows that sum to 1. `licence` goes into the card's header.
    A FormWarning names what "all" in `forms` leaves out.

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
    forms: Sequence[Form | str],
    timings: bool,
    on_form: Callable[[str, Format], None],
    on_step: Callable[[str, str], None],
) -> Manifest:
    if os.path.lexists(out):
        raise ExportError(f"{out} exists: choose another folder, or remove it first")
    subject = make_subject()
    asked = _asked(forms)
    check_decoder(subject.decoder)
    try:
        with appearing_whole(out) as folder:
            manifest = _fill(folder, subject, name or out.resolve().name, version, asked, timings, on_form, on_step)
            _check_with_sdk(folder)
    except OSError as error:
        raise ExportError(f"cannot write {out}: {error.strerror or error}") from error
    return manifest


def _asked(forms: Sequence[Form | str]) -> list[Form]:
    names = [form for form in forms if isinstance(form, str)]
    return [*(form for form in forms if not isinstance(form, str)), *(get_forms(names) if names else ())]


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
        try:
            formats[form.name], differences[form.name] = pass_gate(form, decoder, folder, on_step)
        except ImpossibleFormError as error:
            if not form.if_possible:
                raise
            warnings.warn(f"{form.name} is left out: {error.reason}", FormWarning, stacklevel=4)
            continue
        on_form(form.name, formats[form.name])
        if form.path in (SAVED_MODEL.path, SAVED_MODEL_XLA.path):
            version_folder(folder / form.path).rename(folder / form.path / str(version))
    forms = [form for form in forms if form.name in formats]
    if not forms:
        raise ExportError("no form is asked for that this decoder can have")
    if SAVED_MODEL.name in formats:
        on_step(SAVED_MODEL.name, "warming up")
        _prepare_for_tf_serving(folder, name, len(decoder.classes))
    reference = jax.jit(decoder.functions["decode"].positional)
    write_goldens(folder / GOLDEN_NAME, decoder, reference)
    samples = sample_images(decoder, reference, SAMPLES_PER_CLASS)
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
    if web := formats.get("web"):
        describe_page(folder / web.path, described, web.written_by["onnxruntime-web"])
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
