"""PredictionService and ModelService by TF Serving's own stubs, asked of the server that `served` is."""

from collections.abc import Iterator

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from tf_serving_client import PATIENCE, TOLERANCE, Served


@pytest.fixture(scope="module")
def channel(served: Served) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(served.target) as channel:
        yield channel


@pytest.fixture(scope="module")
def prediction(channel: grpc.Channel) -> prediction_service_pb2_grpc.PredictionServiceStub:
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture(scope="module")
def models(channel: grpc.Channel) -> model_service_pb2_grpc.ModelServiceStub:
    return model_service_pb2_grpc.ModelServiceStub(channel)


def decode_request(served: Served) -> predict_pb2.PredictRequest:
    request = next(r for r in served.requests() if r.model_spec.signature_name == "decode")
    copy = predict_pb2.PredictRequest()
    copy.CopyFrom(request)
    return copy


def refusal(call, request) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as refused:
        call(request, timeout=PATIENCE)
    return refused.value.code(), refused.value.details()


class TestPredict:
    def test_answers_for_every_signature_with_the_version_that_did(self, served: Served, prediction) -> None:
        for request in served.requests():
            response = prediction.Predict(request, timeout=PATIENCE)
            expected = served.expected(request)
            assert response.model_spec.name == served.name
            assert response.model_spec.version.value == served.version
            assert response.model_spec.signature_name == request.model_spec.signature_name
            assert set(response.outputs) == set(expected)
            for name, value in expected.items():
                got = tf.make_ndarray(response.outputs[name])
                assert got.dtype == value.dtype
                if value.dtype == np.object_:
                    assert list(got) == list(value)
                else:
                    np.testing.assert_allclose(got, value, rtol=0, atol=TOLERANCE)

    def test_without_a_signature_is_decode(self, served: Served, prediction) -> None:
        request = decode_request(served)
        named = prediction.Predict(request, timeout=PATIENCE)
        request.model_spec.signature_name = ""
        unnamed = prediction.Predict(request, timeout=PATIENCE)
        assert unnamed.model_spec.signature_name == "serving_default"
        np.testing.assert_allclose(
            tf.make_ndarray(unnamed.outputs["image"]), tf.make_ndarray(named.outputs["image"]), rtol=0, atol=TOLERANCE
        )

    def test_of_a_version_is_answered_by_it(self, served: Served, prediction) -> None:
        request = decode_request(served)
        request.model_spec.version.value = served.version
        assert prediction.Predict(request, timeout=PATIENCE).model_spec.version.value == served.version

    def test_gives_the_outputs_that_are_asked_for(self, served: Served, prediction) -> None:
        request = decode_request(served)
        request.output_filter.append("image")
        assert set(prediction.Predict(request, timeout=PATIENCE).outputs) == {"image"}

    def test_refuses_an_output_that_is_unknown(self, served: Served, prediction) -> None:
        request = decode_request(served)
        request.output_filter.append("picture")
        code, details = refusal(prediction.Predict, request)
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert details.startswith("output tensor alias not found in signature: picture")

    def test_refuses_an_output_that_is_asked_for_twice(self, served: Served, prediction) -> None:
        request = decode_request(served)
        request.output_filter.extend(["image", "image"])
        assert refusal(prediction.Predict, request) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "duplicate output tensor alias: image",
        )

    def test_does_not_find_an_unknown_model(self, served: Served, prediction) -> None:
        request = decode_request(served)
        request.model_spec.name = "nobody"
        assert refusal(prediction.Predict, request) == (
            grpc.StatusCode.NOT_FOUND,
            "Servable not found for request: Latest(nobody)",
        )

    def test_does_not_find_an_unknown_version(self, served: Served, prediction) -> None:
        request = decode_request(served)
        request.model_spec.version.value = 999
        assert refusal(prediction.Predict, request) == (
            grpc.StatusCode.NOT_FOUND,
            f"Servable not found for request: Specific({served.name}, 999)",
        )

    def test_refuses_a_label_that_no_version_has(self, served: Served, prediction) -> None:
        request = decode_request(served)
        request.model_spec.version_label = "stable"
        code, details = refusal(prediction.Predict, request)
        assert (code, details) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "Unrecognized servable version label: stable",
        )

    def test_refuses_an_unknown_signature(self, served: Served, prediction) -> None:
        request = decode_request(served)
        request.model_spec.signature_name = "paint"
        code, details = refusal(prediction.Predict, request)
        assert code == grpc.StatusCode.FAILED_PRECONDITION
        assert details.startswith('Serving signature key "paint" not found')

    def test_refuses_a_missing_input_and_one_too_many(self, served: Served, prediction) -> None:
        request = decode_request(served)
        del request.inputs["label"]
        code, details = refusal(prediction.Predict, request)
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert "input size does not match signature: 1!=2" in details
        assert "Missing but required: {label}" in details
        request = decode_request(served)
        request.inputs["seed"].CopyFrom(tf.make_tensor_proto([1]))
        code, details = refusal(prediction.Predict, request)
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert "Sent extra: {seed}" in details

    @pytest.mark.parametrize("wrong", [[[0.0] * 31], [["a"] * 32], [0.0] * 32])
    def test_refuses_latents_of_another_shape_or_dtype(self, served: Served, prediction, wrong: list) -> None:
        request = decode_request(served)
        request.inputs["z"].CopyFrom(tf.make_tensor_proto(wrong))
        code, _ = refusal(prediction.Predict, request)
        assert code == grpc.StatusCode.INVALID_ARGUMENT


class TestMetadata:
    def test_gives_the_signatures(self, served: Served, prediction) -> None:
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name = served.name
        response = prediction.GetModelMetadata(request, timeout=PATIENCE)
        assert response.model_spec.version.value == served.version
        signatures = get_model_metadata_pb2.SignatureDefMap()
        assert response.metadata["signature_def"].Unpack(signatures)
        for name, function in served.reference.signatures.items():
            assert set(signatures.signature_def[name].inputs) == set(function.structured_input_signature[1])

    @pytest.mark.parametrize(
        ("fields", "message"), [([], "must specify at least one metadata_field"), (["weights"], "is not supported")]
    )
    def test_refuses_other_fields_and_none(self, served: Served, prediction, fields: list[str], message: str) -> None:
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
        request.model_spec.name = served.name
        code, details = refusal(prediction.GetModelMetadata, request)
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert message in details

    def test_refuses_a_request_without_a_model(self, prediction) -> None:
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        assert refusal(prediction.GetModelMetadata, request) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "Missing ModelSpec",
        )


class TestStatus:
    def test_gives_the_state_of_a_version(self, served: Served, models) -> None:
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = served.name
        request.model_spec.version.value = served.version
        (status,) = models.GetModelStatus(request, timeout=PATIENCE).model_version_status
        assert status.version == served.version
        assert status.state == get_model_status_pb2.ModelVersionStatus.AVAILABLE
        assert status.status.error_code == 0

    def test_does_not_find_an_unknown_model_or_version(self, served: Served, models) -> None:
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = "nobody"
        assert refusal(models.GetModelStatus, request) == (
            grpc.StatusCode.NOT_FOUND,
            "Could not find any versions of model nobody",
        )
        request.model_spec.name = served.name
        request.model_spec.version.value = 999
        assert refusal(models.GetModelStatus, request) == (
            grpc.StatusCode.NOT_FOUND,
            f"Could not find version 999 of model {served.name}",
        )
