"""The artifact's contract: what manifest.json says, and how it is checked.

The file is canonical: sorted keys, two spaces, one newline at the end, so that equal manifests are equal bytes.
`digest` is the SHA-256 of the same values without `digest`, as compact JSON. Readers ignore fields that they do not
know, so a field may be added without a new schema version; a changed or removed one needs a new version.

SCHEMA_VERSION's history:
    1   2026-11-22   the first
        2026-11-23   formats may have oldest_runtime
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, cast

from cvae_sdk.errors import ManifestError
from cvae_sdk.json_fields import (
    read_integer,
    read_list,
    read_mapping,
    read_number,
    read_object,
    read_optional_number,
    read_optional_string,
    read_string,
    shown,
)

__all__ = [
    "MANIFEST_NAME",
    "MAX_MANIFEST_BYTES",
    "SCHEMA_VERSION",
    "FileRecord",
    "Format",
    "Manifest",
    "Parity",
    "Signature",
    "TensorSpec",
]

SCHEMA_VERSION = 1
MANIFEST_NAME = "manifest.json"
MAX_MANIFEST_BYTES = 1 << 20
_DTYPES = ("float32", "int32")


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


@dataclass(frozen=True)
class Format:
    """One form of the model: where it is, which signatures it carries, what wrote it, and its parity."""

    path: str
    signatures: tuple[str, ...]
    written_by: Mapping[str, str]
    parity: Parity
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


@dataclass(frozen=True)
class Manifest:
    """All that an artifact says of itself, with paths relative to its folder."""

    name: str
    version: int
    created: str
    """UTC, as 2026-11-22T18:00:00Z."""
    classes: tuple[str, ...]
    """Names in label order."""
    latent_dim: int
    image_shape: tuple[int, int, int]
    """Height, width, channels."""
    signatures: Mapping[str, Signature]
    formats: Mapping[str, Format]
    files: Mapping[str, FileRecord]
    training: Mapping[str, Any]
    """Settings, data set and metrics, for people; never branched on."""

    @classmethod
    def parse(cls, content: bytes) -> "Manifest":
        """Read the bytes of a manifest.json; ManifestError says what is wrong, at which field."""
        values = _decode(content)
        schema = read_integer(values.get("schema_version"), "schema_version", 1)
        if schema > SCHEMA_VERSION:
            raise ManifestError(
                f"schema_version {schema} is newer than this SDK reads ({SCHEMA_VERSION}): pip install -U cvae-sdk"
            )
        try:
            digest, text = _digest(values), _to_text(values)
        except (ValueError, RecursionError) as error:  # a lone surrogate, a number beyond float64, deep nesting
            raise ManifestError(f"manifest.json holds what no manifest can: {error}") from error
        if values.get("digest") != digest:
            raise ManifestError(f"manifest.json is damaged: its digest is {digest}, it says {values.get('digest')!r}")
        if text != content:
            raise ManifestError("manifest.json is not in canonical form: write it with cvae-export")
        manifest = cls(
            name=read_string(values.get("name"), "name"),
            version=read_integer(values.get("version"), "version", 1),
            created=read_string(values.get("created"), "created"),
            classes=read_list(values.get("classes"), "classes", read_string),
            latent_dim=read_integer(values.get("latent_dim"), "latent_dim", 1),
            image_shape=_image_shape(values.get("image_shape")),
            signatures=read_mapping(values.get("signatures"), "signatures", _signature),
            formats=read_mapping(values.get("formats"), "formats", _format),
            files=read_mapping(values.get("files"), "files", _file_record),
            training=read_object(values.get("training"), "training"),
        )
        manifest._check()
        vars(manifest)["digest"] = digest  # the file's own, in which fields of a later SDK have their part
        return manifest

    def to_bytes(self) -> bytes:
        """The manifest.json of these values, its digest included."""
        values: dict[str, Any] = {"schema_version": SCHEMA_VERSION, **asdict(self)}
        for form in values["formats"].values():
            for record in (form, form["parity"]):
                for absent in [name for name, value in record.items() if value is None]:
                    del record[absent]
        values = cast("dict[str, Any]", json.loads(json.dumps(values)))  # tuples become lists, as a reader sees them
        return _to_text({**values, "digest": _digest(values)})

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical values: two artifacts with one digest are the same artifact."""
        return cast("str", json.loads(self.to_bytes())["digest"])

    def subset(self, formats: tuple[str, ...], extra_files: tuple[str, ...]) -> "Manifest":
        """The manifest of an artifact that ships only these formats' files and the extra ones."""
        kept = {name: self.formats[name] for name in formats}
        roots = tuple(PurePosixPath(form.path) for form in kept.values())
        files = {
            path: record
            for path, record in self.files.items()
            if path in extra_files or any(PurePosixPath(path).is_relative_to(root) for root in roots)
        }
        carried = {signature for form in kept.values() for signature in form.signatures}
        signatures = {name: signature for name, signature in self.signatures.items() if name in carried}
        return Manifest(
            self.name, self.version, self.created, self.classes, self.latent_dim, self.image_shape,
            signatures, kept, files, self.training,
        )  # fmt: skip

    def _check(self) -> None:
        decode = Signature(
            {"z": TensorSpec("float32", ("batch", self.latent_dim)), "label": TensorSpec("int32", ("batch",))},
            {"image": TensorSpec("float32", ("batch", *self.image_shape))},
        )
        if self.signatures.get("decode", decode) != decode:
            raise ManifestError(
                f"signatures.decode must take z [batch, {self.latent_dim}] and label [batch] and give image "
                f"[batch, {', '.join(map(str, self.image_shape))}], as latent_dim and image_shape say"
            )
        if not self.classes or len(set(self.classes)) != len(self.classes):
            raise ManifestError(f"classes must be one name or more, none twice, got {list(self.classes)}")
        for path in self.files:
            _check_path(path, f"files[{path!r}]")
            if path == MANIFEST_NAME:
                raise ManifestError("files must not list manifest.json itself")
        for name, form in self.formats.items():
            _check_path(form.path, f"formats.{name}.path")
            root = PurePosixPath(form.path)
            if not any(PurePosixPath(path).is_relative_to(root) for path in self.files):
                raise ManifestError(f"formats.{name}.path is {form.path!r}, but no such file is listed in files")
            if unknown := sorted(set(form.signatures) - self.signatures.keys()):
                raise ManifestError(f"formats.{name}.signatures names {unknown[0]!r}, which signatures does not have")


def _decode(content: bytes) -> dict[str, Any]:
    if len(content) > MAX_MANIFEST_BYTES:
        raise ManifestError(f"manifest.json has {len(content)} bytes, more than {MAX_MANIFEST_BYTES}")
    try:
        return read_object(json.loads(content.decode("utf-8"), parse_constant=_no_constant), "manifest.json")
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"manifest.json is not JSON: {error}") from error


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def _to_text(values: dict[str, Any]) -> bytes:
    return (json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _digest(values: dict[str, Any]) -> str:
    rest = {name: value for name, value in values.items() if name != "digest"}
    compact = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    # A lone surrogate, which JSON can escape and UTF-8 cannot hold, must not stop the comparison that refuses it.
    return hashlib.sha256(compact.encode("utf-8", "surrogatepass")).hexdigest()


def _check_path(path: str, field: str) -> None:
    parts = path.split("/")
    if "\\" in path or "\0" in path or ":" in path or any(part in ("", ".", "..") for part in parts):
        raise ManifestError(f"{field} must be a relative path inside the artifact, without '..', got {path!r}")


def _image_shape(value: object) -> tuple[int, int, int]:
    sizes = read_list(value, "image_shape", lambda item, field: read_integer(item, field, 1))
    if len(sizes) != 3 or sizes[2] not in (1, 3):
        raise ManifestError(f"image_shape must be [height, width, 1 or 3 channels], got {shown(value)}")
    return sizes[0], sizes[1], sizes[2]


def _axis(value: object, field: str) -> int | str:
    return "batch" if value == "batch" else read_integer(value, field, 1)


def _tensor_spec(value: object, field: str) -> TensorSpec:
    values = read_object(value, field)
    dtype = read_string(values.get("dtype"), f"{field}.dtype")
    if dtype not in _DTYPES:
        raise ManifestError(f"{field}.dtype must be one of {', '.join(_DTYPES)}, got {dtype!r}")
    return TensorSpec(dtype, read_list(values.get("shape"), f"{field}.shape", _axis))


def _signature(value: object, field: str) -> Signature:
    values = read_object(value, field)
    return Signature(
        inputs=read_mapping(values.get("inputs"), f"{field}.inputs", _tensor_spec),
        outputs=read_mapping(values.get("outputs"), f"{field}.outputs", _tensor_spec),
    )


def _format(value: object, field: str) -> Format:
    values = read_object(value, field)
    parity = read_object(values.get("parity"), f"{field}.parity")
    opset, oldest = values.get("opset"), values.get("oldest_runtime")
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
        ),
        opset=None if opset is None else read_integer(opset, f"{field}.opset", 1),
        stablehlo_version=read_optional_string(values.get("stablehlo_version"), f"{field}.stablehlo_version"),
        expires=read_optional_string(values.get("expires"), f"{field}.expires"),
        oldest_runtime=None if oldest is None else read_mapping(oldest, f"{field}.oldest_runtime", read_string),
    )


def _file_record(value: object, field: str) -> FileRecord:
    values = read_object(value, field)
    sha256 = read_string(values.get("sha256"), f"{field}.sha256")
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise ManifestError(f"{field}.sha256 must be 64 lower-case hexadecimal digits, got {sha256!r}")
    return FileRecord(sha256, read_integer(values.get("bytes"), f"{field}.bytes", 0))
