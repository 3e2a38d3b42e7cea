"""A model of 2 latents, 3 classes and 2 x 3 pixels, and what a server that is right says of it."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from cvae_sdk.manifest import Manifest, Signature, TensorSpec

NAME, LATENTS, CLASSES, IMAGE = "tiny", 2, 3, (2, 3, 1)

_Z = TensorSpec("float32", ("batch", LATENTS))
_LABEL = TensorSpec("int32", ("batch",))
_IMAGE = TensorSpec("float32", ("batch", *IMAGE))
SIGNATURES = {
    "decode": Signature({"z": _Z, "label": _LABEL}, {"image": _IMAGE}),
    "mix": Signature({"z": _Z, "class_weights": TensorSpec("float32", ("batch", CLASSES))}, {"image": _IMAGE}),
    "encode": Signature({"image": _IMAGE, "label": _LABEL}, {"mean": _Z, "logvar": _Z}),
}
MANIFEST = Manifest(
    NAME, 4, "2026-11-26T00:00:00Z", ("zero", "one", "two"), LATENTS, IMAGE, SIGNATURES, {}, {}, {}
)  # fmt: skip

Tensors = dict[str, np.ndarray]


def run(function: str, inputs: Mapping[str, np.ndarray]) -> Tensors:
    """What the model gives, each row by itself."""
    if function == "encode":
        flat = inputs["image"].reshape(len(inputs["image"]), -1)
        mean = np.stack([flat.sum(1), flat[:, 0] - inputs["label"]], 1).astype(np.float32)
        return {"mean": mean, "logvar": -mean}
    weights = inputs["class_weights"] if function == "mix" else np.eye(CLASSES)[inputs["label"].ravel()]
    slopes = np.linspace(-1, 1, 6)
    x = inputs["z"][:, :1] * slopes + inputs["z"][:, 1:] / 3 + weights @ np.array([[-0.5], [0.1], [0.7]])
    return {"image": (1 / (1 + np.exp(-x))).astype(np.float32).reshape(-1, *IMAGE)}


def latents(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, LATENTS), np.float32), rng.integers(0, CLASSES, count).astype(np.int32)


def tf_metadata() -> dict[str, Any]:
    """As GET /v1/models/tiny/metadata has it, with signatures that the SDK does not ask for."""
    names = {"float32": "DT_FLOAT", "int32": "DT_INT32"}

    def tensors(specs: Mapping[str, TensorSpec]) -> dict[str, Any]:
        return {
            name: {
                "dtype": names[spec.dtype],
                "tensor_shape": {
                    "dim": [{"size": "-1" if size == "batch" else str(size), "name": ""} for size in spec.shape],
                    "unknown_rank": False,
                },
                "name": f"{name}:0",
            }
            for name, spec in specs.items()
        }

    signatures = {
        name: {"inputs": tensors(each.inputs), "outputs": tensors(each.outputs), "method_name": "tensorflow/serving"}
        for name, each in SIGNATURES.items()
    }
    signatures["__saved_model_init_op"] = {"inputs": {}, "outputs": {}, "method_name": ""}
    return {
        "model_spec": {"name": NAME, "signature_name": "", "version": "4"},
        "metadata": {"signature_def": {"signature_def": signatures}},
    }


def inference_metadata(function: str) -> dict[str, Any]:
    """As GET /v2/models/tiny has it, of Triton, whose label is [batch, 1]."""
    names = {"float32": "FP32", "int32": "INT32"}

    def tensors(specs: Mapping[str, TensorSpec]) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "datatype": names[spec.dtype],
                "shape": [-1, *(spec.shape[1:] or (1,))],
            }
            for name, spec in specs.items()
        ]

    each = SIGNATURES[function]
    return {
        "name": NAME if function == "decode" else f"{NAME}-{function}",
        "versions": ["1", "4"],
        "platform": "onnxruntime_onnx",
        "inputs": tensors(each.inputs),
        "outputs": tensors(each.outputs),
    }


def tf_answer(body: bytes) -> dict[str, Any]:
    """As POST /v1/models/tiny:predict answers a request in column format."""
    request = json.loads(body)
    specs = SIGNATURES[request["signature_name"]].inputs
    assert set(request) == {"signature_name", "inputs"}
    assert set(request["inputs"]) == set(specs)
    inputs = {name: np.array(value, specs[name].dtype) for name, value in request["inputs"].items()}
    listed = {name: value.tolist() for name, value in run(request["signature_name"], inputs).items()}
    return {"outputs": listed if len(listed) > 1 else next(iter(listed.values()))}


def inference_answer(function: str, body: bytes, head_length: int | None) -> tuple[dict[str, Any], bytes]:
    """As POST /v2/models/tiny/infer answers: JSON, and the bytes behind it if the request's tensors came so."""
    head, content = (body, b"") if head_length is None else (body[:head_length], body[head_length:])
    request = json.loads(head)
    inputs: Tensors = {}
    for tensor in request["inputs"]:
        dtype = np.dtype({"FP32": "<f4", "INT32": "<i4"}[tensor["datatype"]])
        if head_length is None:
            inputs[tensor["name"]] = np.array(tensor["data"], dtype).reshape(tensor["shape"])
            continue
        size = tensor["parameters"]["binary_data_size"]
        inputs[tensor["name"]] = np.frombuffer(content[:size], dtype).reshape(tensor["shape"])
        content = content[size:]
    assert not content
    if "label" in inputs:
        assert inputs["label"].ndim == 2
        inputs["label"] = inputs["label"][:, 0]
    outputs = run(function, inputs)
    assert {output["name"] for output in request["outputs"]} == set(outputs)
    values: list[dict[str, Any]] = []
    for name, value in outputs.items():
        values.append({"name": name, "datatype": "FP32", "shape": value.shape})
        if head_length is None:
            values[-1]["data"] = value.ravel().tolist()
        else:
            values[-1]["parameters"] = {"binary_data_size": value.nbytes}
            content += value.astype("<f4").tobytes()
    return {"model_name": NAME, "model_version": "4", "outputs": values}, content
