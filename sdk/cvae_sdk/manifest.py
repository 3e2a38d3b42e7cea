"""The artifact's contract: what manifest.json says, and how it is checked.

The file is canonical: sorted keys, two spaces, one newline at the end, so that equal manifests are equal bytes.
`digest` is the SHA-256 of the same values without `digest`, as compact JSON. Readers ignore fields that they do not
know, so a field may be added without a new schema version; a changed or removed one needs a new version. What is
written has the oldest version that can say it, so that older readers take what they understand.

SCHEMA_VERSION's history:
    1   2026-11-22   the first
        2026-11-23   formats may have oldest_runtime
        2026-11-23   parity may have off_by_more_than_1 and off_by_more_than_8
    2   2026-11-23   tensors of signatures may be int64 or string
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
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

SCHEMA_VERSION = 2
MANIFEST_NAME = "manifest.json"
MAX_MANIFEST_BYTES = 1 << 20
_DTYPES = {"float32": 1, "int32": 1, "int64": 2, "string": 2}  # since which schema


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
        values: dict[str, Any] = {"schema_version": self._oldest_schema(), **asdict(self)}
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

    def subset(
        self, formats: tuple[str, ...], extra_files: tuple[str, ...], signatures: tuple[str, ...] | None = None
    ) -> "Manifest":
        """The manifest of an artifact that ships only what lies at these formats' `path`, and the extra files.

        A signature whose files lie elsewhere is left out. Where `signatures` are given, a format that has files for
        each signature ships these signatures' files instead, and its `path` is the first of them; a format that holds
        its signatures together is shipped whole.
        """
        kept = {name: _cut(name, self.formats[name], signatures) for name in formats}
        roots = tuple(PurePosixPath(form.path) for form in kept.values())
        cut = {path for form in kept.values() for paths in (form.files or {}).values() for path in paths}
        wanted = {*extra_files, *(cut if signatures is not None else ())}
        files = {
            path: record
            for path, record in self.files.items()
            if path in wanted or any(PurePosixPath(path).is_relative_to(root) for root in roots)
        }
        kept = {name: _restricted(form, files) for name, form in kept.items()}
        carried = {signature for form in kept.values() for signature in form.signatures}
        return replace(
            self,
            signatures={name: signature for name, signature in self.signatures.items() if name in carried},
            formats=kept,
            files=files,
        )

    def _oldest_schema(self) -> int:
        signatures = self.signatures.values()
        return max(
            (
                _DTYPES[spec.dtype]
                for each in signatures
                for part in (each.inputs, each.outputs)
                for spec in part.values()
            ),
            default=1,
        )

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
            if form.files is not None:
                self._check_signature_files(f"formats.{name}.files", form.files, form.signatures)

    def _check_signature_files(
        self, field: str, files: Mapping[str, tuple[str, ...]], signatures: tuple[str, ...]
    ) -> None:
        if sorted(files) != sorted(signatures):
            raise ManifestError(f"{field} must have {', '.join(sorted(signatures))}, got {', '.join(sorted(files))}")
        for signature, paths in files.items():
            for path in paths:
                if path not in self.files:
                    raise ManifestError(f"{field}.{signature} names {path!r}, which files does not list")


def _cut(name: str, form: Format, signatures: tuple[str, ...] | None) -> Format:
    """The format with these signatures' files alone, if it can be cut."""
    if form.files is None or signatures is None:
        return form
    files = {signature: paths for signature, paths in form.files.items() if signature in signatures}
    named = tuple(signature for signature in form.signatures if signature in files)
    if not named:
        raise ManifestError(
            f"none of {', '.join(signatures)} is among the signatures {', '.join(form.signatures)} of {name}",
            field=f"formats.{name}.signatures", expected=signatures, found=form.signatures,
        )  # fmt: skip
    return replace(form, path=files[named[0]][0], signatures=named, files=files)


def _restricted(form: Format, files: Mapping[str, FileRecord]) -> Format:
    """The format with those signatures alone whose files are among these."""
    if form.files is None:
        return form
    carried = {name: paths for name, paths in form.files.items() if all(path in files for path in paths)}
    signatures = tuple(name for name in form.signatures if name in carried)
    return replace(form, signatures=signatures, files=carried)


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


def _file_record(value: object, field: str) -> FileRecord:
    values = read_object(value, field)
    sha256 = read_string(values.get("sha256"), f"{field}.sha256")
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise ManifestError(f"{field}.sha256 must be 64 lower-case hexadecimal digits, got {sha256!r}")
    return FileRecord(sha256, read_integer(values.get("bytes"), f"{field}.bytes", 0))
