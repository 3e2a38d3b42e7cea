"""The command cvae-publish: an artifact's SavedModel becomes one more version that TF Serving finds by itself."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cvae_export.interruption import Interrupted, Interruption
from cvae_export.one_line_parser import OneLineParser

__all__ = ["build_parser", "main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run cvae-publish and return its exit code: 0; 2 after one line about what went wrong; 130 or 143 for a signal."""
    from cvae_export.serving_base import publish
    from cvae_sdk import CvaeError

    options = build_parser().parse_args(arguments)
    try:
        with Interruption():
            published = publish(options.artifact, options.serving_base, options.version)
    except CvaeError as error:
        print(f"cvae-publish: {error}", file=sys.stderr)
        return 2
    except Interrupted as interrupted:
        print("cvae-publish: interrupted; a version is there whole or not at all", file=sys.stderr)
        return 128 + interrupted.number
    print(f"published {published}")
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The arguments of cvae-publish."""
    parser = OneLineParser(
        prog="cvae-publish",
        description="Add an artifact's SavedModel to a folder that TF Serving polls. It appears there whole, by a "
        "rename, and never in the place of another version.",
    )
    parser.add_argument("artifact", type=Path, metavar="ARTIFACT", help="the folder that cvae-export made")
    parser.add_argument(
        "--serving-base",
        type=Path,
        required=True,
        metavar="DIR",
        help="the version goes to DIR/NAME/N, where NAME is the artifact's",
    )
    parser.add_argument("--version", type=int, metavar="N", help="its number [one more than the largest there]")
    return parser
