"""One form through the gate: write it, open it in its own runtime, compare it with JAX, and say so for the manifest.

What a form's libraries raise of a user's own function, nobody knows: it is told in one line.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath

from cvae_export.decoder import Decoder
from cvae_export.differences import DifferenceLog
from cvae_export.errors import ExportError
from cvae_export.form import Form
from cvae_export.oldest_runtimes import oldest_runtime
from cvae_export.parity import Arrays, Observer, measure_parity
from cvae_sdk import CvaeError
from cvae_sdk.manifest import Format

__all__ = ["pass_gate"]


def pass_gate(
    form: Form, decoder: Decoder, folder: Path, on_step: Callable[[str, str], None]
) -> tuple[Format, DifferenceLog]:
    """Write a form into the artifact's `folder`, and give what it is, and how each of its images differs from JAX's.

    `on_step` is told of the form's name and what is done next. Raises ParityError for a form that differs,
    ImpossibleFormError for one that cannot hold the decoder, ExportError for one that cannot be written, opened or run.
    """
    on_step(form.name, "writing")
    with _in_one_line(f"{form.name} cannot be written"):
        written = form.write(decoder, folder / form.path)
    on_step(form.name, "opening")
    with _in_one_line(f"{form.name} cannot be opened"):
        loaded = list(form.load(folder / form.path))
    log = DifferenceLog()
    observe = _noting(form.name, log, on_step)
    with _in_one_line(f"{form.name} cannot be run"):
        parity = measure_parity(form.name, loaded, decoder, form.tolerance, form.latent_tolerance, observe)
    if len(log):
        overall = log.overall()
        parity = replace(
            parity, off_by_more_than_1=overall.off_by_more_than_1, off_by_more_than_8=overall.off_by_more_than_8
        )
    oldest = oldest_runtime(form.name, written)
    inside = form.path if (folder / form.path).is_dir() else str(PurePosixPath(form.path).parent)
    files = {name: tuple(f"{inside}/{file}" for file in each) for name, each in (written.files or {}).items()}
    written = replace(written, files=files or None)
    return Format(form.path, parity=parity, oldest_runtime=oldest, **vars(written)), log


@contextmanager
def _in_one_line(what: str) -> Iterator[None]:
    try:
        yield
    except (CvaeError, OSError, MemoryError):
        raise
    except Exception as error:  # the libraries' have no common base but this
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "it gives no reason")
        raise ExportError(f"{what}: {type(error).__name__}: {reason[:300]}") from error


def _noting(name: str, log: DifferenceLog, on_step: Callable[[str, str], None]) -> Observer:
    def observe(signature: str, inputs: Arrays, expected: Arrays, got: Arrays) -> None:
        if "image" in expected:
            log.add(expected["image"], got["image"], inputs.get("label"))
        on_step(name, f"compared {signature} at batch size {len(next(iter(got.values())))}")

    return observe
