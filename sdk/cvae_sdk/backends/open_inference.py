"""The Open Inference Protocol over REST, version 2, as Triton and KServe serve it.

    GET  /v2                        {"extensions": [..]}, of which one may be binary_tensor_data
    GET  /v2/models/NAME[..]        {"inputs": [{"name", "datatype", "shape"}, ..], "outputs": [..]}
    POST /v2/models/NAME[..]/infer  {"inputs": [{"name", "datatype", "shape", "data"}, ..]}  ->  {"outputs": [..]}

Each function is a model: NAME is decode, NAME-mix and NAME-encode are the others, as cvae-export lays them out. Where
the server has the extension, tensors go as their bytes behind the JSON, whose length a header says.
https://github.com/kserve/open-inference-protocol, and Triton's docs/protocol/extension_binary_data.md
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from cvae_sdk.backends import Arrays
from cvae_sdk.backends.address import Address
from cvae_sdk.backends.answered_tensors import Shapes, count_numbers, not_as_asked
from cvae_sdk.backends.deadline import Deadline
from cvae_sdk.backends.http_answer import Answer
from cvae_sdk.backends.http_connections import HttpConnections
from cvae_sdk.backends.http_status import check_status
from cvae_sdk.backends.json_answer import (
    MAX_METADATA,
    MAX_NUMBERS,
    bytes_of_json,
    read_json,
    read_list,
    read_object,
    read_tensor,
)
from cvae_sdk.backends.json_numbers import Numbers, cut_numbers
from cvae_sdk.backends.retries import Retries
from cvae_sdk.backends.served_model import FUNCTIONS, ServedModel, numbers_of_row
from cvae_sdk.errors import RefusedError
from cvae_sdk.manifest_parts import Signature, TensorSpec

__all__ = ["OpenInference"]

_DTYPES = {"FP32": "float32", "INT32": "int32", "INT64": "int64", "BYTES": "string"}
_DATATYPES = {"float32": "FP32", "int32": "INT32"}
_LENGTH = "inference-header-content-length"
_MAX_HEAD = 65_536  # bytes of JSON that say what the bytes behind it are
_MAX_BINARY = 1 << 23  # bytes of one request or answer of many rows, which are copied in a few ms
_BINARY = "binary_tensor_data"


@dataclass(frozen=True)
class _Served:
    """What was said of the server: whether it has the extension, and of each input whether a label is [batch, 1]."""

    binary: bool
    columns: frozenset[tuple[str, str]]


class OpenInference:
    """A model at such a server; see ModelServer."""

    def __init__(self, address: Address, connections: HttpConnections, retries: Retries) -> None:
        self._address, self._connections, self._retries = address, connections, retries
        self._version = "" if address.version is None else f"/versions/{quote(address.version, safe='')}"
        self._served = _Served(binary=False, columns=frozenset())

    def describe(self, deadline: Deadline) -> ServedModel:
        """What the server says of its model, and of those of the other functions, as far as they are there."""
        server = self._address.server
        about = read_json(self._send("GET", "/v2", [], MAX_METADATA, deadline).body, MAX_METADATA, server)
        extensions = read_list(about.get("extensions", []), "extensions", server)
        signatures: dict[str, Signature] = {}
        columns: set[tuple[str, str]] = set()
        version = 1
        for function in FUNCTIONS:
            try:
                answer = self._send("GET", self._path(function), [], MAX_METADATA, deadline)
            except RefusedError as error:
                if function == "decode" or error.found not in (400, 404):  # older Tritons say 400 of an unknown model
                    raise
                continue
            values = read_json(answer.body, MAX_METADATA, server)
            parts: dict[str, dict[str, TensorSpec]] = {"inputs": {}, "outputs": {}}
            for part, tensors in parts.items():
                field = f"{function}.{part}"
                for value in read_list(values.get(part), field, server):
                    name, spec, column = _tensor(read_object(value, field, server), field, server)
                    tensors[name] = spec
                    columns |= {(function, name)} if column else set()
            signatures[function] = Signature(**parts)
            if function == "decode":
                version = _newest(read_list(values.get("versions", []), "versions", server))
        self._served = _Served(_BINARY in extensions, frozenset(columns))
        return ServedModel(self._address.model, version, signatures)

    def most_rows(self, signature: Signature) -> int:
        """Of one request."""
        most = max(numbers_of_row(signature.inputs), numbers_of_row(signature.outputs))
        return max(1, (_MAX_BINARY // 4 if self._served.binary else MAX_NUMBERS) // most)

    def ask(self, function: str, inputs: Arrays, shapes: Shapes, deadline: Deadline) -> Arrays:
        """One request."""
        head, content = self._request(function, inputs, shapes)
        bound = 4 * count_numbers(shapes) + _MAX_HEAD if self._served.binary else bytes_of_json(tuple(shapes.values()))
        answer = self._send("POST", f"{self._path(function)}/infer", [head, *content], bound, deadline)
        return self._read(answer, shapes, deadline)

    def close(self) -> None:
        """Give back connections."""
        self._connections.close()

    def _path(self, function: str) -> str:
        model = self._address.model if function == "decode" else f"{self._address.model}-{function}"
        return f"/v2/models/{quote(model, safe='')}{self._version}"

    def _request(self, function: str, inputs: Arrays, shapes: Shapes) -> tuple[bytes, list[bytes]]:
        tensors: list[dict[str, Any]] = []
        content: list[bytes] = []
        for name, array in inputs.items():
            shape = (*array.shape, 1) if (function, name) in self._served.columns else array.shape
            tensor: dict[str, Any] = {"name": name, "datatype": _DATATYPES[array.dtype.name], "shape": shape}
            if self._served.binary:
                content.append(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
                tensor["parameters"] = {"binary_data_size": len(content[-1])}
            else:
                tensor["data"] = array.ravel().tolist()
            tensors.append(tensor)
        binary = {"parameters": {"binary_data": True}} if self._served.binary else {}
        values = {"inputs": tensors, "outputs": [{"name": name, **binary} for name in shapes]}
        return json.dumps(values, separators=(",", ":")).encode("ascii"), content

    def _read(self, answer: Answer, shapes: Shapes, deadline: Deadline) -> Arrays:
        server = self._address.server
        head, content = self._split(answer)
        items = 2 * sum(map(math.prod, shapes.values()))
        flat_shapes = ((math.prod(shape),) for shape in shapes.values())
        head, cut = (head, None) if content else cut_numbers(head, (*shapes.values(), *flat_shapes), deadline)
        values = read_json(head, 4096 + (0 if self._served.binary else 2 * items), server, cut)
        arrays: dict[str, npt.NDArray[np.float32]] = {}
        for value in read_list(values.get("outputs"), "outputs", server):
            tensor = read_object(value, "outputs", server)
            name = tensor.get("name")
            if not isinstance(name, str) or name not in shapes or name in arrays:
                raise not_as_asked(server, "outputs.name", sorted(shapes), name)
            field, shape = f"outputs.{name}", shapes[name]
            if tensor.get("datatype") != "FP32":
                raise not_as_asked(server, f"{field}.datatype", "FP32", tensor.get("datatype"))
            if tensor.get("shape") != list(shape):
                raise not_as_asked(server, f"{field}.shape", list(shape), tensor.get("shape"))
            parameters = read_object(tensor.get("parameters", {}), f"{field}.parameters", server)
            size, count = parameters.get("binary_data_size"), math.prod(shape)
            if size is None:
                data = tensor.get("data")
                flat = (count,) if not _is_nested(data) else shape
                arrays[name] = read_tensor(data, f"{field}.data", flat, server).reshape(shape)
                continue
            if type(size) is not int or size != 4 * count:
                raise not_as_asked(server, f"{field}.binary_data_size", 4 * count, size)
            if len(content) < size:
                raise not_as_asked(server, "bytes behind the JSON", size, len(content))
            arrays[name] = np.frombuffer(content[:size], "<f4").astype(np.float32, copy=False).reshape(shape)
            content = content[size:]
        if arrays.keys() != shapes.keys():
            raise not_as_asked(server, "outputs", sorted(shapes), sorted(arrays))
        if content:
            raise not_as_asked(server, "bytes behind the JSON", "those of the outputs", f"{len(content)} more")
        return arrays

    def _split(self, answer: Answer) -> tuple[bytes, memoryview]:
        text = answer.headers.get(_LENGTH)
        if text is None:
            return bytes(answer.body), memoryview(b"")
        if not (text.isascii() and text.isdecimal() and len(text) < 10) or int(text) > len(answer.body):
            raise not_as_asked(self._address.server, _LENGTH, f"at most {len(answer.body)}", text)
        length = int(text)
        return bytes(answer.body[:length]), memoryview(answer.body)[length:]

    def _send(self, method: str, path: str, parts: list[bytes], most: int, deadline: Deadline) -> Answer:
        headers = "Content-Type: application/json\r\n" if parts else ""
        if len(parts) > 1:
            headers = f"Content-Type: application/octet-stream\r\nInference-Header-Content-Length: {len(parts[0])}\r\n"
        body = b"".join(parts)

        def attempt() -> Answer:
            answer = self._connections.ask(method, path, most, deadline, body, headers)
            check_status(answer, self._address.server)
            return answer

        return self._retries.run(attempt, deadline)


def _tensor(values: Mapping[str, Any], field: str, server: str) -> tuple[str, TensorSpec, bool]:
    """Name, dtype and shape; and whether the shape [batch, 1] stands for [batch], as Triton can have only that."""
    name, datatype = values.get("name"), values.get("datatype")
    sizes = read_list(values.get("shape"), f"{field}.shape", server)
    if not isinstance(name, str) or not isinstance(datatype, str) or {type(size) for size in sizes} - {int}:
        raise not_as_asked(server, field, "a list of tensors with name, datatype and shape", values)
    shape = tuple("batch" if i == 0 and size == -1 else size for i, size in enumerate(sizes))
    column = name == "label" and shape == ("batch", 1)
    return name, TensorSpec(_DTYPES.get(datatype, datatype), shape[:1] if column else shape), column


def _newest(versions: list[Any]) -> int:
    """Of versions that are numbers, as text, the largest."""
    texts = [text for text in map(str, versions) if text.isascii() and text.isdecimal() and len(text) < 19]
    return max(map(int, texts), default=1)


def _is_nested(data: object) -> bool:
    if isinstance(data, Numbers):
        return data.values.ndim > 1
    return isinstance(data, list) and bool(data) and isinstance(data[0], list)  # pyright: ignore[reportUnknownArgumentType]
