"""An artifact folder on disk: opened, checked against its manifest, and read.

Opening checks the manifest, that the folder holds exactly the files that are listed, regular and of the listed sizes.
Reading a file checks its SHA-256 and gives the very bytes that were hashed. One file may be there unlisted: the
signature, which is of all others (see signing.py).
"""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cvae_sdk.errors import ArtifactNotFoundError, IntegrityError
from cvae_sdk.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, Manifest

__all__ = ["SHIPPED", "SIGNATURE_NAME", "Artifact"]

SHIPPED = Path(__file__).parent / "artifacts" / "mnist"
"""The artifact that comes with this package."""

SIGNATURE_NAME = "model.sig"
"""OpenSSF model-signing's own name for it."""


@dataclass(frozen=True)
class Artifact:
    """An open artifact; `open` makes one."""

    folder: Path
    manifest: Manifest

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> "Artifact":
        """Open the artifact in `folder`.

        Raises ArtifactNotFoundError, ManifestError, or IntegrityError for a file that is missing, not listed,
        a link, or of another size.
        """
        path = Path(folder)
        if not os.path.exists(path):  # noqa: PTH110 - Path.exists raises for a name that is too long
            raise ArtifactNotFoundError(f"no artifact at {path}: no such folder")
        if not path.is_dir():
            raise ArtifactNotFoundError(
                f"no artifact at {path}: it is a file, give the folder that holds {MANIFEST_NAME}"
            )
        if not os.path.lexists(path / MANIFEST_NAME):
            raise ArtifactNotFoundError(f"no artifact at {path}: the folder has no {MANIFEST_NAME}")
        artifact = cls(path, Manifest.parse(_read_regular(path, MANIFEST_NAME, MAX_MANIFEST_BYTES)))
        artifact._check_listing()
        return artifact

    def read(self, path: str) -> bytes:
        """The bytes of a listed file; IntegrityError unless they are the bytes that were listed."""
        if path not in self.manifest.files:
            raise IntegrityError(f"{path} is not a file that the manifest lists")
        record = self.manifest.files[path]
        content = _read_regular(self.folder, path, record.bytes)
        if len(content) != record.bytes:
            raise IntegrityError(f"{path} has {len(content)} bytes, the manifest lists {record.bytes}")
        sha256 = hashlib.sha256(content).hexdigest()
        if sha256 != record.sha256:
            raise IntegrityError(f"{path} has SHA-256 {sha256}, the manifest lists {record.sha256}")
        return content

    def _check_listing(self) -> None:
        found: set[str] = set()
        for path, entry in _walk(self.folder):
            if not entry.is_file(follow_symlinks=False):
                raise IntegrityError(f"{path} is a link or a special file: an artifact has regular files only")
            if path in (MANIFEST_NAME, SIGNATURE_NAME):
                continue
            if path not in self.manifest.files:
                raise IntegrityError(f"{path} is in the folder but the manifest does not list it")
            size = entry.stat(follow_symlinks=False).st_size
            if size != self.manifest.files[path].bytes:
                raise IntegrityError(f"{path} has {size} bytes, the manifest lists {self.manifest.files[path].bytes}")
            found.add(path)
        if missing := sorted(self.manifest.files.keys() - found):
            raise IntegrityError(f"{missing[0]} is listed in the manifest but missing")


def _walk(root: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    prefixes = [""]
    while prefixes:
        prefix = prefixes.pop()
        try:
            with os.scandir(root / prefix) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        prefixes.append(f"{prefix}{entry.name}/")
                    else:
                        yield prefix + entry.name, entry
        except OSError as error:
            raise IntegrityError(f"cannot read {root / prefix}: {error.strerror}") from error


def _read_regular(folder: Path, path: str, limit: int) -> bytes:
    """At most `limit` + 1 bytes of a file that is no link and no device."""
    try:
        # O_NONBLOCK, so that a pipe in a file's place cannot make the caller wait.
        descriptor = os.open(folder / path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise IntegrityError(f"{path} is a folder or a special file: an artifact has regular files only")
        with os.fdopen(descriptor, "rb") as file:
            return file.read(limit + 1)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise IntegrityError(f"{path} is a link: an artifact has regular files only") from error
        raise IntegrityError(f"cannot read {path}: {error.strerror}") from error
