"""The preview's addresses: what they give is what Sampler gives; what they refuse is told in JSON, by the field."""

import contextlib
import http.client
import io
import json
import socket
import struct
import time
from urllib.parse import urlencode

import numpy as np
import pytest
from PIL import Image

from cvae_sdk import InputError
from cvae_sdk.images import tile
from cvae_sdk.latents import standard_normal_latents
from cvae_sdk.preview import handler as handler_module
from cvae_sdk.preview.endpoints import ENDPOINTS, Endpoint
from cvae_sdk.preview.handler import MOST_BODY
from cvae_sdk.preview.server import MOST_CONNECTIONS, bind

JSON = {"Content-Type": "application/json"}


def request(port: int, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def get(port: int, path: str, **query: object):
    return request(port, "GET", f"{path}?{urlencode(query, doseq=True)}" if query else path)


def post(port: int, path: str, values: object):
    return request(port, "POST", path, json.dumps(values).encode(), JSON)


def raw(port: int, content: bytes) -> bytes:
    """All that comes back to these bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(content)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def pixels(body: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(body)) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture)


# What is given


def test_sample_png_is_the_sampler_s_sheet(port, mixer):
    query = {"label": 7, "n": 5, "seed": 3, "temperature": 0.5, "truncation": 2, "columns": 5, "scale": 2}
    status, headers, body = get(port, "/v1/sample.png", **query)
    assert (status, headers["Content-Type"], headers["X-Seed"]) == (200, "image/png", "3")
    images = mixer.sample(7, n=5, seed=3, temperature=0.5, truncation=2.0)
    np.testing.assert_array_equal(pixels(body), np.asarray(tile(images, 5, scale=2)))


def test_sample_png_takes_several_labels_mixes_and_first(port, mixer):
    _, _, body = get(port, "/v1/sample.png", label=["3", "3:1,8:1"], seed=3, first=10)
    weights = np.zeros((2, 10), np.float32)
    weights[0, 3], weights[1, [3, 8]] = 1, 0.5
    np.testing.assert_array_equal(pixels(body), np.asarray(tile(mixer.sample(weights, seed=3, first=10), 2)))


def test_a_random_seed_is_told_and_gives_the_same_again(port):
    _, headers, body = get(port, "/v1/sample.png", label=7)
    assert get(port, "/v1/sample.png", label=7, seed=headers["X-Seed"])[2] == body
    assert get(port, "/v1/sample.png", label=7)[1]["X-Seed"] != headers["X-Seed"]


@pytest.mark.parametrize("labels", [7, "7", [7, "3"], {"3": 1, "8": 1}, [{"3": 0.5, "8": 0.5}, "1:1,2:1"]])
def test_sample_gives_json_of_the_sampler_s_images(port, mixer, labels):
    status, _, body = post(port, "/v1/sample", {"labels": labels, "n": 2, "seed": 2**64 - 1, "output": "json"})
    given = json.loads(body)
    rows = [np.eye(10, dtype=np.float32)[i] for i in range(10)]
    expected = {
        "7": [rows[7]],
        "[7, '3']": [rows[7], rows[3]],
        "{'3': 1, '8': 1}": [(rows[3] + rows[8]) / 2],
        "[{'3': 0.5, '8': 0.5}, '1:1,2:1']": [(rows[3] + rows[8]) / 2, (rows[1] + rows[2]) / 2],
    }[str(labels)]
    images = mixer.sample(np.repeat(np.stack(expected), 2, axis=0), seed=2**64 - 1)
    assert (status, given["seed"], given["dtype"], given["shape"]) == (200, 2**64 - 1, "uint8", list(images.shape))
    np.testing.assert_array_equal(given["images"], images)


def test_latents_are_the_seed_s_and_decode_makes_its_images_of_them(port, mixer):
    _, _, body = get(port, "/v1/latents", n=2, seed=9, temperature=0.5, truncation=1)
    z = np.array(json.loads(body)["z"], np.float32)
    expected = standard_normal_latents(9, 0, 2, mixer.latent_dim, temperature=0.5, truncation=1.0)
    np.testing.assert_array_equal(z, expected)
    _, _, body = post(port, "/v1/decode", {"z": z.tolist(), "label": [7, "3"], "output": "json"})
    np.testing.assert_array_equal(
        np.array(json.loads(body)["images"], np.float32), mixer.decode(z, np.array([7, 3], np.int32))
    )


def test_decode_takes_class_weights_and_one_list_as_one_row(port, mixer):
    z = standard_normal_latents(9, 0, 1, mixer.latent_dim)
    weights = np.zeros((1, 10), np.float32)
    weights[0, [3, 8]] = 0.5
    _, headers, body = post(port, "/v1/decode", {"z": z[0].tolist(), "class_weights": weights[0].tolist()})
    assert headers["Content-Type"] == "image/png"
    np.testing.assert_array_equal(pixels(body), mixer.sample(weights, seed=9)[0, ..., 0])


def test_grid_png_is_the_sampler_s_grid(port, mixer):
    query = {"n": 3, "seed": 1, "temperature": 0.5, "truncation": 2, "scale": 2}
    _, _, body = get(port, "/v1/grid.png", **query)
    expected = mixer.grid(None, 3, seed=1, temperature=0.5, truncation=2.0, scale=2)
    np.testing.assert_array_equal(pixels(body), np.asarray(expected))
    _, _, body = get(port, "/v1/grid.png", label=[3, 1], n=2, seed=1)
    np.testing.assert_array_equal(pixels(body), np.asarray(mixer.grid([3, 1], 2, seed=1)))


def test_morph_gif_is_the_sampler_s_animation(port, mixer):
    status, headers, body = get(port, "/v1/morph.gif", label=[0, 1, 2], steps=3, seed=1, scale=2, duration=50)
    assert (status, headers["Content-Type"]) == (200, "image/gif")
    assert body == mixer.gif([0, 1, 2], 3, seed=1, scale=2, duration=50)


def test_info_names_the_artifact_and_every_address(port, mixer, mnist):
    given = json.loads(get(port, "/v1/info")[2])
    assert given["digest"] == mixer.manifest.digest
    assert given["classes"] == list(mixer.classes)
    assert (given["latent_dim"], given["image_shape"]) == (mixer.latent_dim, [28, 28, 1])
    assert given["opened_as"] == str(mnist)
    assert given["endpoints"].keys() == ENDPOINTS.keys()


def test_head_gives_the_headers_alone(port):
    status, headers, body = request(port, "HEAD", "/v1/sample.png?label=7&seed=1")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) == len(get(port, "/v1/sample.png", label=7, seed=1)[2])


def test_one_connection_takes_many_requests(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for path in ("/v1/info", "/nothing", "/v1/sample.png?label=7", "/v1/sample.png?label=x", "/v1/info"):
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        assert not answer.will_close
    connection.close()


@pytest.mark.parametrize("path", ["/", "/page.css", "/page.js", "/icon.svg", "/v1/info", "/nothing", "/v1/sample.png"])
def test_every_answer_has_the_headers_that_lock_it_in(port, path):
    _, headers, _ = get(port, path)
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"
    assert not [name for name in headers if name.lower().startswith("access-control-")]
    assert "Python" not in headers["Server"]


# What is refused

BAD_QUERIES = [
    ("/v1/sample.png", {}, "label", "label is missing"),
    ("/v1/sample.png", {"label": "ten"}, "label", "unknown class 'ten'"),
    ("/v1/sample.png", {"label": "10"}, "label", "a label must be from 0 to 9, got 10"),
    ("/v1/sample.png", {"label": "3:1,8"}, "label", "a mix is CLASS:SHARE"),
    ("/v1/sample.png", {"label": 7, "n": "0"}, "n", "n must be an integer from 1 to 1024, got 0"),
    ("/v1/sample.png", {"label": 7, "n": "1025"}, "n", "n must be an integer from 1 to 1024"),
    ("/v1/sample.png", {"label": 7, "n": "many"}, "n", "n must be an integer from 1 to 1024, got 'many'"),
    ("/v1/sample.png", {"label": 7, "n": "1" * 5000}, "n", "n must be an integer from 1 to 1024"),
    ("/v1/sample.png", {"label": [7, 3], "n": "1000"}, "n", "a request takes at most 1024 images, got 2000"),
    ("/v1/sample.png", {"label": 7, "seed": "-1"}, "seed", "seed must be an integer from 0"),
    ("/v1/sample.png", {"label": 7, "seed": str(2**64)}, "seed", "seed must be an integer from 0"),
    ("/v1/sample.png", {"label": 7, "temperature": "nan"}, "temperature", "temperature must be a number from 0 to 10"),
    ("/v1/sample.png", {"label": 7, "temperature": "-1"}, "temperature", "temperature must be a number from 0 to 10"),
    ("/v1/sample.png", {"label": 7, "truncation": "0"}, "truncation", "truncation must be a number from 0.001 to 10"),
    ("/v1/sample.png", {"label": 7, "scale": "65"}, "scale", "scale must be an integer from 1 to 64"),
    ("/v1/sample.png", {"label": 7, "n": "1024", "scale": "64"}, "scale", "a picture has at most 16,777,216 pixels"),
    ("/v1/sample.png", {"label": 7, "columns": "0"}, "columns", "columns must be an integer"),
    ("/v1/sample.png", {"label": 7, "sede": "1"}, "sede", "unknown parameter 'sede': there are columns, first, label"),
    ("/v1/sample.png", {"label": 7, "seed": ["1", "2"]}, "seed", "'seed' is there twice"),
    ("/v1/grid.png", {"n": "1000"}, "n", "a request takes at most 1024 images, got 10000"),
    ("/v1/morph.gif", {"label": 7}, "label", "label must be there twice or more, got 1"),
    ("/v1/morph.gif", {"steps": "65"}, "steps", "steps must be an integer from 1 to 64"),
    ("/v1/latents", {"n": "x"}, "n", "n must be an integer"),
]


def assert_error(answer, status: int, field: str | None, start: str) -> None:
    got, headers, body = answer
    assert (got, headers["Content-Type"]) == (status, "application/json")
    error = json.loads(body)["error"]
    assert error.keys() == {"type", "message", "field"}
    assert error["field"] == field
    assert error["message"].startswith(start)
    assert "\n" not in error["message"]


@pytest.mark.parametrize(("path", "query", "field", "start"), BAD_QUERIES)
def test_a_wrong_query_is_400_by_its_field(port, path, query, field, start):
    assert_error(get(port, path, **query), 400, field, start)


Z = [0.0] * 24
BAD_BODIES = [
    ("/v1/sample", b"{", None, "the body is not JSON"),
    ("/v1/sample", b"\xff", None, "the body is not JSON"),
    ("/v1/sample", b"[" * 100_000, None, "the body is not JSON"),
    ("/v1/sample", b"[]", None, "the body must be a JSON object, got []"),
    ("/v1/sample", b'{"labels": NaN}', None, "the body is not JSON"),
    ("/v1/sample", {}, "labels", "labels is missing"),
    ("/v1/sample", {"labels": None}, "labels", "labels is missing"),
    ("/v1/sample", {"labels": []}, "labels", "labels must be 1 to 1024 labels, got 0"),
    ("/v1/sample", {"labels": 1.5}, "labels", "a label must be an integer or a class name, got 1.5"),
    ("/v1/sample", {"labels": True}, "labels", "a label must be an integer or a class name, got True"),
    ("/v1/sample", {"labels": {"3": -1}}, "labels", "the shares of a mix must be numbers of at least 0"),
    ("/v1/sample", {"labels": {"3": "1"}}, "labels", "the shares of a mix must be numbers of at least 0"),
    ("/v1/sample", {"labels": {}}, "labels", "the shares of a mix must sum to a number above 0"),
    ("/v1/sample", {"labels": {"ten": 1}}, "labels", "unknown class 'ten'"),
    ("/v1/sample", {"labels": 7, "n": 1.0}, "n", "n must be an integer from 1 to 1024, got 1.0"),
    ("/v1/sample", {"labels": 7, "n": "1"}, "n", "n must be an integer from 1 to 1024, got '1'"),
    ("/v1/sample", {"labels": 7, "n": True}, "n", "n must be an integer from 1 to 1024, got True"),
    ("/v1/sample", {"labels": 7, "output": "tiff"}, "output", "output must be one of png, json, got 'tiff'"),
    ("/v1/sample", {"labels": 7, "output": []}, "output", "output must be one of png, json, got []"),
    ("/v1/sample", {"labels": 7, "color": "red"}, "color", "unknown parameter 'color'"),
    ("/v1/decode", {"label": 7}, "z", "z must be a list of 1 to 1024 lists of 24 numbers, got None"),
    ("/v1/decode", {"z": [], "label": 7}, "z", "z must be a list of 1 to 1024 lists of 24 numbers, got []"),
    ("/v1/decode", {"z": [Z[1:]], "label": 7}, "z", "z must be a list of 1 to 1024 lists of 24 numbers"),
    ("/v1/decode", {"z": [["0"] * 24], "label": 7}, "z", "z must be a list of 1 to 1024 lists of 24 numbers, got '0'"),
    ("/v1/decode", b'{"z": [[1e999' + b",0" * 23 + b']], "label": 7}', "z", "z must be a list of 1 to 1024 lists"),
    ("/v1/decode", {"z": [Z] * 1025, "label": 7}, "z", "z must be a list of 1 to 1024 lists of 24 numbers, got 1025"),
    ("/v1/decode", {"z": [Z]}, "label", "give either label or class_weights"),
    ("/v1/decode", {"z": [Z], "label": 7, "class_weights": [[1] + [0] * 9]}, "label", "give either label or"),
    ("/v1/decode", {"z": [Z] * 3, "label": [7, 3]}, "label", "label must have 3 rows, as z has, got 2"),
    ("/v1/decode", {"z": [Z], "class_weights": [[1]]}, "class_weights", "class_weights must be a list"),
]


@pytest.mark.parametrize(("path", "body", "field", "start"), BAD_BODIES)
def test_a_wrong_body_is_400_by_its_field(port, path, body, field, start):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    assert_error(request(port, "POST", path, content, JSON), 400, field, start)


@pytest.mark.parametrize("path", ["/nothing", "/v1", "/v1/sample.jpg", "/../etc/passwd", "/page.html"])
def test_an_unknown_address_is_404(port, path):
    assert_error(get(port, path), 404, None, "nothing is here: GET /v1/info lists what there is")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/", "GET, HEAD"),
        ("POST", "/v1/sample.png", "GET, HEAD"),
        ("GET", "/v1/sample", "POST"),
        ("PUT", "/v1/sample", "POST"),
        ("DELETE", "/v1/info", "GET, HEAD"),
        ("PATCH", "/page.js", "GET, HEAD"),
        ("OPTIONS", "/v1/decode", "POST"),
    ],
)
def test_another_method_is_405_and_says_which(port, method, path, allow):
    answer = request(port, method, path, b"{}" if method != "GET" else None, JSON)
    assert_error(answer, 405, None, f"{path} takes ")
    assert answer[1]["Allow"] == allow


def test_a_body_that_is_too_large_is_413_before_it_is_read(port):
    head = f"POST /v1/sample HTTP/1.1\r\nHost: localhost\r\nContent-Length: {MOST_BODY + 1}\r\n\r\n".encode()
    answer = raw(port, head)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"a body has at most 1048576 bytes, got 1048577" in answer
    assert b"Connection: close" in answer


@pytest.mark.parametrize(
    ("header", "start"),
    [
        ("Content-Length: -1", "Content-Length must be one number"),
        ("Content-Length: 1\r\nContent-Length: 2", "Content-Length must be one number"),
        ("Content-Length: " + "9" * 30, "Content-Length must be one number"),
        ("Transfer-Encoding: chunked", "send a Content-Length, not chunks"),
    ],
)
def test_a_length_that_cannot_be_is_400_and_ends_the_connection(port, header, start):
    answer = raw(port, f"POST /v1/sample HTTP/1.1\r\nHost: localhost\r\n{header}\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert start.encode() in answer
    assert b"Connection: close" in answer


@pytest.mark.parametrize(
    "content", [b"nonsense\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /" + b"a" * 70_000, b"\x16\x03\x01\r\n\r\n"]
)
def test_what_is_not_http_is_refused_in_json(port, content):
    answer = raw(port, content)
    assert b'{"error": {"type": "RequestError", "message": ' in answer


def test_a_post_of_another_type_is_refused_as_a_form_of_another_site_would_be(port):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        answer = request(port, "POST", "/v1/sample", b'{"labels": 7}', {"Content-Type": kind})
        assert_error(answer, 400, "Content-Type", "the body must be of Content-Type application/json")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "localhost.evil.example", "", "127.0.0.1.evil.example"]
)
def test_a_name_bound_to_this_machine_by_somebody_else_is_refused(port, host):
    assert_error(request(port, "GET", "/v1/info", headers={"Host": host}), 400, "Host", "the Host must be localhost")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.0.0.1:9", "[::1]:8080"])
def test_this_machine_s_own_names_are_answered(port, host):
    assert request(port, "GET", "/v1/info", headers={"Host": host})[0] == 200


def test_no_host_and_two_hosts_are_refused(port):
    for hosts in ("", "Host: localhost\r\nHost: localhost\r\n"):
        assert raw(port, f"GET /v1/info HTTP/1.1\r\n{hosts}\r\n".encode()).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("site", "mode", "status"),
    [
        ("cross-site", "no-cors", 400),
        ("same-site", "cors", 400),
        ("cross-site", "navigate", 200),
        ("same-origin", "cors", 200),
        ("none", "navigate", 200),
    ],
)
def test_another_site_s_page_gets_nothing(port, site, mode, status):
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode}
    assert request(port, "GET", "/v1/sample.png?label=7", headers=headers)[0] == status


# When things go wrong


def failing(error: Exception) -> Endpoint:
    def answer(*_: object):
        raise error

    return Endpoint("GET", (), answer)


def test_a_fault_is_500_without_its_details_and_the_server_goes_on(port, monkeypatch, capfd):
    monkeypatch.setitem(ENDPOINTS, "/v1/info", failing(RuntimeError("secret")))
    assert_error(get(port, "/v1/info"), 500, None, "the preview failed")
    assert capfd.readouterr().err == "cvae serve: RuntimeError: secret\n"
    assert get(port, "/v1/sample.png", label=7)[0] == 200


def test_an_input_error_of_the_sampler_is_400(port, monkeypatch):
    monkeypatch.setitem(ENDPOINTS, "/v1/info", failing(InputError("n is wrong", field="n")))
    assert_error(get(port, "/v1/info"), 400, "n", "n is wrong")


def test_a_client_that_drips_its_request_is_cut_off(port, monkeypatch, capfd):
    monkeypatch.setattr(handler_module, "SECONDS", 0.5)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        started = time.monotonic()
        sent = 0
        with contextlib.suppress(OSError):  # a reset or a broken pipe
            for byte in b"GET /v1/info HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 1000:
                sent += connection.send(bytes([byte]))
                time.sleep(0.02)
        assert sent < 1000
        assert time.monotonic() - started < 10  # 6,041 bytes would take 120 s
    assert capfd.readouterr().err == ""


def test_a_client_that_goes_away_is_nobody_s_fault(port, capfd):
    for content in (b"", b"GET /v1/in", b"POST /v1/sample HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{"):
        raw(port, content)
    with socket.create_connection(("127.0.0.1", port)) as connection:  # reset in place of a polite end
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(b"GET /v1/grid.png?n=100 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert get(port, "/v1/info")[0] == 200
    assert capfd.readouterr().err == ""


def test_one_connection_too_many_is_429_and_room_comes_back(port):
    held = []
    try:
        held.extend(socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(MOST_CONNECTIONS))
        answers = [raw_or_nothing(port) for _ in range(3)]
        assert any(answer.startswith(b"HTTP/1.1 429 Too Many Requests") for answer in answers)
    finally:
        for connection in held:
            connection.close()
    end = time.monotonic() + 30
    while b" 200 " not in raw_or_nothing(port).splitlines()[0]:
        assert time.monotonic() < end
        time.sleep(0.05)


def raw_or_nothing(port: int) -> bytes:
    try:
        return raw(port, b"GET /v1/info HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n") or b"nothing"
    except OSError:
        return b"nothing"


# Binding


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104 - refused
def test_an_address_that_others_reach_needs_the_flag(host):
    with pytest.raises(InputError, match="lets other machines in, without password and encryption") as caught:
        bind(host, 0)
    assert caught.value.field == "host"
    bind("0.0.0.0", 0, anywhere=True).close()  # noqa: S104 - at once


@pytest.mark.parametrize(("host", "port_"), [("no.such.host.invalid", 0), ("127.0.0.1", 70_000), ("127.0.0.1", -1)])
def test_a_host_or_port_that_cannot_be_is_an_input_error(host, port_):
    with pytest.raises(InputError, match=r"^--(host|port) "):
        bind(host, port_)
