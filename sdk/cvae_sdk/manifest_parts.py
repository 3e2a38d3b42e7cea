"""The parts that a manifest is made of, and how each is read from JSON, every number in it bounded."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from cvae_sdk.json_fields import (
    read_integer,
    read_list,
    read_mapping,
    read_number,
    read_object,
    read_optional_number,
    read_optional_string,
    read_string,
    refusal,
)

__all__ = [
    "DTYPES",
    "MAX_BYTES",
    "MAX_NAMES",
    "FileRecord",
    "Format",
    "Parity",
    "Signature",
    "TensorSpec",
    "read_file_record",
    "read_format",
    "read_image_shape",
    "read_signature",
]

DTYPES = {"float32": 1, "int32": 1, "int64": 2, "string": 2}
"""Of tensors, and since which schema."""
MAX_BYTES = 1 << 38
"""Of all files, and so of each."""
MAX_NAMES = 256
"""Of formats, of signatures, and of a signature's tensors."""
_MAX_SIDE = 1 << 16  # of an image, in pixels
_MAX_RANK = 8


@dataclass(frozen=True)
class TensorSpec:
    """A tensor's dtype and shape; "batch" stands for the free axis."""

    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class Signature:
    """A function's inputs and outputs by name."""

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]


@dataclass(frozen=True)
class Parity:
    """How far a written form was from the JAX model, at most, over how many inputs, and how far it might have been."""

    max_abs_error: float
    """Of a pixel in [0, 1]."""
    tolerance: float
    cases: int
    max_latent_error: float | None = None
    """Of an encoder's outputs, relative to a value above 1; None where no signature has such outputs."""
    latent_tolerance: float | None = None
    off_by_more_than_1: float | None = None
    """Share of pixels whose level of 256 differs by more than 1."""
    off_by_more_than_8: float | None = None


@dataclass(frozen=True)
class Format:
    """One form of the model: where it is, which signatures it carries, what wrote it, and its parity."""

    path: str
    signatures: tuple[str, ...]
    written_by: Mapping[str, str]
    parity: Parity
    files: Mapping[str, tuple[str, ...]] | None = None
    """The files that each signature has to itself, relative to the artifact; None where all lie in `path` together."""
    opset: int | None = None
    """ONNX's operator set."""
    stablehlo_version: str | None = None
    expires: str | None = None
    """Date from which the library that wrote it no longer promises to read it."""
    oldest_runtime: Mapping[str, str] | None = None
    """The oldest version, by runtime, that was seen to read what is written so; nothing is said of older ones."""


@dataclass(frozen=True)
class FileRecord:
    """A file's SHA-256, in lower-case hexadecimal, and its size."""

    sha256: str
    bytes: int


def read_image_shape(value: object) -> tuple[int, int, int]:
    """Height, width and 1 or 3 channels."""
    sizes = read_list(value, "image_shape", lambda item, field: read_integer(item, field, 1, _MAX_SIDE))
    if len(sizes) != 3 or sizes[2] not in (1, 3):
        raise refusal("image_shape", "[height, width, 1 or 3 channels]", value)
    return sizes[0], sizes[1], sizes[2]


def _axis(value: object, field: str) -> int | str:
    return "batch" if value == "batch" else read_integer(value, field, 1)


def _tensor_spec(value: object, field: str) -> TensorSpec:
    values = read_object(value, field)
    dtype = read_string(values.get("dtype"), f"{field}.dtype")
    if dtype not in DTYPES:
        raise refusal(f"{field}.dtype", f"one of {', '.join(DTYPES)}", dtype)
    return TensorSpec(dtype, read_list(values.get("shape"), f"{field}.shape", _axis, _MAX_RANK))


def read_signature(value: object, field: str) -> Signature:
    """A signature, of tensors of known dtypes."""
    values = read_object(value, field)
    return Signature(
        inputs=read_mapping(values.get("inputs"), f"{field}.inputs", _tensor_spec, MAX_NAMES),
        outputs=read_mapping(values.get("outputs"), f"{field}.outputs", _tensor_spec, MAX_NAMES),
    )


def read_format(value: object, field: str) -> Format:
    """A format; what it may lack is None."""
    values = read_object(value, field)
    parity = read_object(values.get("parity"), f"{field}.parity")
    opset, files, oldest = values.get("opset"), values.get("files"), values.get("oldest_runtime")
    return Format(
        path=read_string(values.get("path"), f"{field}.path"),
        signatures=read_list(values.get("signatures"), f"{field}.signatures", read_string),
        written_by=read_mapping(values.get("written_by"), f"{field}.written_by", read_string),
        parity=Parity(
            max_abs_error=read_number(parity.get("max_abs_error"), f"{field}.parity.max_abs_error"),
            tolerance=read_number(parity.get("tolerance"), f"{field}.parity.tolerance"),
            cases=read_integer(parity.get("cases"), f"{field}.parity.cases", 1),
            max_latent_error=read_optional_number(parity.get("max_latent_error"), f"{field}.parity.max_latent_error"),
            latent_tolerance=read_optional_number(parity.get("latent_tolerance"), f"{field}.parity.latent_tolerance"),
            off_by_more_than_1=read_optional_number(
                parity.get("off_by_more_than_1"), f"{field}.parity.off_by_more_than_1"
            ),
            off_by_more_than_8=read_optional_number(
                parity.get("off_by_more_than_8"), f"{field}.parity.off_by_more_than_8"
            ),
        ),
        files=None if files is None else read_mapping(files, f"{field}.files", _paths),
        opset=None if opset is None else read_integer(opset, f"{field}.opset", 1),
        stablehlo_version=read_optional_string(values.get("stablehlo_version"), f"{field}.stablehlo_version"),
        expires=read_optional_string(values.get("expires"), f"{field}.expires"),
        oldest_runtime=None if oldest is None else read_mapping(oldest, f"{field}.oldest_runtime", read_string),
    )


def _paths(value: object, field: str) -> tuple[str, ...]:
    return read_list(value, field, read_string)


def read_file_record(value: object, field: str) -> FileRecord:
    """A file's hash and size."""
    values = read_object(value, field)
    sha256 = read_string(values.get("sha256"), f"{field}.sha256")
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise refusal(f"{field}.sha256", "64 lower-case hexadecimal digits", sha256)
    return FileRecord(sha256, read_integer(values.get("bytes"), f"{field}.bytes", 0, MAX_BYTES))
