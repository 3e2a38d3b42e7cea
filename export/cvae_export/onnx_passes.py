"""The same numbers in fewer passes over memory: what a decoder does to each pixel after its sums.

    max(x, 0)                       ->  Relu(x), which ONNX Runtime makes part of a float32 product
    Relu(Relu(x))                   ->  Relu(x)
    min(Relu(x), b), b >= 0         ->  Clip(x, 0, b)
    Reshape(Clip(x)), an output     ->  Clip(Reshape(x)): a reshape that is an output is a copy

In 8 bits, four such passes over an image take longer than the product before them.
"""

from collections.abc import Mapping

import onnx
from onnx import numpy_helper

__all__ = ["with_fewer_passes"]

_LEAST_OPSET = 11
"""Since when Clip has its bounds as inputs, as Max and Min have them."""


def with_fewer_passes(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same function of the same inputs, in fewer operators; of an opset before 11 as it is."""
    result = onnx.ModelProto.FromString(model.SerializeToString())
    if all(each.version >= _LEAST_OPSET for each in result.opset_import if not each.domain):
        del result.graph.value_info[:]
        while any(_Values(result.graph).rewrite(node) for node in result.graph.node):
            pass
    return result


class _Values:
    """What is known of a graph's values; a rewritten graph wants another."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._outputs = {value.name for value in graph.output}
        self._producers = {name: node for node in graph.node for name in node.output}
        self._uses = [*self._outputs, *(name for node in graph.node for name in node.input)]
        self._constants = {tensor.name for tensor in graph.initializer}
        self._scalars: Mapping[str, float] = {
            tensor.name: numpy_helper.to_array(tensor).item()
            for tensor in graph.initializer
            if tensor.data_type == onnx.TensorProto.FLOAT and not tensor.dims
        }

    def rewrite(self, node: onnx.NodeProto) -> bool:
        """Rewrite a node, with the one before it, if a rule fits; one that nothing uses afterwards is left behind."""
        match node.op_type:
            case "Max" | "Min":
                return self._bound(node)
            case "Relu":
                inner = self._before(node.input[0], "Relu")
                if inner is not None:
                    node.input[:] = inner.input
                return inner is not None
            case "Reshape":
                return self._reshape(node)
            case _:
                return False

    def _bound(self, node: onnx.NodeProto) -> bool:
        values = [name for name in node.input if name not in self._scalars]
        bounds = [name for name in node.input if name in self._scalars]
        if len(values) != 1 or len(bounds) != 1:
            return False
        bound = self._scalars[bounds[0]]
        if node.op_type == "Max":
            if bound == 0:
                node.op_type, node.input[:] = "Relu", values
            return bound == 0
        relu = self._before(values[0], "Relu")
        zero = next((name for name, number in self._scalars.items() if number == 0), None)
        if relu is None or zero is None or bound < 0:
            return False
        node.op_type, node.input[:] = "Clip", [relu.input[0], zero, *bounds]
        return True

    def _reshape(self, node: onnx.NodeProto) -> bool:
        clip = self._before(node.input[0], "Clip")
        if clip is None or node.output[0] not in self._outputs or node.input[1] not in self._constants:
            return False
        (x, *bounds), (between, shape) = clip.input, node.input
        clip.op_type, clip.input[:] = "Reshape", [x, shape]
        node.op_type, node.input[:] = "Clip", [between, *bounds]
        return True

    def _before(self, name: str, operator: str) -> onnx.NodeProto | None:
        """The node that gives a value, if it is this operator and the value has no other use."""
        node = self._producers.get(name)
        return node if node is not None and node.op_type == operator and self._uses.count(name) == 1 else None
