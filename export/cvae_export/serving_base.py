"""Add an artifact's SavedModel to a TF Serving base path as one more version.

    <serving base>/<name>/1, 2, ...

A server polls the base path and loads a folder named by a number as soon as it sees it. So a version is written
under a name that is no number, and renamed when it is whole and on disk. A version that exists is never replaced: a
server may have it open, and a client may have its number.
"""

import os
from pathlib import Path, PurePosixPath

from cvae_export.errors import ExportError
from cvae_export.tf_serving import served_name
from cvae_export.whole_folder import appearing_whole
from cvae_sdk.artifact import Artifact

__all__ = ["MAX_VERSION", "check_version", "next_version", "publish", "version_path"]

MAX_VERSION = 2**63 - 1
"""TF Serving reads versions as int64."""
_FORM = "saved_model"


def check_version(version: int) -> int:
    """The version itself; ExportError for one that TF Serving cannot have."""
    if not 1 <= version <= MAX_VERSION:
        raise ExportError(f"version must be from 1 to {MAX_VERSION}, got {version}")
    return version


def version_path(serving_base: Path, name: str, version: int) -> Path:
    """Where a version of the artifact called `name` goes; ExportError if one is there, or `version` is none."""
    path = serving_base / served_name(name) / str(check_version(version))
    if os.path.lexists(path):
        raise ExportError(f"version {version} exists: {path}; choose another number")
    return path


def next_version(serving_base: Path, name: str) -> int:
    """One more than the largest version there is of the artifact called `name`; 1 where there is none."""
    base = serving_base / served_name(name)
    names = [entry.name for entry in base.iterdir()] if base.is_dir() else []
    return max((int(name) for name in names if name.isascii() and name.isdigit()), default=0) + 1


def publish(artifact: Path, serving_base: Path, version: int | None = None) -> Path:
    """Copy the SavedModel of an artifact to its next version in `serving_base`, or to `version`; the new folder.

    What is copied are bytes whose SHA-256 is the manifest's. Raises ExportError if the version exists or the disk
    refuses, ArtifactError for a folder that is no whole artifact; then the base path is as it was.
    """
    opened = Artifact.open(artifact)
    name, form = opened.manifest.name, opened.manifest.formats.get(_FORM)
    if form is None:
        raise ExportError(f"{artifact} has no {_FORM}: export it with that form")
    try:
        target = version_path(serving_base, name, next_version(serving_base, name) if version is None else version)
        root = PurePosixPath(form.path, str(opened.manifest.version))
        with appearing_whole(target) as folder:
            for path in sorted(opened.manifest.files):
                if PurePosixPath(path).is_relative_to(root):
                    copy = folder / PurePosixPath(path).relative_to(root)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    copy.write_bytes(opened.read(path))
    except OSError as error:
        raise ExportError(f"cannot write to {serving_base}: {error.strerror or error}") from error
    return target
