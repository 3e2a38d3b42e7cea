"""The command cvae-train: settings from a preset and flags, a run folder out."""

import argparse
import ast
import dataclasses
import inspect
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from cvae_training.config import PRESETS, Config, preset
from cvae_training.data import data_set_names
from cvae_training.errors import TrainingError
from cvae_training.one_line_parser import OneLineParser
from cvae_training.progress import Progress
from cvae_training.run import create_run

__all__ = ["build_parser", "config_from", "main"]

_DEFAULT_PRESET = "fast"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run cvae-train and return its exit code: 0, or 2 after one line about the user's mistake."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    try:
        config = config_from(options)
        with Progress(config.epochs) as progress:
            create_run(options.out, config, progress)
    except TrainingError as error:
        print(f"cvae-train: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"cvae-train: interrupted; {options.out} has no checkpoint", file=sys.stderr)
        return 130
    print(f"run saved in {options.out}")
    return 0


def config_from(options: argparse.Namespace) -> Config:
    """The chosen preset with the given flags put over it; InputError for what is unknown or out of range."""
    values = preset(options.preset).to_dict()
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
        epilog=f"Data sets: {', '.join(data_set_names())}. Presets: {', '.join(sorted(PRESETS))}.",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="the run folder to create; must not exist"
    )
    parser.add_argument(
        "--preset",
        default=_DEFAULT_PRESET,
        metavar="NAME",
        help=f"settings to start from, overridden by the flags below: {', '.join(sorted(PRESETS))} [{_DEFAULT_PRESET}]",
    )
    groups: dict[str, Any] = {}
    for group, name, hint, text in _settings(Config):
        title = group or "training"
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        groups[title].add_argument(
            "--" + name.replace("_", "-"),
            type=_reader(hint),
            choices=get_args(hint) if get_origin(hint) is Literal else None,
            metavar=None if get_origin(hint) is Literal else _metavar(hint),
            help=f"{text} {_defaults(group, name)}".replace("%", "%%"),
        )
    return parser


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
    return _integers if get_origin(hint) is tuple else str if get_origin(hint) is Literal else hint


def _integers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(item) for item in text.split(",")) if text else ()
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected integers with commas between them, got {text!r}") from None


def _metavar(hint: Any) -> str:
    return "N,N,..." if get_origin(hint) is tuple else {int: "N", float: "X", str: "NAME"}[hint]
