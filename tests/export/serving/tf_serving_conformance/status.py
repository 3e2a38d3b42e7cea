"""Errors as gRPC codes, and the HTTP codes that TF Serving gives for them (model_servers/http_server.cc)."""

from tensorflow.core.protobuf import error_codes_pb2

__all__ = ["HTTP_CODES", "ServingError", "failed_precondition", "invalid_argument", "not_found"]

HTTP_CODES = {
    error_codes_pb2.INVALID_ARGUMENT: 400,
    error_codes_pb2.FAILED_PRECONDITION: 400,
    error_codes_pb2.OUT_OF_RANGE: 400,
    error_codes_pb2.NOT_FOUND: 404,
    error_codes_pb2.UNIMPLEMENTED: 501,
    error_codes_pb2.UNAVAILABLE: 503,
}


class ServingError(Exception):
    """An error with the gRPC code that it is answered with."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def invalid_argument(message: str) -> ServingError:
    return ServingError(error_codes_pb2.INVALID_ARGUMENT, message)


def not_found(message: str) -> ServingError:
    return ServingError(error_codes_pb2.NOT_FOUND, message)


def failed_precondition(message: str) -> ServingError:
    return ServingError(error_codes_pb2.FAILED_PRECONDITION, message)
