"""A Triton model repository of an artifact's ONNX files: tritonserver --model-repository=ARTIFACT/serving/triton

serving/triton/<name>/config.pbtxt          the signature decode
serving/triton/<name>/<version>/model.onnx  a copy of onnx/decoder.onnx: an artifact has no links
serving/triton/<name>-<signature>/...       the same for each further onnx/<signature>.onnx

Triton merges requests that wait into one run of the model. It gives each tensor one axis or more beside the batch, so
that a request sends a label as [batch, 1]; `reshape` hands the model its [batch].
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from cvae_sdk.manifest import Manifest, Signature, TensorSpec

__all__ = ["model_config", "triton_card", "triton_name", "write_triton"]

MAX_BATCH_SIZE = 4096
"""Of one request, and of requests merged: 13 MB of 28 x 28 images. ONNX Runtime is hardly faster at it than at 256."""
PREFERRED_BATCH_SIZES = (64, 256)
QUEUE_DELAY_MICROSECONDS = 100
"""How long a request may wait for others: about what a batch of 16 takes."""

_DECODE = "decode"
_DATA_TYPES = {"float32": "TYPE_FP32", "int32": "TYPE_INT32"}


def write_triton(folder: Path, name: str, version: int, signatures: Mapping[str, Signature]) -> None:
    """Lay out a model for each signature that has an ONNX file in the artifact `folder`, called `name`."""
    for name_of_signature, signature in signatures.items():
        onnx = folder / "onnx" / f"{'decoder' if name_of_signature == _DECODE else name_of_signature}.onnx"
        if not onnx.is_file():
            continue
        model = triton_name(name, name_of_signature)
        place = folder / "serving" / "triton" / model
        (place / str(version)).mkdir(parents=True)
        (place / str(version) / "model.onnx").write_bytes(onnx.read_bytes())
        (place / "config.pbtxt").write_text(model_config(model, signature), encoding="ascii", newline="\n")


def triton_name(name: str, signature: str = _DECODE) -> str:
    """What Triton calls the model of a signature: it is a folder, a part of a URL, and a string of config.pbtxt."""
    model = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip(".-") or "decoder"
    return model if signature == _DECODE else f"{model}-{signature}"


def model_config(model: str, signature: Signature) -> str:
    """config.pbtxt, complete: Triton has nothing to fill in."""
    tensors = [
        *(_tensor("input", name, spec) for name, spec in signature.inputs.items()),
        *(_tensor("output", name, spec) for name, spec in signature.outputs.items()),
    ]
    warmups = [_warmup(size, signature) for size in (1, *PREFERRED_BATCH_SIZES)]
    return f"""\
name: "{model}"
backend: "onnxruntime"
default_model_filename: "model.onnx"
max_batch_size: {MAX_BATCH_SIZE}
{"".join(tensors)}\
dynamic_batching {{
  preferred_batch_size: {_list(PREFERRED_BATCH_SIZES)}
  max_queue_delay_microseconds: {QUEUE_DELAY_MICROSECONDS}
}}
{"".join(warmups)}"""


def _tensor(kind: str, name: str, spec: TensorSpec) -> str:
    reshape = "" if spec.shape[1:] else "  reshape: { shape: [ ] }\n"
    return f"""\
{kind} {{
  name: "{name}"
  data_type: {_DATA_TYPES[spec.dtype]}
  dims: {_list(_dims(spec))}
{reshape}}}
"""


def _warmup(size: int, signature: Signature) -> str:
    # Zeros: random integers would be labels of no class.
    inputs = "".join(
        f'  inputs {{ key: "{name}" value: {{ data_type: {_DATA_TYPES[spec.dtype]} '
        f"dims: {_list(_dims(spec))} zero_data: true }} }}\n"
        for name, spec in signature.inputs.items()
    )
    return f'model_warmup {{\n  name: "batch of {size}"\n  batch_size: {size}\n{inputs}}}\n'


def _dims(spec: TensorSpec) -> tuple[int | str, ...]:
    """The axes of a request's tensor beside the batch."""
    return spec.shape[1:] or (1,)


def _list(values: tuple[int | str, ...]) -> str:
    return f"[ {', '.join(map(str, values))} ]"


def triton_card(manifest: Manifest) -> str:
    """How to serve the artifact by Triton, for its card; its request can be sent as it stands."""
    request = {
        "inputs": [
            {"name": "z", "datatype": "FP32", "shape": [1, manifest.latent_dim], "data": [0] * manifest.latent_dim},
            {"name": "label", "datatype": "INT32", "shape": [1, 1], "data": [len(manifest.classes) - 1]},
        ]
    }
    return f"""\
Triton with its ONNX Runtime backend, REST and gRPC; `label` is [batch, 1] there, and one of no class is not refused:

```sh
tritonserver --model-repository=path/to/{manifest.name}/serving/triton
curl localhost:8000/v2/models/{triton_name(manifest.name)}/infer -d '{json.dumps(request)}'
```

KServe: set `storageUri` in `serving/kserve/inferenceservice.yaml` to the place of `serving/triton`, and apply it.
"""
