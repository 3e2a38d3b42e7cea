"""ONNX in fewer bits, with the signatures of the form onnx; what goes in and comes out stays float32.

onnx_fp16/*.onnx    float16 throughout: half the size; faster on GPUs, not on CPUs, which compute in float32
onnx_int8/*.onnx    the large matrix products in 8 bits, each activation scaled to what a batch needs

In int8 a matrix product is sum (a - a0) w * s_a * s_w, with integers a of 8 bits and w of 7; s_a and a0 follow from the
smallest and the largest activation of the whole batch, so an image depends, within the tolerance, on those beside it.
"""

import logging
import math
import sys
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from importlib.metadata import version
from pathlib import Path

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

from cvae_export.decoder import Decoder
from cvae_export.errors import ExportError
from cvae_export.form import Form, Loaded, Written, signature_of, stem_of
from cvae_export.onnx import open_session
from cvae_export.onnx_graph import OPSET, WRITTEN_BY, check_portable, to_onnx
from cvae_export.onnx_names import with_canonical_names

__all__ = [
    "FP16_LATENT_TOLERANCE",
    "FP16_TOLERANCE",
    "INT8_LATENT_TOLERANCE",
    "INT8_TOLERANCE",
    "fp16_form",
    "int8_form",
    "to_fp16",
    "to_int8",
]

FP16_TOLERANCE = 1e-2
"""A float16 has 11 bits, so each value that passes is off by up to 5e-4 of itself; 2.3e-3 was measured after a flow of
16 layers, 1e-3 without."""
FP16_LATENT_TOLERANCE = 1e-2
"""Of the same size: 3e-3 was measured on digits, after the inverse of a flow of 16 layers and its Jacobian."""
INT8_TOLERANCE = 0.2
"""A weight of 7 bits is off by up to 1/254 of its column's largest, an activation by 1/510 of a batch's range; sums
spread that over a pixel's logit, which the sigmoid passes on at 1/4 at most. 0.06 was measured."""
INT8_LATENT_TOLERANCE = 0.5
"""0.22 was measured on digits, 0.3 of the posterior's deviation; a reconstruction is then off by 0.05 in a pixel."""
LEAST_SHARE = 0.03
"""Of all products' multiplications, what one must have to be worth its rounding. The latents, and each layer of a
learned prior, go through smaller ones, where rounding moves an image the most: with those of 64 latents in 8 bits an
image was off by 0.29, without by 0.05, and of 4.0 % of pixels by more than 8 grey levels, without of 0.006 %."""


def to_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model in float16, but for its inputs and outputs."""
    path = list(sys.path)
    from onnxruntime.transformers import float16  # puts its own folder on the path

    sys.path[:] = path
    return float16.convert_float_to_float16(model, keep_io_types=True)


def to_int8(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its large matrix products in 8 bits, a scale for each column of weights.

    Weights have 7 bits: with 8, processors without VNNI instructions cut sums of two products off at 16 bits. A
    convolution stays float32: ONNX Runtime's integer one is slower.
    """
    sizes = {tensor.name: math.prod(tensor.dims) for tensor in model.graph.initializer}
    products = {
        node.name: sizes[node.input[1]]
        for node in model.graph.node
        if node.op_type == "MatMul" and node.input[1] in sizes
    }
    large = [name for name, size in products.items() if size >= LEAST_SHARE * sum(products.values())]
    if not large:
        return model
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it advises a preparation that tf2onnx has done
    try:
        with tempfile.TemporaryDirectory() as folder:
            before, after = Path(folder, "before.onnx"), Path(folder, "after.onnx")
            before.write_bytes(model.SerializeToString())
            quantize_dynamic(
                before,
                after,
                op_types_to_quantize=["MatMul"],
                nodes_to_quantize=large,
                weight_type=QuantType.QInt8,
                per_channel=True,
                reduce_range=True,
            )
            return onnx.load(after)
    finally:
        root.setLevel(level)


def _write(
    decoder: Decoder, folder: Path, *, opset: int, least: str, change: Callable[[onnx.ModelProto], onnx.ModelProto]
) -> Written:
    since = onnx.defs.get_schema(least).since_version if least else 1
    if opset < since:
        raise ExportError(f"{folder.name}: opset {opset} is too old for {least}: give {since} or newer with --opset")
    folder.mkdir(parents=True)
    files = {signature: f"{stem_of(signature)}.onnx" for signature in decoder.functions}
    for signature, name in files.items():
        model = with_canonical_names(change(to_onnx(decoder.functions[signature], opset)))
        check_portable(model, opset)
        (folder / name).write_bytes(model.SerializeToString(deterministic=True))
    written_by = {**WRITTEN_BY, "onnxruntime": version("onnxruntime")}
    return Written(
        tuple(files), written_by, files={signature: (name,) for signature, name in files.items()}, opset=opset
    )


def _load(folder: Path) -> Iterable[Loaded]:
    return [Loaded(signature_of(file), open_session(file)) for file in sorted(folder.glob("*.onnx"))]


def fp16_form(opset: int = OPSET) -> Form:
    """float16, written at an opset."""
    write = partial(_write, opset=opset, least="", change=to_fp16)
    return Form("onnx_fp16", "onnx_fp16", write, _load, FP16_TOLERANCE, FP16_LATENT_TOLERANCE)


def int8_form(opset: int = OPSET) -> Form:
    """Weights and activations of 8 bits, written at an opset."""
    write = partial(_write, opset=opset, least="DynamicQuantizeLinear", change=to_int8)
    return Form("onnx_int8", "onnx_int8", write, _load, INT8_TOLERANCE, INT8_LATENT_TOLERANCE)
