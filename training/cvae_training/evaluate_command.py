"""The command cvae-evaluate: a run folder in; a table, or JSON, out."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from cvae_training.classifier import ClassifierConfig, load_classifier
from cvae_training.data import load_data_set
from cvae_training.errors import InputError, TrainingError
from cvae_training.evaluate import EvaluationConfig, evaluate
from cvae_training.evaluation_table import NOTES, format_table
from cvae_training.one_line_parser import OneLineParser
from cvae_training.report import REPORT_NAME, write_report
from cvae_training.run import load_run

__all__ = ["build_parser", "main"]

_DEFAULTS = EvaluationConfig()
_CLASSIFIER = ClassifierConfig()


def main(arguments: Sequence[str] | None = None, classifier: ClassifierConfig = _CLASSIFIER) -> int:
    """Run cvae-evaluate and return its exit code: 0, or 2 after one line about the user's mistake."""
    options = build_parser().parse_args(arguments)
    try:
        _evaluate(options, classifier)
    except TrainingError as error:
        print(f"cvae-evaluate: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("cvae-evaluate: interrupted", file=sys.stderr)
        return 130
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The flags."""
    parser = OneLineParser(
        prog="cvae-evaluate",
        description="Bounds on the held-out likelihood of a run, and its samples in the eyes of a classifier.",
        epilog="The classifier is trained on the run's real training images and kept in the user's cache folder; "
        "CVAE_CACHE_DIR names another.",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder of a finished run")
    parser.add_argument(
        "-k",
        type=int,
        default=_DEFAULTS.importance_samples,
        metavar="N",
        help=f"latents per image in the importance-weighted log-likelihood [{_DEFAULTS.importance_samples}]",
    )
    parser.add_argument(
        "--samples",
        type=int,
        default=_DEFAULTS.samples_per_class,
        metavar="N",
        help=f"samples per class [{_DEFAULTS.samples_per_class}]",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=_DEFAULTS.seed,
        metavar="S",
        help=f"0 to 2^32 - 1; the same seed gives the same figures [{_DEFAULTS.seed}]",
    )
    parser.add_argument(
        "--json", metavar="FILE", help="write all figures there too; - prints them in place of the table"
    )
    parser.add_argument(
        "--report", action="store_true", help=f"write {REPORT_NAME} in RUN again, now with the table in it"
    )
    return parser


def _evaluate(options: argparse.Namespace, classifier_config: ClassifierConfig) -> None:
    config = EvaluationConfig(options.k, options.samples, options.seed)
    output = None if options.json in (None, "-") else Path(options.json)
    for path in filter(None, (output, options.run / REPORT_NAME if options.report else None)):
        _check_output(path)
    run = load_run(options.run)
    data = load_data_set(run.config.data)
    classifier = load_classifier(classifier_config, data, notify=_notify)
    _notify(
        f"evaluating {len(data.held_out):,} held-out images with k = {config.importance_samples:,}, "
        f"and {config.samples_per_class:,} samples of each class"
    )
    evaluation = evaluate(run, data, classifier, config)
    content = json.dumps(evaluation.to_dict() | {"notes": NOTES}, indent=2, allow_nan=False) + "\n"
    print(content.rstrip() if options.json == "-" else format_table(evaluation))
    if output is not None:
        try:
            output.write_text(content)
        except OSError as error:
            raise _cannot_write(output, error.strerror) from error
    if options.report:
        _notify(f"report: {write_report(options.run, data, evaluation)}")


def _check_output(path: Path) -> None:
    """Refuse before the minutes are spent."""
    if path.is_dir():
        raise _cannot_write(path, "Is a directory")
    if not path.parent.is_dir():
        raise _cannot_write(path, "No such folder")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise _cannot_write(path, "Permission denied")


def _cannot_write(path: Path, reason: str | None) -> InputError:
    return InputError(f"cannot write {path}: {reason}")


def _notify(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
