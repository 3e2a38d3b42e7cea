"""What can be wrong with the bytes that carry an answer: they do not come, break off, or lie about their length."""

import gzip
from collections.abc import Callable

from remote.scripted_http import Exchange, http

from cvae_sdk import DeadlineError, ProtocolError, UnreachableError
from faults.server_fault import ServerFault

SOON = 0.3
HTML = b"<!doctype html><title>Welcome to nginx!</title><h1>It works</h1>"
BOMB = gzip.compress(bytes(10_000_000))


def parts(exchange: Exchange) -> tuple[bytes, bytes]:
    """The head of the right answer, its blank line included, and the body."""
    head, blank, body = exchange.good.partition(b"\r\n\r\n")
    return head + blank, body


def then(content: Callable[[Exchange], bytes], after: Callable[[Exchange], object]) -> Callable[[Exchange], None]:
    def spoil(exchange: Exchange) -> None:
        exchange.send(content(exchange))
        after(exchange)

    return spoil


def nothing(_: Exchange) -> bytes:
    return b""


def half_head(exchange: Exchange) -> bytes:
    return parts(exchange)[0][:40]


def half_body(exchange: Exchange) -> bytes:
    head, body = parts(exchange)
    return head + body[: len(body) // 2]


def with_headers(*lines: str, length: object = None) -> Callable[[Exchange], None]:
    """The right body with header lines added, and perhaps with another length."""
    return lambda e: e.send(http(parts(e)[1], headers=lines, length=length))


def chunked(content: Callable[[bytes], bytes], *lines: str) -> Callable[[Exchange], None]:
    def spoil(exchange: Exchange) -> None:
        head = http(b"", headers=["Transfer-Encoding: chunked", *lines], length=False)
        exchange.send(head + content(parts(exchange)[1]))
        exchange.stall()

    return spoil


def chunk(content: bytes) -> bytes:
    return f"{len(content):x}\r\n".encode() + content + b"\r\n"


def drip_chunks(exchange: Exchange) -> None:
    exchange.send(http(b"", headers=["Transfer-Encoding: chunked"], length=False))
    exchange.drip(b"".join(chunk(bytes((byte,))) for byte in parts(exchange)[1]), 0.01)


def endless(start: bytes, again: bytes) -> Callable[[Exchange], None]:
    def spoil(exchange: Exchange) -> None:
        exchange.send(start)
        while not exchange.server.stopping.is_set():
            exchange.send(again)

    return spoil


def whole(content: bytes) -> Callable[[Exchange], None]:
    """These bytes, and then nothing more."""
    return then(lambda _: content, Exchange.stall)


def deadline(name: str, spoil: Callable[[Exchange], object], **more: object) -> ServerFault:
    return ServerFault(f"server: {name}", spoil, DeadlineError, "deadline", deadline=SOON, **more)


def broken(name: str, spoil: Callable[[Exchange], object], **more: object) -> ServerFault:
    return ServerFault(f"server: {name}", spoil, UnreachableError, "connection", tries=3, **more)


def wrong(name: str, field: str, spoil: Callable[[Exchange], object], **more: object) -> ServerFault:
    return ServerFault(f"server: {name}", spoil, ProtocolError, field, **more)


CHUNKED_HEAD = http(b"", headers=["Transfer-Encoding: chunked"], length=False)

TRANSPORT = (
    deadline("never answers", Exchange.stall),
    deadline("never answers a request for metadata", Exchange.stall, at="GET"),
    deadline("takes the connection and reads nothing", Exchange.stall, at="raw"),
    deadline("drips the head", lambda e: e.drip(e.good)),
    deadline("drips the head of metadata", lambda e: e.drip(e.good), at="GET"),
    deadline("drips the body", lambda e: (e.send(parts(e)[0]), e.drip(parts(e)[1]))),
    deadline("drips chunks", drip_chunks),
    deadline("stops within the head", then(half_head, Exchange.stall)),
    deadline("stops within the body", then(half_body, Exchange.stall)),
    deadline("says a length that is 1 too long", lambda e: e.send(http(parts(e)[1], length=len(parts(e)[1]) + 1))),
    deadline("sends interim answers and nothing after them", then(lambda _: b"HTTP/1.1 100 Continue\r\n\r\n", Exchange.stall)),
    deadline("leaves the last chunk out", chunked(lambda body: chunk(body))),
    broken("closes without an answer", Exchange.close),
    broken("closes the connection before a request", Exchange.close, at="raw"),
    broken("closes within the status line", then(lambda _: b"HTTP/1.1 20", Exchange.close)),
    broken("closes within the headers", then(half_head, Exchange.close)),
    broken("closes within the body", then(half_body, Exchange.close)),
    broken("closes within a chunk", then(lambda e: CHUNKED_HEAD + chunk(parts(e)[1])[:-9], Exchange.close)),
    broken("resets without an answer", Exchange.reset),
    broken("resets the connection before a request", Exchange.reset, at="raw"),
    broken("resets within the headers", then(half_head, Exchange.reset)),
    broken("resets within the body", then(half_body, Exchange.reset)),
    wrong("says a negative length", "content-length", with_headers(length=-5)),
    wrong("says a length with a sign", "content-length", with_headers(length="+5")),
    wrong("says a length that is no number", "content-length", with_headers(length="12 bytes")),
    wrong("says a length of 400 digits", "content-length", with_headers(length="9" * 400)),
    wrong("says a length of a petabyte", "body", with_headers(length=10**15)),
    wrong("says two lengths", "content-length", with_headers("Content-Length: 5")),
    wrong("says a length, and sends chunks", "transfer-encoding", with_headers("Transfer-Encoding: chunked")),
    wrong("uses a transfer coding that is unknown", "transfer-encoding", with_headers("Transfer-Encoding: gzip", length=False)),
    wrong("sends chunks without end", "body", endless(CHUNKED_HEAD, chunk(b" " * 4096))),
    wrong("sends a body without length and end", "body", endless(http(b"", length=False), b" " * 4096)),
    wrong("sends a chunk of negative size", "chunk size", chunked(lambda body: b"-5\r\n" + body)),
    wrong("sends a chunk's size as 0x10", "chunk size", chunked(lambda body: b"0x10\r\n" + body)),
    wrong("sends a chunk's size that is no number", "chunk size", chunked(lambda body: b"size\r\n" + body)),
    wrong("sends a chunk of a petabyte", "body", chunked(lambda body: b"38d7ea4c68000\r\n" + body)),
    wrong("sends a chunk's size without end", "chunk size", endless(CHUNKED_HEAD, b"0" * 4096)),
    wrong("sends a chunk that is longer than it says", "chunk", chunked(lambda body: b"5\r\n" + body)),
    wrong("sends trailers without end", "headers", endless(CHUNKED_HEAD + b"0\r\n", b"Trailer: 1\r\n" * 100)),
    wrong("compresses a body that fills the memory", "content-encoding", lambda e: e.send(http(BOMB, headers=["Content-Encoding: gzip"]))),
    wrong("compresses by an unknown coding", "content-encoding", with_headers("Content-Encoding: br")),
    wrong("answers as HTTP/0.9 does", "status line", then(lambda _: HTML + b"\r\n", Exchange.close)),
    wrong("answers with another protocol", "status line", whole(b"SSH-2.0-OpenSSH_9.6\r\n")),
    wrong("answers with bytes", "status line", whole(bytes(range(256)) + b"\r\n")),
    wrong("answers with a version of HTTP that was not asked for", "status line", whole(b"HTTP/2 200\r\n\r\n")),
    wrong("answers with a status of 2 digits", "status line", whole(b"HTTP/1.1 20 OK\r\n\r\n")),
    wrong("answers with a status of 4 digits", "status line", whole(b"HTTP/1.1 2000 OK\r\n\r\n")),
    wrong("answers with a status line without end", "status line", endless(b"HTTP/1.1 200 ", b"O" * 4096)),
    wrong("sends a header without a colon", "headers", with_headers("no colon here")),
    wrong("sends a header with a blank in its name", "headers", with_headers("Two Words: 1")),
    wrong("folds a header over lines", "headers", with_headers("X-Folded: 1", " 2")),
    wrong("sends a header with a zero byte", "headers", with_headers("X-Zero: \0")),
    wrong("sends thousands of headers", "headers", with_headers(*(f"X-{i}: 1" for i in range(5000)))),
    wrong("sends a header line without end", "headers", endless(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x" * 4096)),
    wrong("sends interim answers without end", "status", endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100)),
    wrong("switches to another protocol", "status", whole(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n")),
)  # fmt: skip
