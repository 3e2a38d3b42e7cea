"""That the fields of a manifest say one thing: its functions, its files and its formats fit each other."""

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from cvae_sdk.errors import ManifestError, named, one_line
from cvae_sdk.json_fields import MANIFEST_NAME, refusal
from cvae_sdk.listed_paths import check_listed_path, check_listed_paths
from cvae_sdk.manifest_parts import MAX_BYTES, Format, Signature, TensorSpec

if TYPE_CHECKING:
    from cvae_sdk.manifest import Manifest

__all__ = ["SIGNATURE_NAME", "check_manifest"]

SIGNATURE_NAME = "model.sig"
"""OpenSSF model-signing's own name for the signature, which covers the manifest, so that this cannot list it."""
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def check_manifest(manifest: "Manifest") -> None:
    """ManifestError, with the field, for a manifest whose fields, each right by itself, contradict each other."""
    for field, names in (("formats", manifest.formats), ("signatures", manifest.signatures)):
        if strange := [name for name in names if not _NAME.fullmatch(name)]:
            raise refusal(field, "named with 1 to 64 letters, digits, _ . or -", strange[0])
    if not manifest.classes or len(set(manifest.classes)) != len(manifest.classes):
        raise refusal("classes", "one name or more, none twice", list(manifest.classes))
    _check_functions(manifest)
    for path in manifest.files:
        field = f"files[{one_line(path)}]"
        check_listed_path(path, field)
        if path.casefold() in (MANIFEST_NAME, SIGNATURE_NAME):
            itself = "manifest.json itself" if path.casefold() == MANIFEST_NAME else "the signature over it"
            raise ManifestError(
                f"files must not list {itself}",
                file=MANIFEST_NAME, field=field, expected="other files", found=path,
            )  # fmt: skip
    check_listed_paths(manifest.files, "files")
    if (total := sum(record.bytes for record in manifest.files.values())) > MAX_BYTES:
        raise refusal("files", f"of at most {MAX_BYTES} bytes together", total)
    for name, form in manifest.formats.items():
        _check_format(manifest, f"formats.{name}", name, form)


def _check_functions(manifest: "Manifest") -> None:
    z = TensorSpec("float32", ("batch", manifest.latent_dim))
    label = TensorSpec("int32", ("batch",))
    weights = TensorSpec("float32", ("batch", len(manifest.classes)))
    image = TensorSpec("float32", ("batch", *manifest.image_shape))
    functions = {
        "decode": Signature({"z": z, "label": label}, {"image": image}),
        "mix": Signature({"z": z, "class_weights": weights}, {"image": image}),
        "encode": Signature({"image": image, "label": label}, {"mean": z, "logvar": z}),
    }
    for name, function in functions.items():
        if (found := manifest.signatures.get(name, function)) != function:
            takes = " and ".join(f"{key} {_shape(spec)}" for key, spec in function.inputs.items())
            gives = " and ".join(f"{key} {_shape(spec)}" for key, spec in function.outputs.items())
            raise ManifestError(
                f"signatures.{name} must take {takes} and give {gives}, as latent_dim, classes and image_shape say",
                file=MANIFEST_NAME, field=f"signatures.{name}", expected=function, found=found,
            )  # fmt: skip


def _check_format(manifest: "Manifest", field: str, name: str, form: Format) -> None:
    check_listed_path(form.path, f"{field}.path")
    if not any(f"{path}/".startswith(f"{form.path}/") for path in manifest.files):
        raise ManifestError(
            f"{field}.path is {one_line(form.path)}, but no such file is listed in files",
            file=MANIFEST_NAME, field=f"{field}.path", expected="a path in files", found=form.path,
        )  # fmt: skip
    if unknown := sorted(set(form.signatures) - manifest.signatures.keys()):
        raise ManifestError(
            f"{field}.signatures names {one_line(unknown[0])}, which signatures does not have",
            file=MANIFEST_NAME, field=f"{field}.signatures", expected=sorted(manifest.signatures), found=unknown[0],
        )  # fmt: skip
    if form.files is not None:
        _check_signature_files(manifest, f"{field}.files", form.files, form.signatures, single=name == "onnx")


def _check_signature_files(
    manifest: "Manifest", field: str, files: Mapping[str, tuple[str, ...]], signatures: tuple[str, ...], *, single: bool
) -> None:
    if sorted(files) != sorted(signatures):
        raise ManifestError(
            f"{field} must have {_together(signatures)}, got {_together(files)}",
            file=MANIFEST_NAME, field=field, expected=sorted(signatures), found=sorted(files),
        )  # fmt: skip
    for signature, paths in files.items():
        if not paths or (single and len(paths) > 1):
            raise refusal(f"{field}.{signature}", f"a list of one file{'' if single else ' or more'}", list(paths))
        for path in paths:
            if path not in manifest.files:
                raise ManifestError(
                    f"{field}.{signature} names {one_line(path)}, which files does not list",
                    file=MANIFEST_NAME, field=f"{field}.{signature}", expected="a path in files", found=path,
                )  # fmt: skip


def _together(names: Iterable[str]) -> str:
    return named(", ".join(sorted(names)))


def _shape(spec: TensorSpec) -> str:
    return f"[{', '.join(map(str, spec.shape))}]"
