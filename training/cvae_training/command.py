"""The command cvae-train: settings from a preset and flags, a run folder out."""

import argparse
import ast
import dataclasses
import inspect
import io
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from cvae_training import processes
from cvae_training.config import PRESETS, Config, preset
from cvae_training.data import DataSet, data_set_names, load_data_set
from cvae_training.errors import StoppedError, TrainingError
from cvae_training.one_line_parser import OneLineParser
from cvae_training.placement import Images, Placement, place
from cvae_training.progress import Progress
from cvae_training.run import RunFolder
from cvae_training.stop_request import StopRequest
from cvae_training.train import count_steps
from cvae_training.training_run import create_run, resume_run

__all__ = ["build_parser", "config_from", "main"]

_DEFAULT_PRESET = "best"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run cvae-train and return its exit code.

    0 when the run is finished; 2 after one line about a mistake; 130 or 143 when SIGINT or SIGTERM stopped it, with a
    checkpoint from which `--resume` goes on.
    """
    options = build_parser().parse_args(arguments)
    asked = StopRequest()
    try:
        _connect(options)
        if options.resume:
            own = RunFolder.open(options.out).config
            config = config_from(options, preset(options.preset) if options.preset else own)
            data = _load(own)
            placement = _place(options, own, data)
            with asked, _progress(own, data) as progress:
                resume_run(options.out, config, progress, asked, data, placement, progress.step)
        else:
            config = config_from(options, preset(options.preset or _DEFAULT_PRESET))
            data = _load(config)
            placement = _place(options, config, data)
            with asked, _progress(config, data) as progress:
                create_run(options.out, config, progress, asked, data, placement, progress.step)
    except StoppedError as stopped:
        print(f"cvae-train: {stopped}", file=sys.stderr)
        return 128 + (asked.signal or signal.SIGTERM)  # another process's signal stops this one too
    except TrainingError as error:
        print(f"cvae-train: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("cvae-train: interrupted twice; what came after the last checkpoint is lost", file=sys.stderr)
        return 130
    if processes.is_first():
        print(f"run saved in {options.out}")
        return _write_report(options.out, data)
    return 0


def _write_report(run: Path, data: DataSet) -> int:
    """Add the report to a run that is saved already, and so not lost by whatever happens here."""
    from cvae_training.report import write_report  # not needed before the end

    try:
        print(f"report: {write_report(run, data)}")
    except KeyboardInterrupt:
        print("cvae-train: interrupted; the run is saved, its report is not", file=sys.stderr)
        return 130
    except Exception as error:  # of any kind: the run is worth more
        reason = " ".join(str(error).split()) or type(error).__name__
        print(f"cvae-train: the run is saved, its report is not: {reason}", file=sys.stderr)
    return 0


def _connect(options: argparse.Namespace) -> None:
    given = (options.coordinator, options.num_processes, options.process_id)
    if options.distributed or given != ("", None, None):
        processes.connect(*given)


def _load(config: Config) -> DataSet:
    """The data set, with what there is to say of it said before a progress bar begins."""
    data = load_data_set(config.data)
    if processes.is_first():
        for note in data.notes:
            print(f"cvae-train: {note}", file=sys.stderr)
    return data


def _place(options: argparse.Namespace, config: Config, data: DataSet) -> Placement:
    return place(config.batch_size, data.train.images.nbytes, options.images, options.devices)


def _progress(config: Config, data: DataSet) -> Progress:
    # The other processes' goes nowhere.
    stream = None if processes.is_first() else io.StringIO()
    return Progress(config.epochs, count_steps(config, len(data.train)), config.batch_size, stream)


def config_from(options: argparse.Namespace, base: Config) -> Config:
    """`base` with the given flags put over it; InputError for what is out of range."""
    values = base.to_dict()
    for setting in _settings(Config):
        given = getattr(options, setting.name)
        if given is not None:
            (values if setting.group is None else values[setting.group])[setting.name] = given
    return Config.from_dict(values)


def build_parser() -> argparse.ArgumentParser:
    """The flags: one per field of Config, explained by the text under the field."""
    parser = OneLineParser(
        prog="cvae-train",
        description="Train a class-conditional variational autoencoder and leave a run folder.",
        epilog=f"Data sets: {', '.join(data_set_names())}, npz:FILE, folder:DIR. "
        f"Presets: {', '.join(sorted(PRESETS))}.",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="the run folder to create; must not exist, but with --resume",
    )
    parser.add_argument(
        "--preset",
        metavar="NAME",
        help=f"settings to start from, overridden by the flags below: {', '.join(sorted(PRESETS))} [{_DEFAULT_PRESET}]",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with the run in --out, with its own settings, from its last checkpoint",
    )
    _add_machine_flags(parser)
    groups: dict[str, Any] = {}
    for group, name, hint, text in _settings(Config):
        title = group or "training"
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        groups[title].add_argument(
            "--" + name.replace("_", "-"),
            type=_reader(hint),
            choices=get_args(hint) if get_origin(hint) is Literal else None,
            metavar=None if get_origin(hint) is Literal else _metavar(name, hint),
            help=f"{text} {_defaults(group, name)}".replace("%", "%%"),
        )
    return parser


def _add_machine_flags(parser: argparse.ArgumentParser) -> None:
    machine = parser.add_argument_group("devices and processes", "They decide nothing but the rounding of sums.")
    machine.add_argument(
        "--devices",
        type=int,
        default=0,
        metavar="N",
        help="how many to share each batch among, which must divide evenly; 0 for all there are [0]",
    )
    machine.add_argument(
        "--images",
        choices=get_args(Images),
        default="auto",
        help="resident: all training images lie on each device; streamed: chunks of them come from the host's memory "
        "while training goes on; auto: resident if they take at most half of what is free [auto]",
    )
    machine.add_argument(
        "--distributed",
        action="store_true",
        help="train with the other processes that SLURM, Open MPI, Cloud TPU or Kubernetes started with this one; the "
        "first writes --out, and with --resume all read it",
    )
    machine.add_argument(
        "--coordinator", default="", metavar="HOST:PORT", help="an address of process 0, where the cluster says none"
    )
    machine.add_argument("--num-processes", type=int, metavar="N", help="how many processes there are")
    machine.add_argument("--process-id", type=int, metavar="N", help="which of them this is, from 0")


class _Setting(NamedTuple):
    group: str | None
    name: str
    hint: Any
    text: str


def _settings(cls: type, group: str | None = None) -> Iterator[_Setting]:
    """Each setting with its group, its type and the text under its field."""
    texts = _texts_under_fields(cls)
    for name, hint in get_type_hints(cls).items():
        if dataclasses.is_dataclass(hint):
            yield from _settings(hint, name)  # pyright: ignore[reportArgumentType]
        else:
            yield _Setting(group, name, hint, texts[name])


def _texts_under_fields(cls: type) -> dict[str, str]:
    body = ast.parse(inspect.getsource(cls)).body[0]
    assert isinstance(body, ast.ClassDef)  # noqa: S101 -- a class's source is a class
    texts = {}
    for field, text in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
            texts[field.target.id] = inspect.cleandoc(ast.literal_eval(text.value))
    return texts


def _defaults(group: str | None, name: str) -> str:
    values = {}
    for preset_name, config in sorted(PRESETS.items()):
        value = getattr(config if group is None else getattr(config, group), name)
        values[preset_name] = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    if len(set(values.values())) == 1:
        return f"[{values[_DEFAULT_PRESET]}]"
    return f"[{', '.join(f'{name}: {value}' for name, value in values.items())}]"


def _reader(hint: Any) -> Any:
    if get_origin(hint) is tuple:
        return _integers if get_args(hint)[0] is int else lambda text: tuple(text.split(","))
    return str if get_origin(hint) is Literal else hint


def _integers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(item) for item in text.split(",")) if text else ()
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected integers with commas between them, got {text!r}") from None


def _metavar(name: str, hint: Any) -> str:
    if name.endswith("_dir"):
        return "DIR"
    if get_origin(hint) is tuple:
        return "N,N,..." if get_args(hint)[0] is int else "PATTERN,..."
    return {int: "N", float: "X", str: "NAME"}[hint]
