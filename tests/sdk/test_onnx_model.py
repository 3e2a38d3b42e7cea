"""The reader of ONNX: what it takes, and how fast; faults/onnx_bytes.py has what it refuses."""

import contextlib
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, defs, helper, numpy_helper

from cvae_sdk import Manifest, ModelError
from cvae_sdk.manifest_parts import Signature, TensorSpec
from cvae_sdk.onnx_model import OPSETS, check_onnx
from cvae_sdk.onnx_operators import MASKING, OPERATORS
from cvae_sdk.protobuf import Refused, read_message, read_varints

SIGNATURE = Signature({"z": TensorSpec("float32", ("batch", 2))}, {"image": TensorSpec("float32", ("batch", 2))})


def model_of(nodes: list[onnx.NodeProto], constants: list[TensorProto], opset: int = 17) -> bytes:
    """z [batch, 2] -> image [batch, 2], by these nodes."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2]) for name in ("z", "image")]
    graph = helper.make_graph(nodes, "graph", values[:1], values[1:], constants)
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", opset)]).SerializeToString()


def added(constant: TensorProto) -> bytes:
    return model_of([helper.make_node("Add", ["z", constant.name], ["image"])], [constant])


def check(content: bytes, opset: int | None = 17) -> None:
    check_onnx(content, "model.onnx", SIGNATURE, opset)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_the_committed_models_are_taken(name):
    folder = Path(__file__).parents[2] / "artifacts" / name
    manifest = Manifest.parse((folder / "manifest.json").read_bytes())
    form = manifest.formats["onnx"]
    for signature, (path,) in form.files.items():
        check_onnx((folder / path).read_bytes(), path, manifest.signatures[signature], form.opset)


def test_a_shipped_model_is_checked_in_a_few_milliseconds(mnist):
    manifest, content = (
        Manifest.parse((mnist / "manifest.json").read_bytes()),
        (mnist / "onnx/decoder.onnx").read_bytes(),
    )
    took = []
    for _ in range(5):
        start = time.perf_counter()
        check_onnx(content, "onnx/decoder.onnx", manifest.signatures["decode"], 17)
        took.append(time.perf_counter() - start)
    assert min(took) < 0.05  # 5 ms were measured: only a check that copies or loops over weights takes this long


@pytest.mark.parametrize("opset", [OPSETS[0], 17, OPSETS[-1]])
def test_each_opset_of_the_range_is_taken(opset):
    content = model_of([helper.make_node("Add", ["z", "z"], ["image"])], [], opset)
    check(content, opset)
    check(content, None)
    with pytest.raises(ModelError, match=rf"model.onnx: model.opset_import must be {opset + 1}, as the manifest says"):
        check(content, opset + 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
@pytest.mark.parametrize("how", ["raw", "list"])
def test_finite_constants_of_each_float_are_taken_and_one_nan_is_not(dtype, how):
    array = np.array([1.5, -2.25, 65504, 0], dtype)
    for value, finite in ((3.0, True), (np.nan, False), (np.inf, False)):
        array[1] = value
        tensor = numpy_helper.from_array(array, "constant")
        if how == "list":
            flat = array.view(np.uint16) if dtype is np.float16 else array
            tensor = helper.make_tensor(
                "constant", tensor.data_type, [4], flat.tolist() if dtype is not np.float16 else array.tolist()
            )
            assert not tensor.raw_data
        if finite:
            check(added(tensor))
        else:
            with pytest.raises(ModelError, match="constant constant must be of finite numbers, got 'NaN or infinity'"):
                check(added(tensor))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(width=16, allow_nan=False, allow_infinity=False), min_size=2, max_size=200))
def test_every_finite_half_is_taken_from_a_list_of_integers(values):
    tensor = helper.make_tensor("constant", TensorProto.FLOAT16, [len(values)], values)
    assert len(tensor.int32_data) == len(values)
    check(added(tensor))


@pytest.mark.parametrize("operator", ["Where", "Max", "Expand"])
def test_one_number_that_is_infinite_may_mask(operator):
    masked = {
        "Where": [
            helper.make_node("Equal", ["z", "z"], ["which"]),
            helper.make_node("Where", ["which", "z", "mask"], ["image"]),
        ],
        "Max": [helper.make_node("Max", ["z", "mask"], ["image"])],
        "Expand": [
            helper.make_node("Expand", ["mask", "shape"], ["wide"]),
            helper.make_node("Max", ["z", "wide"], ["image"]),
        ],
    }[operator]
    constants = [
        numpy_helper.from_array(np.full([1, 1], -np.inf, np.float32), "mask"),
        numpy_helper.from_array(np.array([3, 2]), "shape"),
    ]
    check(model_of(masked, constants))


def test_integers_are_read_from_a_list_and_bound_a_size():
    for sizes, taken in (([3, 2], True), ([2**20, 2**20], False)):
        nodes = [helper.make_node("Expand", ["z", "sizes"], ["image"])]
        content = model_of(nodes, [helper.make_tensor("sizes", TensorProto.INT64, [2], sizes)])
        if taken:
            check(content)
        else:
            with pytest.raises(ModelError, match=r"node 0 Expand.input\[1\] must be of at most 268435456 elements"):
                check(content)


def test_the_operators_are_standard_ones_without_a_graph_inside_or_chance():
    graph = {defs.OpSchema.AttrType.GRAPH, defs.OpSchema.AttrType.GRAPHS}
    for operator in OPERATORS:
        schema = defs.get_schema(operator, OPSETS[-1])
        assert schema.domain == ""
        assert not any(attribute.type in graph for attribute in schema.attributes.values())
        assert "seed" not in schema.attributes
    assert MASKING <= OPERATORS


def test_a_model_error_says_file_field_and_what_was_found():
    with pytest.raises(ModelError) as raised:
        check(model_of([helper.make_node("RandomNormalLike", ["z"], ["image"])], []))
    error = raised.value
    assert (error.file, error.field) == ("model.onnx", "node 0 RandomNormalLike")
    assert (error.expected, error.found) == ("an operator that cvae-export writes", "RandomNormalLike")


# The wire format


@settings(deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=50))
def test_packed_numbers_are_those_that_protobuf_wrote(values):
    tensor = TensorProto(int64_data=values)
    content = tensor.SerializeToString()
    message = read_message(content, (0, len(content)), {7: ("int64_data", "ints")}, "tensor", 10)
    assert message.ints.get("int64_data", []) == values


@settings(deadline=None)
@given(
    st.lists(st.floats(width=32, allow_nan=False), max_size=20), st.integers(-(2**63), 2**63 - 1), st.text(max_size=20)
)
def test_an_attribute_s_fields_are_those_that_protobuf_wrote(floats, integer, text):
    attribute = onnx.AttributeProto(name=text, i=integer, floats=floats)
    content = attribute.SerializeToString()
    schema = {1: ("name", "text"), 3: ("i", "int"), 7: ("floats", "floats")}
    message = read_message(content, (0, len(content)), schema, "attribute", 100)
    assert message.text("name") == text
    assert message.integer("i") == integer
    assert message.floats.get("floats", []) == floats


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content):
    schema = {1: ("a", "int"), 2: ("b", "texts"), 3: ("c", "floats"), 4: ("d", "messages"), 5: ("e", "ints")}
    for read in (
        lambda: read_message(content, (0, len(content)), schema, "x", 50),
        lambda: read_varints(content, 0, len(content), "x"),
    ):
        with contextlib.suppress(Refused):
            read()
