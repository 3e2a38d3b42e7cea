"""TF Serving's PredictionService for the tiny model over gRPC, or one that spoils its answers, message by message."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc

from remote import grpc_messages, tiny_model
from remote.scripted_http import PATIENCE


@dataclass
class Call:
    """One request: what spoils it gives the bytes to answer, or aborts."""

    server: "ScriptedGrpc"
    context: Any
    request: bytes
    good: bytes
    outputs: dict[str, Any]

    def abort(self, status: str, details: str) -> bytes:
        self.context.abort(grpc.StatusCode[status], details)
        raise AssertionError("abort raises")

    def stall(self) -> bytes:
        """Say nothing until the client has gone, which gives back the thread."""
        gone = threading.Event()
        self.context.add_callback(gone.set)
        gone.wait(PATIENCE)
        return b""


class ScriptedGrpc:
    """While it is entered it serves. `spoil` answers each Predict for it, or if `at` is "GET" GetModelMetadata."""

    def __init__(self, credentials: Any = None) -> None:
        self.spoil: Callable[[Call], bytes] | None = None
        self.at = "POST"
        self.asked: list[tuple[str, tuple[tuple[str, str], ...]]] = []
        self.spoiled = 0
        self.stopping = threading.Event()
        self._server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.max_send_message_length", -1)])
        handlers = {
            "Predict": grpc.unary_unary_rpc_method_handler(self._predict),
            "GetModelMetadata": grpc.unary_unary_rpc_method_handler(self._describe),
        }
        service = grpc.method_handlers_generic_handler("tensorflow.serving.PredictionService", handlers)
        self._server.add_generic_rpc_handlers((service,))
        place = "127.0.0.1:0"
        secure = credentials is not None
        self.port = (
            self._server.add_secure_port(place, credentials) if secure else self._server.add_insecure_port(place)
        )

    def __enter__(self) -> "ScriptedGrpc":
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.stop(grace=None).wait()

    def _predict(self, request: bytes, context: Any) -> bytes:
        function, inputs = grpc_messages.read_request(request)
        outputs = tiny_model.run(function, inputs)
        good = grpc_messages.prediction({name: grpc_messages.tensor(array) for name, array in outputs.items()})
        return self._answer("POST", Call(self, context, request, good, outputs))

    def _describe(self, request: bytes, context: Any) -> bytes:
        return self._answer("GET", Call(self, context, request, grpc_messages.metadata(grpc_messages.signatures()), {}))

    def _answer(self, at: str, call: Call) -> bytes:
        self.asked.append((at, tuple(call.context.invocation_metadata())))
        if self.spoil is None or self.at != at:
            return call.good
        self.spoiled += 1
        return self.spoil(call)
