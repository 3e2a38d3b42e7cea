"""A served model's address.

    http(s)://HOST:8501/v1/models/NAME[/versions/V | /labels/L]   TF Serving, REST
    grpc(s)://HOST:8500/NAME[/V]                                  TF Serving, gRPC
    http(s)://HOST:8000/v2/models/NAME[/versions/V]               Open Inference Protocol: Triton, KServe

A part of the path may be percent-encoded. Users, passwords, queries and fragments have no place in one.
"""

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote, urlsplit

from cvae_sdk.errors import InputError, one_line

__all__ = ["Address", "is_address", "read_address"]

FORMS = (
    "http(s)://HOST:8501/v1/models/NAME[/versions/V or /labels/L], grpc(s)://HOST:8500/NAME[/V] or "
    "http(s)://HOST:8000/v2/models/NAME[/versions/V]"
)
Interface = Literal["tf_serving_rest", "tf_serving_grpc", "open_inference"]
_PATHS: tuple[tuple[str, Interface, re.Pattern[str]], ...] = (
    ("http", "tf_serving_rest", re.compile(r"/v1/models/([^/]+)(?:/versions/(\d{1,18})|/labels/([^/]+))?")),
    ("grpc", "tf_serving_grpc", re.compile(r"/([^/]+)(?:/(\d{1,18}))?()")),
    ("http", "open_inference", re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?()")),
)
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,253})|[0-9A-Fa-f:.]{2,45}(?:%[A-Za-z0-9_.-]{1,16})?")


@dataclass(frozen=True)
class Address:
    """Where a model is served, and by which interface."""

    interface: Interface
    secure: bool
    host: str
    port: int
    model: str
    version: str | None = None
    label: str | None = None

    @property
    def server(self) -> str:
        """Host and port, as messages and the header Host have them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def is_address(text: str) -> bool:
    """Whether this is meant as an address, right or wrong, not as the name or path of an artifact."""
    return "://" in text


def read_address(url: str) -> Address:
    """The address that a URL says; InputError for any other than the three forms."""
    if not url.isprintable() or " " in url or "\\" in url:
        raise _refusal(url, "without blanks, control characters and backslashes")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _refusal(url, "with a host and a port from 1 to 65535") from error
    if "@" in parts.netloc:
        # It is not shown: it may hold a password.
        raise InputError(
            "a server's address must have no user and no password: give headers in RemoteOptions",
            field="url", expected=FORMS, found="a user",
        )  # fmt: skip
    if "?" in url or "#" in url:
        raise _refusal(url, "without a query and a fragment")
    scheme, secure = parts.scheme.removesuffix("s"), parts.scheme.endswith("s")
    for form, interface, path in _PATHS:
        if scheme != form or not (match := path.fullmatch(parts.path)):
            continue
        if not host or not _HOST.fullmatch(host):
            raise _refusal(url, "with a host, of ASCII letters, digits, - and .")
        if not port:
            if scheme == "grpc" or port == 0:
                raise _refusal(url, "with a port from 1 to 65535")
            port = 443 if secure else 80
        model, version, label = (_decoded(url, part) if part else None for part in match.groups())
        return Address(interface, secure, host, port, model or "", version, label)
    raise _refusal(url, f"one of {FORMS}")


def _decoded(url: str, part: str) -> str:
    try:
        text = unquote(part, errors="strict")
    except UnicodeDecodeError as error:
        raise _refusal(url, "UTF-8, percent-encoded") from error
    if not text.isprintable() or set(text) & set("/:") or text in (".", ".."):
        raise _refusal(url, "with names of printable characters other than / and :")
    return text


def _refusal(url: str, expected: str) -> InputError:
    return InputError(
        f"a server's address must be {expected}, got {one_line(url)}", field="url", expected=expected, found=url
    )
