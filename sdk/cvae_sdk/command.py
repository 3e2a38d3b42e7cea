"""The command cvae. Its verbs stand in commands/, a file for each group of them."""

import os
import sys
from collections.abc import Sequence

from cvae_sdk import __version__
from cvae_sdk.commands.artifacts import add_artifacts
from cvae_sdk.commands.bench import add_bench
from cvae_sdk.commands.bulk import add_bulk
from cvae_sdk.commands.one_line_parser import HelpFormatter, OneLineParser, on_one_line
from cvae_sdk.commands.pictures import add_pictures
from cvae_sdk.commands.serve import add_serve
from cvae_sdk.commands.stream import add_stream
from cvae_sdk.errors import CvaeError

__all__ = ["build_parser", "main"]

_INTERRUPTED = 130  # what a shell calls SIGINT and SIGPIPE
_NOBODY_READS = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run cvae and return its exit code.

    0; 2 after one line about what went wrong; 130 for Ctrl-C; 141 when whoever read its output has gone.
    """
    try:
        parser = build_parser()
        options = parser.parse_args(arguments)
        if options.run is None:
            parser.print_help()
        else:
            options.run(options)
        sys.stdout.flush()
    except CvaeError as error:
        print(f"cvae: {on_one_line(str(error))}", file=sys.stderr)
        return 2
    except MemoryError:
        print("cvae: what was asked for does not fit into memory: ask for less at a time", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        _drop_standard_output()
        return _NOBODY_READS
    except OSError as error:  # files' errors are CvaeErrors by now; what is left is standard output's
        print(f"cvae: cannot write to standard output: {error.strerror or error}", file=sys.stderr)
        _drop_standard_output()
        return 2
    return 0


def build_parser() -> OneLineParser:
    """The verbs and their arguments."""
    parser = OneLineParser(
        prog="cvae",
        formatter_class=HelpFormatter,
        description="Sample images of a class from a class-conditional VAE: the digits that come with it, or your own.",
        epilog="cvae VERB --help explains a verb. In Python: from cvae_sdk import Sampler.",
    )
    parser.add_argument("--version", action="version", version=f"cvae {__version__}")
    parser.set_defaults(run=None)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", parser_class=OneLineParser)
    for add in (add_pictures, add_stream, add_bulk, add_artifacts, add_bench, add_serve):
        add(verbs)
    return parser


def _drop_standard_output() -> None:
    """What is still to be written would fail once more when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
