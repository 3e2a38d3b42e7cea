"""The model card: what a person needs to judge an artifact and to load it from each runtime."""

from collections.abc import Mapping
from typing import Any

from cvae_export.tf_serving import card_section
from cvae_export.triton import triton_card
from cvae_sdk.manifest import Manifest

__all__ = ["model_card"]

# How to load each form; without a recipe are those whose file says it all.
_RECIPES: Mapping[str, str] = {
    "onnx": """\
With the SDK, which checks every byte that it loads:

```python
from cvae_sdk import Sampler

images = Sampler("path/to/{name}").sample({last!r}, n=16, seed=0)
```

ONNX Runtime:

```python
session = onnxruntime.InferenceSession("onnx/decoder.onnx")
(image,) = session.run(["image"], {{"z": z, "label": label}})
```
""",
    "onnx_fp16": """\
`onnx_fp16/` has the same files in float16, float32 in and out, for GPUs.
""",
    "onnx_int8": """\
`onnx_int8/` has the same files with their large products in 8 bits, float32 in and out, for CPUs. An image depends,
within the tolerance, on those in the same batch.
""",
    "saved_model": """\
TensorFlow, plain operations; `saved_model/` is a TF Serving base path (`--model_base_path=...`):

```python
decode = tf.saved_model.load("saved_model/{version}").signatures["decode"]
image = decode(z=tf.constant(z), label=tf.constant(label))["image"]
```
""",
    "saved_model_xla": """\
`saved_model_xla/{version}` has the same `decode` as one XlaCallModule operation, for TensorFlow programs that compile with XLA. A
stock TF Serving refuses it.
""",
    "litert": """\
LiteRT, any batch:

```python
decode = Interpreter("litert/decoder.tflite").get_signature_runner("decode")  # ai_edge_litert.interpreter
image = decode(z=z, label=label)["image"]
```
""",
    "stablehlo": """\
JAX, on cpu, cuda or tpu, until {form.expires} at least; `stablehlo/decoder.mlirbc` is the same `main(z, label)` as a StableHLO
{form.stablehlo_version} portable artifact:

```python
decode = jax.export.deserialize(open("stablehlo/decoder.jax_export", "rb").read()).call
```
""",
    "web": """\
`web/` is a page that samples in its visitor's own browser, from any static server: `python -m http.server -d web`, say.
""",
    "weights": """\
`weights.safetensors` holds the parameters by name; cvae-export's README has a decoder in NumPy that reads it.
""",
}


_MEANINGS = {
    "decode": "`z` is float32 [batch, {latents}] from N(0, I), `label` int32 [batch].",
    "mix": "`class_weights`, float32 [batch, {classes}] with rows that sum to 1, in place of the label.",
    "encode": (
        "Float32 [batch, {latents}] each: the mean and the log-variance of the `z` that `decode` makes the image of again, "
        "given its label. Where a prior is learned, the mean is exact and the variance is to first order; where none is, "
        "the label changes nothing. Where outputs have no names, they come in this order: mean, logvar."
    ),
    "png_bytes": "As `decode`; each image as a PNG file, which TF Serving's REST gives in base64.",
    "sample": (
        "`seed` is int64 [batch], `label` int32 [batch]; the noise is drawn in the graph, from each row's seed alone: the "
        "image of `Sampler.sample(label, seed=seed)`. A seed below 0 stands for the one 2^64 above it."
    ),
}


def model_card(manifest: Manifest, data_licence: str) -> str:
    """README.md of an artifact, in Markdown with a YAML header; all its figures come from the manifest."""
    training: Mapping[str, Any] = manifest.training
    height, width, channels = manifest.image_shape
    parity = "\n".join(
        f"| `{name}` | `{form.path}` | {', '.join(form.signatures)} | {form.parity.max_abs_error:.2g} | {form.parity.cases} |"
        for name, form in sorted(manifest.formats.items())
    )
    sections = {"onnx": triton_card, "saved_model": card_section}
    recipes = "\n".join(
        recipe.format(
            form=manifest.formats[name], name=manifest.name, version=manifest.version, last=manifest.classes[-1]
        )
        + sections.get(name, lambda _: "")(manifest)
        for name, recipe in _RECIPES.items()
        if name in manifest.formats
    )
    signatures = "\n".join(
        f"- `{name}`: {', '.join(map('`{}`'.format, each.inputs))} to {', '.join(map('`{}`'.format, each.outputs))}. "
        + _MEANINGS.get(name, "").format(latents=manifest.latent_dim, classes=len(manifest.classes))
        for name, each in sorted(manifest.signatures.items())
    )
    return f"""\
---
license: {data_licence}
pipeline_tag: unconditional-image-generation
library_name: cvae-sdk
tags:
{"  - variational-autoencoder" if training else "  - image-generation"}
  - class-conditional
  - jax
  - onnx
  - tensorflow
{_data_sets(training)}---

# {manifest.name}

The decoder of a class-conditional {"variational autoencoder" if training else "model"}: latents z ~ N(0, I) and a class in, an image out.

![samples, one row per class](samples.png)

|  |  |
| --- | --- |
| classes | {", ".join(manifest.classes)} |
| latent_dim | {manifest.latent_dim} |
| image | {height} x {width} x {channels}, float32 in [0, 1] |
{_trained_on(training)}| created | {manifest.created} |

## Measured quality

{_quality(training)}

## Parity

The largest difference of a pixel between each form, run in its own runtime, and the JAX model.

| form | path | signatures | max_abs_error | inputs |
| --- | --- | --- | --- | --- |
{parity}

## Load it

{signatures}

Any batch size; the table above says which form has which. A form with a file for each signature names it so: `onnx/mix.onnx`,
`stablehlo/encode.mlirbc`, and `decoder` for `decode`.

{recipes}
`manifest.json` lists every file with its SHA-256; `cvae verify path/to/{manifest.name}` checks them all and replays `golden.npz`.
"""


def _data_sets(training: Mapping[str, Any]) -> str:
    return f"datasets:\n  - {training['data_set']}\n" if training else ""


def _trained_on(training: Mapping[str, Any]) -> str:
    """The rows about data and settings, of a run."""
    if not training:
        return ""
    config, images = training["config"], training["images"]
    return f"""\
| trained on | `{training["data_set"]}`: {images["train"]} images, {images["held_out"]} held out |
| settings | likelihood {config["objective"]["likelihood"]}, kl_weight {config["objective"]["kl_weight"]}, {config["epochs"]} epochs, batch {config["batch_size"]}, learning rate {config["optimizer"]["learning_rate"]} |
"""


def _quality(training: Mapping[str, Any]) -> str:
    """What was measured of the images, which is nothing where there was no run."""
    if not training:
        return "Nothing was measured: this is a function that was exported, and not a run. How it was trained, and how good its images are, this card does not know."
    held_out, train = training["metrics"]["held_out"], training["metrics"]["train"]
    return f"""\
In nats per image, after the last epoch; mse is half the squared error, summed over pixels.

| | loss | mse | kl |
| --- | --- | --- | --- |
| training images | {train["loss"]:.2f} | {train["mse"]:.2f} | {train["kl"]:.2f} |
| held-out images | {held_out["loss"]:.2f} | {held_out["mse"]:.2f} | {held_out["kl"]:.2f} |

Samples are blurrier than real images, and a few per cent of them cannot be told for the class that was asked for."""
