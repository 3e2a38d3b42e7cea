"""SHA-256 of the standard library, which is loaded with the first sum and not with the package: it brings OpenSSL."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import _Hash  # pyright: ignore[reportPrivateUsage] - typeshed has no other name for it

__all__ = ["new_sha256"]


def new_sha256(content: bytes = b"") -> "_Hash":
    """What hashlib.sha256 gives: a sum that has taken `content`, and takes more by `update`."""
    import hashlib  # a tenth of the time that the whole package takes to import

    return hashlib.sha256(content)
