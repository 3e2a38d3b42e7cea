"""The REST API: status, metadata and predict. Classify and regress have no signatures here to answer them."""

import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import tensorflow as tf
from google.protobuf.json_format import MessageToDict
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, predict_pb2

from tf_serving_conformance.json_tensors import parse_request, read_inputs, write_outputs
from tf_serving_conformance.predict import DEFAULT_SIGNATURE, run_predict
from tf_serving_conformance.rpc import model_metadata
from tf_serving_conformance.status import HTTP_CODES, ServingError, invalid_argument
from tf_serving_conformance.versions import Model, Versions

__all__ = ["rest_server"]

_MODEL = r"/v1/models(?:/([^/:]+))?(?:/versions/(\d+)|/labels/([^/:]+))?"
_PREDICT = re.compile(_MODEL + r":(classify|regress|predict)", re.IGNORECASE)
_STATUS = re.compile(_MODEL + r"(?:/(metadata))?", re.IGNORECASE)


def rest_server(versions: Versions) -> ThreadingHTTPServer:
    """A server on a free port of the loopback, not yet serving."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

        def _answer(self, body: bytes) -> None:
            path = self.path.partition("?")[0]
            try:
                code, answer = 200, _process(versions, self.command, path, body)
            except ServingError as error:
                code, answer = HTTP_CODES.get(error.code, 500), {"error": error.message}
            if not path.lower().startswith("/v1/"):
                code, answer = 404, {"error": "Not Found"}
            content = json.dumps(answer, indent=1).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


def _process(versions: Versions, method: str, path: str, body: bytes) -> dict[str, Any]:
    match = {"GET": _STATUS, "POST": _PREDICT}[method].fullmatch(path)
    if not match:
        raise invalid_argument(f"Malformed request: {method} {path}")
    name, number, label, what = match.groups()
    if not name:
        raise invalid_argument("Missing model name in request." if method == "GET" else f"Malformed request: {path}")
    if label:
        raise invalid_argument(f"Unrecognized servable version label: {label}")
    name, version = unquote(name), int(number) if number else None
    if method == "POST":
        return _predict(versions.find(name, version), name, body)
    if what:
        return _metadata_json(versions.find(name, version))
    response = get_model_status_pb2.GetModelStatusResponse(model_version_status=versions.states(name, version))
    return _to_json(response)


def _predict(model: Model, name: str, body: bytes) -> dict[str, Any]:
    document = parse_request(body)
    signature = document.get("signature_name") or DEFAULT_SIGNATURE
    if signature not in model.definitions:
        raise invalid_argument(f'Serving signature name: "{signature}" not found in signature def')
    form, inputs = read_inputs(document, model.definitions[signature].inputs)
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = name, signature
    for key, value in inputs.items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    outputs = run_predict(model, request).outputs
    return write_outputs({key: tf.make_ndarray(outputs[key]) for key in sorted(outputs)}, form)


def _metadata_json(model: Model) -> dict[str, Any]:
    response = model_metadata(model)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(signatures)
    return {"model_spec": _to_json(response.model_spec), "metadata": {"signature_def": _to_json(signatures)}}


def _to_json(message: Any) -> dict[str, Any]:
    """As protobuf's JSON is, with the names of the .proto files and with values that are the default."""
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
