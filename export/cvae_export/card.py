"""The model card: what a person needs to judge an artifact and to load it from each runtime."""

from collections.abc import Mapping
from typing import Any

from cvae_export.triton import triton_card
from cvae_sdk.manifest import Manifest

__all__ = ["model_card"]


def model_card(manifest: Manifest, data_licence: str) -> str:
    """README.md of an artifact, in Markdown with a YAML header; all its figures come from the manifest."""
    training: Mapping[str, Any] = manifest.training
    config, metrics = training["config"], training["metrics"]
    height, width, channels = manifest.image_shape
    held_out, train = metrics["held_out"], metrics["train"]
    parity = "\n".join(
        f"| `{name}` | `{form.path}` | {', '.join(form.signatures)} | {form.parity.max_abs_error:.2g} | {form.parity.cases} |"
        for name, form in sorted(manifest.formats.items())
    )
    stablehlo = manifest.formats["stablehlo"]
    triton = f"{triton_card(manifest)}\n" if "onnx" in manifest.formats else ""
    return f"""\
---
license: {data_licence}
pipeline_tag: unconditional-image-generation
library_name: cvae-sdk
tags:
  - variational-autoencoder
  - class-conditional
  - jax
  - onnx
  - tensorflow
datasets:
  - {training["data_set"]}
---

# {manifest.name}

The decoder of a class-conditional variational autoencoder: latents z ~ N(0, I) and a class in, an image out.

![samples, one row per class](samples.png)

|  |  |
| --- | --- |
| classes | {", ".join(manifest.classes)} |
| latent_dim | {manifest.latent_dim} |
| image | {height} x {width} x {channels}, float32 in [0, 1] |
| trained on | `{training["data_set"]}`: {training["images"]["train"]} images, {training["images"]["held_out"]} held out |
| settings | likelihood {config["objective"]["likelihood"]}, kl_weight {config["objective"]["kl_weight"]}, {config["epochs"]} epochs, batch {config["batch_size"]}, learning rate {config["optimizer"]["learning_rate"]} |
| created | {manifest.created} |

## Measured quality

In nats per image, after the last epoch; mse is half the squared error, summed over pixels.

| | loss | mse | kl |
| --- | --- | --- | --- |
| training images | {train["loss"]:.2f} | {train["mse"]:.2f} | {train["kl"]:.2f} |
| held-out images | {held_out["loss"]:.2f} | {held_out["mse"]:.2f} | {held_out["kl"]:.2f} |

Samples are blurrier than real images, and a few per cent of them cannot be told for the class that was asked for.

## Parity

The largest difference of a pixel between each form, run in its own runtime, and the JAX model.

| form | path | signatures | max_abs_error | inputs |
| --- | --- | --- | --- | --- |
{parity}

## Load it

`decode` takes `z`, float32 [batch, {manifest.latent_dim}], and `label`, int32 [batch]; `mix` takes `class_weights`, float32
[batch, {len(manifest.classes)}] with rows that sum to 1, in place of `label`. Any batch size. With the SDK, which checks every byte that it loads:

```python
from cvae_sdk import Sampler

images = Sampler("path/to/{manifest.name}").sample({manifest.classes[-1]!r}, n=16, seed=0)
```

ONNX Runtime:

```python
session = onnxruntime.InferenceSession("onnx/decoder.onnx")
(image,) = session.run(["image"], {{"z": z, "label": label}})
```

{triton}TensorFlow, plain operations; `saved_model/` is a TF Serving base path (`--model_base_path=...`):

```python
decode = tf.saved_model.load("saved_model/1").signatures["decode"]
image = decode(z=tf.constant(z), label=tf.constant(label))["image"]
```

`saved_model_xla/1` has the same `decode` as one XlaCallModule operation, for TensorFlow programs that compile with XLA. A
stock TF Serving refuses it.

JAX, on cpu, cuda or tpu, until {stablehlo.expires} at least; `stablehlo/decoder.mlirbc` is the same `main(z, label)` as a StableHLO
{stablehlo.stablehlo_version} portable artifact:

```python
decode = jax.export.deserialize(open("stablehlo/decoder.jax_export", "rb").read()).call
```

`manifest.json` lists every file with its SHA-256; `cvae verify path/to/{manifest.name}` checks them all and replays `golden.npz`.
"""
