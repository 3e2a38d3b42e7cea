"""The gRPC services: Predict, GetModelMetadata and GetModelStatus. What else they have is answered UNIMPLEMENTED."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tf_serving_conformance.predict import run_predict
from tf_serving_conformance.status import ServingError, invalid_argument
from tf_serving_conformance.versions import Model, Versions

__all__ = ["model_metadata", "rpc_server"]

_CODES = {code.value[0]: code for code in grpc.StatusCode}
_SIGNATURES = "signature_def"


def model_metadata(model: Model) -> get_model_metadata_pb2.GetModelMetadataResponse:
    """Name, version and signatures of a loaded version."""
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    response.model_spec.name = model.name
    response.model_spec.version.value = model.version
    signatures = get_model_metadata_pb2.SignatureDefMap(signature_def=model.definitions)
    response.metadata[_SIGNATURES].Pack(signatures)
    return response


def rpc_server(versions: Versions) -> tuple[grpc.Server, int]:
    """A started server, and its port of the loopback."""
    server = grpc.server(ThreadPoolExecutor(max_workers=4))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_Prediction(versions), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(_Models(versions), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


class _Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, versions: Versions) -> None:
        self._versions = versions

    def Predict(self, request: predict_pb2.PredictRequest, context: grpc.ServicerContext) -> Any:
        return _answered(context, lambda: run_predict(_find(self._versions, request.model_spec), request))

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        def answer() -> get_model_metadata_pb2.GetModelMetadataResponse:
            _check_given(request)
            if not request.metadata_field:
                raise invalid_argument("GetModelMetadataRequest must specify at least one metadata_field")
            for field in request.metadata_field:
                if field != _SIGNATURES:
                    raise invalid_argument(f"Metadata field {field} is not supported")
            return model_metadata(_find(self._versions, request.model_spec))

        return _answered(context, answer)


class _Models(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, versions: Versions) -> None:
        self._versions = versions

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:
        def answer() -> get_model_status_pb2.GetModelStatusResponse:
            _check_given(request)
            states = self._versions.states(request.model_spec.name, _number(request.model_spec))
            return get_model_status_pb2.GetModelStatusResponse(model_version_status=states)

        return _answered(context, answer)


def _answered(context: grpc.ServicerContext, answer: Callable[[], Any]) -> Any:
    try:
        return answer()
    except ServingError as error:
        context.abort(_CODES[error.code], error.message)


def _check_given(request: Any) -> None:
    if not request.HasField("model_spec"):
        raise invalid_argument("Missing ModelSpec")


def _number(spec: model_pb2.ModelSpec) -> int | None:
    return spec.version.value if spec.HasField("version") else None


def _find(versions: Versions, spec: model_pb2.ModelSpec) -> Model:
    if spec.version_label:
        raise invalid_argument(f"Unrecognized servable version label: {spec.version_label}")
    return versions.find(spec.name, _number(spec))
