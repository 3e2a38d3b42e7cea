"""A user's own images: arrays in an .npz file, or a folder of pictures per class.

It knows Pillow, as png.py does.
"""

import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from jaxtyping import Int32, UInt8
from PIL import ExifTags, Image, ImageOps

from cvae_training.errors import DataError

__all__ = ["OwnData", "read_folder", "read_npz"]

# Not all that Pillow knows: for some it starts other programs.
_FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
_GREY_MODES = ("1", "L", "LA")
_COLOR_MODES = ("P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "La", "CMYK", "YCbCr", "LAB", "HSV")
_QUARTER_TURNS = range(5, 9)  # of EXIF's orientations
_NOT_A_ZIP = (
    *(EOFError, KeyError, MemoryError, NotImplementedError, RuntimeError, ValueError),
    *(zipfile.BadZipFile, zlib.error),
)


class OwnData(NamedTuple):
    """What a user's data holds, in its own order; `notes` says what was done to it."""

    images: UInt8[np.ndarray, "n height width channels"]
    labels: Int32[np.ndarray, " n"]
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()


def read_npz(path: Path) -> OwnData:
    """Arrays `images`, uint8 [n, height, width] or [n, height, width, 1 or 3], and `labels`, integers 0 to k - 1 [n].

    A third, `classes`, may name the k classes; without it they are called by their labels. Pickled objects are never
    loaded. Raises DataError for anything else.
    """
    arrays = _arrays(path)
    images, labels = arrays["images"], arrays["labels"]
    if images.dtype != np.uint8:
        raise DataError(f"images in {path} must be uint8, 0 to 255, got {images.dtype}")
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[3] not in (1, 3) or 0 in images.shape:
        raise DataError(
            f"images in {path} must be [n, height, width] or [n, height, width, 1 or 3], got {arrays['images'].shape}"
        )
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError(f"labels in {path} must be integers [n], got {labels.dtype} {labels.shape}")
    if len(images) != len(labels):
        raise DataError(f"{path} has {len(images)} images but {len(labels)} labels")
    classes = _class_names(path, arrays.get("classes"), labels)
    return OwnData(images, labels.astype(np.int32), classes)


def read_folder(folder: Path, image_size: Sequence[int] = ()) -> OwnData:
    """One folder of pictures per class; the classes are the folders' names, sorted as Python sorts strings.

    Pictures are all made `image_size`, (height, width), or by default the size that most of them have (of several such
    the first). They are grey if all of them are, else RGB; what is transparent is laid on white. Files that start with
    a dot or have no picture's suffix are left out. Raises DataError for a picture that cannot be read, and names it.
    """
    folders = [path for path in _entries(folder) if path.is_dir()]
    if not folders:
        raise DataError(f"{folder} has no folders: it needs one of pictures for each class")
    suffixes = {suffix for suffix, form in Image.registered_extensions().items() if form in _FORMATS}
    pictures, labels, others = [], [], 0
    for label, class_folder in enumerate(folders):
        files = [path for path in _entries(class_folder) if path.is_file()]
        found = [path for path in files if path.suffix.lower() in suffixes]
        if not found:
            raise DataError(f"class folder {class_folder} has no pictures: add some, or remove it")
        pictures += found
        labels += [label] * len(found)
        others += len(files) - len(found)
    heads = [_head(path) for path in pictures]
    sizes = Counter(size for size, _ in heads)
    size = (image_size[1], image_size[0]) if image_size else sizes.most_common(1)[0][0]
    mode = "L" if all(is_grey for _, is_grey in heads) else "RGB"
    images = np.stack([_pixels(path, mode, size) for path in pictures])
    notes = []
    if resized := len(pictures) - sizes[size]:
        notes.append(f"resized {resized} of {len(pictures)} pictures in {folder} to height {size[1]}, width {size[0]}")
    if others:
        notes.append(f"left out {others} of {len(pictures) + others} files in {folder} that are not pictures")
    classes = tuple(path.name for path in folders)
    return OwnData(images, np.array(labels, np.int32), classes, tuple(notes))


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as file:
            return _members(path, file)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or _one_line(error)}") from error


def _members(path: Path, file: BinaryIO) -> dict[str, np.ndarray]:
    try:
        loaded = np.load(file, allow_pickle=False)
    except _NOT_A_ZIP as error:
        raise DataError(f"{path} is not an .npz file: {_one_line(error)}") from error
    if not isinstance(loaded, np.lib.npyio.NpzFile):
        raise DataError(f"{path} is not an .npz file: it holds one array without a name")
    for name in ("images", "labels"):
        if name not in loaded:
            raise DataError(f"{path} has no array {name!r}: it has {', '.join(sorted(loaded)) or 'none'}")
    arrays = {}
    for name in sorted({"images", "labels", "classes"} & set(loaded)):
        try:
            arrays[name] = loaded[name]
        except _NOT_A_ZIP as error:
            if "Object arrays" in str(error):
                raise DataError(
                    f"{name} in {path} are pickled objects, which are never loaded: "
                    "they must be one array, and images of one size"
                ) from error
            raise DataError(f"{name} in {path} cannot be read: {_one_line(error)}") from error
    return arrays


def _class_names(path: Path, names: np.ndarray | None, labels: np.ndarray) -> tuple[str, ...]:
    """The names of the classes, once the labels are known to use each of them."""
    if names is not None and (names.ndim != 1 or names.dtype.kind != "U" or not len(names)):
        raise DataError(f"classes in {path} must be strings [k], got {names.dtype} {names.shape}")
    used = np.unique(labels)
    count = int(used[-1]) + 1 if names is None else len(names)
    if used[0] < 0 or used[-1] >= count:
        raise DataError(f"labels in {path} must be from 0 to {count - 1}, got {used[0]} to {used[-1]}")
    if len(used) < count:
        skipped = next((i for i, label in enumerate(used) if i != label), len(used))
        raise DataError(f"labels in {path} skip {skipped}: each of 0 to {count - 1} must have images")
    classes = tuple(map(str, range(count) if names is None else names))
    name, times = Counter(classes).most_common(1)[0]
    if times > 1:
        raise DataError(f"classes in {path} must differ, got {name!r} {times} times")
    return classes


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path, formats=_FORMATS) as picture:
            yield picture
    except DataError:
        raise
    except Exception as error:  # a damaged picture makes Pillow's decoders raise nearly anything
        raise DataError(f"picture {path} cannot be read: {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _entries(folder: Path) -> list[Path]:
    """What is in a folder and not hidden, by name."""
    try:
        return sorted((path for path in folder.iterdir() if not path.name.startswith(".")), key=lambda path: path.name)
    except OSError as error:
        raise DataError(f"cannot read {folder}: {error.strerror}") from error


def _head(path: Path) -> tuple[tuple[int, int], bool]:
    """Width and height of a picture as it is to be seen, and whether it is grey."""
    with _opened(path) as picture:
        if picture.mode not in _GREY_MODES + _COLOR_MODES:
            raise DataError(f"picture {path} has pixels of type {picture.mode}: save it with 8 bits per channel")
        width, height = picture.size
        turned = picture.getexif().get(ExifTags.Base.Orientation, 1) in _QUARTER_TURNS
        return (height, width) if turned else (width, height), picture.mode in _GREY_MODES


def _pixels(path: Path, mode: str, size: tuple[int, int]) -> UInt8[np.ndarray, "height width channels"]:
    with _opened(path) as opened:
        picture = ImageOps.exif_transpose(opened)
        if picture.has_transparency_data:
            picture = picture.convert("RGBA")
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
        picture = picture.convert(mode)
        if picture.size != size:
            picture = picture.resize(size, Image.Resampling.LANCZOS)
        return np.asarray(picture).reshape(size[1], size[0], -1)
