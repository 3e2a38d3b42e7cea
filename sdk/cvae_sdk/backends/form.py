"""The form of an artifact that a runtime reads."""

from collections.abc import Iterable

from cvae_sdk.errors import ArtifactError, BackendUnavailableError, ModelError, named, one_line
from cvae_sdk.manifest import Format, Manifest

__all__ = ["check_signatures", "files_under", "library_missing", "require_form", "signature_files"]


def require_form(manifest: Manifest, name: str) -> Format:
    """The form of that name; ArtifactError lists those that there are."""
    form = manifest.formats.get(name)
    if form is None:
        found = sorted(manifest.formats)
        raise ArtifactError(
            f"the artifact {named(manifest.name)} has no form {name}: it has {named(', '.join(found)) or 'none'}: "
            f"export it with --forms {name}, or take another backend",
            field=f"formats.{name}", expected=name, found=found,
        )  # fmt: skip
    return form


def check_signatures(manifest: Manifest, name: str, listed: Iterable[str], found: Iterable[str]) -> None:
    """Raise ModelError unless the file of the form of that name has every signature that is listed for it."""
    there, path = sorted(found), require_form(manifest, name).path
    for signature in listed:
        if signature not in there:
            raise ModelError(
                f"{named(path)} has no signature {signature}, which the manifest lists: it has "
                f"{named(', '.join(there))}: export the artifact again",
                file=path, field=f"formats.{name}.signatures", expected=signature, found=there,
            )  # fmt: skip


def files_under(manifest: Manifest, form: Format) -> tuple[str, ...]:
    """The listed files of a form whose path is a folder."""
    return tuple(path for path in sorted(manifest.files) if path.startswith(f"{form.path}/"))


def signature_files(manifest: Manifest, name: str) -> dict[str, tuple[str, ...]]:
    """The files of each signature of the form of that name; all of a form's that has but one."""
    form = require_form(manifest, name)
    if form.files is not None:
        return dict(form.files)
    if len(form.signatures) == 1:
        return {form.signatures[0]: files_under(manifest, form)}
    raise ArtifactError(
        f"formats.{name} does not say which file has which signature: export the artifact again",
        field=f"formats.{name}.files", expected="files by signature", found=None,
    )  # fmt: skip


def library_missing(library: str, module: str, extra: str | None, error: ImportError) -> BackendUnavailableError:
    """What to raise where a runtime's library cannot be imported: how to get it, or why it fails."""
    how = f"pip install 'cvae-sdk[{extra}]'" if extra else f"pip install {module}"
    absent = isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] == module
    reason = "is not installed" if absent else f"cannot be imported ({one_line(str(error))})"
    return BackendUnavailableError(
        f"this backend needs {library}, which {reason}: {how}", field="backend", expected=module, found=None
    )
