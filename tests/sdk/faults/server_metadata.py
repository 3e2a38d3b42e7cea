"""What a server can say of its model that is not what the manifest says, or too little to make a manifest of."""

import copy
from collections.abc import Callable
from typing import Any

from remote.grpc_messages import metadata, signatures
from remote.scripted_grpc import Call
from remote.scripted_http import Exchange, answer, http
from remote.tiny_model import SIGNATURES

from cvae_sdk import MetadataError, ProtocolError
from cvae_sdk.manifest import Signature, TensorSpec
from faults.server_fault import GRPC, INFERENCE, REST, ServerFault

Specs = dict[str, Signature]
DECODE = "signatures.decode"
ALL = (REST, INFERENCE, GRPC)


def changed(name: str, part: str, tensor: str, spec: TensorSpec | None) -> Specs:
    """The signatures with one tensor another, or left out."""
    each = SIGNATURES[name]
    parts: dict[str, dict[str, TensorSpec]] = {"inputs": dict(each.inputs), "outputs": dict(each.outputs)}
    parts[part].pop(tensor, None)
    if spec is not None:
        parts[part][tensor] = spec
    return {**SIGNATURES, name: Signature(**parts)}


def rest_metadata(specs: Specs) -> Callable[[Any], Any]:
    names = {"float32": "DT_FLOAT", "int32": "DT_INT32"}

    def tensors(part: Any) -> Any:
        return {
            tensor: {
                "dtype": names.get(spec.dtype, spec.dtype),
                "tensor_shape": {"dim": [{"size": "-1" if size == "batch" else str(size)} for size in spec.shape]},
            }
            for tensor, spec in part.items()
        }

    def change(values: Any) -> Any:
        said = {
            name: {"inputs": tensors(each.inputs), "outputs": tensors(each.outputs)} for name, each in specs.items()
        }
        return {**values, "metadata": {"signature_def": {"signature_def": said}}}

    return change


def inference_metadata(specs: Specs, function: str) -> Callable[[Any], Any]:
    names = {"float32": "FP32", "int32": "INT32"}

    def tensors(part: Any) -> Any:
        return [
            {
                "name": tensor,
                "datatype": names.get(spec.dtype, spec.dtype),
                "shape": [-1 if size == "batch" else size for size in spec.shape],
            }
            for tensor, spec in part.items()
        ]

    def change(values: Any) -> Any:
        each = specs[function]
        return {**values, "inputs": tensors(each.inputs), "outputs": tensors(each.outputs)}

    return change


def says(specs: Specs) -> Callable[[Any], Any]:
    """Answers with these signatures, by whichever interface is asked."""

    def spoil(asked: Exchange | Call) -> Any:
        if isinstance(asked, Call):
            return metadata(signatures(specs))
        if asked.path.startswith("/v1/"):
            return asked.send(answer(rest_metadata(specs)(asked.values)))
        if asked.path == "/v2":
            return asked.send(asked.good)
        function = asked.path.partition("-")[2] or "decode"
        if function not in specs:
            return asked.send(http(b"", "404 Not Found"))
        return asked.send(answer(inference_metadata(specs, function)(asked.values)))

    return spoil


def other(name: str, field: str, specs: Specs, *, manifest: bool = True) -> ServerFault:
    """Another model than the manifest's, or one of which no manifest can be made."""
    return ServerFault(f"server: its model {name}", says(specs), MetadataError, field, ALL, "GET", manifest=manifest)


def only(*names: str) -> Specs:
    return {name: SIGNATURES[name] for name in names}


def rest(name: str, field: str, change: Callable[[Any], Any], error: type = ProtocolError) -> ServerFault:
    def spoil(exchange: Exchange) -> None:
        values = copy.deepcopy(exchange.values)
        exchange.send(answer(change(values)))

    return ServerFault(f"server: REST metadata: {name}", spoil, error, field, (REST,), "GET")


def inference(name: str, field: str, change: Callable[[Any], Any], error: type = ProtocolError) -> ServerFault:
    def spoil(exchange: Exchange) -> None:
        values = copy.deepcopy(exchange.values)
        exchange.send(exchange.good if exchange.path == "/v2" else answer(change(values)))

    return ServerFault(f"server: inference metadata: {name}", spoil, error, field, (INFERENCE,), "GET")


def with_z(values: Any, **more: Any) -> Any:
    values["metadata"]["signature_def"]["signature_def"]["decode"]["inputs"]["z"] |= more
    return values


def with_inputs(values: Any, inputs: Any) -> Any:
    values["metadata"]["signature_def"]["signature_def"]["decode"]["inputs"] = inputs
    return values


def with_first_input(values: Any, **more: Any) -> Any:
    values["inputs"][0] |= more
    return values


Z = "metadata.signature_def.signature_def.decode.inputs.z"
F32 = "float32"

METADATA = (
    other("takes no z", f"{DECODE}.inputs.z", changed("decode", "inputs", "z", None)),
    other("takes more than it should", f"{DECODE}.inputs.seed", changed("decode", "inputs", "seed", TensorSpec("int32", ("batch",)))),
    other("takes z of 3 latents", f"{DECODE}.inputs.z", changed("decode", "inputs", "z", TensorSpec(F32, ("batch", 3)))),
    other("takes z of a free size", f"{DECODE}.inputs.z", changed("decode", "inputs", "z", TensorSpec(F32, ("batch", -1)))),
    other("takes z of 4 rows only", f"{DECODE}.inputs.z", changed("decode", "inputs", "z", TensorSpec(F32, (4, 2)))),
    other("takes z of another rank", f"{DECODE}.inputs.z", changed("decode", "inputs", "z", TensorSpec(F32, ("batch", 2, 1)))),
    other("takes z as int32", f"{DECODE}.inputs.z", changed("decode", "inputs", "z", TensorSpec("int32", ("batch", 2)))),
    other("takes label as float32", f"{DECODE}.inputs.label", changed("decode", "inputs", "label", TensorSpec(F32, ("batch",)))),
    other("gives images that are turned", f"{DECODE}.outputs.image", changed("decode", "outputs", "image", TensorSpec(F32, ("batch", 3, 2, 1)))),
    other("gives no image", f"{DECODE}.outputs.image", changed("decode", "outputs", "image", None)),
    other("mixes 4 classes", "signatures.mix.inputs.class_weights", changed("mix", "inputs", "class_weights", TensorSpec(F32, ("batch", 4)))),
    other("encodes to 3 latents", "signatures.encode.outputs.mean", changed("encode", "outputs", "mean", TensorSpec(F32, ("batch", 3)))),
    other("has no mix to count classes by", "signatures.mix", only("decode", "encode"), manifest=False),
    other("has 10^12 classes", "signatures.mix.inputs.class_weights", changed("mix", "inputs", "class_weights", TensorSpec(F32, ("batch", 10**12))), manifest=False),
    other("has no classes", "signatures.mix.inputs.class_weights", changed("mix", "inputs", "class_weights", TensorSpec(F32, ("batch", 0))), manifest=False),
    other("has no latents", "latent_dim", changed("decode", "inputs", "z", TensorSpec(F32, ("batch", 0))), manifest=False),
    other("has 2^40 latents", "latent_dim", changed("decode", "inputs", "z", TensorSpec(F32, ("batch", 2**40))), manifest=False),
    other("gives images of 4 channels", "image_shape", changed("decode", "outputs", "image", TensorSpec(F32, ("batch", 2, 3, 4))), manifest=False),
    other("gives images a million pixels wide", "image_shape[1]", changed("decode", "outputs", "image", TensorSpec(F32, ("batch", 2, 10**6, 1))), manifest=False),
    other("gives images without an axis for channels", f"{DECODE}.outputs.image", changed("decode", "outputs", "image", TensorSpec(F32, ("batch", 2, 3))), manifest=False),
    other("mixes other latents than it decodes", "signatures.mix", changed("mix", "inputs", "z", TensorSpec(F32, ("batch", 5))), manifest=False),
    rest("there is no decode", "signatures.decode", lambda v: rest_metadata(only("mix", "encode"))(v), MetadataError),
    rest("there is no model_spec", "model_spec", lambda v: {"metadata": v["metadata"]}),
    rest("there is no metadata", "metadata", lambda v: {"model_spec": v["model_spec"]}),
    rest("there is no signature_def", "metadata.signature_def", lambda v: {**v, "metadata": {}}),
    rest("signature_def is a list", "metadata.signature_def", lambda v: {**v, "metadata": {"signature_def": []}}),
    rest("it is a list", "body", lambda v: [v]),
    rest("a tensor is a text", Z, lambda v: with_inputs(v, {"z": "float32"})),
    rest("inputs are a list", Z.removesuffix(".z"), lambda v: with_inputs(v, [])),
    rest("a tensor has no shape", f"{Z}.tensor_shape", lambda v: with_z(v, tensor_shape=None)),
    rest("a shape is an object", f"{Z}.tensor_shape.dim", lambda v: with_z(v, tensor_shape={"dim": {}})),
    rest("a side is a text", f"{Z}.tensor_shape.dim.size", lambda v: with_z(v, tensor_shape={"dim": [{"size": "two"}]})),
    rest("a side is 1.5", f"{Z}.tensor_shape.dim.size", lambda v: with_z(v, tensor_shape={"dim": [{"size": 1.5}]})),
    rest("a side has 400 digits", f"{Z}.tensor_shape.dim.size", lambda v: with_z(v, tensor_shape={"dim": [{"size": "9" * 400}]})),
    rest("a side is no object", f"{Z}.tensor_shape.dim", lambda v: with_z(v, tensor_shape={"dim": [2]})),
    rest("a rank is unknown", f"{DECODE}.inputs.z", lambda v: with_z(v, tensor_shape={"unknown_rank": True}), MetadataError),
    rest("a dtype is DT_HALF", f"{DECODE}.inputs.z", lambda v: with_z(v, dtype="DT_HALF"), MetadataError),
    rest("a dtype is a number", f"{DECODE}.inputs.z", lambda v: with_z(v, dtype=1), MetadataError),
    inference("there are no inputs", "decode.inputs", lambda v: {**v, "inputs": None}),
    inference("inputs are an object", "decode.inputs", lambda v: {**v, "inputs": {}}),
    inference("an input is a text", "decode.inputs", lambda v: {**v, "inputs": ["z"]}),
    inference("an input has no name", "decode.inputs", lambda v: with_first_input(v, name=None)),
    inference("an input has no datatype", "decode.inputs", lambda v: with_first_input(v, datatype=None)),
    inference("an input has no shape", "decode.inputs.shape", lambda v: with_first_input(v, shape=None)),
    inference("a side is a text", "decode.inputs", lambda v: with_first_input(v, shape=["-1", "2"])),
    inference("a datatype is FP16", f"{DECODE}.inputs.z", lambda v: with_first_input(v, datatype="FP16"), MetadataError),
    inference("versions are a number", "versions", lambda v: {**v, "versions": 4}),
)  # fmt: skip
