"""Requests to one server over HTTP/1.1, on connections that are kept and used again; for many threads at once.

No proxy is used, whatever the environment says, no redirect followed and no compression asked for. A connection is used
by one thread at a time, and only by the process that made it.
"""

import os
import select
import socket
import ssl
from collections import deque
from collections.abc import Mapping

from cvae_sdk.backends.deadline import Deadline
from cvae_sdk.backends.http_answer import Answer, AnswerReader
from cvae_sdk.backends.retries import Again
from cvae_sdk.errors import RemoteError, UnreachableError, named

__all__ = ["HttpConnections"]

_KEPT = 32  # connections that wait for a request
_MAX_REFUSED = 16_384  # bytes of a refusal's body, which are read for its message
_SENT = 262_144  # bytes sent at a time, so that the deadline is looked at in between


class HttpConnections:
    """Connections to one server, with the headers that each request to it has."""

    def __init__(
        self, host: str, port: int, server: str, context: ssl.SSLContext | None, headers: Mapping[str, str]
    ) -> None:
        self._host, self._port, self._server, self._context = host, port, server, context
        given = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._prefix = f"Host: {server}\r\nAccept-Encoding: identity\r\nUser-Agent: cvae-sdk\r\n{given}"
        self._waiting: deque[_Connection] = deque()
        self._closed = False

    def ask(
        self, method: str, path: str, most: int, deadline: Deadline, body: bytes = b"", headers: str = ""
    ) -> Answer:
        """The answer to one request, of at most `most` bytes; `headers` are whole lines.

        Raises Again for a connection that was refused or broke, and RemoteError.
        """
        length = f"Content-Length: {len(body)}\r\n" if method == "POST" else ""
        head = f"{method} {path} HTTP/1.1\r\n{self._prefix}{headers}{length}\r\n".encode("ascii")
        try:
            connection = self._take(deadline)
            try:
                answer = connection.ask(head, body, most, deadline)
            except BaseException:
                connection.close()
                raise
        except TimeoutError as error:
            if isinstance(error, RemoteError):
                raise
            raise deadline.error() from error
        except ConnectionError as error:
            raise Again(self._unreachable(error)) from error
        except OSError as error:  # of TLS and of the look-up of names too
            raise self._unreachable(error) from error
        if answer.keep and len(self._waiting) < _KEPT and not self._closed:
            self._waiting.append(connection)
        else:
            connection.close()
        return answer

    def close(self) -> None:
        """Close those that wait for a request, and keep no more."""
        self._closed = True
        while self._waiting:
            self._waiting.pop().close()

    def _take(self, deadline: Deadline) -> "_Connection":
        while self._waiting:
            try:
                connection = self._waiting.pop()
            except IndexError:  # another thread took it
                break
            if connection.can_go_on():
                return connection
            connection.close()
        return _Connection(self._connect(deadline), self._server)

    def _connect(self, deadline: Deadline) -> socket.socket:
        places = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        for number, (family, kind, protocol, _, place) in enumerate(places):
            connection = socket.socket(family, kind, protocol)
            try:
                connection.settimeout(deadline.left() / (len(places) - number))
                connection.connect(place)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._context is None:
                    return connection
                connection.settimeout(deadline.left())
                return self._context.wrap_socket(connection, server_hostname=self._host)
            except BaseException as error:
                connection.close()
                last = number == len(places) - 1
                if last or isinstance(error, RemoteError | ssl.SSLError) or not isinstance(error, OSError):
                    raise
        raise OSError(f"the name {self._host} has no address")

    def _unreachable(self, error: OSError) -> UnreachableError:
        verify = getattr(error, "verify_message", None)
        reason = named(" ".join(str(verify or error.strerror or error).split()))
        if isinstance(error, ssl.SSLError):
            return UnreachableError(
                f"{self._server} cannot be trusted: {reason}: check its certificate, or give ca_file in RemoteOptions",
                field="certificate" if verify else "tls",
                expected=f"a certificate of {self._host} that is trusted" if verify else "a server that speaks TLS",
                found=reason,
            )
        broken = isinstance(error, ConnectionError) and not isinstance(error, ConnectionRefusedError)
        what = "broke the connection" if broken else "cannot be reached"
        return UnreachableError(
            f"{self._server} {what}: {reason}: check that the server runs there",
            field="connection", expected="a whole answer" if broken else "a server", found=reason,
        )  # fmt: skip


class _Connection:
    def __init__(self, connection: socket.socket, server: str) -> None:
        self._socket, self._process = connection, os.getpid()
        self._reader = AnswerReader(connection, server)

    def can_go_on(self) -> bool:
        """Whether it is this process's, still open, and nothing came over it that nobody asked for."""
        if self._process != os.getpid():
            return False
        try:
            poll = select.poll()
            poll.register(self._socket, select.POLLIN)
            return not poll.poll(0)
        except (OSError, ValueError):
            return False

    def ask(self, head: bytes, body: bytes, most: int, deadline: Deadline) -> Answer:
        try:
            self._send(head + body if len(body) < _SENT else head, deadline)
            if len(body) >= _SENT:
                self._send(body, deadline)
        except (BrokenPipeError, ConnectionResetError) as error:
            # A server may refuse a request before it has read all of it.
            try:
                return self._reader.answer(most, _MAX_REFUSED, deadline)
            except OSError:
                raise error from None
        return self._reader.answer(most, _MAX_REFUSED, deadline)

    def _send(self, content: bytes, deadline: Deadline) -> None:
        with memoryview(content) as view:
            at = 0
            while at < len(view):
                self._socket.settimeout(deadline.left())
                at += self._socket.send(view[at : at + _SENT])

    def close(self) -> None:
        self._socket.close()
