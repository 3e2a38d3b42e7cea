"""golden.npz, the images that a model gave when it was exported, read without NumPy's own reader.

An .npz is a zip of .npy files: magic, version 1.0, a header's length, a header that says dtype, order and shape, and
the numbers. Both may be a stranger's. So the zip's count and sizes are looked at before it is opened, and each header,
which NumPy would parse as Python, is matched against the one text that NumPy writes for such an array.
"""

import io
import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cvae_sdk.errors import ArtifactError, one_line
from cvae_sdk.manifest import Manifest

if TYPE_CHECKING:
    import zipfile

__all__ = ["GOLDEN_NAME", "MAX_GOLDENS", "Goldens", "read_goldens"]

GOLDEN_NAME = "golden.npz"
MAX_GOLDENS = 1 << 17
_MAX_GROWTH = 64  # times that a file may grow when it is inflated: pictures do not shrink so far
_MAX_DIRECTORY = 1024  # bytes of the zip's list of its three files
_END_BYTES = 22  # of a zip's last record, which has no comment
_METHODS = (0, 8)  # stored and deflated
_MAGIC = b"\x93NUMPY\x01\x00"
_HEADER = re.compile(rb"\{'descr': '([<|>=][a-zA-Z][0-9]*)', 'fortran_order': False, 'shape': \(([0-9, ]*)\), \} *\n")


class Goldens(NamedTuple):
    """Inputs and the images that were recorded for them."""

    z: npt.NDArray[np.float32]
    label: npt.NDArray[np.int32]
    image: npt.NDArray[np.float32]


def read_goldens(content: bytes, manifest: Manifest) -> Goldens:
    """The recorded images, one or more, of what the manifest says; ArtifactError for anything else."""
    import zipfile  # which opening an artifact does not need

    _check_end(content)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _check_members(archive, len(content))
            z = _array(archive, "z", "<f4", (None, manifest.latent_dim))
            label = _array(archive, "label", "<i4", (len(z),))
            image = _array(archive, "image", "<f4", (len(z), *manifest.image_shape))
    except ArtifactError:
        raise
    except Exception as problem:  # zipfile and zlib have no common base but this
        raise _wrong("", "a whole zip", f"{type(problem).__name__}: {problem}") from problem
    if not np.isfinite(z).all():
        raise _wrong("z", "finite", "NaN or infinity")
    if int(label.min()) < 0 or int(label.max()) >= len(manifest.classes):
        raise _wrong("label", f"from 0 to {len(manifest.classes) - 1}", [int(label.min()), int(label.max())])
    return Goldens(z, label, image)


def _check_end(content: bytes) -> None:
    """The last record says how many files the zip has, and how long its list of them is."""
    end = content[-_END_BYTES:]
    if len(end) < _END_BYTES or end[:4] != b"PK\x05\x06":
        raise _wrong("", "a zip without a comment", "no end of one")
    entries, length = int.from_bytes(end[10:12], "little"), int.from_bytes(end[12:16], "little")
    if entries != len(Goldens._fields) or length > _MAX_DIRECTORY:
        raise _wrong("", f"a zip of {len(Goldens._fields)} files", f"{entries} in a list of {length} bytes")


def _check_members(archive: "zipfile.ZipFile", size: int) -> None:
    members = archive.infolist()
    if sorted(member.filename for member in members) != sorted(f"{name}.npy" for name in Goldens._fields):
        raise _wrong("", "z.npy, label.npy and image.npy", [member.filename for member in members])
    for member in members:
        if member.compress_type not in _METHODS or member.flag_bits & 1:
            raise _wrong(member.filename, "stored or deflated", f"method {member.compress_type}")
    if (inflated := sum(member.file_size for member in members)) > _MAX_GROWTH * size:
        raise _wrong("", f"at most {_MAX_GROWTH * size} bytes when inflated", inflated)


def _array(archive: "zipfile.ZipFile", name: str, dtype: str, expected: tuple[int | None, ...]) -> npt.NDArray[Any]:
    member = archive.getinfo(f"{name}.npy")
    with archive.open(member) as file:
        start = file.read(len(_MAGIC) + 2)
        length = int.from_bytes(start[len(_MAGIC) :], "little")
        match = _HEADER.fullmatch(file.read(length)) if start.startswith(_MAGIC) and length <= 1024 else None
        if match is None:
            raise _wrong(name, f"an array of {dtype}", "no header that NumPy writes for one")
        sizes = [size for size in match[2].decode().replace(" ", "").split(",") if size]
        shape = tuple(int(size) if len(size) < 16 else -1 for size in sizes)
        first = shape[0] if shape else 0
        wanted = tuple(first if size is None else size for size in expected)
        if match[1].decode() != dtype or shape != wanted or not 1 <= first <= MAX_GOLDENS:
            shown = ", ".join("1 or more" if size is None else str(size) for size in expected)
            raise _wrong(name, f"{dtype} [{shown}]", f"{match[1].decode()} {list(shape)}")
        count = 4 * math.prod(shape)
        if member.file_size != len(start) + length + count:
            raise _wrong(name, f"{count} bytes long", member.file_size - len(start) - length)
        return np.frombuffer(file.read(), dtype).reshape(shape)


def _wrong(name: str, expected: str, found: object) -> ArtifactError:
    subject = name or "it"
    return ArtifactError(
        f"{GOLDEN_NAME} cannot be replayed: {subject} must be {expected}, got {one_line(found)}",
        file=GOLDEN_NAME, field=name, expected=expected, found=found,
    )  # fmt: skip
