"""A Ray to work on: one that is there, by its address, or one of this machine alone, which ends with the work.

A local Ray obeys only who has its token, which is made for it and told to its own processes alone; it has no dashboard,
reports no usage, and leaves nothing behind.
"""

import contextlib
import functools
import logging
import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Generator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from cvae_sdk.errors import BackendError, BackendUnavailableError, InputError, UnreachableError, one_line

__all__ = ["connected", "library"]

_OBJECT_STORE = 128 * 2**20
"""Bytes of a local Ray's store: it passes an artifact and the batches of a data set that are under way."""
_PATIENCE = 5.0
"""Seconds for an address to answer."""
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # under `uv run` it would copy the working folder
}
_HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
_HTTP2_SETTINGS = 4
_LOOPBACK = "127.0.0.2" if sys.platform == "linux" else None
"""Ray replaces 127.0.0.1 by an address that other machines see, but on macOS and Windows."""


def library(*, quiet: bool = False) -> ModuleType:
    """Ray; BackendUnavailableError without the extra `ray`.

    Imported `quiet`, it prints nothing in this process of workers that die, nor what they print.
    """
    try:
        with _environment({"RAY_DEDUP_LOGS_SKIP_REGEX": "."} if quiet else {}):
            import ray
    except ImportError as error:
        raise BackendUnavailableError(
            "bulk sampling needs Ray: pip install 'cvae-sdk[ray]'", expected="ray", found=None
        ) from error
    return ray


@contextlib.contextmanager
def connected(address: str | None, workers: int | None = None) -> Generator[ModuleType]:
    """Ray, connected: the program's own if it has one, the one at `address`, or a local one of so many processors.

    `address` is HOST:PORT, ray://HOST:PORT, or "auto" for the one of $RAY_ADDRESS or of this machine. A Ray that was
    started here is shut down at the end. Raises BackendUnavailableError without Ray, UnreachableError within seconds
    where no Ray answers, BackendError for a Ray that refuses.
    """
    ray: Any = library()
    if ray.is_initialized():
        yield ray
        return
    with contextlib.ExitStack() as stack:
        if address is None:
            stack.enter_context(_local(ray, workers or os.cpu_count() or 1))
        else:
            stack.enter_context(_remote(ray, address))
        yield ray


@contextlib.contextmanager
def _local(ray: Any, workers: int) -> Generator[None]:
    folder = tempfile.mkdtemp(prefix="cvae-ray-", dir=_short_temporary_folder())
    try:
        with _environment(_QUIET | {"RAY_AUTH_MODE": None} | _token()):
            try:
                ray.init(
                    address="local",
                    num_cpus=workers,
                    num_gpus=0,
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.CRITICAL,
                    object_store_memory=_OBJECT_STORE,
                    _node_ip_address=_LOOPBACK,
                    _temp_dir=folder,
                )
                yield
            finally:
                ray.shutdown()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _remote(ray: Any, address: str) -> Generator[None]:
    found = os.environ.get("RAY_ADDRESS", "auto") if address == "auto" else address
    if found != "auto":
        _check_answers(found)
    try:
        ray.init(address=found, log_to_driver=False, logging_level=logging.CRITICAL)
    except (Exception, SystemExit) as error:  # Ray ends the process where it cannot connect
        if found == "auto":
            message = "no Ray runs on this machine and RAY_ADDRESS is not set: give --address HOST:PORT, or none"
            raise UnreachableError(message, found=address) from error
        raise BackendError(f"the Ray at {found} refuses: {_first_line(error)}", found=found) from error
    try:
        yield
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """UnreachableError unless something at the address speaks HTTP/2, as Ray does: Ray itself would try for minutes."""
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        host, port = parts.hostname, parts.port or (10001 if parts.scheme == "ray" else 6379)
    except ValueError:
        host, port = None, 0
    if not host or parts.scheme not in ("", "ray"):
        raise InputError(f"an address is HOST:PORT, ray://HOST:PORT or auto, got {one_line(address)}", found=address)
    try:
        with socket.create_connection((host, port), timeout=_PATIENCE) as connection:
            if os.environ.get("RAY_USE_TLS", "0") != "0":
                return
            connection.sendall(_HTTP2_PREFACE)
            frame = connection.recv(9)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UnreachableError(f"no Ray answers at {address}: {reason}", found=address) from error
    if len(frame) < 9 or frame[3] != _HTTP2_SETTINGS:
        raise UnreachableError(f"no Ray answers at {address}: something else does", found=address)


@functools.cache
def _token() -> dict[str, str]:
    """Ray asks a token of all that connect to a local Ray, and would keep a new one in the home folder."""
    kept = Path.home() / ".ray" / "auth_token"
    if kept.exists() or "RAY_AUTH_TOKEN" in os.environ or "RAY_AUTH_TOKEN_PATH" in os.environ:
        return {}
    return {"RAY_AUTH_TOKEN": secrets.token_hex(32)}


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return f"{lines[0]} {lines[-1]}" if lines[0].endswith(":") and len(lines) > 1 else lines[0]


def _short_temporary_folder() -> str | None:
    """Ray keeps sockets there, whose paths a system limits to some hundred characters."""
    return "/tmp" if len(tempfile.gettempdir()) > 30 and os.access("/tmp", os.W_OK) else None  # noqa: S108


@contextlib.contextmanager
def _environment(values: Mapping[str, str | None]) -> Generator[None]:
    """Those variables, or without those that are None, for this process and those that it starts; then as they were."""
    before = {name: os.environ.get(name) for name in values}
    _set(values)
    try:
        yield
    finally:
        _set(before)


def _set(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
