"""The preview's server: a thread for each connection, not many of them, on this machine alone unless told."""

import contextlib
import ipaddress
import os
import signal
import socket
import socketserver
import sys
import threading
from http.server import HTTPServer
from types import FrameType
from typing import Any

from cvae_sdk.errors import CvaeError, InputError
from cvae_sdk.preview.endpoints import Subject
from cvae_sdk.preview.handler import Handler, error_body

__all__ = ["MOST_CONNECTIONS", "PreviewServer", "bind", "serve_until_interrupted"]

MOST_CONNECTIONS = 32
"""Open at once; a browser opens six."""


class PreviewServer(socketserver.ThreadingMixIn, HTTPServer):
    """Serves one Sampler at a listening socket."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, listener: socket.socket, subject: Subject, host: str) -> None:
        self.subject, self.host = subject, host
        self.computing = threading.BoundedSemaphore(max(1, os.cpu_count() or 1))
        self._connections = threading.BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__(("", 0), Handler, bind_and_activate=False)
        self.socket.close()  # the one that the base class made
        self.socket = listener
        self.server_address = listener.getsockname()
        self.server_name, self.server_port = host, listener.getsockname()[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for a connection, or refuse it where there are enough."""
        if self._connections.acquire(blocking=False):
            super().process_request(request, client_address)
            return
        body = error_body("TooManyRequestsError", f"{MOST_CONNECTIONS} connections are open already: try again")
        head = (
            "HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        with contextlib.suppress(OSError):
            request.settimeout(0.1)
            request.sendall(head.encode() + body)
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away or took too long is nobody's fault; anything else is told."""
        error = sys.exception()
        if not isinstance(error, OSError):
            print(f"cvae serve: {type(error).__name__}: {error}", file=sys.stderr)


def bind(host: str, port: int, *, anywhere: bool = False) -> socket.socket:
    """A listening socket; InputError for a host that other machines reach, unless `anywhere`, or a port in use."""
    if not 0 <= port <= 65535:
        raise InputError(f"--port must be from 0 to 65535, got {port}", field="port")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError) as error:
        raise InputError(f"--host {host} is no address of this machine", field="host") from error
    if not anywhere and not ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback:
        raise InputError(
            f"--host {host} lets other machines in, without password and encryption: to have that all the same, add "
            "--unsafe-bind-anywhere",
            field="host",
        )
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(64)
    except OSError as error:
        listener.close()
        raise CvaeError(f"cannot listen at {host}, port {port}: {error.strerror or error}") from error
    return listener


def serve_until_interrupted(listener: socket.socket, subject: Subject, host: str) -> None:
    """Serve until Ctrl-C or SIGTERM; `host` is what the user calls this machine, which a Host header may be too."""
    address, port = listener.getsockname()[:2]
    shown = f"[{address}]" if ":" in address else address
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        with PreviewServer(listener, subject, host) as server:
            print(f"{subject.sampler.manifest.name} at http://{shown}:{port}/  (a preview; Ctrl-C ends it)", flush=True)
            server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
