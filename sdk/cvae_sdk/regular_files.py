"""A folder's regular files, reached without a link anywhere below it, whoever swaps files and folders meanwhile.

Each folder is opened relative to the one that holds it, as a folder and no link, so that a path cannot lead outside;
a file is looked at before it is opened, so that no pipe and no device is touched, and again when it is open. Where the
system has no such calls (Windows), every part of a path is looked at instead, which a swap in between could cheat:
then only the file's hash protects.
"""

import errno
import os
import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from cvae_sdk.errors import (
    IntegrityError,
    MissingFileError,
    NotRegularFileError,
    UnlistedFileError,
    UnreadableFileError,
    named,
)

__all__ = ["entries", "open_regular"]

_RELATIVE = {os.open, os.stat} <= os.supports_dir_fd and os.scandir in os.supports_fd and hasattr(os, "O_NOFOLLOW")
_READ = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
_ROOT = _READ | getattr(os, "O_DIRECTORY", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


def entries(root: str | os.PathLike[str], most: int, deepest: int) -> Iterator[tuple[str, os.stat_result]]:
    """Path and status of all below `root` that is no folder, each folder's in turn.

    Raises UnlistedFileError for more than `most` files and folders, or for folders nested deeper than `deepest`, and
    UnreadableFileError.
    """
    waiting: list[tuple[str, ...]] = [()]
    seen = 0
    while waiting:
        parts = waiting.pop()
        if len(parts) > deepest:
            path = "/".join(parts)
            raise UnlistedFileError(
                f"{named(path)} is in the folder but the manifest does not list it: it lies more than {deepest} "
                "folders deep",
                file=path, expected=f"at most {deepest} folders deep", found=len(parts),
            )  # fmt: skip
        found: list[tuple[str, os.stat_result]] = []
        with _reading("/".join(parts) or "."), _folder(root, parts) as place, os.scandir(place) as inside:
            for entry in inside:
                if (seen := seen + 1) > most:
                    raise UnlistedFileError(
                        f"the folder has more than {most} files and folders in it: take away what the manifest does "
                        "not list",
                        file="/".join((*parts, entry.name)), expected=f"at most {most} files and folders", found=seen,
                    )  # fmt: skip
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((*parts, entry.name))
                else:
                    found.append(("/".join((*parts, entry.name)), entry.stat(follow_symlinks=False)))
        yield from found


@contextmanager
def open_regular(root: str | os.PathLike[str], path: str) -> Generator[tuple[BinaryIO, int]]:
    """A file below `root`, open for reading, and its size in bytes now.

    Raises NotRegularFileError for a link, a folder, a pipe or a device, here or on the way; MissingFileError and
    UnreadableFileError, also for what fails while it is read.
    """
    *parents, name = path.split("/")
    with _reading(path):
        with _folder(root, tuple(parents)) as place:
            relative = isinstance(place, int)
            target = name if relative else os.path.join(place, name)
            where = place if relative else None
            _check_regular(path, os.stat(target, dir_fd=where, follow_symlinks=False))
            descriptor = os.open(target, _READ | _NO_LINK, dir_fd=where)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            _check_regular(path, status)
            yield file, status.st_size


@contextmanager
def _folder(root: str | os.PathLike[str], parts: tuple[str, ...]) -> Generator[int | str]:
    """The folder at `parts` below `root`: a descriptor, or the path of it where the system cannot open by those."""
    if not _RELATIVE:
        place = os.fspath(root)
        for part in parts:
            place = os.path.join(place, part)
            status = os.lstat(place)
            if not stat.S_ISDIR(status.st_mode) or _leads_elsewhere(status):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), place)
        yield place
        return
    descriptor = os.open(root, _ROOT)
    try:
        for part in parts:
            inner = os.open(part, _ROOT | _NO_LINK, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def _check_regular(path: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode) or _leads_elsewhere(status):
        kind = "a link" if stat.S_ISLNK(status.st_mode) else "a folder" if stat.S_ISDIR(status.st_mode) else "special"
        raise NotRegularFileError(
            f"{named(path)} is a link or a special file: an artifact has regular files only",
            file=path, expected="a regular file", found=kind,
        )  # fmt: skip


def _leads_elsewhere(status: os.stat_result) -> bool:
    """Whether Windows goes on from here to another place, as from a junction, which is no symbolic link."""
    return bool(getattr(status, "st_file_attributes", 0) & stat.FILE_ATTRIBUTE_REPARSE_POINT)


@contextmanager
def _reading(path: str) -> Generator[None]:
    try:
        yield
    except IntegrityError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno == errno.ENOENT:
            raise MissingFileError(
                f"{named(path)} is listed in the manifest but missing",
                file=path, expected="a regular file", found=None,
            ) from error  # fmt: skip
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK):
            raise NotRegularFileError(
                f"{named(path)} is a link or a special file, or lies behind one: an artifact has regular files only",
                file=path, expected="a regular file", found=reason,
            ) from error  # fmt: skip
        raise UnreadableFileError(
            f"cannot read {named(path)}: {reason}", file=path, expected="a file that can be read", found=reason
        ) from error
