"""An ONNX model whose bytes depend on what it computes alone.

tf2onnx names nodes and constants by counters, in an order that Python's hashes of strings decide. Here nodes come in
the order in which the outputs need them, depth first, and are named by operator and number; constants come and are
numbered in the order of their first use. Inputs and outputs keep their names, and a free axis is called batch.
"""

from collections.abc import Mapping

import onnx

from cvae_export.decoder import BATCH

__all__ = ["with_canonical_names"]


def with_canonical_names(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model with nodes and constants in a canonical order, under canonical names, and no comments."""
    result = onnx.ModelProto.FromString(model.SerializeToString())
    graph = result.graph
    nodes = _in_order_of_need(graph)
    constants = {tensor.name: tensor for tensor in graph.initializer}
    names = {value.name: value.name for value in (*graph.input, *graph.output)}
    for name in (name for node in nodes for name in node.input):
        if name in constants and name not in names:
            names[name] = f"constant_{sum(known.startswith('constant_') for known in names.values())}"
    numbers: dict[str, int] = {}
    for node in nodes:
        numbers[node.op_type] = numbers.get(node.op_type, -1) + 1
        node.name, node.doc_string = f"{node.op_type}_{numbers[node.op_type]}", ""
        for position, name in enumerate(node.output):
            names.setdefault(name, f"{node.name}:{position}")
        _rename(node, names)
    used = [tensor for name in names if (tensor := constants.get(name)) is not None]
    for tensor in used:
        tensor.name, tensor.doc_string = names[tensor.name], ""
    inputs, outputs, name = list(graph.input), list(graph.output), graph.name
    for axis in (axis for value in (*inputs, *outputs) for axis in value.type.tensor_type.shape.dim):
        if not axis.HasField("dim_value"):
            axis.dim_param = BATCH
    graph.Clear()
    graph.name = name
    for field, values in (("node", nodes), ("initializer", used), ("input", inputs), ("output", outputs)):
        getattr(graph, field).extend(values)
    return result


def _rename(node: onnx.NodeProto, names: Mapping[str, str]) -> None:
    renamed = ([names[name] if name else "" for name in values] for values in (node.input, node.output))
    node.input[:], node.output[:] = renamed


def _in_order_of_need(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Each node after all that it needs, from the outputs back; what no output needs is left out."""
    producers = {name: node for node in graph.node for name in node.output if name}
    ordered: dict[int, onnx.NodeProto] = {}
    waiting = [(value.name, False) for value in reversed(graph.output)]
    while waiting:
        name, ready = waiting.pop()
        node = producers.get(name)
        if node is None or id(node) in ordered:
            continue
        if ready:
            ordered[id(node)] = node
        else:
            waiting.append((name, True))
            waiting.extend((needed, False) for needed in reversed(node.input))
    return list(ordered.values())
