"""The ONNX operators that a model may have: those that cvae-export can write, and what bounds the memory of some.

Each is a function of its inputs alone. None has a graph inside (If, Loop, Scan, SequenceMap), draws random numbers,
keeps a state, or reads anything; all are in ONNX's default domain, so that every runtime has them.
"""

import math
from collections.abc import Callable, Mapping, Sequence

from cvae_sdk.protobuf import Refused

__all__ = ["MASKING", "OPERATORS", "check_sizes"]

_BY_PURPOSE: Mapping[str, str] = {
    "arithmetic": "Abs Acos Acosh Add Asin Asinh Atan Atanh Cast Ceil Clip Cos Cosh Div Erf Exp Floor Log Max Min Mul "
    "Neg Pow Reciprocal Round Sign Sin Sinh Sqrt Sub Sum Tan",
    "activations": "LeakyRelu Relu Sigmoid Softmax Softplus Tanh",
    "comparisons and logic": "And Equal Greater GreaterOrEqual IsNaN Less LessOrEqual Not Or Where Xor",
    "shapes": "Concat ConstantOfShape Expand Flatten Gather Identity OneHot Pad Range Reshape ReverseSequence Shape "
    "Slice Split Squeeze Tile Transpose Unsqueeze",
    "reductions": "ArgMax ArgMin CumSum LayerNormalization ReduceMax ReduceMin ReduceProd ReduceSum",
    "products and convolutions": "Conv ConvTranspose Einsum Gemm MatMul",
    "8 bits": "DynamicQuantizeLinear MatMulInteger",
}
OPERATORS = frozenset(operator for operators in _BY_PURPOSE.values() for operator in operators.split())
_MASKING = "Clip ConstantOfShape Equal Expand Greater GreaterOrEqual Less LessOrEqual Max Min Pad Where"
MASKING = frozenset(_MASKING.split())
"""Those that may have a constant that is NaN or infinite, which then stands where nothing else is chosen."""
_ELEMENTS = 1 << 28  # of one tensor that a constant asks for: 1 GiB of float32
_SIDE = 1 << 20
_ANY_SIZE = ("axes", "ends", "starts")  # of Slice before opset 10, in which 2^63 - 1 means the end


def _product(values: Sequence[int]) -> int:
    return math.prod(max(1, abs(value)) for value in values)


def _largest(values: Sequence[int]) -> int:
    return max(map(abs, values), default=0)


_SIZES: Mapping[str, tuple[tuple[int, ...], Callable[[Sequence[int]], int], int]] = {
    "ConstantOfShape": ((0,), _product, _ELEMENTS),
    "Expand": ((1,), _product, _ELEMENTS),
    "OneHot": ((1,), _largest, _SIDE),
    "Pad": ((1,), _largest, _SIDE),
    "Range": ((0, 1, 2), _largest, _ELEMENTS),
    "Reshape": ((1,), _product, _ELEMENTS),
    "Tile": ((1,), _product, _SIDE),
}

_LEAST: Mapping[str, int] = {"ConstantOfShape": 0, "Expand": 0, "Reshape": -1, "Tile": 0}


def check_sizes(
    where: str,
    operator: str,
    inputs: Sequence[str],
    constants: Mapping[str, Sequence[int]],
    attributes: Mapping[str, Sequence[int]],
) -> None:
    """Refused for a node that is told, by a constant or an attribute, to make a tensor that no decoder needs.

    What a model computes its sizes from is not followed: a model that was made to take all memory still can.
    """
    positions, measure, most = _SIZES.get(operator, ((), _product, 0))
    for position in positions:
        values = constants.get(inputs[position]) if position < len(inputs) else None
        if values is None:
            continue
        if (found := measure(values)) > most:
            raise Refused(f"{where}.input[{position}]", f"of at most {most} elements or rows", found)
        if operator in _LEAST and min(values, default=0) < _LEAST[operator]:  # ONNX Runtime may end the process
            raise Refused(f"{where}.input[{position}]", f"at least {_LEAST[operator]}", min(values))
    for name, values in attributes.items():
        if name not in _ANY_SIZE and (found := _largest(values)) > _SIDE:
            raise Refused(f"{where}.{name}", f"at most {_SIDE}", found)
    if operator == "ConvTranspose":
        _check_cropping(where, attributes)
    if operator == "Reshape" and (found := _product(attributes.get("shape", ()))) > _ELEMENTS:
        raise Refused(f"{where}.shape", f"of at most {_ELEMENTS} elements", found)


def _check_cropping(where: str, attributes: Mapping[str, Sequence[int]]) -> None:
    """What a transposed convolution crops is less than its kernel: else ONNX Runtime may end the process."""
    pads, kernel = attributes.get("pads", ()), attributes.get("kernel_shape", ())
    dilations = attributes.get("dilations", ()) or [1] * len(kernel)
    if any(pads) and not len(pads) == 2 * len(kernel) == 2 * len(dilations):
        raise Refused(f"{where}.pads", "two for each axis of kernel_shape", list(pads))
    for i, (size, dilation) in enumerate(zip(kernel, dilations, strict=False)):
        cropped = sum(pads[i :: len(kernel)])
        if min(pads[i :: len(kernel)], default=0) < 0 or cropped > max(0, dilation * (size - 1)):
            raise Refused(f"{where}.pads", f"from 0 to {dilation * (size - 1)}", list(pads))
