"""What can be wrong with an answer that came whole: its JSON, the tensors in it, and the bytes behind it."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
from remote.scripted_http import Exchange, answer, http

from cvae_sdk import ProtocolError
from faults.server_fault import INFERENCE, REST, ServerFault
from faults.server_transport import HTML

Change = Callable[[Any], Any]
IMAGE = "outputs.image"


def body(content: bytes) -> Callable[[Exchange], None]:
    return lambda e: e.send(http(content))


def any_json(name: str, field: str, spoil: Callable[[Exchange], object]) -> ServerFault:
    """Over both interfaces."""
    return ServerFault(f"server: answers with {name}", spoil, ProtocolError, field, binary=False)


def rest(name: str, change: Change, field: str = IMAGE) -> ServerFault:
    """`change` gives what stands for the image."""

    def spoil(exchange: Exchange) -> None:
        exchange.send(answer({"outputs": change(exchange.values["outputs"])}))

    return ServerFault(f"server: REST: {name}", spoil, ProtocolError, field, (REST,))


def text(name: str, token: str, field: str) -> ServerFault:
    """A token in place of the first pixel."""

    def spoil(exchange: Exchange) -> None:
        image = exchange.values["outputs"]
        image[0][0][0][0] = "HERE"
        exchange.send(http(json.dumps({"outputs": image}).replace('"HERE"', token).encode()))

    return ServerFault(f"server: REST: a pixel is {name}", spoil, ProtocolError, field, (REST,))


def tensor(name: str, field: str, change: Change, *, binary: bool = False) -> ServerFault:
    """`change` changes the one output, in JSON or with the bytes behind it."""

    def spoil(exchange: Exchange) -> None:
        changed = change(exchange.values["outputs"][0])
        outputs = [changed] if isinstance(changed, dict) else changed
        exchange.send(answer({**exchange.values, "outputs": outputs}, exchange.content))

    return ServerFault(f"server: inference: {name}", spoil, ProtocolError, field, (INFERENCE,), binary=binary)


def behind(
    name: str, field: str, change: Callable[[bytes], bytes], head_length: Callable[[int], object] | None = None
) -> ServerFault:
    """`change` changes the bytes behind the JSON, `head_length` what is said of its length."""

    def spoil(exchange: Exchange) -> None:
        length = None if head_length is None else head_length(len(json.dumps(exchange.values)))
        exchange.send(answer(exchange.values, change(exchange.content or b""), length))

    return ServerFault(f"server: inference: {name}", spoil, ProtocolError, field, (INFERENCE,))


def pixel(value: float) -> Callable[[bytes], bytes]:
    """The last pixel replaced."""
    return lambda content: content[:-4] + np.float32(value).tobytes()


def pixels(value: Any) -> Change:
    def change(image: Any) -> Any:
        image[-1][-1][-1][-1] = value
        return image

    return change


def first(value: Any) -> Change:
    return lambda output: {**output, "data": [value, *output["data"][1:]]}


def without(name: str) -> Change:
    return lambda output: {key: value for key, value in output.items() if key != name}


def with_parameter(size: Any) -> Change:
    return lambda output: {**output, "parameters": {"binary_data_size": size}}


def same(content: bytes) -> bytes:
    return content


ANSWERS = (
    any_json("HTML", "body", body(HTML)),
    any_json("nothing", "body", body(b"")),
    any_json("blanks", "body", body(b"  \r\n")),
    any_json("half of its JSON", "body", lambda e: e.send(http(json.dumps(e.values).encode()[:-20]))),
    any_json("JSON and more", "body", lambda e: e.send(http(json.dumps(e.values).encode() + b"{}"))),
    any_json("a length shorter than its JSON", "body", lambda e: e.send(http(json.dumps(e.values).encode(), length=40))),
    any_json("a list", "body", body(b"[1, 2]")),
    any_json("a text", "body", body(b'"image"')),
    any_json("a number", "body", body(b"5")),
    any_json("null", "body", body(b"null")),
    any_json("brackets nested 50,000 deep", "body", body(b'{"outputs": ' + b"[" * 25_000 + b"]" * 25_000 + b"}")),
    any_json("brackets that do not match", "body", body(b'{"outputs": [1}')),
    any_json("more values than it can need", "body", body(b'{"outputs": [' + b"0," * 20_000 + b"0]}")),
    any_json("more bytes than it can need", "body", body(b'{"outputs": "' + b"0" * 300_000 + b'"}')),
    any_json("bytes that are no UTF-8", "body", body(b'{"outputs": "\xff\xfe"}')),
    any_json("UTF-16", "body", body('{"outputs": []}'.encode("utf-16"))),
    any_json("JSON after a mark of byte order", "body", body(b'\xef\xbb\xbf{"outputs": []}')),
    any_json("a name twice", "body", body(b'{"outputs": [], "outputs": []}')),
    any_json("single quotes", "body", body(b"{'outputs': []}")),
    any_json("a comma too many", "body", body(b'{"outputs": [],}')),
    any_json("NaN", "body", body(b'{"outputs": NaN}')),
    any_json("an integer of 5,000 digits", "body", body(b'{"outputs": ' + b"9" * 5000 + b"}")),
    text("NaN", "NaN", "body"),
    text("Infinity", "Infinity", "body"),
    text("-Infinity", "-Infinity", "body"),
    text("1e999", "1e999", "image"),
    text("1e39, beyond float32", "1e39", "image"),
    text("an integer of 400 digits", "9" * 400, IMAGE),
    text("true", "true", IMAGE),
    text("null", "null", IMAGE),
    text("a text", '"0.5"', IMAGE),
    text("an object", "{}", IMAGE),
    text("a list", "[0.5]", IMAGE),
    rest("a pixel is 1.5", pixels(1.5), "image"),
    rest("a pixel is -0.1", pixels(-0.1), "image"),
    rest("a pixel is 1.00002, more than runtimes may differ by", pixels(1.00002), "image"),
    rest("the image is one number", lambda _: 0.5),
    rest("the image is null", lambda _: None),
    rest("the image is a text", lambda _: "image"),
    rest("the image is an empty list", lambda _: []),
    rest("the image is flat", lambda image: np.ravel(image).tolist()),
    rest("the image is turned", lambda image: np.swapaxes(image, 1, 2).tolist()),
    rest("the image is nested too deep", lambda image: [image]),
    rest("the image has no channels", lambda image: np.array(image)[..., 0].tolist()),
    rest("the image is ragged", lambda image: [image[0], image[1][:-1], *image[2:]]),
    rest("a row of pixels is missing in each image", lambda image: [rows[:-1] for rows in image]),
    rest("an image is missing", lambda image: image[:-1]),
    rest("an image is too many", lambda image: [*image, image[0]]),
    rest("the image has another name", lambda image: {"picture": image}, "outputs"),
    rest("there is an output that was not asked for", lambda image: {"image": image, "mean": image}, "outputs"),
    rest("there are no outputs", lambda _: {}, "outputs"),
    ServerFault("server: REST: an error is answered with 200", body(b'{"error": "out of memory"}'), ProtocolError, IMAGE, (REST,)),
    ServerFault("server: REST: rows are answered to columns", lambda e: e.send(answer({"predictions": e.values["outputs"]})), ProtocolError, IMAGE, (REST,)),
    tensor("there are no outputs", "outputs", lambda output: []),
    tensor("an output is no object", "outputs", lambda output: ["image"]),
    tensor("the output has no name", "outputs.name", without("name")),
    tensor("the output has another name", "outputs.name", lambda output: {**output, "name": "picture"}),
    tensor("an output comes twice", "outputs.name", lambda output: [output, output]),
    tensor("there is an output that was not asked for", "outputs.name", lambda output: [output, {**output, "name": "mean"}]),
    tensor("the output has no datatype", f"{IMAGE}.datatype", without("datatype")),
    tensor("the output is FP16", f"{IMAGE}.datatype", lambda output: {**output, "datatype": "FP16"}),
    tensor("the output has no shape", f"{IMAGE}.shape", without("shape")),
    tensor("the shape has an image too many", f"{IMAGE}.shape", lambda output: {**output, "shape": [99, 2, 3, 1]}),
    tensor("the shape is turned", f"{IMAGE}.shape", lambda output: {**output, "shape": [5, 3, 2, 1]}),
    tensor("the shape is nested as the image is", f"{IMAGE}.shape", lambda o: {**o, "shape": [[[[1]] * 3] * 2] * 5}),
    tensor("the shape is of texts", f"{IMAGE}.shape", lambda output: {**output, "shape": ["5", "2", "3", "1"]}),
    tensor("the output has no data", f"{IMAGE}.data", without("data")),
    tensor("the data has a number too many", f"{IMAGE}.data", lambda output: {**output, "data": [*output["data"], 0.5]}),
    tensor("the data has a number too few", f"{IMAGE}.data", lambda output: {**output, "data": output["data"][1:]}),
    tensor("the data is of texts", f"{IMAGE}.data", first("0.5")),
    tensor("the data is of booleans", f"{IMAGE}.data", first(True)),
    tensor("the data is an object", f"{IMAGE}.data", lambda output: {**output, "data": {}}),
    tensor("a pixel in JSON is 2", "image", first(2.0)),
    tensor("parameters are a list", f"{IMAGE}.parameters", lambda output: {**output, "parameters": []}),
    tensor("bytes are announced that cannot come", "bytes behind the JSON", with_parameter(4 * 5 * 6)),
    tensor("the bytes are fewer than the shape takes", f"{IMAGE}.binary_data_size", with_parameter(8), binary=True),
    tensor("the size in bytes is negative", f"{IMAGE}.binary_data_size", with_parameter(-1), binary=True),
    tensor("the size in bytes is a text", f"{IMAGE}.binary_data_size", with_parameter("120"), binary=True),
    tensor("the bytes are announced for no output", "outputs", lambda output: [], binary=True),
    behind("bytes are missing", "bytes behind the JSON", lambda content: content[:-4]),
    behind("bytes are too many", "bytes behind the JSON", lambda content: content + b"more"),
    behind("a pixel's bytes are NaN", "image", pixel(float("nan"))),
    behind("a pixel's bytes are infinite", "image", pixel(float("inf"))),
    behind("a pixel's bytes are -0.5", "image", pixel(-0.5)),
    behind("the JSON's length is beyond the body", "inference-header-content-length", same, lambda _: 10**6),
    behind("the JSON's length is negative", "inference-header-content-length", same, lambda _: -1),
    behind("the JSON's length is no number", "inference-header-content-length", same, lambda _: "all"),
    behind("the JSON's length is of 400 digits", "inference-header-content-length", same, lambda _: "9" * 400),
    behind("the JSON's length is too small", "body", same, lambda length: length - 10),
    behind("the JSON's length is too large", "body", same, lambda length: length + 10),
    behind("the JSON's length is zero", "body", same, lambda _: 0),
)  # fmt: skip
