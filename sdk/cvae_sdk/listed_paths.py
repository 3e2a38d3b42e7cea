"""Paths as a manifest may list them: each names one file inside the artifact, the same on every system.

Windows takes no < > : " | ? * \\ and no NUL or CON, drops dots and spaces at a name's end, and, like macOS, knows no
case; macOS writes é in its own way (Unicode's NFD), so that names are compared as NFC.
"""

import re
from collections.abc import Iterable

from cvae_sdk.json_fields import refusal

__all__ = ["MAX_FOLDERS", "MAX_NAME_BYTES", "MAX_PATH_BYTES", "check_listed_path", "check_listed_paths"]

MAX_FOLDERS = 15
"""That a file may lie in, one in another."""
MAX_PATH_BYTES = 1024
MAX_NAME_BYTES = 255
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?")
_UNPRINTABLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def check_listed_path(path: str, field: str) -> None:
    """ManifestError unless a path stays inside the artifact and every system can hold it."""
    parts = path.split("/")
    if "\\" in path or "\0" in path or ":" in path or any(part in ("", ".", "..") for part in parts):
        raise refusal(field, "a relative path inside the artifact, without '..'", path)
    if len(parts) > MAX_FOLDERS + 1:
        raise refusal(field, f"a path of at most {MAX_FOLDERS} folders and a name", path)
    encoded = [len(part.encode("utf-8", "surrogatepass")) for part in parts]
    if sum(encoded) + len(parts) - 1 > MAX_PATH_BYTES or max(encoded) > MAX_NAME_BYTES:
        raise refusal(field, f"at most {MAX_PATH_BYTES} bytes, {MAX_NAME_BYTES} in each name", path)
    if not path.isascii() or not path.isprintable():
        _check_characters(path, field)
    if any(part[-1] in ". " or set(part) & set('<>"|?*') or _RESERVED.fullmatch(part) for part in parts):
        raise refusal(field, "made of names that Windows can hold too", path)


def check_listed_paths(paths: Iterable[str], field: str) -> None:
    """ManifestError for two paths that some system takes for one, or one that is a file and a folder."""
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    for path in paths:
        parts = path.split("/")
        for i in range(1, len(parts)):
            folder = "/".join(parts[:i])
            if folders.setdefault(folder.casefold(), folder) != folder:
                raise refusal(field, "different from each other in more than case", folder)
        if files.setdefault(path.casefold(), path) != path:
            raise refusal(field, "different from each other in more than case", path)
    if both := sorted(files.keys() & folders.keys()):
        raise refusal(field, "each a file or a folder, not both", files[both[0]])


def _check_characters(path: str, field: str) -> None:
    import unicodedata  # a megabyte, which few artifacts need

    if not _UNPRINTABLE.isdisjoint(map(unicodedata.category, path)):
        raise refusal(field, "without control characters", path)
    if not unicodedata.is_normalized("NFC", path):
        raise refusal(field, "in Unicode's form NFC", path)
