"""A server that serves the tiny model by TF Serving's REST and the Open Inference Protocol, or spoils its answers.

It works with the bytes of a socket, so that it can do what no library for servers would.
"""

import contextlib
import json
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from remote import tiny_model

PATIENCE = 20  # seconds after which a server gives up, whatever a client does
_INFERENCE = re.compile(r"/v2/models/tiny(?:-(mix|encode))?(?:/versions/4)?(/infer)?")


def http(
    body: bytes, status: str = "200 OK", headers: Iterable[str] = (), *, length: object = None, close: bool = False
) -> bytes:
    """An answer, of the length that it has or another that it says."""
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", *headers]
    lines += [] if length is False else [f"Content-Length: {len(body) if length is None else length}"]
    lines += ["Connection: close"] if close else []
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + body


@dataclass
class Exchange:
    """One request, and ways to answer it; `good` is the answer that is right.

    `values` is the JSON of it, and `content` the bytes behind that, None where there are none.
    """

    server: "ScriptedServer"
    connection: socket.socket
    method: str
    path: str
    headers: dict[str, str]
    request: bytes
    good: bytes = b""
    values: Any = None
    content: bytes | None = None
    over: bool = False

    def send(self, content: bytes) -> None:
        self.connection.sendall(content)

    def drip(self, content: bytes, seconds: float = 0.02) -> None:
        """A byte at a time, until all is sent or the client has gone."""
        for i in range(len(content)):
            self.send(content[i : i + 1])
            if self.server.stopping.wait(seconds):
                return

    def stall(self) -> None:
        """Say nothing more."""
        self.server.stopping.wait(PATIENCE)

    def close(self) -> None:
        """Close when `spoil` has returned."""
        self.over = True

    def reset(self) -> None:
        """Close likewise, so that the client's system sees a reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.over = True


Spoil = Callable[[Exchange], object]


class ScriptedServer:
    """While it is entered it serves. `spoil` answers in its place, each POST or, if `at` is "GET", each GET.

    With `raw` it answers each connection before anything is read from it. `binary` is whether the server says that it
    has the extension binary_tensor_data.
    """

    def __init__(self, *, context: ssl.SSLContext | None = None, binary: bool = True) -> None:
        self.spoil: Spoil | None = None
        self.raw: Spoil | None = None
        self.at = "POST"
        self.binary = binary
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.spoiled = self.connections = 0
        self.stopping = threading.Event()
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._open: set[socket.socket] = set()
        self.port = self._listener.getsockname()[1]

    def __enter__(self) -> "ScriptedServer":
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._open.add(connection)
                self._threads.append(threading.Thread(target=self._serve, args=(connection,), daemon=True))
                self._threads[-1].start()

    def _serve(self, plain: socket.socket) -> None:
        connection = plain
        try:
            if self.raw is not None:
                self.spoiled += 1
                self.raw(Exchange(self, connection, "", "", {}, b""))
                return
            if self._context is not None:
                connection = self._context.wrap_socket(plain, server_side=True)
                self._open.add(connection)
            with connection.makefile("rb") as reader:
                while (exchange := self._read(connection, reader)) is not None:
                    self.asked.append((exchange.method, exchange.path, exchange.headers))
                    if self.spoil is not None and exchange.method == self.at:
                        self.spoiled += 1
                        self.spoil(exchange)
                        if exchange.over:
                            return
                    else:
                        connection.sendall(exchange.good)
        except OSError:  # the client has gone, or would not have the certificate
            pass
        finally:
            self._open -= {connection, plain}
            connection.close()
            plain.close()

    def _read(self, connection: socket.socket, reader: Any) -> Exchange | None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = reader.readline()
            if not line:
                return None
            head += line
        first, *lines = head.decode("ascii").split("\r\n")[:-2]
        method, path, version = first.split(" ")
        assert version == "HTTP/1.1"
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        assert "host" in headers
        exchange = Exchange(self, connection, method, path, headers, reader.read(int(headers.get("content-length", 0))))
        exchange.values, exchange.content = self._right(exchange)
        exchange.good = answer(exchange.values, exchange.content)
        if exchange.values is None:
            exchange.good = http(json.dumps({"error": f"no such place: {path}"}).encode(), "404 Not Found")
        return exchange

    def _right(self, exchange: Exchange) -> tuple[Any, bytes | None]:
        """What to answer; (None, None) for what is not served."""
        method, path = exchange.method, exchange.path
        if path.startswith("/v1/models/tiny"):
            path = re.sub(r"/(versions/4|labels/stable)", "", path)
            if (method, path) == ("GET", "/v1/models/tiny/metadata"):
                return tiny_model.tf_metadata(), None
            if (method, path) == ("POST", "/v1/models/tiny:predict"):
                return tiny_model.tf_answer(exchange.request), None
        if (method, path) == ("GET", "/v2"):
            extensions = ["parameters", *(["binary_tensor_data"] if self.binary else [])]
            return {"name": "scripted", "version": "1", "extensions": extensions}, None
        if match := _INFERENCE.fullmatch(path):
            function = match[1] or "decode"
            if method == "GET" and not match[2]:
                return tiny_model.inference_metadata(function), None
            length = exchange.headers.get("inference-header-content-length")
            values, content = tiny_model.inference_answer(
                function, exchange.request, None if length is None else int(length)
            )
            return values, None if length is None else content
        return None, None


def answer(values: Any, content: bytes | None = None, head_length: object = None) -> bytes:
    """An answer of JSON, with bytes behind it where there are some, as the Open Inference Protocol has them."""
    head = json.dumps(values).encode()
    if content is None:
        return http(head)
    length = len(head) if head_length is None else head_length
    return http(head + content, headers=[f"Inference-Header-Content-Length: {length}"])
