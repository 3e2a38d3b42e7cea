"""One Predict request on one loaded version (servables/tensorflow/predict_util.cc)."""

from typing import Any

import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from tf_serving_conformance.status import ServingError, failed_precondition, invalid_argument

__all__ = ["DEFAULT_SIGNATURE", "run_predict"]

DEFAULT_SIGNATURE = "serving_default"


def run_predict(model: Any, request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
    """The outputs that the request asks for, all by default, and the version that gave them."""
    name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    if name not in model.definitions:
        raise failed_precondition(f'Serving signature key "{name}" not found.')
    definition = model.definitions[name]
    _check_names(set(request.inputs), set(definition.inputs))
    wanted = list(request.output_filter) or sorted(definition.outputs)
    for alias in wanted:
        if alias not in definition.outputs:
            raise invalid_argument(
                f"output tensor alias not found in signature: {alias} Outputs expected to be in the set "
                f"{{{','.join(sorted(definition.outputs))}}}."
            )
        if wanted.count(alias) > 1:
            raise invalid_argument(f"duplicate output tensor alias: {alias}")
    outputs = _run(model, name, {key: tf.make_ndarray(tensor) for key, tensor in request.inputs.items()})
    response = predict_pb2.PredictResponse()
    response.model_spec.name = request.model_spec.name
    response.model_spec.signature_name = name
    response.model_spec.version.value = model.version
    for alias in wanted:
        response.outputs[alias].CopyFrom(tf.make_tensor_proto(outputs[alias].numpy()))
    return response


def _check_names(sent: set[str], expected: set[str]) -> None:
    if sent != expected:
        raise invalid_argument(
            f"input size does not match signature: {len(sent)}!={len(expected)} len({{{','.join(sorted(sent))}}}) != "
            f"len({{{','.join(sorted(expected))}}}). Sent extra: {{{','.join(sorted(sent - expected))}}}. "
            f"Missing but required: {{{','.join(sorted(expected - sent))}}}."
        )


def _run(model: Any, name: str, inputs: dict[str, Any]) -> dict[str, tf.Tensor]:
    try:
        return model.loaded.signatures[name](**{key: tf.constant(value) for key, value in inputs.items()})
    except tf.errors.OpError as error:
        raise ServingError(error.error_code, str(error.message)) from error
    except (TypeError, ValueError) as error:  # a dtype or shape that the signature does not take
        raise invalid_argument(str(error)) from error
