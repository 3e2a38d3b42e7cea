"""The SDK's own messages against TF Serving's library: each reads what the other wrote, and nothing else is taken."""

import random

import numpy as np
import pytest
import tensorflow as tf
from faults.wire import mutate
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2

from cvae_sdk.backends.address import Address
from cvae_sdk.backends.tf_serving_messages import metadata_request, predict_request, read_metadata, read_prediction
from cvae_sdk.protobuf import Refused
from remote import grpc_messages, tiny_model

PLACE = Address("tf_serving_grpc", False, "h", 1, "数 model")
VERSIONED = Address("tf_serving_grpc", False, "h", 1, "m", "123456789012")
SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)


@given(shape=SHAPES, seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=50)
def test_a_request_says_to_tf_serving_what_was_asked(shape: tuple[int, ...], seed: int) -> None:
    rng = np.random.default_rng(seed)
    inputs = {"z": rng.standard_normal(shape, np.float32), "label": rng.integers(-5, 2**31 - 1, shape[:1], np.int32)}
    request = predict_pb2.PredictRequest.FromString(predict_request(PLACE, "decode", inputs, {"image": (1,)}))
    assert (request.model_spec.name, request.model_spec.signature_name) == ("数 model", "decode")
    assert not request.model_spec.HasField("version")
    assert list(request.output_filter) == ["image"]
    assert set(request.inputs) == set(inputs)
    for name, array in inputs.items():
        got = tf.make_ndarray(request.inputs[name])
        assert got.dtype == array.dtype
        assert np.array_equal(got, array)


def test_a_version_is_in_the_request() -> None:
    request = predict_pb2.PredictRequest.FromString(predict_request(VERSIONED, "mix", {}, {}))
    assert request.model_spec.version.value == 123456789012
    metadata = get_model_metadata_pb2.GetModelMetadataRequest.FromString(metadata_request(VERSIONED))
    assert (metadata.model_spec.name, metadata.model_spec.version.value) == ("m", 123456789012)
    assert list(metadata.metadata_field) == ["signature_def"]


@pytest.mark.parametrize("form", ["tensor_content", "float_val"])
@given(shape=SHAPES, seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=50)
def test_an_answer_of_tf_serving_is_read_in_both_forms(form: str, shape: tuple[int, ...], seed: int) -> None:
    array = np.random.default_rng(seed).integers(0, 2**32, shape, np.uint32).view(np.float32)
    response = predict_pb2.PredictResponse()
    response.model_spec.name, response.model_spec.signature_name = "m", "decode"
    response.model_spec.version.value = 7
    proto = response.outputs["image"]
    proto.dtype = tf.float32.as_datatype_enum
    for size in shape:
        proto.tensor_shape.dim.add(size=size, name="axis")
    if form == "tensor_content":
        proto.tensor_content = array.tobytes()
    else:
        with np.errstate(all="ignore"):
            array = np.nan_to_num(array)  # Python's floats do not keep the bits of every NaN
        proto.float_val.extend(array.ravel().tolist())
    got = read_prediction(response.SerializeToString(), {"image": shape})["image"]
    assert got.shape == shape
    assert np.array_equal(got.view(np.uint32), array.view(np.uint32))


def test_metadata_of_tf_serving_is_read() -> None:
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    response.model_spec.name = tiny_model.NAME
    response.model_spec.version.value = 4
    signatures = get_model_metadata_pb2.SignatureDefMap()
    for name, each in tiny_model.SIGNATURES.items():
        definition = signatures.signature_def[name]
        definition.method_name = "tensorflow/serving/predict"
        for part in ("inputs", "outputs"):
            for tensor, spec in getattr(each, part).items():
                info = meta_graph_pb2.TensorInfo(name=f"{tensor}:0", dtype=getattr(tf, spec.dtype).as_datatype_enum)
                for size in spec.shape:
                    info.tensor_shape.dim.add(size=-1 if size == "batch" else size, name="")
                getattr(definition, part)[tensor].CopyFrom(info)
    unknown = signatures.signature_def["decode"].inputs["z"]
    response.metadata["signature_def"].Pack(signatures)
    served = read_metadata(response.SerializeToString(), tiny_model.NAME)
    assert (served.name, served.version, served.signatures) == (tiny_model.NAME, 4, tiny_model.SIGNATURES)
    unknown.tensor_shape.Clear()
    unknown.tensor_shape.unknown_rank = True
    response.metadata["signature_def"].Pack(signatures)
    served = read_metadata(response.SerializeToString(), tiny_model.NAME)
    assert served.signatures["decode"].inputs["z"].shape == ("of unknown rank",)


def test_the_messages_that_tests_make_are_tf_serving_s() -> None:
    z, label = tiny_model.latents(3)
    outputs = tiny_model.run("decode", {"z": z, "label": label})
    content = grpc_messages.prediction({name: grpc_messages.tensor(array) for name, array in outputs.items()})
    response = predict_pb2.PredictResponse.FromString(content)
    assert np.array_equal(tf.make_ndarray(response.outputs["image"]), outputs["image"])
    metadata = get_model_metadata_pb2.GetModelMetadataResponse.FromString(
        grpc_messages.metadata(grpc_messages.signatures())
    )
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert metadata.metadata["signature_def"].Unpack(signatures)
    assert set(signatures.signature_def) == {*tiny_model.SIGNATURES, "other"}
    assert signatures.signature_def["decode"].inputs["z"].tensor_shape.dim[0].size == -1


def test_mutants_of_answers_are_refused_or_are_of_the_shape_that_was_asked(tell_count) -> None:
    rng, refused, tried = random.Random(0), list[str](), 3000
    z, label = tiny_model.latents(3)
    outputs = tiny_model.run("decode", {"z": z, "label": label})
    prediction = grpc_messages.prediction({name: grpc_messages.tensor(array) for name, array in outputs.items()})
    metadata = grpc_messages.metadata(grpc_messages.signatures())
    shapes = {"image": outputs["image"].shape}
    for i in range(tried):
        content = mutate_bytes(prediction if i % 2 else metadata, rng)
        try:
            if i % 2:
                got = read_prediction(content, shapes)
                assert {name: array.shape for name, array in got.items()} == shapes
            else:
                read_metadata(content, "tiny")
        except Refused as error:
            refused.append(error.field)
    assert len(refused) > tried / 2
    assert all(refused)
    tell_count(len(refused), tried, "mutants of TF Serving's answers are refused, the others are read as tensors")


def mutate_bytes(content: bytes, rng: random.Random) -> bytes:
    """Fields or bytes changed at random."""
    if rng.random() < 0.3:
        return mutate(content, rng, 1)
    spoiled = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(spoiled))
        if rng.random() < 0.5:
            spoiled[at] = rng.randrange(256)
        elif rng.random() < 0.5:
            del spoiled[at : at + rng.randint(1, 20)]
        else:
            spoiled[at:at] = rng.randbytes(rng.randint(1, 5))
        if not spoiled:
            break
    return bytes(spoiled)
