"""Many images of one size as PNG files that are not compressed, drawn at once.

A PNG holds its rows, each behind a filter byte, as one zlib stream. Here that stream is of stored blocks (RFC 1951,
3.2.4), so that all files of one size are the same bytes but for pixels and checksums: making one costs 2 microseconds
for a digit where deflating it costs 90. What holds the files compresses them, many at a time and better.
The bytes depend on no version of zlib.
"""

import struct
import zlib

import numpy as np
import numpy.typing as npt

from cvae_sdk.errors import InputError
from cvae_sdk.png import png_chunk, png_start

__all__ = ["stored_pngs"]

_COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
"""Channels to PNG's own number: grey, grey and alpha, RGB, RGB and alpha."""
_MAX_BLOCK = 65535


def stored_pngs(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """uint8 [n, height, width, channels] as n files of one size, uint8 [n, bytes].

    Raises InputError for other than 1 to 4 channels.
    """
    count, height, width, channels = images.shape
    if channels not in _COLOR_TYPES:
        raise InputError(f"a PNG has 1 to 4 channels, these images have {channels}: use the format npz", found=channels)
    rows = np.zeros((count, height, 1 + width * channels), np.uint8)
    rows[:, :, 1:] = images.reshape(count, height, width * channels)
    stream = rows.reshape(count, height * (1 + width * channels))
    sums = np.array([zlib.adler32(row.data) for row in stream], ">u4")
    data = [_same(b"IDAT\x78\x01", count), *_stored(stream), _as_bytes(sums)]
    body = np.concatenate(data, axis=1)
    check = _as_bytes(np.array([zlib.crc32(row.data) for row in body], ">u4"))
    head = png_start(width, height, _COLOR_TYPES[channels]) + struct.pack(">I", body.shape[1] - len("IDAT"))
    return np.concatenate([_same(head, count), body, check, _same(png_chunk(b"IEND", b""), count)], axis=1)


def _stored(stream: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.uint8]]:
    """Each row as stored blocks: a byte that says whether it is the last, its length, that inverted, the bytes."""
    count, total = stream.shape
    pieces: list[npt.NDArray[np.uint8]] = []
    for start in range(0, total, _MAX_BLOCK):
        block = stream[:, start : start + _MAX_BLOCK]
        size, last = block.shape[1], start + _MAX_BLOCK >= total
        pieces += [_same(struct.pack("<BHH", last, size, size ^ 0xFFFF), count), block]
    return pieces


def _same(content: bytes, count: int) -> npt.NDArray[np.uint8]:
    return np.broadcast_to(np.frombuffer(content, np.uint8), (count, len(content)))


def _as_bytes(numbers: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    return numbers.view(np.uint8).reshape(len(numbers), -1)
