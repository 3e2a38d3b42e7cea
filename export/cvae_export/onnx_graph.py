"""A function as an ONNX model by tf2onnx, of standard operators at an opset, and the checks that it is one."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import onnx
import tensorflow as tf
import tf2onnx

from cvae_export.decoder import Function
from cvae_export.errors import ExportError
from cvae_export.onnx_names import with_canonical_names
from cvae_export.onnx_passes import with_fewer_passes
from cvae_export.tf_graph import to_tf_function

__all__ = ["OPSET", "WRITTEN_BY", "check_portable", "to_onnx"]

OPSET = 17
WRITTEN_BY = {"tf2onnx": version("tf2onnx"), "tensorflow": tf.__version__}
_NEWEST = max(tf2onnx.constants.OPSET_TO_IR_VERSION)


def _to_where(ctx: Any, node: Any, name: str, arguments: Any) -> None:
    """tf2onnx adds up both branches times 1 and 0, which makes NaN of an infinite one that is not taken."""
    node.type = "Where"


_HANDLERS = {"SelectV2": (_to_where, [])}


def to_onnx(function: Function, opset: int = OPSET) -> onnx.ModelProto:
    """`function` as an ONNX model; ExportError for an opset that has not all the operators that it takes."""
    if not 1 <= opset <= _NEWEST:
        raise ExportError(f"onnx: opset {opset} cannot be written: tf2onnx knows 1 to {_NEWEST}")
    drawn = to_tf_function(function)
    with _only_exceptions():
        try:
            model, _ = tf2onnx.convert.from_function(
                drawn, drawn.input_signature, opset=opset, custom_op_handlers=_HANDLERS
            )
        except Exception as error:  # tf2onnx raises whatever its handler of an operation ran into
            raise ExportError(f"onnx: tf2onnx cannot convert at opset {opset}: {str(error).splitlines()[0]}") from error
    model = with_canonical_names(with_fewer_passes(model))
    check_operators(model, opset)
    check_portable(model, opset)
    return model


def check_operators(model: onnx.ModelProto, opset: int) -> None:
    """Refuse an operator that the opset does not have, or not in the way that it is used."""
    context = onnx.checker.C.CheckerContext()
    context.ir_version = model.ir_version
    context.opset_imports = {each.domain: each.version for each in model.opset_import}
    for node in model.graph.node:
        if node.domain:
            continue
        try:
            onnx.checker.check_node(node, context)
        except onnx.checker.ValidationError as error:
            raise ExportError(
                f"onnx: opset {opset} is too old for {node.op_type}: give a newer one, {OPSET} say, with --opset"
            ) from error


def check_portable(model: onnx.ModelProto, opset: int = OPSET) -> None:
    """Refuse what a plain runtime may lack: custom operators, model functions, tensors in other files, other opsets."""
    opsets = {each.domain: each.version for each in model.opset_import}
    if opsets.get("") != opset:
        raise ExportError(f"onnx: the model's opset is {opsets.get('')}, not {opset}")
    if custom := sorted({f"{node.domain}.{node.op_type}" for node in model.graph.node if node.domain}):
        raise ExportError(f"onnx: the model has custom operators: {', '.join(custom)}")
    if model.functions:
        raise ExportError(f"onnx: the model has functions: {', '.join(function.name for function in model.functions)}")
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise ExportError(f"onnx: the tensor {tensor.name} lies in another file")
    onnx.checker.check_model(model, full_check=True)


@contextmanager
def _only_exceptions() -> Iterator[None]:
    """tf2onnx logs what it raises afterwards."""
    logger = logging.getLogger("tf2onnx")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
