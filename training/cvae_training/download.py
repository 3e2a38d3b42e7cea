"""Files from the network into a cache: mirrors in order, SHA-256, and a progress bar on a terminal.

The only file that knows pooch. A file in the cache whose SHA-256 is right is used without a request; one that is
damaged is fetched again.
"""

import logging
import os
import sys
from pathlib import Path

import pooch

from cvae_training.errors import DataError

__all__ = ["CACHE_VARIABLE", "cache_folder", "download"]

CACHE_VARIABLE = "CVAE_DATA_DIR"


def cache_folder() -> Path:
    """Where downloads are kept: what CVAE_DATA_DIR says, or `cvae` in the user's cache folder."""
    return Path(os.environ.get(CACHE_VARIABLE) or pooch.os_cache("cvae"))


def download(data_set: str, name: str, sha256: str, mirrors: tuple[str, ...], folder: Path) -> Path:
    """The path of a file in `folder`, fetched from the first mirror that has it whole.

    Raises DataError with what each mirror said when none has it.
    """
    pooch.get_logger().setLevel(logging.WARNING)  # it tells of each request, which the bar shows already
    failures = []
    for mirror in mirrors:
        try:
            path = pooch.retrieve(
                mirror + name,
                known_hash=sha256,
                fname=name,
                path=folder,
                # pooch 1.9's own protocol for downloaders names the arguments otherwise than its downloaders do
                downloader=pooch.HTTPDownloader(  # pyright: ignore[reportArgumentType]
                    progressbar=sys.stderr.isatty(), timeout=30
                ),
            )
        # What requests raises is an OSError; a wrong hash is a ValueError.
        except (OSError, ValueError) as error:
            failures.append(f"{mirror}: {_reason(error)}")
        else:
            return Path(path)
    raise DataError(
        f"cannot download {name} of data set {data_set!r} into {folder} ({'; '.join(failures)}): "
        "get the file yourself and name its folder with --data-dir"
    )


def _reason(error: Exception) -> str:
    if isinstance(error, ValueError) and "hash of downloaded file" in str(error):
        return "a file with another SHA-256"
    return " ".join(str(error).split()) or type(error).__name__
