"""One request of the preview: read within bounds, answered, or refused with {"error": {"type", "message", "field"}}.

Pages of other sites cannot reach it through the browser: the Host must be an address or localhost, so that no name
can be bound to it anew (DNS rebinding); a request that the browser says is another site's is refused, POST takes JSON
alone, and no header lets another origin read an answer.
"""

import io
import ipaddress
import json
import socket
import sys
import time
from http.server import BaseHTTPRequestHandler
from importlib.resources import files
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from cvae_sdk import __version__
from cvae_sdk.errors import CvaeError, InputError, TooLargeError
from cvae_sdk.preview.endpoints import ENDPOINTS, Reply
from cvae_sdk.preview.parameters import Parameters, RequestError

if TYPE_CHECKING:
    from cvae_sdk.preview.server import PreviewServer

__all__ = ["MOST_BODY", "SECONDS", "Handler", "error_body"]

MOST_BODY = 1 << 20
"""Bytes of a request's body."""
SECONDS = 15.0
"""Within which a request must have come, and an answer been taken; an open connection waits as long for the next."""

_PAGE = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self' blob:; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}


def error_body(kind: str, message: str, field: str | None = None) -> bytes:
    """The JSON of an error."""
    return json.dumps({"error": {"type": kind, "message": message, "field": field}}).encode()


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection, one after the other."""

    protocol_version = "HTTP/1.1"
    server_version = f"cvae/{__version__}"
    sys_version = ""
    server: "PreviewServer"  # pyright: ignore[reportIncompatibleVariableOverride]

    def setup(self) -> None:
        """Read through a deadline, which a client that drips its bytes cannot move."""
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        self._reader = _DeadlineReader(self.connection)
        self.rfile = io.BufferedReader(self._reader)

    def handle_one_request(self) -> None:
        """As the base class does, with a new deadline."""
        self._reader.deadline = time.monotonic() + SECONDS
        self.close_connection = True
        super().handle_one_request()

    def do_GET(self) -> None:
        """Answer."""
        self._answer("GET")

    def do_HEAD(self) -> None:
        """Answer without a body."""
        self._answer("GET")

    def do_POST(self) -> None:
        """Answer."""
        self._answer("POST")

    def do_OPTIONS(self) -> None:
        """Refuse: nothing here is for other origins."""
        self._answer("OPTIONS")

    do_PUT = do_DELETE = do_PATCH = do_OPTIONS  # noqa: N815 - http.server's names

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What http.server refuses by itself: a request line or headers that cannot be read."""
        self.close_connection = True
        self._send(code, Reply("application/json", error_body("RequestError", message or explain or "refused")))

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: requests are not logged."""

    def _answer(self, method: str) -> None:
        try:
            reply = self._reply(method)
            status = 200
        except RequestError as error:
            if error.status in (405, 413):
                self.close_connection = True  # a body that was not read may follow
            allow = {"Allow": error.field} if error.status == 405 and error.field else {}
            field = None if error.status == 405 else error.field
            status, reply = error.status, Reply("application/json", error_body(error.kind, str(error), field), allow)
        except InputError as error:
            status = 413 if isinstance(error, TooLargeError) else 400
            reply = Reply("application/json", error_body(type(error).__name__, str(error), error.field))
        except CvaeError as error:
            status, reply = 500, Reply("application/json", error_body(type(error).__name__, str(error), error.field))
        except (ConnectionError, TimeoutError):
            raise
        except Exception as error:  # a fault of this program must not end the server
            print(f"cvae serve: {type(error).__name__}: {error}", file=sys.stderr)
            status, reply = 500, Reply("application/json", error_body("InternalError", "the preview failed"))
        self._send(status, reply)

    def _reply(self, method: str) -> Reply:
        body = self._read_body()
        self._check_who_asks()
        parts = urlsplit(self.path)
        if parts.path in _PAGE:
            if method != "GET":
                raise RequestError(405, "MethodError", f"{parts.path} takes GET, got {self.command}", "GET, HEAD")
            name, media_type = _PAGE[parts.path]
            content = (files("cvae_sdk.preview") / name).read_bytes()
            return Reply(f"{media_type}; charset=utf-8", content)
        if parts.path not in ENDPOINTS:
            raise RequestError(404, "NotFoundError", "nothing is here: GET /v1/info lists what there is")
        endpoint = ENDPOINTS[parts.path]
        if method != endpoint.method:
            allow = "GET, HEAD" if endpoint.method == "GET" else endpoint.method
            raise RequestError(405, "MethodError", f"{parts.path} takes {endpoint.method}, got {self.command}", allow)
        if method == "GET":
            given = Parameters.of_query(parts.query, endpoint.known)
        else:
            if self.headers.get_content_type() != "application/json":
                raise RequestError(
                    400, "RequestError", "the body must be of Content-Type application/json", "Content-Type"
                )
            given = Parameters.of_json(body, endpoint.known)
        with self.server.computing:
            return endpoint.answer(self.server.subject, given)

    def _read_body(self) -> bytes:
        if "Transfer-Encoding" in self.headers:
            self.close_connection = True
            raise RequestError(400, "RequestError", "send a Content-Length, not chunks", "Transfer-Encoding")
        text = self.headers.get("Content-Length", "0")
        if (
            not (text.isascii() and text.isdigit() and len(text) < 20)
            or len(self.headers.get_all("Content-Length", [])) > 1
        ):
            self.close_connection = True
            raise RequestError(400, "RequestError", "Content-Length must be one number", "Content-Length")
        if int(text) > MOST_BODY:
            raise RequestError(413, "TooLargeError", f"a body has at most {MOST_BODY} bytes, got {int(text)}")
        body = self.rfile.read(int(text))
        if len(body) < int(text):
            raise ConnectionError("the body ended early")
        return body

    def _check_who_asks(self) -> None:
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or not self._is_this_machine(hosts[0]):
            raise RequestError(400, "HostError", "the Host must be localhost, an address, or what --host names", "Host")
        site = self.headers.get("Sec-Fetch-Site", "none")
        if site not in ("none", "same-origin") and self.headers.get("Sec-Fetch-Mode") != "navigate":
            raise RequestError(400, "SiteError", "another site's page asks: it may not", "Sec-Fetch-Site")

    def _is_this_machine(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
            if name in ("localhost", self.server.host.lower()):
                return True
            return bool(ipaddress.ip_address(name))
        except ValueError:
            return False

    def _send(self, status: int, reply: Reply) -> None:
        self.connection.settimeout(SECONDS)
        self.send_response(status)
        for name, value in {**_HEADERS, **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Type", reply.media_type)
        self.send_header("Content-Length", str(len(reply.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)


class _DeadlineReader(io.RawIOBase):
    """A socket that is read until a deadline, by whole requests rather than by single bytes."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.deadline = time.monotonic() + SECONDS

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the request did not come in time")
        self._connection.settimeout(left)
        return self._connection.recv_into(cast("memoryview", buffer))
