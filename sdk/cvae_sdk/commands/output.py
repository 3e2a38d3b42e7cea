"""Where a picture goes and as what: -o FILE.png, FILE.gif or FILE.npz, -o FOLDER/, or -o - for standard output."""

import argparse
import io
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cvae_sdk.errors import CvaeError, InputError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Output", "add_output", "write_images"]

_KINDS = {
    "png": "FILE.png (one sheet)",
    "gif": "FILE.gif",
    "npz": "FILE.npz (arrays)",
    "folder": "FOLDER/ (a PNG for each image)",
}


@dataclass(frozen=True)
class Output:
    """A place to write to: `path`, None for standard output, and the kind, one of png, gif, npz and folder."""

    path: Path | None
    kind: str

    @classmethod
    def parse(cls, text: str, kinds: tuple[str, ...]) -> "Output":
        """What -o means, where these kinds can be written; InputError for another kind."""
        if text == "-":
            return cls(None, kinds[0])
        path = Path(text)
        kind = path.suffix.lower().removeprefix(".")
        if kind not in _KINDS or kind == "folder":
            kind = "folder" if text.endswith(("/", "\\")) or path.is_dir() else ""
        if kind not in kinds:
            *most, last = [_KINDS[each] for each in kinds]
            choice = f"{', '.join(most)} or {last}" if most else last
            raise InputError(f"the output must be {choice}, got {text}", field="output", found=text)
        return cls(path, kind)

    def write(self, content: bytes, name: str | None = None) -> None:
        """Write the file, or the file of that name in the folder; a file that is there is replaced."""
        if self.path is None:
            sys.stdout.buffer.write(content)
            return
        path = self.path if name is None else self.path / name
        try:
            if name is not None:
                self.path.mkdir(parents=True, exist_ok=True)
            existed = path.exists()
            try:
                path.write_bytes(content)
            except OSError:
                if not existed:
                    with suppress(OSError):
                        path.unlink()
                raise
        except OSError as error:
            raise CvaeError(f"cannot write {path}: {error.strerror or error}") from error

    def say(self, what: str) -> None:
        """Tell what was saved, unless it went to standard output."""
        if self.path is not None:
            print(f"{what} saved in {self.path}")


def add_output(verb: argparse.ArgumentParser, default: str, kinds: tuple[str, ...]) -> None:
    """-o."""
    places = ", ".join([*(_KINDS[kind] for kind in kinds), f"or - for {kinds[0].upper()} to standard output"])
    verb.add_argument("-o", "--output", default=default, metavar="OUT", help=f"{places} [{default}]")


def write_images(
    output: Output,
    images: npt.NDArray[np.uint8],
    sheet: Callable[[], "Image"],
    arrays: Mapping[str, npt.NDArray[Any]],
) -> None:
    """Write images [n, ...] as one sheet, as .npz with these arrays beside them, or as a PNG each."""
    if output.kind == "png":
        output.write(png_bytes(sheet()))
    elif output.kind == "npz":
        buffer = io.BytesIO()
        np.savez(buffer, images=images, **arrays)  # pyright: ignore[reportArgumentType] - its stub's allow_pickle
        output.write(buffer.getvalue())
    else:
        from cvae_sdk.png import png_files

        digits = max(3, len(str(len(images) - 1)))
        for i, content in enumerate(png_files(images)):
            output.write(content, f"{i:0{digits}d}.png")


def png_bytes(picture: "Image") -> bytes:
    """A picture as a PNG file."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
