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

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, cast

from cvae_sdk.bounded_json import parse_json
from cvae_sdk.errors import ManifestError, SchemaVersionError, one_line
from cvae_sdk.json_fields import (
    MANIFEST_NAME,
    read_integer,
    read_list,
    read_mapping,
    read_object,
    read_string,
)
from cvae_sdk.manifest_checks import check_manifest
from cvae_sdk.manifest_parts import (
    DTYPES,
    MAX_NAMES,
    FileRecord,
    Format,
    Parity,
    Signature,
    TensorSpec,
    read_file_record,
    read_format,
    read_image_shape,
    read_signature,
)
from cvae_sdk.sha256 import new_sha256

__all__ = [
    "MANIFEST_NAME",
    "MAX_FILES",
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
MAX_MANIFEST_BYTES = 1 << 20
MAX_FILES = 2048
_MAX_CLASSES = 20_000
_MAX_LATENTS = 1 << 20


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
            raise SchemaVersionError(
                f"schema_version {schema} is newer than this SDK reads ({SCHEMA_VERSION}): pip install -U cvae-sdk",
                file=MANIFEST_NAME, field="schema_version", expected=SCHEMA_VERSION, found=schema,
            )  # fmt: skip
        try:
            digest, text = _digest(values), _to_text(values)
        except (ValueError, RecursionError) as error:  # a lone surrogate, a number beyond float64, deep nesting
            raise _damaged(f"holds what no manifest can: {error}", "text and numbers", str(error)) from error
        if values.get("digest") != digest:
            said = values.get("digest")
            raise ManifestError(
                f"manifest.json is damaged: its digest is {digest}, it says {one_line(said)}",
                file=MANIFEST_NAME, field="digest", expected=said, found=digest,
            )  # fmt: skip
        if text != content:
            at = next((i for i, pair in enumerate(zip(text, content, strict=False)) if pair[0] != pair[1]), len(text))
            raise _damaged(
                "is not in canonical form: write it with cvae-export", "canonical JSON", f"byte {at} differs"
            )
        manifest = cls(
            name=read_string(values.get("name"), "name"),
            version=read_integer(values.get("version"), "version", 1),
            created=read_string(values.get("created"), "created"),
            classes=read_list(values.get("classes"), "classes", read_string, _MAX_CLASSES),
            latent_dim=read_integer(values.get("latent_dim"), "latent_dim", 1, _MAX_LATENTS),
            image_shape=read_image_shape(values.get("image_shape")),
            signatures=read_mapping(values.get("signatures"), "signatures", read_signature, MAX_NAMES),
            formats=read_mapping(values.get("formats"), "formats", read_format, MAX_NAMES),
            files=read_mapping(values.get("files"), "files", read_file_record, MAX_FILES),
            training=read_object(values.get("training"), "training"),
        )
        check_manifest(manifest)
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
        from pathlib import PurePosixPath  # takes a sixth of the time that the package takes to import

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
                DTYPES[spec.dtype]
                for each in signatures
                for part in (each.inputs, each.outputs)
                for spec in part.values()
            ),
            default=1,
        )


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
        raise _damaged(
            f"has {len(content)} bytes, more than {MAX_MANIFEST_BYTES}", f"at most {MAX_MANIFEST_BYTES}", len(content)
        )
    try:
        value = parse_json(content)
    except ValueError as error:
        raise _damaged(f"is not JSON: {' '.join(str(error).split())[:200]}", "JSON", str(error)) from error
    return read_object(value, MANIFEST_NAME)


def _damaged(what: str, expected: object, found: object) -> ManifestError:
    return ManifestError(f"manifest.json {what}", file=MANIFEST_NAME, field="", expected=expected, found=found)


def _to_text(values: dict[str, Any]) -> bytes:
    return (json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _digest(values: dict[str, Any]) -> str:
    rest = {name: value for name, value in values.items() if name != "digest"}
    compact = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    # A lone surrogate, which JSON can escape and UTF-8 cannot hold, must not stop the comparison that refuses it.
    return new_sha256(compact.encode("utf-8", "surrogatepass")).hexdigest()
