"""An artifact folder on disk: opened, checked against its manifest, and read.

Opening checks the manifest, that the folder holds exactly the files that are listed, regular and of the listed sizes.
Reading a file checks its SHA-256 and gives the very bytes that were hashed. One file may be there unlisted: the
signature, which is of all others (see signing.py). Nothing is read before its size is known to be the listed one, so
that memory is bounded by the manifest, and that by MAX_MANIFEST_BYTES.
"""

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cvae_sdk.errors import (
    ArtifactNotFoundError,
    FileHashError,
    FileSizeError,
    ManifestError,
    MissingFileError,
    NotRegularFileError,
    UnlistedFileError,
    named,
)
from cvae_sdk.listed_paths import MAX_FOLDERS
from cvae_sdk.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, FileRecord, Manifest
from cvae_sdk.manifest_checks import SIGNATURE_NAME
from cvae_sdk.regular_files import entries, open_regular
from cvae_sdk.sha256 import new_sha256

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SHIPPED", "SIGNATURE_NAME", "Artifact", "folder_of", "locate"]

_MORE = 256
"""Files and folders that a folder may have above those that its manifest needs: the signature, say; empty folders."""
_CHUNK = 1 << 20
SHIPPED = ("mnist", "fashion-mnist")
"""Names of the artifacts that come with this package, the default first."""


def folder_of(artifact: str | os.PathLike[str] | None) -> str:
    """The folder of an artifact: of the default for None, of a shipped one for its name as a string, else the path."""
    if artifact is None or (isinstance(artifact, str) and artifact in SHIPPED):
        return os.path.join(os.path.dirname(__file__), "artifacts", artifact or SHIPPED[0])
    return os.fspath(artifact)


def locate(artifact: str | os.PathLike[str] | None) -> "Path":
    """`folder_of` as a Path."""
    return _to_path(folder_of(artifact))


@dataclass(frozen=True)
class Artifact:
    """An open artifact; `open` makes one."""

    root: str
    """Its folder, as it was given."""
    manifest: Manifest

    @property
    def folder(self) -> "Path":
        """Its folder."""
        return _to_path(self.root)

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> "Artifact":
        """Open the artifact in `folder`.

        Raises ArtifactNotFoundError, ManifestError, or IntegrityError for a file that is missing, not listed,
        a link, or of another size.
        """
        root = os.fspath(folder) or "."
        if not os.path.exists(root):  # Path.exists raises for a name that is too long
            path = _to_path(root)
            names = "" if path.name != str(path) else f", and the artifacts shipped by name are {', '.join(SHIPPED)}"
            raise _not_found(root, f"no such folder{names}")
        if not os.path.isdir(root):
            raise _not_found(root, f"it is a file, give the folder that holds {MANIFEST_NAME}")
        if not os.path.lexists(os.path.join(root, MANIFEST_NAME)):
            raise _not_found(root, f"the folder has no {MANIFEST_NAME}")
        artifact = cls(root, Manifest.parse(_read_manifest(root)))
        artifact._check_listing()
        return artifact

    def read(self, path: str, *, most: int | None = None) -> bytes:
        """The bytes of a listed file; IntegrityError unless they are the bytes that were listed, and at most `most`."""
        record = self._record(path)
        if most is not None and record.bytes > most:
            raise FileSizeError(
                f"{named(path)} has {record.bytes} bytes, more than the {most} that can be read",
                file=path, expected=most, found=record.bytes,
            )  # fmt: skip
        with open_regular(self.root, path) as (file, size):
            _check_size(path, size, record.bytes)
            content = file.read(size + 1)
            _check_size(path, len(content), record.bytes)
        _check_hash(path, new_sha256(content).hexdigest(), record.sha256)
        return content

    def check(self, path: str) -> int:
        """Check a listed file without keeping it, and give its size in bytes; IntegrityError as `read` raises it."""
        record = self._record(path)
        with open_regular(self.root, path) as (file, size):
            _check_size(path, size, record.bytes)
            digest, found = new_sha256(), 0
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                if (found := found + len(chunk)) > record.bytes:
                    break
        _check_size(path, found, record.bytes)
        _check_hash(path, digest.hexdigest(), record.sha256)
        return found

    def _record(self, path: str) -> FileRecord:
        if path not in self.manifest.files:
            raise UnlistedFileError(
                f"{named(path)} is not a file that the manifest lists",
                file=path, expected="a path in files", found=path,
            )  # fmt: skip
        return self.manifest.files[path]

    def _check_listing(self) -> None:
        listed, found = self.manifest.files, set[str]()
        folders = {path[: path.rindex("/")] for path in listed if "/" in path}
        for path, status in entries(self.root, len(listed) + MAX_FOLDERS * len(folders) + _MORE, MAX_FOLDERS):
            if not stat.S_ISREG(status.st_mode):
                raise NotRegularFileError(
                    f"{named(path)} is a link or a special file: an artifact has regular files only",
                    file=path, expected="a regular file", found=stat.filemode(status.st_mode),
                )  # fmt: skip
            if path in (MANIFEST_NAME, SIGNATURE_NAME):
                continue
            if path not in listed:
                raise UnlistedFileError(
                    f"{named(path)} is in the folder but the manifest does not list it",
                    file=path, expected="only listed files", found=path,
                )  # fmt: skip
            _check_size(path, status.st_size, listed[path].bytes)
            found.add(path)
        if missing := sorted(listed.keys() - found):
            raise MissingFileError(
                f"{named(missing[0])} is listed in the manifest but missing",
                file=missing[0], expected="a regular file", found=None,
            )  # fmt: skip


def _to_path(root: str) -> "Path":
    from pathlib import Path  # takes a sixth of the time that the package takes to import

    return Path(root)


def _not_found(root: str, why: str) -> ArtifactNotFoundError:
    path = _to_path(root)
    return ArtifactNotFoundError(
        f"no artifact at {named(str(path))}: {why}",
        file=MANIFEST_NAME, expected=f"a folder with {MANIFEST_NAME}", found=str(path),
    )  # fmt: skip


def _check_size(path: str, found: int, listed: int) -> None:
    if found != listed:
        raise FileSizeError(
            f"{named(path)} has {found} bytes, the manifest lists {listed}", file=path, expected=listed, found=found
        )


def _check_hash(path: str, found: str, listed: str) -> None:
    if found != listed:
        raise FileHashError(
            f"{named(path)} has SHA-256 {found}, the manifest lists {listed}", file=path, expected=listed, found=found
        )


def _read_manifest(root: str) -> bytes:
    with open_regular(root, MANIFEST_NAME) as (file, size):
        if size > MAX_MANIFEST_BYTES:
            raise ManifestError(
                f"{MANIFEST_NAME} has {size} bytes, more than {MAX_MANIFEST_BYTES}",
                file=MANIFEST_NAME, field="", expected=f"at most {MAX_MANIFEST_BYTES}", found=size,
            )  # fmt: skip
        return file.read(size + 1)  # one more, so that a file that grows is no canonical JSON
