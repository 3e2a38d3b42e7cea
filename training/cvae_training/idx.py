"""IDX, the format that MNIST and its like are published in; described on MNIST's page by Y. LeCun.

0 0 8 d | d sizes, big-endian uint32 | the values, one unsigned byte each, the last axis running fastest
"""

import gzip
import math
import struct
import zlib

import numpy as np
from jaxtyping import UInt8

from cvae_training.errors import DataError

__all__ = ["read_idx"]


def read_idx(gzipped: bytes, name: str) -> UInt8[np.ndarray, "..."]:
    """Decode a gzipped IDX file of unsigned bytes.

    `name` is used in errors. Raises DataError for a wrong magic number or a length that differs from the header's.
    """
    try:
        content = gzip.decompress(gzipped)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(f"{name} is not a whole gzip file: {error}") from error
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise DataError(f"{name} is not an IDX file of unsigned bytes: it starts with {content[:4].hex() or 'nothing'}")
    header = 4 + 4 * content[3]
    if len(content) < header:
        raise DataError(f"{name} ends inside its header of {header} bytes")
    shape = struct.unpack(f">{content[3]}I", content[4:header])
    if len(content) - header != math.prod(shape):
        raise DataError(f"{name} holds {len(content) - header} bytes of data, its header says {math.prod(shape)}")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
