"""TF Serving's REST API: tensorflow.org/tfx/serving/api_rest, in column format.

    GET  MODEL/metadata   {"model_spec": .., "metadata": {"signature_def": {"signature_def": {NAME: ..}}}}
    POST MODEL:predict    {"signature_name": NAME, "inputs": {..}}  ->  {"outputs": {..}}

where MODEL is /v1/models/NAME[/versions/V | /labels/L]. A single output goes without its name.
"""

import json
from typing import Any
from urllib.parse import quote

from cvae_sdk.backends import Arrays
from cvae_sdk.backends.address import Address
from cvae_sdk.backends.answered_tensors import Shapes, not_as_asked
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
from cvae_sdk.backends.json_numbers import cut_numbers, write_numbers
from cvae_sdk.backends.retries import Retries
from cvae_sdk.backends.served_model import FUNCTIONS, ServedModel, numbers_of_row
from cvae_sdk.manifest_parts import Signature, TensorSpec

__all__ = ["TfServingRest"]

_DTYPES = {"DT_FLOAT": "float32", "DT_INT32": "int32", "DT_INT64": "int64", "DT_STRING": "string"}
_JSON = "Content-Type: application/json\r\n"


class TfServingRest:
    """A model at a TF Serving; see ModelServer."""

    def __init__(self, address: Address, connections: HttpConnections, retries: Retries) -> None:
        self._address, self._connections, self._retries = address, connections, retries
        self._path = f"/v1/models/{quote(address.model, safe='')}"
        if address.version is not None:
            self._path += f"/versions/{address.version}"
        if address.label is not None:
            self._path += f"/labels/{quote(address.label, safe='')}"

    def describe(self, deadline: Deadline) -> ServedModel:
        """What the server says of its model."""
        server = self._address.server
        answer = self._send("GET", f"{self._path}/metadata", b"", MAX_METADATA, deadline)
        values = read_json(answer.body, MAX_METADATA, server)
        spec = read_object(values.get("model_spec"), "model_spec", server)
        metadata = read_object(values.get("metadata"), "metadata", server)
        outer = read_object(metadata.get("signature_def"), "metadata.signature_def", server)
        field = "metadata.signature_def.signature_def"
        signatures = read_object(outer.get("signature_def"), field, server)
        version = spec.get("version")
        return ServedModel(
            self._address.model,
            int(version) if isinstance(version, str) and version.isdecimal() and len(version) < 19 else 1,
            {name: _signature(signatures[name], f"{field}.{name}", server) for name in FUNCTIONS if name in signatures},
        )

    def most_rows(self, signature: Signature) -> int:
        """Of one request."""
        return max(1, MAX_NUMBERS // max(numbers_of_row(signature.inputs), numbers_of_row(signature.outputs)))

    def ask(self, function: str, inputs: Arrays, shapes: Shapes, deadline: Deadline) -> Arrays:
        """One request."""
        server = self._address.server
        tensors = ",".join(f"{json.dumps(name)}:{write_numbers(array)}" for name, array in inputs.items())
        body = f'{{"signature_name":{json.dumps(function)},"inputs":{{{tensors}}}}}'.encode("ascii")
        most = bytes_of_json(tuple(shapes.values()))
        answer = self._send("POST", f"{self._path}:predict", body, most, deadline)
        content, cut = cut_numbers(bytes(answer.body), shapes.values(), deadline)
        values = read_json(content, 64 + 2 * most // 64, server, cut)
        if len(shapes) == 1 and not isinstance(values.get("outputs"), dict):
            values = {"outputs": dict.fromkeys(shapes, values.get("outputs"))}
        outputs = read_object(values.get("outputs"), "outputs", server)
        if outputs.keys() != shapes.keys():
            raise not_as_asked(server, "outputs", sorted(shapes), sorted(outputs))
        return {name: read_tensor(outputs[name], f"outputs.{name}", shape, server) for name, shape in shapes.items()}

    def close(self) -> None:
        """Give back connections."""
        self._connections.close()

    def _send(self, method: str, path: str, body: bytes, most: int, deadline: Deadline) -> Answer:
        def attempt() -> Answer:
            answer = self._connections.ask(method, path, most, deadline, body, _JSON if body else "")
            check_status(answer, self._address.server)
            return answer

        return self._retries.run(attempt, deadline)


def _signature(value: object, field: str, server: str) -> Signature:
    values = read_object(value, field, server)
    inputs, outputs = (
        {
            name: _tensor(tensor, f"{field}.{part}.{name}", server)
            for name, tensor in read_object(values.get(part), f"{field}.{part}", server).items()
        }
        for part in ("inputs", "outputs")
    )
    return Signature(inputs, outputs)


def _tensor(value: object, field: str, server: str) -> TensorSpec:
    values = read_object(value, field, server)
    dtype = values.get("dtype")
    shape = read_object(values.get("tensor_shape"), f"{field}.tensor_shape", server)
    dims = read_list(shape.get("dim", []), f"{field}.tensor_shape.dim", server)
    sizes = (read_object(dim, f"{field}.tensor_shape.dim", server).get("size", "0") for dim in dims)
    known = tuple("batch" if i == 0 and size == "-1" else _size(size, field, server) for i, size in enumerate(sizes))
    return TensorSpec(
        _DTYPES.get(dtype, dtype) if isinstance(dtype, str) else "nothing",
        ("of unknown rank",) if shape.get("unknown_rank") is True else known,
    )


def _size(value: Any, field: str, server: str) -> int:
    """An axis's size: protobuf's JSON has numbers of 64 bits as text."""
    text = str(value) if type(value) is int else value
    if not isinstance(text, str) or not text.removeprefix("-").isdecimal() or not text.isascii() or len(text) > 18:
        raise not_as_asked(server, f"{field}.tensor_shape.dim.size", "an integer", value)
    return int(text)
