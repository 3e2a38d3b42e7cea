"""Whom to trust, and who to be, over TLS."""

import ssl
from pathlib import Path

from cvae_sdk.backends.options import RemoteOptions
from cvae_sdk.errors import InputError, named, one_line

__all__ = ["client_context", "read_certificates"]

FILES = ("ca_file", "cert_file", "key_file")


def client_context(options: RemoteOptions, *, secure: bool) -> ssl.SSLContext | None:
    """What a connection over TLS is made with, None for one without; InputError for files that cannot be used."""
    if not secure:
        if given := [name for name in FILES if getattr(options, name) is not None]:
            raise InputError(
                f"{given[0]} goes with https or grpcs, got an address without TLS",
                field=given[0], expected=None, found=getattr(options, given[0]),
            )  # fmt: skip
        return None
    read_certificates(options)
    try:
        context = ssl.create_default_context(cafile=options.ca_file)
    except (OSError, ValueError) as error:
        raise _unusable("ca_file", "PEM certificates", options.ca_file, error) from error
    if options.cert_file is not None:
        try:
            # A key that is encrypted is refused: nobody is asked for its password.
            context.load_cert_chain(options.cert_file, options.key_file, password="")
        except (OSError, ValueError) as error:
            expected = "a PEM certificate and its key, not encrypted"
            raise _unusable("cert_file", expected, options.cert_file, error) from error
    return context


def read_certificates(options: RemoteOptions) -> tuple[bytes | None, bytes | None, bytes | None]:
    """The bytes of ca_file, key_file and cert_file; of the system's authorities where no ca_file is given."""
    ca = options.ca_file or ssl.get_default_verify_paths().cafile
    return _read("ca_file", ca), _read("key_file", options.key_file), _read("cert_file", options.cert_file)


def _read(name: str, path: str | None) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise _unusable(name, "a file that can be read", path, error) from error


def _unusable(name: str, expected: str, path: str | None, error: Exception) -> InputError:
    return InputError(
        f"{name} must be {expected}, got {one_line(path)}: {named(' '.join(str(error).split()))}",
        field=name, expected=expected, found=path,
    )  # fmt: skip
