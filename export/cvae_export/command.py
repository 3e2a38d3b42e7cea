"""The command cvae-export: a run folder in, an artifact folder out."""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from cvae_export.interruption import Interrupted, Interruption

if TYPE_CHECKING:
    from cvae_export.progress import Progress
    from cvae_sdk import Manifest
    from cvae_sdk.manifest import Format

__all__ = ["build_parser", "main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run cvae-export and return its exit code: 0; 2 after one line about what went wrong; 130 or 143 for a signal."""
    options = build_parser().parse_args(arguments)
    try:
        with Interruption() as interruption:
            return _export(options, interruption)
    except Interrupted as interrupted:
        print(f"cvae-export: interrupted; {options.out} was not made", file=sys.stderr)
        return 128 + interrupted.number


def _export(options: argparse.Namespace, interruption: Interruption) -> int:
    from cvae_export.progress import Progress
    from cvae_sdk import CvaeError
    from cvae_training import TrainingError

    try:
        if os.path.lexists(options.out):
            raise CvaeError(f"{options.out} exists: choose another folder, or remove it first")
        with Progress() as progress:
            manifest = _export_showing(options, interruption, progress)
    except (CvaeError, TrainingError) as error:
        print(f"cvae-export: {error}", file=sys.stderr)
        return 2
    print(f"artifact {manifest.name} saved in {options.out}: {', '.join(manifest.formats)}")
    return 0


def _export_showing(options: argparse.Namespace, interruption: Interruption, progress: "Progress") -> "Manifest":
    from cvae_training import load_run

    def on_form(name: str, form: "Format") -> None:
        interruption.check()
        progress(name, form)

    def on_step(name: str, what: str) -> None:
        interruption.check()
        progress.step(name, what)

    progress.status("reading the run")
    run = load_run(options.run)
    progress.status("importing TensorFlow")
    with _quiet_native_libraries():  # after the checks, since TensorFlow takes seconds to import
        from cvae_export.artifact import FORMS, export_run
    progress.begin(len(FORMS))
    return export_run(run, options.out, name=options.name, timings=options.timings, on_form=on_form, on_step=on_step)


def build_parser() -> argparse.ArgumentParser:
    """The arguments of cvae-export."""
    parser = _OneLineParser(
        prog="cvae-export",
        description="Export a run's decoder as StableHLO, SavedModel (plain and by jax2tf) and ONNX. Each written form "
        "is run and compared with the JAX model; the artifact's folder appears whole, or not at all.",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the run folder that cvae-train left")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="the artifact folder to create; must not exist"
    )
    parser.add_argument("--name", metavar="NAME", help="the artifact's name [the folder's]")
    parser.add_argument(
        "--timings",
        action="store_true",
        help="measure each form's speed on this machine for the report; two exports then differ in it",
    )
    return parser


@contextmanager
def _quiet_native_libraries() -> Iterator[None]:
    """Keep TensorFlow's C++ side, which tells about its build whatever its log level, off the terminal.

    What it said is shown after all when the import fails.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        except BaseException:
            said.seek(0)
            os.write(terminal, said.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


class _OneLineParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")
