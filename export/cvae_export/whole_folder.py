"""A folder that appears whole or not at all, whatever stops its writer."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cvae_export.errors import ExportError

__all__ = ["appearing_whole"]


@contextmanager
def appearing_whole(out: Path) -> Iterator[Path]:
    """A temporary folder beside `out` that becomes `out` at the end, on disk before it is seen; or is removed.

    Its name begins with a dot and so is no number, which is what TF Serving looks for. Raises ExportError where `out`
    exists by then.
    """
    made = _make_parents(out.parent)
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
        try:
            yield folder
            folder.chmod(0o755)  # mkdtemp's own is for its user alone
            for path in (*folder.rglob("*"), folder):
                _sync(path)
            _rename(folder, out)
            _sync(out.parent)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        for parent in made:
            with suppress(OSError):  # it holds `out`, or what somebody else put there
                parent.rmdir()


def _make_parents(folder: Path) -> list[Path]:
    """Make the folder; the ones that had to be made, the innermost first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _rename(folder: Path, out: Path) -> None:
    """Rename, where a rename would silently replace an empty folder, and could not replace another."""
    taken = ExportError(f"{out} was made by somebody else meanwhile: choose another folder")
    if os.path.lexists(out):
        raise taken
    try:
        folder.rename(out)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise taken from error
        raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
