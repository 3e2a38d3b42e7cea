"""One table over every form of each artifact, or of what a run exports to: errors, sizes, times.

    .venv/bin/python tests/benchmarks/forms_table.py RUN_OR_ARTIFACT... [--no-times]

A form's images of 2,000 latents are compared with the JAX model's: for a run its own, for an artifact those of its
StableHLO, whose manifest says how far they are from the run's. Of a run, each form and the JAX model itself are also
compared with the same model in float64, which is what all of them round. Times are those of cvae_export.speed: in
turns, the libraries imported before.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import jax

from cvae_export import Decoder, build_decoder, export_run
from cvae_export.differences import DifferenceLog
from cvae_export.form import Form
from cvae_export.forms import get_forms
from cvae_export.numpy_decoder import generate
from cvae_export.speed import machine, measure_speeds, size_in_bytes
from cvae_sdk.latents import standard_normal_latents
from cvae_sdk.manifest import MANIFEST_NAME, Format, Manifest
from cvae_training import load_run

BATCH_SIZES = (1, 16, 256, 4096)
IMAGES = 2000
HEADS = (
    "model",
    "form",
    "max_abs_error",
    "from float64",
    "> 1 level",
    "> 8 levels",
    "bytes to decode",
    "open",
    "first call",
    *BATCH_SIZES,
)

Decode = Callable[[dict[str, np.ndarray]], np.ndarray]


def decode_of(form: Form, folder: Path) -> Decode | None:
    for reader in form.load(folder / form.path):
        if reader.signature == "decode":
            return lambda inputs: reader.run(inputs)["image"]
    return None


def in_float64(decoder: Decoder) -> Decode:
    """The same parameters with all that is computed of them in float64, by NumPy: Flax's model rounds between."""
    assert decoder.network is not None
    parameters = {name: array.astype(np.float64) for name, array in decoder.parameters.items()}
    one_hot = np.eye(len(decoder.classes))

    def decode(inputs: dict[str, np.ndarray]) -> np.ndarray:
        image = generate(parameters, decoder.network, inputs["z"].astype(np.float64), one_hot[inputs["label"]])
        assert image.dtype == np.float64
        return image

    return decode


def step(what: str) -> None:
    """Say on stderr, which the table does not go to, what takes the next seconds."""
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def off(truth: np.ndarray | None, image: np.ndarray) -> str:
    """The largest difference of a pixel from float64's, as the table has it."""
    return "" if truth is None else f"{np.abs(image - truth).max():.1e}"


def size_to_decode(folder: Path, written: Format) -> int:
    """The bytes of what decode needs: the files that it has to itself, or the form with all that it has."""
    return sum(size_in_bytes(folder / path) for path in (written.files or {}).get("decode", [written.path]))


def rows_of(folder: Path, times: bool, reference: Decode | None = None, exact: Decode | None = None) -> list[list[str]]:
    """The table of the artifact in `folder`; its StableHLO is the reference where none is given."""
    manifest = Manifest.parse((folder / MANIFEST_NAME).read_bytes())
    forms = get_forms(tuple(manifest.formats))
    if reference is None:
        by_name = {form.name: form for form in forms}
        if "stablehlo" not in by_name:
            sys.exit(f"{folder} has no stablehlo form to compare with: give its run")
        reference = decode_of(by_name["stablehlo"], folder)
        assert reference is not None
    z = standard_normal_latents(3, 0, IMAGES, manifest.latent_dim)
    label = (np.arange(IMAGES) % len(manifest.classes)).astype(np.int32)
    expected = reference({"z": z, "label": label})
    truth = None if exact is None else exact({"z": z, "label": label})
    rows = [[manifest.name, "JAX itself", "0", off(truth, expected), *["" for _ in HEADS[4:]]]]
    speeds = {}
    if times:
        speeds = measure_speeds(
            forms,
            folder,
            manifest.latent_dim,
            len(manifest.classes),
            BATCH_SIZES,
            on_step=lambda name, what: step(f"{manifest.name}: {name}: {what}"),
        )
    for form in forms:
        decode = decode_of(form, folder)
        if decode is None:
            continue
        step(f"{manifest.name}: {form.name}: {IMAGES} images, to be compared")
        log, image = DifferenceLog(), decode({"z": z, "label": label})
        log.add(expected, image, label)
        found, speed = log.overall(), speeds.get(form.name)
        seconds = (speed.load, speed.first_call, *(speed.calls[batch] for batch in BATCH_SIZES)) if speed else ()
        rows.append(
            [
                manifest.name,
                form.name,
                f"{found.largest:.1e}",
                off(truth, image),
                f"{100 * found.off_by_more_than_1:.3g} %",
                f"{100 * found.off_by_more_than_8:.3g} %",
                f"{size_to_decode(folder, manifest.formats[form.name]):,}",
                *(f"{1000 * each:.3g}" for each in seconds),
            ]
        )
    return rows


def table_of(path: Path, times: bool) -> list[list[str]]:
    if (path / MANIFEST_NAME).is_file():
        return rows_of(path, times)
    run = load_run(path)
    decoder = build_decoder(run)
    call = jax.jit(decoder.functions["decode"].positional)
    with tempfile.TemporaryDirectory() as folder:
        artifact = Path(folder, path.resolve().name)
        export_run(
            run,
            artifact,
            forms=get_forms(("all",)),
            on_form=lambda name, form: step(f"{artifact.name}: {name} is exported"),
        )

        def reference(inputs: dict[str, np.ndarray]) -> np.ndarray:
            return np.asarray(call(inputs["z"], inputs["label"]))

        return rows_of(artifact, times, reference, in_float64(decoder))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("paths", nargs="+", type=Path, metavar="RUN_OR_ARTIFACT")
    parser.add_argument("--no-times", action="store_true", help="errors and sizes alone")
    options = parser.parse_args()
    heads = HEADS[:7] if options.no_times else HEADS
    rows = [row for path in options.paths for row in table_of(path, not options.no_times)]
    print(f"on {machine()}; times in ms, the last {len(BATCH_SIZES)} by batch size\n")
    for row in (heads, ["---"] * len(heads), *rows):
        print(f"| {' | '.join(map(str, row[: len(heads)]))} |")


if __name__ == "__main__":
    main()
