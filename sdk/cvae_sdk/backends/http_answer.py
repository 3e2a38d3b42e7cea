"""An HTTP/1.1 answer (RFC 9112), read strictly, every part of it bounded before it is read, and under one deadline.

Python's own http.client takes a negative length, a length that is no number, two lengths and 0x1_0 as a chunk's size,
reads as many trailers as are sent, and knows no deadline but that of one read. Where the RFC lets a reader choose
between refusing and guessing, this one refuses.
"""

import re
import socket
from dataclasses import dataclass

from cvae_sdk.backends.deadline import Deadline
from cvae_sdk.errors import ProtocolError, one_line

__all__ = ["Answer", "AnswerReader"]

MAX_HEAD = 65_536
"""Bytes of all header lines, of an answer and of what may go before it; and of all trailers."""
MAX_HEADERS = 128
_MAX_INTERIM = 8  # answers 1xx before the one that is meant
_READ = 65_536
_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-9]\d\d)(?: [^\r\n\0]*)?")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*")
_LENGTH = re.compile(r"\d{1,18}")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n\0]*)?")


@dataclass(frozen=True)
class Answer:
    """Status, headers by lower-case name, and body."""

    status: int
    headers: dict[str, str]
    body: bytearray
    keep: bool
    """Whether the connection can be used again."""


class AnswerReader:
    """Reads what a socket gives. Raises OSError as the socket does, and RemoteError."""

    def __init__(self, connection: socket.socket, server: str) -> None:
        self._socket, self._server = connection, server
        self._buffer = bytearray()

    def answer(self, most: int, most_refused: int, deadline: Deadline) -> Answer:
        """The next answer: a body of at most `most` bytes, with a status other than 200 cut to `most_refused`."""
        self._started = False
        for _ in range(_MAX_INTERIM):
            minor, status = self._status_line(deadline)
            headers = self._headers(deadline)
            if status == 101:
                raise self._broken("status", "200", status)
            if status >= 200:
                return self._whole(minor, status, headers, most_refused if status != 200 else most, deadline)
        raise self._broken("status", "200", f"{_MAX_INTERIM} times one below it")

    def _whole(self, minor: int, status: int, headers: dict[str, str], most: int, deadline: Deadline) -> Answer:
        keep = minor == 1 and "close" not in headers.get("connection", "").lower()
        body, whole = self._body(status, headers, most, status != 200, deadline)
        return Answer(status, headers, body, keep and whole and not self._buffer)

    def _status_line(self, deadline: Deadline) -> tuple[int, int]:
        line = self._line(MAX_HEAD, "status line", deadline)
        if not (match := _STATUS.fullmatch(line)):
            raise self._broken("status line", "HTTP/1.1 and a status", bytes(line[:80]))
        return int(match[1]), int(match[2])

    def _headers(self, deadline: Deadline) -> dict[str, str]:
        headers: dict[str, str] = {}
        room = MAX_HEAD
        for _ in range(MAX_HEADERS + 1):
            line = self._line(room, "headers", deadline)
            room -= len(line)
            if not line:
                return headers
            if not (match := _HEADER.fullmatch(line)):
                raise self._broken("headers", "lines of a name, a colon and a value", bytes(line[:80]))
            name, value = match[1].decode("ascii").lower(), match[2].decode("latin-1")
            if name in headers and name in ("content-length", "transfer-encoding", "content-encoding"):
                raise self._broken(name, "there once", value)
            headers[name] = value
        raise self._broken("headers", f"at most {MAX_HEADERS}", "more")

    def _body(
        self, status: int, headers: dict[str, str], most: int, cut: bool, deadline: Deadline
    ) -> tuple[bytearray, bool]:
        """The body, and whether it was read to its end and the connection goes on after it."""
        if status in (204, 304):
            return bytearray(), True
        encoding = headers.get("content-encoding", "identity")
        if encoding.lower() != "identity" and not cut:
            raise self._broken("content-encoding", "none, as was asked for", encoding)
        transfer, length = headers.get("transfer-encoding"), headers.get("content-length")
        if transfer is not None:
            if transfer.lower() != "chunked" or length is not None:
                raise self._broken("transfer-encoding", "chunked, and without a length", transfer)
            return self._chunks(most, cut, deadline)
        if length is None:
            return self._until_closed(most, cut, deadline), False
        if not _LENGTH.fullmatch(length):
            raise self._broken("content-length", "a number of bytes", length)
        if (size := int(length)) > most and not cut:
            raise self._too_long(most, size)
        return self._exactly(min(size, most), deadline), size <= most

    def _chunks(self, most: int, cut: bool, deadline: Deadline) -> tuple[bytearray, bool]:
        body = bytearray()
        while True:
            line = self._line(1024, "chunk size", deadline)
            if not (match := _CHUNK.fullmatch(line)):
                raise self._broken("chunk size", "hexadecimal digits", bytes(line[:80]))
            if not (size := int(match[1], 16)):
                self._headers(deadline)
                return body, True
            if len(body) + size > most:
                if cut:
                    return body, False
                raise self._too_long(most, len(body) + size)
            body += self._exactly(size, deadline)
            if line := self._line(2, "chunk", deadline):
                raise self._broken("chunk", f"of {size} bytes", bytes(line))

    def _until_closed(self, most: int, cut: bool, deadline: Deadline) -> bytearray:
        body, self._buffer = self._buffer, bytearray()
        while len(body) <= most and (part := self._receive(deadline)):
            body += part
        if len(body) > most:
            if not cut:
                raise self._too_long(most, f"more than {most}")
            del body[most:]
        return body

    def _exactly(self, size: int, deadline: Deadline) -> bytearray:
        body = self._buffer[:size]
        del self._buffer[:size]
        at = len(body)
        body.extend(bytes(size - at))
        with memoryview(body) as view:
            while at < size:
                self._socket.settimeout(deadline.left())
                if not (count := self._socket.recv_into(view[at:])):
                    raise _closed(f"after {at} of {size} bytes")
                at += count
        return body

    def _line(self, most: int, what: str, deadline: Deadline) -> bytes:
        """Up to a line's end, which is left out; a bare line feed is no line's end."""
        looked = 0
        while (end := self._buffer.find(b"\r\n", looked)) < 0:
            looked = max(0, len(self._buffer) - 1)
            if len(self._buffer) > most:
                raise self._broken(what, f"at most {most} bytes", f"more than {most}")
            if not (part := self._receive(deadline)):
                raise _closed(f"within the {what}" if self._buffer or self._started else "without an answer")
            self._started = True
            self._buffer += part
        if end > most:
            raise self._broken(what, f"at most {most} bytes", end)
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _receive(self, deadline: Deadline) -> bytes:
        self._socket.settimeout(deadline.left())
        return self._socket.recv(_READ)

    def _broken(self, field: str, expected: str, found: object) -> ProtocolError:
        return ProtocolError(
            f"{self._server} does not answer as HTTP/1.1 says: {field} must be {expected}, got {one_line(found)}",
            field=field, expected=expected, found=found,
        )  # fmt: skip

    def _too_long(self, most: int, found: object) -> ProtocolError:
        return ProtocolError(
            f"{self._server} answers with {found} bytes, more than the {most} that this request can need",
            field="body", expected=most, found=found,
        )  # fmt: skip


def _closed(where: str) -> ConnectionAbortedError:
    return ConnectionAbortedError(f"it was closed {where}")
