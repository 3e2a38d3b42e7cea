"""The command cvae-export: a run folder in, an artifact folder out."""

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cvae_export.forms import DEFAULT_FORMS, get_forms, listing
from cvae_export.interruption import Interrupted, Interruption
from cvae_export.one_line_parser import OneLineParser
from cvae_export.quiet import quiet_native_libraries

if TYPE_CHECKING:
    from cvae_export.progress import Progress
    from cvae_sdk import Manifest
    from cvae_sdk.manifest import Format
    from cvae_training import Run

__all__ = ["build_parser", "main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run cvae-export and return its exit code: 0; 2 after one line about what went wrong; 130 or 143 for a signal."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.list:
        print(listing())
        return 0
    needed = {"--out": options.out} if options.web else {"RUN": options.run, "--out": options.out}
    if options.check is None and (missing := [name for name, value in needed.items() if value is None]):
        parser.error(f"the following arguments are required: {', '.join(missing)}")
    if options.onnxruntime_web is not None and options.web is None and "web" not in options.forms:
        parser.error("--onnxruntime-web is for --web, or --forms with web")
    try:
        with Interruption() as interruption:
            if options.web is not None:
                return _web(options)
            return _export(options, interruption) if options.check is None else _check(options, interruption)
    except Interrupted as interrupted:
        if options.check is not None:
            what = f"{options.check} was not checked"
        else:
            what = f"{options.out} {'was made but not published' if os.path.lexists(options.out) else 'was not made'}"
        print(f"cvae-export: interrupted; {what}", file=sys.stderr)
        return 128 + interrupted.number


def _export(options: argparse.Namespace, interruption: Interruption) -> int:
    from cvae_export.progress import Progress
    from cvae_export.serving_base import publish
    from cvae_sdk import CvaeError
    from cvae_training import TrainingError

    try:
        if os.path.lexists(options.out):
            raise CvaeError(f"{options.out} exists: choose another folder, or remove it first")
        version = _version(options)
        if "web" in options.forms:
            _check_web(options.onnxruntime_web)
        with Progress() as progress:
            manifest = _export_showing(options, version, interruption, progress)
        published = publish(options.out, options.serving_base, version) if options.serving_base else None
    except (CvaeError, TrainingError) as error:
        print(f"cvae-export: {error}", file=sys.stderr)
        return 2
    print(f"artifact {manifest.name} saved in {options.out}: {', '.join(manifest.formats)}")
    if published:
        print(f"published {published}")
    return 0


def _check_web(package: Path | None) -> None:
    """ExportError if the form web cannot be written here or run, before any work is done."""
    from cvae_export.node_session import find_node
    from cvae_export.onnxruntime_web import find_onnxruntime_web

    find_onnxruntime_web(package)
    find_node()


def _name(options: argparse.Namespace) -> str:
    """The artifact's name: the run's, so that exports into folders of other names are the same bytes."""
    return options.name or options.run.resolve().name


def _version(options: argparse.Namespace) -> int:
    """The artifact's version; CvaeError for one that the serving base has already, before any work is done."""
    from cvae_export.serving_base import check_version, next_version, version_path

    if options.serving_base is None:
        return check_version(1 if options.version is None else options.version)
    name = _name(options)
    version = next_version(options.serving_base, name) if options.version is None else options.version
    version_path(options.serving_base, name, version)
    return version


def _export_showing(
    options: argparse.Namespace, version: int, interruption: Interruption, progress: "Progress"
) -> "Manifest":
    def on_form(name: str, form: "Format") -> None:
        interruption.check()
        progress(name, form)

    def on_step(name: str, what: str) -> None:
        interruption.check()
        progress.step(name, what)

    progress.status("reading the run")
    run = _load(options.run)
    progress.status("importing TensorFlow")
    with quiet_native_libraries():  # after the checks, since TensorFlow takes seconds to import
        from cvae_export.artifact import export_run

        forms = get_forms(options.forms, options.opset, options.onnxruntime_web)
    progress.begin(len(forms))
    return export_run(
        run,
        options.out,
        name=_name(options),
        version=version,
        forms=forms,
        timings=options.timings,
        on_form=on_form,
        on_step=on_step,
    )


def _check(options: argparse.Namespace, interruption: Interruption) -> int:
    from cvae_sdk import CvaeError
    from cvae_training import TrainingError

    def on_form(name: str, form: "Format") -> None:
        interruption.check()
        print(f"{name:16} max_abs_error {form.parity.max_abs_error:.1e} over {form.parity.cases} inputs")

    try:
        run = options.run or options.check_run
        loaded = None if run is None else _load(run)
        with quiet_native_libraries():
            from cvae_export.check import check_artifact
        manifest = check_artifact(options.check, loaded, on_form)
    except (CvaeError, TrainingError) as error:
        print(f"cvae-export: {error}", file=sys.stderr)
        return 2
    print(f"artifact {manifest.name} in {options.check} is whole, and its forms give the images that they should")
    return 0


def _web(options: argparse.Namespace) -> int:
    from cvae_export.web_page import write_web_page
    from cvae_sdk import CvaeError

    try:
        write_web_page(options.web, options.out, options.onnxruntime_web)
    except CvaeError as error:
        print(f"cvae-export: {error}", file=sys.stderr)
        return 2
    print(f"page of {options.web} saved in {options.out}; to look at it: python -m http.server -d {options.out}")
    return 0


def _load(folder: Path) -> "Run":
    """The run, with a line for each damaged checkpoint that was passed over; where none is whole, the error says so."""
    from cvae_training import CheckpointWarning, load_run

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", CheckpointWarning)
        run = load_run(folder)
    for warning in told:
        print(f"cvae-export: {warning.message}", file=sys.stderr)
    return run


def build_parser() -> argparse.ArgumentParser:
    """The arguments of cvae-export."""
    parser = OneLineParser(
        prog="cvae-export",
        description="Export a run's decoder to the forms that people serve from. Each written form "
        "is run and compared with the JAX model; the artifact's folder appears whole, or not at all.",
    )
    parser.add_argument("run", type=Path, nargs="?", metavar="RUN", help="the run folder that cvae-train left")
    parser.add_argument("--out", type=Path, metavar="DIR", help="the artifact folder to create; must not exist")
    parser.add_argument("--name", metavar="NAME", help="the artifact's name [the run folder's]")
    parser.add_argument(
        "--forms",
        type=lambda text: tuple(text.split(",")),
        default=DEFAULT_FORMS,
        metavar="A,B,...",
        help=f"the forms to write; all is every one but web [{','.join(DEFAULT_FORMS)}]",
    )
    parser.add_argument("--opset", type=int, metavar="N", help="ONNX's operator set [17]")
    parser.add_argument("--list", action="store_true", help="say what each form is for and what it needs, and stop")
    parser.add_argument(
        "--check",
        type=Path,
        metavar="ARTIFACT",
        help="write nothing: check the files of an artifact, and replay its recorded images by every form",
    )
    parser.add_argument(
        "--run",
        type=Path,
        dest="check_run",
        metavar="RUN",
        help="with --check: compare every form with this run's model, as an export does",
    )
    parser.add_argument(
        "--web",
        metavar="ARTIFACT",
        help="write to --out a static page that samples this artifact, a folder or one shipped by name, in a browser",
    )
    parser.add_argument(
        "--onnxruntime-web",
        type=Path,
        metavar="DIR",
        help="for web: the folder of that npm package [node_modules/onnxruntime-web, here or above]",
    )
    parser.add_argument(
        "--timings",
        action="store_true",
        help="measure each form's speed on this machine for the report; two exports then differ in it",
    )
    parser.add_argument(
        "--version",
        type=int,
        metavar="N",
        help="the artifact's version, and its number in TF Serving [one more than the largest in --serving-base, or 1]",
    )
    parser.add_argument(
        "--serving-base",
        type=Path,
        metavar="DIR",
        help="add the SavedModel to DIR/NAME/N, where TF Serving finds it whole; an N that exists is never replaced",
    )
    return parser
