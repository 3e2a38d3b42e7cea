"""What can be wrong with an answer of TF Serving over gRPC: its status, its message, the tensors in that."""

from collections.abc import Callable
from typing import Any

import numpy as np
from remote.grpc_messages import DTYPES, inside, integer, metadata, prediction, shape, signatures, tensor, text
from remote.scripted_grpc import Call
from remote.scripted_http import Exchange, http

from cvae_sdk import (
    DeadlineError,
    OverloadedError,
    ProtocolError,
    RefusedError,
    RemoteError,
    ServerFailedError,
    UnreachableError,
)
from faults.server_fault import GRPC, ServerFault
from faults.server_transport import HTML, SOON
from faults.wire import Field, pack

IMAGE = "outputs.image"


def aborts(
    status: str, error: type[RemoteError], tries: int = 1, field: str = "status", *, at: str = "POST"
) -> ServerFault:
    when = "" if at == "POST" else " to metadata"
    return ServerFault(
        f"server: gRPC: answers {status}{when}",
        lambda call: call.abort(status, "said\nso"),
        error,
        field,
        (GRPC,),
        at,
        tries,
    )


def raw(
    name: str, spoil: Callable[[Exchange], object], error: type[RemoteError], field: str, **more: Any
) -> ServerFault:
    """Each connection answered with bytes of a socket."""
    return ServerFault(f"server: gRPC: {name}", spoil, error, field, (GRPC,), "raw", **more)


def message(name: str, field: str, spoil: Callable[[Call], bytes], at: str = "POST") -> ServerFault:
    return ServerFault(f"server: gRPC: {name}", spoil, ProtocolError, field, (GRPC,), at)


def image(name: str, field: str, change: Callable[[np.ndarray], list[Field]]) -> ServerFault:
    """`change` gives the TensorProto of the image."""
    return message(name, field, lambda call: prediction({"image": change(call.outputs["image"])}))


def filled(value: float) -> Callable[[np.ndarray], list[Field]]:
    """The last pixel replaced."""

    def change(array: np.ndarray) -> list[Field]:
        array[-1, -1, -1, -1] = value
        return tensor(array)

    return change


def replaced(index: int, field: Field | None) -> Callable[[np.ndarray], list[Field]]:
    """One of dtype, shape and content replaced or left out."""

    def change(array: np.ndarray) -> list[Field]:
        fields: list[Field | None] = list(tensor(array))
        fields[index] = field
        return [each for each in fields if each is not None]

    return change


def twice(call: Call) -> bytes:
    entry = inside(1, text(1, "image"), inside(2, *tensor(call.outputs["image"])))
    return pack([entry, entry])


CALLS = (
    aborts("UNAVAILABLE", UnreachableError, 3),
    aborts("RESOURCE_EXHAUSTED", OverloadedError, 3),
    aborts("DEADLINE_EXCEEDED", DeadlineError, field="deadline"),
    *(
        aborts(status, RefusedError)
        for status in (
            "INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "UNAUTHENTICATED",
            "FAILED_PRECONDITION", "OUT_OF_RANGE", "UNIMPLEMENTED",
        )
    ),
    *(aborts(status, ServerFailedError) for status in ("INTERNAL", "UNKNOWN", "ABORTED", "DATA_LOSS", "CANCELLED")),
    aborts("UNAVAILABLE", UnreachableError, 3, at="GET"),
    aborts("NOT_FOUND", RefusedError, at="GET"),
    aborts("UNIMPLEMENTED", RefusedError, at="GET"),
    ServerFault("server: gRPC: never answers", Call.stall, DeadlineError, "deadline", (GRPC,), deadline=SOON),
    ServerFault("server: gRPC: never answers a request for metadata", Call.stall, DeadlineError, "deadline", (GRPC,), "GET", deadline=SOON),
    raw("takes the connection and says nothing", Exchange.stall, DeadlineError, "deadline", deadline=SOON),
    raw("drips", lambda e: e.drip(bytes(10_000)), UnreachableError, "status", tries=0),
    raw("closes each connection", Exchange.close, UnreachableError, "status", tries=0),
    raw("resets each connection", Exchange.reset, UnreachableError, "status", tries=0),
    raw("answers in HTTP/1.1", lambda e: (e.send(http(HTML)), e.stall()), UnreachableError, "status", tries=0),
    raw("answers with bytes", lambda e: (e.send(bytes(range(256)) * 4), e.stall()), UnreachableError, "status", tries=0),
    message("answers with an empty message", "outputs", lambda _: b""),
    message("answers with HTML", "PredictResponse", lambda _: HTML),
    message("answers with a message that is cut", "PredictResponse.outputs", lambda call: call.good[:60]),
    message("answers with a number that does not end", "PredictResponse", lambda _: b"\xff" * 11),
    message("answers with more bytes than it can need", "body", lambda call: call.good + pack([text(15, bytes(66_000))])),
    message("answers with more bytes than any request can need", "body", lambda call: call.good + pack([text(15, bytes(1_000_000))])),
    message("answers with a group", "PredictResponse", lambda _: b"\x7b\x7c"),
    message("answers with a length beyond the message", "PredictResponse.outputs", lambda _: b"\x0a\xff\xff\xff\x7f"),
    message("answers with a name that is no text", "outputs.key", lambda call: pack([inside(1, text(1, b"\xff"), inside(2))])),
    message("answers with an output twice", "outputs.image", twice),
    message("answers with another output", "outputs", lambda call: prediction({"picture": tensor(call.outputs["image"])})),
    message("answers with an output too many", "outputs", lambda call: prediction({name: tensor(call.outputs["image"]) for name in ("image", "mean")})),
    message("answers with an output that is not there", IMAGE + ".dtype", lambda _: pack([inside(1, text(1, "image"))])),
    image("the image is of no dtype", f"{IMAGE}.dtype", replaced(0, None)),
    image("the image is DT_DOUBLE", f"{IMAGE}.dtype", replaced(0, integer(1, 2))),
    image("the image is DT_INT32", f"{IMAGE}.dtype", replaced(0, integer(1, DTYPES["int32"]))),
    image("the image is of a dtype that there is not", f"{IMAGE}.dtype", replaced(0, integer(1, 4711))),
    image("the image is of a negative dtype", f"{IMAGE}.dtype", replaced(0, integer(1, -1))),
    image("the dtype is a text", f"{IMAGE}.dtype", replaced(0, text(1, "DT_FLOAT"))),
    image("the image has no shape", f"{IMAGE}.tensor_shape", replaced(1, None)),
    image("the shape is turned", f"{IMAGE}.tensor_shape", replaced(1, shape((5, 3, 2, 1)))),
    image("the shape has a negative side", f"{IMAGE}.tensor_shape", replaced(1, shape((5, 2, -3, -1)))),
    image("the shape has a side of 2^62", f"{IMAGE}.tensor_shape", replaced(1, shape((2**62, 2, 3, 1)))),
    image("the shape has an image too many", f"{IMAGE}.tensor_shape", replaced(1, shape((6, 2, 3, 1)))),
    image("the shape is of unknown rank", f"{IMAGE}.tensor_shape", replaced(1, inside(2, integer(3, 1)))),
    image("the image has no numbers", IMAGE, replaced(2, None)),
    image("the image has a byte too few", f"{IMAGE}.tensor_content", lambda array: [*tensor(array)[:2], text(4, array.tobytes()[:-1])]),
    image("the image has a number too many", f"{IMAGE}.tensor_content", lambda array: [*tensor(array)[:2], text(4, array.tobytes() + bytes(4))]),
    image("float_val has a number too few", f"{IMAGE}.float_val", lambda array: [*tensor(array)[:2], text(5, array.tobytes()[4:])]),
    image("the image comes in both forms", IMAGE, lambda array: [*tensor(array), text(5, array.tobytes())]),
    image("the image is in double_val", IMAGE, lambda array: [*tensor(array)[:2], text(6, array.astype(float).tobytes())]),
    image("the numbers come twice", f"{IMAGE}.tensor_content", lambda array: [*tensor(array), tensor(array)[2]]),
    image("a pixel is NaN", "image", filled(float("nan"))),
    image("a pixel is infinite", "image", filled(float("inf"))),
    image("a pixel is 1.5", "image", filled(1.5)),
    image("a pixel is -0.001", "image", filled(-0.001)),
    message("metadata is an empty message", "GetModelMetadataResponse.metadata", lambda _: b"", "GET"),
    message("metadata is HTML", "GetModelMetadataResponse", lambda _: b"\x07" + HTML, "GET"),
    message("metadata is cut", "GetModelMetadataResponse.metadata", lambda call: call.good[:-10], "GET"),
    message("metadata is of something else", "GetModelMetadataResponse.metadata", lambda _: metadata(signatures(), key="assets"), "GET"),
    message("metadata is of another type", "metadata.signature_def.type_url", lambda _: metadata(signatures(), "type.googleapis.com/google.protobuf.Empty"), "GET"),
    message("metadata is of too many fields", "metadata", lambda _: metadata([inside(1)] * 20_000), "GET"),
    message("metadata has a signature twice", "signature_def.decode", lambda _: metadata(signatures() * 2), "GET"),
    message("metadata is larger than any model's", "body", lambda call: call.good + pack([text(15, bytes(2_000_000))]), "GET"),
)  # fmt: skip
