"""cvae sample, grid, interpolate, morph, neighbors and gif: a few images, as a picture."""

import argparse
import math
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from cvae_sdk.commands.one_line_parser import Verbs, add_verb
from cvae_sdk.commands.output import Output, add_output, png_bytes, write_images
from cvae_sdk.commands.sampler_arguments import add_artifact, add_noise, noise, open_sampler, seed_of
from cvae_sdk.errors import InputError
from cvae_sdk.label_text import entries_to_labels, entry_from_text
from cvae_sdk.memory import check_images_fit

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["add_pictures"]

_LABEL = "a class's name or number, or a mix of classes by their shares, such as 3:1,8:1"
_SHEETS = ("png", "npz", "folder")


def add_pictures(verbs: Verbs) -> None:
    """The verbs of this file."""
    sample = add_verb(
        verbs,
        "sample",
        "draw images of some classes",
        "Draw images of some classes. Image i depends on the artifact, the seed, i and its label, and on nothing else.",
        "cvae sample 7 -n 16 --seed 1 -o sevens.png",
        "cvae sample 3:1,8:1 -n 9 --temperature 0.8 -o between.png",
    )
    sample.add_argument("labels", nargs="+", metavar="LABEL", help=_LABEL)
    sample.add_argument("-n", type=int, default=1, metavar="N", help="images of each label [1]")
    _add_sheet(sample, "samples.png")
    _add_columns(sample)
    sample.set_defaults(run=_sample)

    grid = add_verb(
        verbs,
        "grid",
        "draw a grid with one row per class",
        "Draw a grid with one row for each class.",
        "cvae grid 3 1 4 -n 8 --seed 0 --scale 2 -o pi.png",
    )
    grid.add_argument("labels", nargs="*", metavar="LABEL", help=f"{_LABEL}; a row for each [all classes]")
    grid.add_argument("-n", type=int, default=10, metavar="N", help="images in a row [10]")
    add_noise(grid)
    _add_scale(grid)
    add_artifact(grid)
    add_output(grid, "grid.png", ("png",))
    grid.set_defaults(run=_grid)

    interpolate = add_verb(
        verbs,
        "interpolate",
        "draw the way from one image to another",
        "Draw the way from one image of a seed to the next: latents on a great circle, classes along a line.",
        "cvae interpolate 3 8 --steps 10 --seed 1 -o three-to-eight.png",
    )
    interpolate.add_argument("start", metavar="START", help=_LABEL)
    interpolate.add_argument("end", metavar="END", help="the same; both may be of one class")
    interpolate.add_argument("--steps", type=int, default=8, metavar="N", help="images, the two among them [8]")
    add_noise(interpolate, truncated=False)
    _add_sheet(interpolate, "interpolation.png", noisy=False)
    interpolate.set_defaults(run=_interpolate)

    morph = add_verb(
        verbs,
        "morph",
        "draw one image as it goes from class to class",
        "Draw one latent as each of some classes and as what lies between them.",
        "cvae morph 0 1 2 3 --steps 6 --seed 1 -o morph.png",
    )
    morph.add_argument("labels", nargs="+", metavar="LABEL", help=f"{_LABEL}; two or more")
    morph.add_argument("--steps", type=int, default=8, metavar="N", help="images from one class to the next [8]")
    add_noise(morph, truncated=False)
    _add_sheet(morph, "morph.png", noisy=False)
    morph.set_defaults(run=_morph)

    neighbors = add_verb(
        verbs,
        "neighbors",
        "draw images that are near to one",
        "Draw an image, first, and others whose latents are at an angle to its own.",
        "cvae neighbors 7 -n 15 --distance 0.5 --seed 1 -o near.png",
    )
    neighbors.add_argument("label", metavar="LABEL", help=_LABEL)
    neighbors.add_argument("-n", type=int, default=8, metavar="N", help="images near to it [8]")
    neighbors.add_argument("--distance", type=float, default=0.3, metavar="D", help="the angle, in radians [0.3]")
    add_noise(neighbors, truncated=False)
    _add_sheet(neighbors, "neighbors.png", noisy=False)
    neighbors.set_defaults(run=_neighbors)

    gif = add_verb(
        verbs,
        "gif",
        "draw an animation from class to class",
        "Draw one latent as it goes through the classes and back to the first, as an endless animation.",
        "cvae gif 0 1 2 --steps 12 --scale 8 --seed 1 -o digits.gif",
    )
    gif.add_argument("labels", nargs="*", metavar="LABEL", help=f"{_LABEL} [all classes]")
    gif.add_argument("--steps", type=int, default=8, metavar="N", help="frames from one class to the next [8]")
    gif.add_argument("--duration", type=int, metavar="MS", help="milliseconds of a frame")
    add_noise(gif, truncated=False)
    _add_scale(gif)
    add_artifact(gif)
    add_output(gif, "morph.gif", ("gif",))
    gif.set_defaults(run=_gif)


def _add_sheet(verb: argparse.ArgumentParser, output: str, noisy: bool = True) -> None:
    if noisy:
        add_noise(verb)
    _add_scale(verb)
    add_artifact(verb)
    add_output(verb, output, _SHEETS)


def _add_scale(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--scale", type=int, default=1, metavar="N", help="pixels of a sheet per pixel of an image [1]")


def _add_columns(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--columns", type=int, metavar="N", help="images in a row of a sheet [near a square]")


def _sample(options: argparse.Namespace) -> None:
    output = Output.parse(options.output, _SHEETS)
    with open_sampler(options) as sampler:
        labels = _labels(options.labels, sampler.classes)
        count = len(labels) * _positive("-n", options.n)
        check_images_fit(count, sampler.image_shape)
        columns = _positive("--columns", _square(count) if options.columns is None else options.columns)
        _positive("--scale", options.scale)
        seed = seed_of(options)
        labels = np.repeat(labels, options.n, axis=0)
        images = cast("npt.NDArray[np.uint8]", sampler.sample(labels, **noise(options, seed)))
        _save(options, output, images, columns, seed, labels)


def _grid(options: argparse.Namespace) -> None:
    output = Output.parse(options.output, ("png",))
    with open_sampler(options) as sampler:
        labels = _labels(options.labels, sampler.classes) if options.labels else None
        seed = seed_of(options)
        picture = sampler.grid(labels, options.n, scale=options.scale, **noise(options, seed))
        output.write(png_bytes(picture))
        rows = len(sampler.classes if labels is None else labels)
        output.say(f"{_count(rows, 'row')} of {_count(options.n, 'image')}{_of_seed(options, seed)}")


def _interpolate(options: argparse.Namespace) -> None:
    output = Output.parse(options.output, _SHEETS)
    with open_sampler(options) as sampler:
        start, end = (entry_from_text(text, sampler.classes) for text in (options.start, options.end))
        _check_steps(options, sampler.image_shape, 1)
        seed = seed_of(options)
        images = sampler.interpolate(start, end, options.steps, seed=seed)
        _save(options, output, images, len(images), seed)


def _morph(options: argparse.Namespace) -> None:
    output = Output.parse(options.output, _SHEETS)
    with open_sampler(options) as sampler:
        labels = _labels(options.labels, sampler.classes)
        _check_steps(options, sampler.image_shape, len(labels))
        seed = seed_of(options)
        images = sampler.morph(labels, options.steps, seed=seed)
        _save(options, output, images, len(images), seed)


def _neighbors(options: argparse.Namespace) -> None:
    output = Output.parse(options.output, _SHEETS)
    with open_sampler(options) as sampler:
        label = entry_from_text(options.label, sampler.classes)
        check_images_fit(_positive("-n", options.n), sampler.image_shape)
        _positive("--scale", options.scale)
        seed = seed_of(options)
        images = sampler.neighbors(label, options.n, seed=seed, distance=options.distance)
        _save(options, output, images, _square(len(images)), seed)


def _gif(options: argparse.Namespace) -> None:
    output = Output.parse(options.output, ("gif",))
    with open_sampler(options) as sampler:
        labels = _labels(options.labels, sampler.classes) if options.labels else None
        _check_steps(options, sampler.image_shape, len(sampler.classes if labels is None else labels))
        seed = seed_of(options)
        duration = {} if options.duration is None else {"duration": options.duration}
        output.write(sampler.gif(labels, options.steps, seed=seed, scale=options.scale, **duration))
        output.say(f"an animation{_of_seed(options, seed)}")


def _save(
    options: argparse.Namespace,
    output: Output,
    images: npt.NDArray[np.uint8],
    columns: int,
    seed: int,
    labels: npt.NDArray[Any] | None = None,
) -> None:
    def sheet() -> "Image":
        from cvae_sdk.images import tile  # Pillow takes longer to import than a sample to draw

        return tile(images, min(columns, len(images)), scale=options.scale)

    arrays: dict[str, npt.NDArray[Any]] = {"seed": np.array(seed, np.uint64)}
    if labels is not None:
        arrays["labels" if labels.ndim == 1 else "class_weights"] = labels
    write_images(output, images, sheet, arrays)
    output.say(_count(len(images), "image") + _of_seed(options, seed))


def _labels(texts: list[str], classes: tuple[str, ...]) -> npt.NDArray[Any]:
    return entries_to_labels([entry_from_text(text, classes) for text in texts], classes)


def _check_steps(options: argparse.Namespace, image_shape: tuple[int, int, int], ways: int) -> None:
    _positive("--scale", options.scale)
    check_images_fit(ways * _positive("--steps", options.steps), image_shape)


def _square(count: int) -> int:
    return math.isqrt(count - 1) + 1


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _of_seed(options: argparse.Namespace, seed: int) -> str:
    """A random seed is told, so that the same images can be had again."""
    return f" of seed {seed}" if options.seed is None else ""


def _positive(flag: str, value: int) -> int:
    if value < 1:
        raise InputError(f"{flag} must be at least 1, got {value}", field=flag.lstrip("-"))
    return value
