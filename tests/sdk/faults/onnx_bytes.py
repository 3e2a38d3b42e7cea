"""What can be wrong with an ONNX model: its bytes, its graph against the manifest, and what it may not have at all."""

import itertools
from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from cvae_sdk import BackendError, ModelError
from faults.fault import ONNX, Fault, Planting

MANY = 12
FLOAT, INT32, INT64 = TensorProto.FLOAT, TensorProto.INT32, TensorProto.INT64


def edit(change: Callable[[onnx.ModelProto, Planting], object]) -> Callable[[Planting], None]:
    """A model that is changed, and signed again."""

    def plant(planting: Planting) -> None:
        model = planting.model()
        change(model, planting)
        planting.files[ONNX] = model.SerializeToString()
        planting.write()

    return plant


def raw(make: Callable[[bytes, Planting], bytes]) -> Callable[[Planting], None]:
    """Bytes that are changed, and signed again."""

    def plant(planting: Planting) -> None:
        planting.files[ONNX] = make(planting.files[ONNX], planting)
        planting.write()

    return plant


def field(number: int, wire: int, content: bytes = b"") -> bytes:
    return varint(number << 3 | wire) + content


def varint(value: int) -> bytes:
    content = b""
    while value > 127:
        content += bytes([value & 127 | 128])
        value >>= 7
    return content + bytes([value])


def nodes_of(model: onnx.ModelProto, operator: str) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if node.op_type == operator]


def with_weights(
    values: Callable[[np.ndarray, Planting], object], dtype: type = np.float32
) -> Callable[[Planting], None]:
    """Numbers of a random constant are changed."""

    def change(model: onnx.ModelProto, planting: Planting) -> None:
        tensor = planting.constant(model)
        array = numpy_helper.to_array(tensor).astype(dtype)
        values(array.reshape(-1), planting)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))

    return edit(change)


def poison(value: float) -> Callable[[np.ndarray, Planting], None]:
    def put(array: np.ndarray, planting: Planting) -> None:
        array[planting.rng.randrange(len(array))] = value

    return put


def as_float_data(value: float) -> Callable[[onnx.ModelProto, Planting], None]:
    def change(model: onnx.ModelProto, planting: Planting) -> None:
        tensor = planting.constant(model)
        array = numpy_helper.to_array(tensor).reshape(-1).copy()
        array[planting.rng.randrange(len(array))] = value
        tensor.ClearField("raw_data")
        tensor.float_data.extend(array.tolist())

    return change


def half_as_integers(value: int) -> Callable[[onnx.ModelProto, Planting], None]:
    def change(model: onnx.ModelProto, planting: Planting) -> None:
        tensor = planting.constant(model)
        array = numpy_helper.to_array(tensor).astype(np.float16).reshape(-1).view(np.uint16).copy()
        array[planting.rng.randrange(len(array))] = value
        tensor.ClearField("raw_data")
        tensor.data_type = TensorProto.FLOAT16
        tensor.int32_data.extend(array.tolist())

    return change


def one_number(value: float) -> Callable[[onnx.ModelProto, Planting], None]:
    """A constant of one number that is added to what the model computes."""

    def change(model: onnx.ModelProto, planting: Planting) -> None:
        node = planting.rng.choice(nodes_of(model, "Add"))
        model.graph.initializer.append(
            numpy_helper.from_array(np.full([1] * planting.rng.randint(0, 2), value, np.float32), "bias")
        )
        node.input[1] = "bias"

    return change


def on_a_constant(spoil: Callable[[TensorProto, Planting], object]) -> Callable[[Planting], None]:
    return edit(lambda model, planting: spoil(planting.constant(model), planting))


def on_the_graph(spoil: Callable[[onnx.GraphProto, Planting], object]) -> Callable[[Planting], None]:
    return edit(lambda model, planting: spoil(model.graph, planting))


def on_a_node(spoil: Callable[[onnx.NodeProto, Planting], object]) -> Callable[[Planting], None]:
    return edit(lambda model, planting: spoil(planting.rng.choice(model.graph.node), planting))


def on_an_attribute(spoil: Callable[[onnx.AttributeProto, Planting], object]) -> Callable[[Planting], None]:
    def change(model: onnx.ModelProto, planting: Planting) -> None:
        node = planting.rng.choice([node for node in model.graph.node if node.attribute])
        spoil(node.attribute[0], planting)

    return edit(change)


def before_the_end(make: Callable[[str, Planting], list[onnx.NodeProto | TensorProto]]) -> Callable[[Planting], None]:
    """Nodes that stand between the model and its image."""

    def change(model: onnx.ModelProto, planting: Planting) -> None:
        last = next(node for node in model.graph.node if "image" in node.output)
        last.output[0] = "before"
        for part in make("before", planting):
            (model.graph.node if isinstance(part, onnx.NodeProto) else model.graph.initializer).append(part)

    return edit(change)


def resized(operator: str, values: Callable[[Planting], list[int]]) -> Callable[[Planting], None]:
    """An operator whose size a constant says."""

    def make(value: str, planting: Planting) -> list[onnx.NodeProto | TensorProto]:
        sizes = numpy_helper.from_array(np.array(values(planting), np.int64), "sizes")
        inputs = {"ConstantOfShape": ["sizes"]}.get(operator, [value, "sizes"])
        return [sizes, helper.make_node(operator, inputs, ["big"]), helper.make_node("Max", [value, "big"], ["image"])]

    return before_the_end(make)


def body() -> onnx.GraphProto:
    value = helper.make_tensor_value_info("y", FLOAT, ["batch"])
    return helper.make_graph([helper.make_node("Identity", ["before"], ["y"])], "body", [], [value])


def branch(value: str, planting: Planting) -> list[onnx.NodeProto | TensorProto]:
    condition = numpy_helper.from_array(np.array(True), "condition")
    return [condition, helper.make_node("If", ["condition"], ["image"], then_branch=body(), else_branch=body())]


def function(model: onnx.ModelProto, planting: Planting) -> None:
    opsets = [helper.make_opsetid("", 17)]
    model.functions.append(
        helper.make_function("local", "F", ["x"], ["y"], [helper.make_node("Relu", ["x"], ["y"])], opsets)
    )


def externally(tensor: TensorProto, planting: Planting) -> None:
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=planting.rng.choice(["../../etc/passwd", "/dev/zero", "weights"]))
    tensor.ClearField("raw_data")


def sparse(graph: onnx.GraphProto, planting: Planting) -> None:
    values, indices = helper.make_tensor("s", FLOAT, [1], [1.0]), helper.make_tensor("", INT64, [1], [0])
    graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [1 << 40]))


def other_input(name: str, code: int, shape: list[int | str]) -> Callable[[Planting], None]:
    def change(graph: onnx.GraphProto, planting: Planting) -> None:
        value = next(value for value in graph.input if value.name == name)
        value.CopyFrom(helper.make_tensor_value_info(name, code, shape))

    return on_the_graph(change)


def chain(length: int) -> Callable[[str, Planting], list[onnx.NodeProto | TensorProto]]:
    def make(value: str, planting: Planting) -> list[onnx.NodeProto | TensorProto]:
        names = [value, *(f"v{i}" for i in range(length - 1)), "image"]
        return [helper.make_node("Identity", [a], [b]) for a, b in itertools.pairwise(names)]

    return make


def cycle(model: onnx.ModelProto, planting: Planting) -> None:
    first, last = model.graph.node[0], model.graph.node[-1]
    first.input[0] = last.output[0]


GRAPH = 7

BYTES = (
    Fault("onnx: no bytes", raw(lambda content, p: b"")),
    Fault("onnx: random bytes", raw(lambda content, p: p.rng.randbytes(p.rng.randint(1, 5000))), variants=MANY),
    Fault("onnx: text", raw(lambda content, p: b"hello, this is no model" * p.rng.randint(1, 50)), variants=MANY),
    Fault("onnx: zeros", raw(lambda content, p: bytes(p.rng.randint(1, 5000))), variants=MANY),
    Fault("onnx: a pickle", raw(lambda content, p: b"\x80\x04\x95" + p.rng.randbytes(40)), variants=MANY),
    Fault("onnx: a zip", raw(lambda content, p: b"PK\x03\x04" + content)),
    Fault("onnx: cut", raw(lambda content, p: content[: p.rng.randrange(25, len(content) - 24)]), variants=MANY),
    Fault("onnx: bytes after the end", raw(lambda content, p: content + p.rng.randbytes(p.rng.randint(1, 9)) + b"\xff"), variants=MANY),
    Fault("onnx: a length beyond the end", raw(lambda content, p: content + field(2, 2, varint(p.rng.randint(1, 2**63))))),
    Fault("onnx: a number that does not end", raw(lambda content, p: content + field(5, 0, b"\x80" * p.rng.randint(1, 30))), variants=MANY),
    Fault("onnx: a number of more than 64 bits", raw(lambda content, p: content + field(5, 0, b"\xff" * 9 + b"\x7f"))),
    Fault("onnx: an unknown field", raw(lambda content, p: content + field(p.rng.choice([9, 13, 26, 99, 2**28]), 0, b"\1")), variants=MANY),
    Fault("onnx: a field of number 0", raw(lambda content, p: content + field(0, 0, b"\1"))),
    Fault("onnx: a group", raw(lambda content, p: content + field(5, 3) + field(5, 4))),
    Fault("onnx: a field of another wire type", raw(lambda content, p: content + field(p.rng.choice([1, 7, 8]), 5, b"\0" * 4)), variants=MANY),
    Fault("onnx: two graphs, which readers merge", raw(lambda content, p: content + field(GRAPH, 2, varint(0)))),
    Fault("onnx: two versions of its form", raw(lambda content, p: content + field(1, 0, b"\x07"))),
    Fault("onnx: a name longer than any", edit(lambda model, p: setattr(model, "producer_name", "x" * p.rng.randint(1025, 10**5))), variants=MANY),
    Fault("onnx: a name that is no UTF-8", raw(lambda content, p: content.replace(b"MatMul_1:0", b"MatMul_1" + bytes([p.rng.randint(128, 255), 0])))),
    Fault("onnx: more fields than any message has", on_the_graph(lambda graph, p: graph.node[0].input.extend([""] * 70_000))),
)  # fmt: skip

HEADER = (
    Fault("onnx: no graph", edit(lambda model, p: model.ClearField("graph")), says=("field", "expected")),
    Fault("onnx: no version of its form", edit(lambda model, p: model.ClearField("ir_version"))),
    Fault("onnx: a newer version of its form", edit(lambda model, p: setattr(model, "ir_version", p.rng.randint(11, 2**40))), variants=MANY),
    Fault("onnx: no opset", edit(lambda model, p: model.ClearField("opset_import")), says=("field", "expected")),
    Fault("onnx: an older opset than runtimes promise", edit(lambda model, p: setattr(model.opset_import[0], "version", p.rng.randint(-9, 6))), variants=MANY),
    Fault("onnx: a newer opset than runtimes know", edit(lambda model, p: setattr(model.opset_import[0], "version", p.rng.randint(22, 2**40))), variants=MANY),
    Fault("onnx: another opset than the manifest's", edit(lambda model, p: setattr(model.opset_import[0], "version", p.rng.choice([13, 15, 16, 18])))),
    Fault("onnx: an opset twice", edit(lambda model, p: model.opset_import.append(helper.make_opsetid("", 17)))),
    Fault("onnx: an opset of another domain", edit(lambda model, p: model.opset_import.append(helper.make_opsetid(p.rng.choice(["com.microsoft", "evil", "ai.onnx"]), 1))), variants=MANY),
    Fault("onnx: functions", edit(function)),
    Fault("onnx: training", edit(lambda model, p: model.training_info.add())),
    Fault("onnx: metadata", edit(lambda model, p: model.metadata_props.add(key="ort_config", value="{}"))),
)  # fmt: skip

INTERFACE = (
    Fault("onnx: an input of another name", on_the_graph(lambda graph, p: setattr(graph.input[0], "name", "latents"))),
    Fault("onnx: an input more", on_the_graph(lambda graph, p: graph.input.append(helper.make_tensor_value_info("noise", FLOAT, ["batch"])))),
    Fault("onnx: an input less", on_the_graph(lambda graph, p: graph.input.pop())),
    Fault("onnx: an input twice", on_the_graph(lambda graph, p: graph.input.append(graph.input[0]))),
    Fault("onnx: an input of another dtype", other_input("z", TensorProto.DOUBLE, ["batch", 2])),
    Fault("onnx: an input of text", other_input("label", TensorProto.STRING, ["batch"])),
    Fault("onnx: an input of an unknown dtype", other_input("label", 77, ["batch"])),
    Fault("onnx: an input of other axes", edit(lambda model, p: model.graph.input[0].CopyFrom(helper.make_tensor_value_info(model.graph.input[0].name, FLOAT, ["batch", 2] + [1] * p.rng.randint(1, 4)))), variants=MANY),
    Fault("onnx: an input of more axes than any has", other_input("z", FLOAT, ["batch"] + [2] * 20)),
    Fault("onnx: an input of another size", edit(lambda model, p: next(v for v in model.graph.input if v.name == "z").CopyFrom(helper.make_tensor_value_info("z", FLOAT, ["batch", p.rng.randint(3, 99)]))), variants=MANY),
    Fault("onnx: an input of a negative size", other_input("z", FLOAT, ["batch", -2])),
    Fault("onnx: an input of a fixed batch", other_input("z", FLOAT, [1, 2])),
    Fault("onnx: an input of a free size", other_input("z", FLOAT, ["batch", "any"])),
    Fault("onnx: an input without a shape", on_the_graph(lambda graph, p: graph.input[0].type.tensor_type.ClearField("shape")), says=("field", "expected")),
    Fault("onnx: an input without a type", on_the_graph(lambda graph, p: graph.input[0].ClearField("type")), says=("field", "expected")),
    Fault("onnx: an input that is a sequence", on_the_graph(lambda graph, p: graph.input[0].type.sequence_type.elem_type.tensor_type.CopyFrom(onnx.TypeProto.Tensor(elem_type=1)))),
    Fault("onnx: an input that is a constant too", on_the_graph(lambda graph, p: graph.initializer.append(numpy_helper.from_array(np.zeros((1, 2), np.float32), "z")))),
    Fault("onnx: an output of another name", on_the_graph(lambda graph, p: setattr(graph.output[0], "name", graph.node[0].output[0]))),
    Fault("onnx: an output more", on_the_graph(lambda graph, p: graph.output.append(helper.make_tensor_value_info(graph.node[0].output[0], FLOAT, ["batch", 3])))),
    Fault("onnx: no output", on_the_graph(lambda graph, p: graph.ClearField("output"))),
    Fault("onnx: an output of another dtype", on_the_graph(lambda graph, p: setattr(graph.output[0].type.tensor_type, "elem_type", TensorProto.FLOAT16))),
    Fault("onnx: an output of another size", on_the_graph(lambda graph, p: setattr(graph.output[0].type.tensor_type.shape.dim[p.rng.randint(1, 3)], "dim_value", p.rng.randint(6, 99))), variants=MANY),
    Fault("onnx: an output that no node makes", edit(lambda model, p: next(n for n in model.graph.node if "image" in n.output).output.__setitem__(0, "elsewhere"))),
)  # fmt: skip

GRAPHS = (
    Fault("onnx: an operator of another domain", on_a_node(lambda node, p: setattr(node, "domain", p.rng.choice(["com.microsoft", "ai.onnx.ml", "x"]))), variants=MANY),
    Fault("onnx: an operator that is unknown", on_a_node(lambda node, p: setattr(node, "op_type", p.rng.choice(["Evil", "", "matmul", "MatMul2"]))), variants=MANY),
    Fault("onnx: an operator that draws", before_the_end(lambda value, p: [helper.make_node("RandomNormalLike", [value], ["image"])])),
    Fault("onnx: an operator that loops", before_the_end(lambda value, p: [helper.make_node("Loop", ["", "", value], ["image"], body=body())])),
    Fault("onnx: an operator that branches", before_the_end(branch)),
    Fault("onnx: a graph in an attribute", on_an_attribute(lambda attribute, p: (attribute.Clear(), setattr(attribute, "name", "body"), setattr(attribute, "type", onnx.AttributeProto.GRAPH), attribute.g.CopyFrom(body())))),
    Fault("onnx: an attribute of no type", on_an_attribute(lambda attribute, p: attribute.ClearField("type"))),
    Fault("onnx: an attribute of two types", on_an_attribute(lambda attribute, p: attribute.floats.append(1.0))),
    Fault("onnx: an attribute that refers to another", on_an_attribute(lambda attribute, p: setattr(attribute, "ref_attr_name", "x"))),
    Fault("onnx: an attribute twice", on_a_node(lambda node, p: node.attribute.extend([helper.make_attribute("a", 1)] * 2))),
    Fault("onnx: an attribute without a name", on_an_attribute(lambda attribute, p: attribute.ClearField("name"))),
    Fault("onnx: an attribute that is not a number", on_a_node(lambda node, p: node.attribute.append(helper.make_attribute("alpha", float("nan"))))),
    Fault("onnx: an attribute larger than any size", on_a_node(lambda node, p: node.attribute.append(helper.make_attribute("k", p.rng.randint(2**20 + 1, 2**62)))), variants=MANY),
    Fault("onnx: an input that nothing makes", on_a_node(lambda node, p: node.input.__setitem__(0, "nowhere")), variants=MANY),
    Fault("onnx: an input that is left out", edit(lambda model, p: p.rng.choice([n for n in model.graph.node if len(n.input) > 1]).input.__setitem__(1, "")), variants=MANY),
    Fault("onnx: an output that is left out", on_a_node(lambda node, p: node.output.append("")), variants=MANY),
    Fault("onnx: a value made twice", on_the_graph(lambda graph, p: graph.node.append(graph.node[p.rng.randrange(len(graph.node))])), variants=MANY),
    Fault("onnx: a value that a constant has", on_a_node(lambda node, p: node.output.append(p.model().graph.initializer[-1].name)), variants=MANY),
    Fault("onnx: a value used before it is made", on_the_graph(lambda graph, p: graph.node.insert(0, graph.node.pop()))),
    Fault("onnx: a circle of nodes", edit(cycle)),
    Fault("onnx: a transposed convolution that crops more than it makes", before_the_end(lambda value, p: [helper.make_node("ConvTranspose", [value, p.model().graph.initializer[-1].name], ["image"], kernel_shape=[3, 3], pads=p.rng.sample([0, 0, 1, p.rng.randint(3, 2**16)], 4))]), variants=MANY),
    Fault("onnx: more nodes than any model has", before_the_end(chain(10_001))),
    Fault("onnx: value_info, which may contradict", on_the_graph(lambda graph, p: graph.value_info.append(helper.make_tensor_value_info("x", FLOAT, [p.rng.randint(1, 9)]))), variants=MANY),
    Fault("onnx: quantization", on_the_graph(lambda graph, p: graph.quantization_annotation.add(tensor_name="x"))),
    Fault("onnx: a sparse constant", on_the_graph(sparse)),
    Fault("onnx: a tensor that a constant makes huge by Expand", resized("Expand", lambda p: [p.rng.randint(2**10, 2**20)] * 4), variants=MANY),
    Fault("onnx: a tensor that a constant makes huge by Tile", resized("Tile", lambda p: [p.rng.randint(2**10, 2**20)] * 4), variants=MANY),
    Fault("onnx: a tensor that a constant makes huge by Pad", resized("Pad", lambda p: [0] * 7 + [p.rng.randint(2**21, 2**40)]), variants=MANY),
    Fault("onnx: a tensor that a constant gives negative sides", resized("Expand", lambda p: [-p.rng.randint(1, 99), 5, 4, 3]), variants=MANY),
    Fault("onnx: a tensor that a constant makes huge from nothing", resized("ConstantOfShape", lambda p: [p.rng.randint(2**10, 2**20)] * 4), variants=MANY),
)  # fmt: skip

CONSTANTS = (
    Fault("onnx: a weight that is NaN", with_weights(poison(np.nan)), variants=MANY),
    Fault("onnx: a weight that is infinite", with_weights(poison(np.inf)), variants=MANY),
    Fault("onnx: a weight that is negative infinity", with_weights(poison(-np.inf)), variants=MANY),
    Fault("onnx: a double weight that is NaN", with_weights(poison(np.nan), np.float64), variants=MANY),
    Fault("onnx: a half weight that is NaN", with_weights(poison(np.nan), np.float16), variants=MANY),
    Fault("onnx: a half weight, as an integer, that is NaN", edit(half_as_integers(0x7E00)), variants=MANY),
    Fault("onnx: a half weight, as an integer, of more bits", edit(half_as_integers(0xFFFF)), variants=MANY),
    Fault("onnx: a weight in a list that is NaN", edit(as_float_data(float("nan"))), variants=MANY),
    Fault("onnx: a bias of one number that is NaN", edit(one_number(float("nan"))), variants=MANY),
    Fault("onnx: a bias of one number that is infinite", edit(one_number(float("inf"))), variants=MANY),
    Fault("onnx: a constant in another file", on_a_constant(externally), variants=MANY),
    Fault("onnx: a constant with fewer bytes", on_a_constant(lambda tensor, p: setattr(tensor, "raw_data", tensor.raw_data[: -p.rng.randint(1, 8)])), variants=MANY),
    Fault("onnx: a constant with more bytes", on_a_constant(lambda tensor, p: setattr(tensor, "raw_data", tensor.raw_data + bytes(p.rng.randint(1, 99)))), variants=MANY),
    Fault("onnx: a constant without bytes", on_a_constant(lambda tensor, p: tensor.ClearField("raw_data"))),
    Fault("onnx: a constant of two kinds of bytes", on_a_constant(lambda tensor, p: tensor.float_data.append(1.0))),
    Fault("onnx: a constant in the wrong list", on_a_constant(lambda tensor, p: (tensor.ClearField("raw_data"), tensor.int64_data.append(1)))),
    Fault("onnx: a constant with other numbers of integers", on_a_constant(lambda tensor, p: (tensor.Clear(), setattr(tensor, "name", p.model().graph.initializer[-1].name), setattr(tensor, "data_type", INT64), tensor.dims.append(9), tensor.int64_data.extend([1] * p.rng.randint(1, 8))))),
    Fault("onnx: a constant of huge dimensions", on_a_constant(lambda tensor, p: tensor.dims.__setitem__(0, p.rng.randint(2**20, 2**62))), variants=MANY),
    Fault("onnx: a constant whose dimensions overflow", on_a_constant(lambda tensor, p: (tensor.dims.__setitem__(0, 2**31 - 1), tensor.dims.extend([2**31 - 1, 2**31 - 1])))),
    Fault("onnx: a constant of a negative dimension", on_a_constant(lambda tensor, p: tensor.dims.__setitem__(0, -p.rng.randint(1, 2**40))), variants=MANY),
    Fault("onnx: a constant of more axes than any has", on_a_constant(lambda tensor, p: tensor.dims.extend([1] * p.rng.randint(8, 60000))), variants=MANY),
    Fault("onnx: a constant of text", on_a_constant(lambda tensor, p: (setattr(tensor, "data_type", TensorProto.STRING), tensor.ClearField("raw_data"), tensor.string_data.append(b"x")))),
    Fault("onnx: a constant of an unknown dtype", on_a_constant(lambda tensor, p: setattr(tensor, "data_type", p.rng.choice([0, 4, 14, 16, 77, -1]))), variants=MANY),
    Fault("onnx: a constant of no booleans", on_a_constant(lambda tensor, p: (setattr(tensor, "data_type", TensorProto.BOOL), setattr(tensor, "raw_data", bytes([7] * int(np.prod(tensor.dims)))))), variants=MANY),
    Fault("onnx: a constant without a name", on_a_constant(lambda tensor, p: tensor.ClearField("name"))),
    Fault("onnx: two constants of one name", on_the_graph(lambda graph, p: graph.initializer.append(p.rng.choice(graph.initializer))), variants=MANY),
    Fault("onnx: a segment of a constant", on_a_constant(lambda tensor, p: setattr(tensor.segment, "begin", 1))),
)  # fmt: skip

FAULTS = (
    *(
        Fault(each.name, each.plant, ModelError, ONNX, each.says, each.variants)
        for each in (*BYTES, *HEADER, *INTERFACE, *GRAPHS, *CONSTANTS)
    ),
    Fault("onnx: weights whose shapes do not fit", edit(lambda model, p: nodes_of(model, "MatMul")[0].input.reverse()), BackendError, None, ()),
    Fault("onnx: an image of other sides than it says", before_the_end(lambda value, p: [helper.make_node("Transpose", [value], ["image"], perm=[0, 2, 1, 3])]), BackendError, None, ()),
    Fault("onnx: an image more than it was asked for", before_the_end(lambda value, p: [helper.make_node("Concat", [value, value], ["image"], axis=0)]), BackendError, ONNX),
    Fault("onnx: an operator with too many inputs", edit(lambda model, p: nodes_of(model, "Sigmoid")[0].input.append("z")), BackendError, None, ()),
)  # fmt: skip
