"""Operators that are merged, the numbers that stay, and what is no case for it."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from cvae_export.onnx_passes import with_fewer_passes
from cvae_training import Run

X = np.linspace(-2, 2, 24, dtype=np.float32).reshape(2, 12)
CONSTANTS = {"zero": 0.0, "one": 1.0, "half": 0.5, "minus": -1.0}


def model_of(nodes: Sequence[onnx.NodeProto], outputs: Sequence[str] = ("y",), opset: int = 17) -> onnx.ModelProto:
    scalars = [helper.make_tensor(name, TensorProto.FLOAT, [], [value]) for name, value in CONSTANTS.items()]
    shape = helper.make_tensor("shape", TensorProto.INT64, [3], [-1, 3, 4])
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 12])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [*scalars, shape],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def images(model: onnx.ModelProto) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return [np.asarray(value) for value in session.run(None, {"x": X})]


def needed(model: onnx.ModelProto) -> list[str]:
    """The operators that the outputs need, in order."""
    wanted, found = {value.name for value in model.graph.output}, list[str]()
    for node in reversed(model.graph.node):
        if wanted & set(node.output):
            wanted |= set(node.input)
            found.append(node.op_type)
    return found[::-1]


def node(operator: str, inputs: str, output: str) -> onnx.NodeProto:
    return helper.make_node(operator, inputs.split(), [output])


RECTIFY, AGAIN = node("Max", "x zero", "a"), node("Max", "zero a", "b")
MERGED = {
    "a maximum with 0": ([node("Max", "zero x", "y")], ["Relu"]),
    "two of them": ([RECTIFY, node("Max", "zero a", "y")], ["Relu"]),
    "a clip": ([RECTIFY, node("Min", "one a", "y")], ["Clip"]),
    "the article's end": (
        [RECTIFY, AGAIN, node("Min", "one b", "c"), node("Reshape", "c shape", "y")],
        ["Reshape", "Clip"],
    ),
}
KEPT = {
    "a maximum with another number": [node("Max", "x half", "y")],
    "a maximum of two values": [node("Neg", "x", "a"), node("Max", "x a", "y")],
    "a maximum of three": [node("Max", "x zero half", "y")],
    "a maximum of constants": [node("Max", "zero half", "a"), node("Mul", "x a", "y")],
    "a minimum of what is not rectified": [node("Min", "x one", "y")],
    "a reshape of what is not clipped": [node("Neg", "x", "a"), node("Reshape", "a shape", "y")],
}


@pytest.mark.parametrize("name", MERGED)
def test_operators_are_merged_and_the_numbers_are_the_same(name: str) -> None:
    nodes, expected = MERGED[name]
    before = model_of(nodes)
    after = with_fewer_passes(before)
    assert needed(after) == expected
    np.testing.assert_array_equal(images(after), images(before))


@pytest.mark.parametrize("name", KEPT)
def test_what_is_no_rectifier_stays(name: str) -> None:
    before = model_of(KEPT[name])
    assert needed(with_fewer_passes(before)) == needed(before)


def test_a_minimum_below_0_stays_a_minimum() -> None:
    """Clip between bounds in the wrong order is not defined."""
    before = model_of([RECTIFY, node("Min", "a minus", "y")])
    after = with_fewer_passes(before)
    assert needed(after) == ["Relu", "Min"]
    np.testing.assert_array_equal(images(after), images(before))


@pytest.mark.parametrize("outputs", [("y",), ("y", "a")])
def test_a_value_that_is_used_twice_is_not_taken_away(outputs: tuple[str, ...]) -> None:
    after_it = [node("Min", "a one", "b"), node("Add", "a b" if outputs == ("y",) else "b b", "y")]
    before = model_of([RECTIFY, *after_it], outputs)
    after = with_fewer_passes(before)
    assert needed(after) == ["Relu", "Min", "Add"]
    for got, expected in zip(images(after), images(before), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_a_reshape_in_the_middle_stays_where_it_is() -> None:
    before = model_of([RECTIFY, node("Min", "a one", "b"), node("Reshape", "b shape", "c"), node("Neg", "c", "y")])
    assert needed(with_fewer_passes(before)) == ["Clip", "Reshape", "Neg"]


def test_a_reshape_to_a_computed_shape_stays_where_it_is() -> None:
    """The shape's own nodes might come after the clip."""
    shape = [node("Shape", "x", "d"), node("Reshape", "b d", "y")]
    before = model_of([RECTIFY, node("Min", "a one", "b"), *shape])
    assert needed(with_fewer_passes(before)) == ["Clip", "Shape", "Reshape"]


def test_an_opset_whose_clip_has_no_inputs_is_left_alone() -> None:
    before = model_of([RECTIFY, node("Min", "a one", "y")], opset=10)
    assert with_fewer_passes(before) == before


@pytest.mark.parametrize("form", ["onnx", "onnx_fp16", "onnx_int8"])
def test_an_exported_decoder_passes_over_its_image_once(complete: Path, run: Run, form: str) -> None:
    """After the last product and its bias: the reshape of a product's result is free."""
    graph = onnx.load(complete / form / "decoder.onnx").graph
    rectified = run.config.objective.likelihood == "l2"
    counts = Counter(node.op_type for node in graph.node)
    assert counts["Max"] == counts["Min"] == 0
    assert (counts["Relu"], counts["Clip"]) == ((2, 1) if rectified else (0, 0))
