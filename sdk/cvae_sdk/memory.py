"""Whether memory has room for what is asked for: said before it is filled."""

import os

from cvae_sdk.errors import TooLargeError, one_line

__all__ = ["available_bytes", "check_fits", "check_images_fit"]

_ALWAYS_TRIED = 1 << 26  # bytes: below this, asking the system would take longer than being told by it
_MEMINFO = "/proc/meminfo"
_GROUP = "/sys/fs/cgroup"
_LIMITS = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))


def available_bytes() -> int | None:
    """Bytes that this process may still take: of the machine, and of its control group; None where nobody says."""
    found = [each for each in (_free(), *(_left(limit, used) for limit, used in _LIMITS)) if each is not None]
    return min(found, default=None)


def check_fits(count: int, bytes_of_each: int, what: str, field: str) -> None:
    """Raise TooLargeError if memory has no room for `count` of `what`, for which the argument `field` asked."""
    need = count * bytes_of_each
    if need <= _ALWAYS_TRIED:
        return
    available = available_bytes()
    if available is not None and need > available:
        raise TooLargeError(
            f"{one_line(count)} {what} do not fit into memory: they take {one_line(need)} bytes, {available} are free: "
            "ask for fewer at a time, or use stream",
            field=field, expected=available, found=need,
        )  # fmt: skip


def check_images_fit(
    count: int, image_shape: tuple[int, int, int], field: str = "n", bytes_of_a_pixel: int = 1
) -> None:
    """Raise TooLargeError if `count` images, with their labels, are more than memory has room for."""
    height, width, channels = image_shape
    check_fits(count, height * width * channels * bytes_of_a_pixel + 4, "images", field)


def _free() -> int | None:
    try:
        for line in _text(_MEMINFO).splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf, macOS not these names
        return None


def _left(limit: str, used: str) -> int | None:
    try:
        return max(0, int(_text(f"{_GROUP}/{limit}")) - int(_text(f"{_GROUP}/{used}")))
    except (OSError, ValueError):  # no such group, or no limit: "max"
        return None


def _text(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()
