"""The command cvae: sample, grid, info, verify and sign."""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from cvae_sdk.artifact import locate
from cvae_sdk.errors import CvaeError, InputError
from cvae_sdk.memory import check_images_fit
from cvae_sdk.sampler import Sampler
from cvae_sdk.signing import sign, verify_signature

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["build_parser", "main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run cvae and return its exit code: 0, or 2 after one line about what went wrong."""
    options = build_parser().parse_args(arguments)
    try:
        options.run(options)
    except CvaeError as error:
        print(f"cvae: {_on_one_line(str(error))}", file=sys.stderr)
        return 2
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The verbs and their arguments."""
    parser = _OneLineParser(prog="cvae", description="Sample images of a class from a class-conditional VAE.")
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB", parser_class=_OneLineParser)

    sample = verbs.add_parser("sample", help="draw images of some classes into one PNG")
    sample.add_argument("labels", nargs="+", metavar="LABEL", help="a label or a class's name")
    sample.add_argument("-n", type=int, default=1, metavar="N", help="images of each label [1]")
    sample.add_argument("--columns", type=int, metavar="N", help="images in a row [as near to a square as can be]")
    _add_drawing(sample, "samples.png")
    sample.set_defaults(run=_sample)

    grid = verbs.add_parser("grid", help="draw a grid with one row per class into one PNG")
    grid.add_argument(
        "labels", nargs="*", metavar="LABEL", help="a label or a class's name, a row for each [all classes]"
    )
    grid.add_argument("-n", type=int, default=10, metavar="N", help="images in a row [10]")
    _add_drawing(grid, "grid.png")
    grid.set_defaults(run=_grid)

    info = verbs.add_parser("info", help="say what an artifact holds")
    info.set_defaults(run=_info)
    verify = verbs.add_parser("verify", help="check every file of an artifact and replay its recorded images")
    verify.add_argument(
        "--key", type=Path, metavar="PUB", help="check its signature too, with this PEM public key of an elliptic curve"
    )
    verify.set_defaults(run=_verify)
    for verb in (info, verify):
        verb.add_argument(
            "artifact",
            nargs="?",
            metavar="DIR",
            help="the artifact's folder, or a shipped one's name [mnist]",
        )
    sign = verbs.add_parser("sign", help="sign an artifact (needs the extra cvae-sdk[signing])")
    sign.add_argument("artifact", type=Path, metavar="DIR", help="the artifact's folder")
    sign.add_argument(
        "--key", type=Path, required=True, metavar="KEY", help="a PEM private key of an elliptic curve, no password"
    )
    sign.set_defaults(run=_sign)
    return parser


class _OneLineParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {_on_one_line(message)}\n")


def _on_one_line(message: str) -> str:
    """A file's name may hold a line's end."""
    return " ".join(message.splitlines())


def _add_drawing(verb: argparse.ArgumentParser, output: str) -> None:
    verb.add_argument(
        "--seed", type=int, metavar="S", help="0 to 2^64 - 1; the same seed draws the same images [random]"
    )
    verb.add_argument(
        "--scale", type=int, default=1, metavar="N", help="pixels of the picture per pixel of an image [1]"
    )
    verb.add_argument("--artifact", metavar="DIR", help="the artifact's folder, or a shipped one's name [mnist]")
    verb.add_argument(
        "-o", "--output", type=Path, default=Path(output), metavar="FILE", help=f"the PNG to write [{output}]"
    )


def _sample(options: argparse.Namespace) -> None:
    _check_output(options.output)
    sampler = Sampler(options.artifact)
    each = [_label(text, sampler.classes) for text in options.labels]
    check_images_fit(len(each) * _positive("-n", options.n), sampler.image_shape)
    labels = [label for label in each for _ in range(options.n)]
    columns = _positive("--columns", math.isqrt(len(labels) - 1) + 1 if options.columns is None else options.columns)
    scale = _positive("--scale", options.scale)
    from cvae_sdk.images import tile  # Pillow takes longer to import than a sample to draw

    picture = tile(sampler.sample(labels, seed=options.seed), min(columns, len(labels)), scale=scale)
    _save(picture, options.output, f"{len(labels)} images")


def _grid(options: argparse.Namespace) -> None:
    _check_output(options.output)
    sampler = Sampler(options.artifact)
    labels = [_label(text, sampler.classes) for text in options.labels] or None
    picture = sampler.grid(labels, options.n, seed=options.seed, scale=options.scale)
    _save(picture, options.output, f"{len(labels or sampler.classes)} rows of {options.n} images")


def _info(options: argparse.Namespace) -> None:
    manifest = Sampler(options.artifact).manifest
    print(f"name         {manifest.name}, version {manifest.version}")
    print(f"created      {manifest.created}")
    print(f"classes      {', '.join(manifest.classes)}")
    print(f"latent_dim   {manifest.latent_dim}")
    print(f"image_shape  {' x '.join(map(str, manifest.image_shape))}")
    print(f"trained on   {manifest.training.get('data_set', 'unknown')}")
    print(f"files        {len(manifest.files)}, {sum(record.bytes for record in manifest.files.values()):,} bytes")
    print(f"digest       {manifest.digest}")
    for name, form in sorted(manifest.formats.items()):
        parity = form.parity
        print(f"format       {name}: {form.path}, max_abs_error {parity.max_abs_error:.1e} over {parity.cases} inputs")


def _verify(options: argparse.Namespace) -> None:
    if options.key is not None:  # first, so that nothing of an artifact that somebody else made is run
        verify_signature(locate(options.artifact), options.key)
        print(f"signed with the key of {options.key}")
    result = Sampler(options.artifact).verify()
    print(
        f"verified {result.files} files, {result.bytes:,} bytes; "
        f"{result.goldens} recorded images, max_abs_error {result.max_abs_error:.1e}"
    )


def _sign(options: argparse.Namespace) -> None:
    print(f"signature saved in {sign(options.artifact, options.key)}")


def _label(text: str, classes: tuple[str, ...]) -> int | str:
    """A class's name, or else a number; names go first, so that a class called "7" is found by it."""
    if text in classes:
        return text
    try:
        return int(text)
    except ValueError:
        raise InputError(f"unknown class {text!r}: there are {', '.join(classes)}") from None


def _positive(flag: str, value: int) -> int:
    if value < 1:
        raise InputError(f"{flag} must be at least 1, got {value}")
    return value


def _check_output(path: Path) -> None:
    if path.suffix.lower() != ".png":
        raise InputError(f"the output must be a .png file, got {path}")


def _save(picture: "Image", path: Path, what: str) -> None:
    try:
        picture.save(path)
    except OSError as error:
        raise CvaeError(f"cannot write {path}: {error.strerror or error}") from error
    print(f"{what} saved in {path}")
