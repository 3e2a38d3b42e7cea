"""TF Serving's gRPC API: PredictionService's GetModelMetadata and Predict. The one file that knows grpc.

    UNAVAILABLE          UnreachableError, tried again: said where there is no server, and by busy ones
    RESOURCE_EXHAUSTED   OverloadedError, tried again; but of an answer that is too long ProtocolError
    DEADLINE_EXCEEDED    DeadlineError
    INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED, UNAUTHENTICATED, FAILED_PRECONDITION, OUT_OF_RANGE,
    UNIMPLEMENTED        RefusedError
    all others           ServerFailedError

gRPC's own retries, proxies and compression are off. It bounds an answer before it reads it, by what the largest request
can need, since it takes that bound for a channel as a whole.
"""

import os
from collections.abc import Mapping
from typing import Any

from cvae_sdk.backends import Arrays
from cvae_sdk.backends.address import Address
from cvae_sdk.backends.answered_tensors import Shapes, count_numbers
from cvae_sdk.backends.deadline import Deadline
from cvae_sdk.backends.model_server import CLOSED
from cvae_sdk.backends.options import RemoteOptions
from cvae_sdk.backends.retries import Again, Retries
from cvae_sdk.backends.served_model import ServedModel, numbers_of_row
from cvae_sdk.backends.tf_serving_messages import metadata_request, predict_request, read_metadata, read_prediction
from cvae_sdk.backends.tls import read_certificates
from cvae_sdk.errors import (
    BackendUnavailableError,
    ClosedError,
    ForkedError,
    OverloadedError,
    ProtocolError,
    RefusedError,
    RemoteError,
    ServerFailedError,
    UnreachableError,
    named,
)
from cvae_sdk.manifest_parts import Signature, TensorSpec
from cvae_sdk.protobuf import Refused

_VERBOSITY = "GRPC_VERBOSITY"
_said = os.environ.get(_VERBOSITY)
os.environ[_VERBOSITY] = _said or "NONE"  # read when grpc is imported, which else writes on stderr what goes wrong
try:
    import grpc  # pyright: ignore[reportMissingTypeStubs]
except ImportError as error:
    raise BackendUnavailableError(
        "gRPC is not installed: pip install 'cvae-sdk[grpc]'", field="grpc", expected="the package grpcio", found=None
    ) from error
finally:
    if _said is None:
        del os.environ[_VERBOSITY]

__all__ = ["TfServingGrpc"]

_SERVICE = "/tensorflow.serving.PredictionService/"
_MAX_METADATA = 1 << 20
_MAX_MESSAGE = 1 << 23  # bytes of one request or answer of many rows, which are copied in a few ms
_MAX_ROW = 1 << 28
_HEAD = 65_536  # bytes of an answer beside its numbers
_REFUSED = frozenset(
    ("INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "UNAUTHENTICATED", "FAILED_PRECONDITION",
     "OUT_OF_RANGE", "UNIMPLEMENTED")
)  # fmt: skip
_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.compression_enabled_algorithms_bitset", 1),
    # A server that comes back is found at the next try, not after the minutes that gRPC may wait.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # So that no two Samplers share a connection, and one that is closed has closed it.
    ("grpc.use_local_subchannel_pool", 1),
)


class TfServingGrpc:
    """A model at a TF Serving; see ModelServer."""

    def __init__(self, address: Address, options: RemoteOptions, retries: Retries) -> None:
        self._address, self._retries, self._process = address, retries, os.getpid()
        self._metadata = tuple((name.lower(), value) for name, value in options.headers.items())
        self._credentials = _credentials(options) if address.secure else None
        self._max_batch, self._channel = options.max_batch, self._open(_MAX_METADATA)

    def describe(self, deadline: Deadline) -> ServedModel:
        """What the server says of its model."""
        content = self._send("GetModelMetadata", metadata_request(self._address), deadline)
        try:
            served = read_metadata(content, self._address.model)
        except Refused as error:
            raise self._broken(error) from error
        largest = max((_bytes(signature.outputs) for signature in served.signatures.values()), default=0)
        self._channel.close()
        self._channel = self._open(_HEAD + min(_MAX_ROW, max(largest, min(_MAX_MESSAGE, largest * self._max_batch))))
        return served

    def most_rows(self, signature: Signature) -> int:
        """Of one request."""
        return max(1, _MAX_MESSAGE // max(_bytes(signature.inputs), _bytes(signature.outputs)))

    def ask(self, function: str, inputs: Arrays, shapes: Shapes, deadline: Deadline) -> Arrays:
        """One request."""
        content = self._send("Predict", predict_request(self._address, function, inputs, shapes), deadline)
        if len(content) > (most := 4 * count_numbers(shapes) + _HEAD):
            raise ProtocolError(
                f"{self._address.server} answers with {len(content)} bytes, more than the {most} that this request can "
                "need",
                field="body", expected=most, found=len(content),
            )  # fmt: skip
        try:
            return read_prediction(content, shapes)
        except Refused as error:
            raise self._broken(error) from error

    def close(self) -> None:
        """Give back the connection."""
        if self._process == os.getpid():
            self._channel.close()

    def _send(self, method: str, request: bytes, deadline: Deadline) -> bytes:
        if self._process != os.getpid():
            raise ForkedError(
                "gRPC cannot go on in a forked process: open the Sampler after the fork, or use REST",
                field="process", expected=self._process, found=os.getpid(),
            )  # fmt: skip
        call = self._channel.unary_unary(_SERVICE + method, request_serializer=None, response_deserializer=None)

        def attempt() -> bytes:
            try:
                return call(request, timeout=deadline.left(), metadata=self._metadata)
            except grpc.RpcError as error:
                raise self._failure(error, deadline) from error
            except ValueError as error:  # another thread has closed the channel
                raise ClosedError(CLOSED) from error

        return self._retries.run(attempt, deadline)

    def _failure(self, error: Any, deadline: Deadline) -> Exception:
        status, details = error.code().name, error.details() or ""
        if status == "DEADLINE_EXCEEDED":
            return deadline.error()
        said = named(" ".join(details.split()))
        text = f"{self._address.server} answered with {status}{f': {said}' if said else ''}"
        if status == "RESOURCE_EXHAUSTED" and "larger than max" in details and "SERVER" not in details:
            return ProtocolError(text, field="body", expected="no more than any request can need", found=said)
        kind = _class_of(status)
        failure = kind(text, field="status", expected="OK", found=status)
        return Again(failure) if kind in (OverloadedError, UnreachableError) else failure

    def _broken(self, error: Refused) -> ProtocolError:
        return ProtocolError(
            f"{self._address.server} gives what was not asked for: {error}",
            field=error.field, expected=error.expected, found=error.found,
        )  # fmt: skip

    def _open(self, most: int) -> Any:
        options = [*_OPTIONS, ("grpc.max_receive_message_length", most)]
        if self._credentials is None:
            return grpc.insecure_channel(self._address.server, options)
        return grpc.secure_channel(self._address.server, self._credentials, options)


def _credentials(options: RemoteOptions) -> Any:
    return grpc.ssl_channel_credentials(*read_certificates(options))


def _class_of(status: str) -> type[RemoteError]:
    if status == "UNAVAILABLE":
        return UnreachableError
    if status == "RESOURCE_EXHAUSTED":
        return OverloadedError
    return RefusedError if status in _REFUSED else ServerFailedError


def _bytes(tensors: Mapping[str, TensorSpec]) -> int:
    """Of one row of them all."""
    return 4 * numbers_of_row(tensors)
