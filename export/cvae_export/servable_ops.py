"""The operations that a SavedModel may contain: those that a CPU build of TF Serving registers.

TF Serving's binary links TensorFlow's core kernels and nothing that a program may load beside them; it runs no Python,
and it runs XlaCallModule only with a flag that it does not have by default. The list is what the rules of the plain
graph draw and what signatures and savers need, not all that there is: an operation that is new to it is looked up
first.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from tensorflow.core.protobuf import saved_model_pb2

from cvae_export.errors import ExportError

__all__ = ["SERVABLE_OPS", "check_servable", "read_saved_model"]

_BY_PURPOSE: Mapping[str, str] = {
    "signatures, functions and constants": "Const Identity NoOp PartitionedCall Placeholder StatefulPartitionedCall",
    "saving and restoring": "MergeV2Checkpoints RestoreV2 SaveV2 ShardedFilename StaticRegexFullMatch StringJoin",
    "arithmetic": "Abs Acos Acosh AddV2 Asin Asinh Atan Atanh Ceil Cos Cosh Erf Exp Expm1 Floor Log Log1p Maximum "
    "Minimum Mul Neg Pow RealDiv Round Rsqrt Sigmoid Sign Sin Sinh Sqrt Square Sub Tan Tanh TruncateDiv",
    "comparisons and logic": "Equal Greater GreaterEqual Less LessEqual LogicalAnd LogicalNot LogicalOr NotEqual "
    "Select SelectV2",
    "shapes": "BroadcastTo Cast ConcatV2 EnsureShape ExpandDims GatherV2 OnesLike Pack Pad PadV2 Range Reshape "
    "ReverseV2 Shape Slice SplitV Squeeze StridedSlice Tile Transpose",
    "noise and pictures, in the signatures sample and png_bytes": "Bitcast BitwiseAnd BitwiseOr BitwiseXor EncodePng "
    "Fill LeftShift RightShift ZerosLike",
    "reductions, products and convolutions": "All Any ArgMax ArgMin BatchMatMulV2 Conv2D "
    "Conv2DBackpropInput Cumsum Einsum MatMul Max Min Prod Sum",
}
SERVABLE_OPS = frozenset(op for ops in _BY_PURPOSE.values() for op in ops.split())


def check_servable(version_folder: Path) -> None:
    """Refuse a SavedModel with an operation outside the list; ExportError names each and where it is."""
    outside = {op: place for op, place in _operations(read_saved_model(version_folder)) if op not in SERVABLE_OPS}
    if outside:
        listed = ", ".join(f"{op} in {place}" for op, place in sorted(outside.items()))
        raise ExportError(f"saved_model: it has operations that a CPU build of TF Serving may not have: {listed}")


def read_saved_model(version_folder: Path) -> saved_model_pb2.SavedModel:
    """The message in the saved_model.pb of one version."""
    return saved_model_pb2.SavedModel.FromString((version_folder / "saved_model.pb").read_bytes())


def _operations(message: saved_model_pb2.SavedModel) -> Iterator[tuple[str, str]]:
    for meta_graph in message.meta_graphs:
        yield from ((node.op, "the graph") for node in meta_graph.graph_def.node)
        for function in meta_graph.graph_def.library.function:
            yield from ((node.op, f"the function {function.signature.name}") for node in function.node_def)
