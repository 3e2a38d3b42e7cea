"""Statuses of HTTP, with and without words of the server's, and with and without a time to wait."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from remote.scripted_http import Exchange, http

from cvae_sdk import OverloadedError, ProtocolError, RefusedError, RemoteError, ServerFailedError
from faults.server_fault import ServerFault
from faults.server_transport import HTML, endless

NOW = datetime.now(UTC)


def status(code: int, body: bytes = b'{"error": "no"}', *headers: str) -> Callable[[Exchange], None]:
    return lambda e: e.send(http(body, f"{code} Said So", headers))


def answers(code: int, error: type[RemoteError], tries: int = 1) -> ServerFault:
    return ServerFault(f"server: answers {code}", status(code), error, "status", tries=tries)


def waits(code: int, what: str, retry_after: str, tries: int) -> ServerFault:
    spoil = status(code, b"", f"Retry-After: {retry_after}")
    return ServerFault(
        f"server: answers {code}, to be asked again {what}", spoil, OverloadedError, "status", tries=tries
    )


STATUS = (
    *(answers(code, ProtocolError) for code in (201, 204, 206, 300, 304, 600, 999)),
    *(
        ServerFault(f"server: redirects with {code}", status(code, b"", "Location: http://localhost:1/"), ProtocolError, "status")
        for code in (301, 302, 303, 307, 308)
    ),
    *(answers(code, RefusedError) for code in (400, 401, 403, 404, 405, 406, 408, 409, 413, 415, 418, 422, 431, 501)),
    *(answers(code, ServerFailedError) for code in (500, 505, 507, 599)),
    *(answers(code, ServerFailedError, tries=3) for code in (502, 504)),
    *(answers(code, OverloadedError, tries=3) for code in (429, 503)),
    waits(429, "at once", "0", 3),
    waits(503, "at once", "0", 3),
    waits(429, "in an hour", "3600", 1),
    waits(503, "in an hour", "3600", 1),
    waits(503, "in 10^400 seconds", "1" + "0" * 400, 1),
    waits(503, "at a date that is gone", format_datetime(NOW - timedelta(days=1), usegmt=True), 3),
    waits(503, "at a date to come", format_datetime(NOW + timedelta(days=1), usegmt=True), 1),
    waits(429, "in the year 9999", "Fri, 31 Dec 9999 23:59:59 GMT", 1),
    waits(503, "before it was asked", "-5", 3),
    waits(503, "in half a second, which no header can say", "0.5", 3),
    waits(503, "soon", "soon", 3),
    waits(503, "at a date that is none", "Fri, 99 Foo 2026 77:77:77 GMT", 3),
    waits(503, "and says not when", "", 3),
    ServerFault("server: refuses with a page of HTML", status(403, HTML * 1000), RefusedError, "status"),
    ServerFault("server: refuses with bytes that are no text", status(400, bytes(range(256))), RefusedError, "status"),
    ServerFault("server: refuses in lines and escapes", status(400, json.dumps({"error": "a\n\x1b[31mb\r\n" * 99}).encode()), RefusedError, "status"),
    ServerFault("server: refuses with nested brackets", status(400, b"[" * 9999), RefusedError, "status"),
    ServerFault("server: refuses with words without end", endless(http(b"", "400 No", length=False), b"no " * 1000), RefusedError, "status"),
    ServerFault("server: refuses with a compressed body", status(400, b"\x1f\x8b\x08", "Content-Encoding: gzip"), RefusedError, "status"),
    ServerFault("server: does not have the model", status(404), RefusedError, "status", at="GET"),
    ServerFault("server: is busy when it is asked for metadata", status(503), OverloadedError, "status", at="GET", tries=3),
    ServerFault("server: wants to know who asks for metadata", status(401), RefusedError, "status", at="GET"),
)  # fmt: skip
