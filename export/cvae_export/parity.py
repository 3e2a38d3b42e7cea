"""The gate: every written form, run in its own runtime, against `model.apply`.

pixels      error = |form - jax|                           of an output named image, in [0, 1]
            error = max(0, |level - 255 jax| - 1/2) / 255  of a PNG, named image_bytes: how far from jax an image must
                                                           be, to be rounded to that level
latents     error = |form - jax| / max(1, |jax|)           of any other output: an encoder's mean and logvar

The largest error over all inputs counts, each kind against a tolerance of its own.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from cvae_export.decoder import Decoder, Function
from cvae_export.errors import ExportError, ParityError
from cvae_export.form import LATENT_TOLERANCE, TOLERANCE, Loaded
from cvae_export.png import grey_levels
from cvae_export.served import Served, served_functions
from cvae_sdk.latents import standard_normal_latents
from cvae_sdk.manifest import Parity, TensorSpec

__all__ = ["BATCH_SIZES", "LATENT_TOLERANCE", "TOLERANCE", "Arrays", "Observer", "measure_parity", "parity_inputs"]

BATCH_SIZES = (1, 2, 7, 64, 257)
_IMAGE, _PNG = "image", "image_bytes"
_SEED = 2026

Arrays = Mapping[str, np.ndarray]
Observer = Callable[[str, Arrays, Arrays, Arrays], None]
"""Is told of each batch that passed: signature, inputs, what JAX gives, what the form gives."""


def measure_parity(
    name: str,
    loaded: list[Loaded],
    decoder: Decoder,
    tolerance: float = TOLERANCE,
    latent_tolerance: float = LATENT_TOLERANCE,
    observe: Observer = lambda signature, inputs, expected, got: None,
) -> Parity:
    """Run all that was loaded of the form `name` on inputs of every class and batch size, and compare with JAX.

    Raises ParityError for an error above its tolerance, or no number; ExportError for a result of another name, shape
    or dtype.
    """
    functions = _functions(decoder)
    tolerances = {"pixels": tolerance, "latents": latent_tolerance}
    worst: dict[str, float] = {}
    cases = 0
    for reader in loaded:
        # TF Serving's name for the signature that is used when none is asked for.
        signature = "decode" if reader.signature == "serving_default" else reader.signature
        function, reference = functions[signature]
        for inputs in parity_inputs(function, len(decoder.classes)):
            size = len(next(iter(inputs.values())))
            expected = {output: np.asarray(array) for output, array in reference(*inputs.values()).items()}
            got = reader.run(inputs)
            if sorted(got) != sorted(expected):
                raise ExportError(
                    f"{name}: {signature} gives {', '.join(sorted(got))}, JAX gives {', '.join(sorted(expected))}"
                )
            for output, values in expected.items():
                kind = "pixels" if output in (_IMAGE, _PNG) else "latents"
                what = f"{name}: {signature}" if kind == "pixels" else f"{name}: {output} of {signature}"
                error = _error(what, output, got[output], values)
                if not error <= tolerances[kind]:
                    raise ParityError(
                        f"{what} differs from the JAX model by {error:.3g} at batch size {size}, "
                        f"more than the tolerance {tolerances[kind]:.3g}"
                    )
                worst[kind] = max(worst.get(kind, 0.0), error)
            cases += size
            observe(signature, inputs, expected, got)
    latents = {"max_latent_error": worst["latents"], "latent_tolerance": latent_tolerance} if "latents" in worst else {}
    return Parity(max_abs_error=worst.get("pixels", 0.0), tolerance=tolerance, cases=cases, **latents)


def _functions(decoder: Decoder) -> dict[str, tuple[Function | Served, Callable[..., Mapping[str, Any]]]]:
    """The signatures by name, each with what it must give."""
    own = {name: (function, jax.jit(function.call)) for name, function in decoder.functions.items()}
    return {**own, **{name: (each, each.expected) for name, each in served_functions(decoder).items()}}


def _png_error(what: str, got: np.ndarray, expected: np.ndarray) -> float:
    if got.shape != expected.shape[:1]:
        raise ExportError(f"{what} gives {got.shape} PNGs, JAX gives {len(expected)} images")
    levels = [grey_levels(content, expected.shape[-1]) for content in got.tolist()]
    if shapes := {each.shape for each in levels} - {expected.shape[1:]}:
        raise ExportError(f"{what} gives a PNG of {shapes.pop()}, JAX gives images of {expected.shape[1:]}")
    return max(0.0, float(np.abs(np.stack(levels) - 255 * expected.astype(np.float64)).max()) - 0.5) / 255


def _error(what: str, output: str, got: np.ndarray, expected: np.ndarray) -> float:
    if output == _PNG:
        return _png_error(what, got, expected)
    if got.shape != expected.shape or got.dtype != expected.dtype:
        raise ExportError(f"{what} gives {got.dtype} {got.shape}, JAX gives {expected.dtype} {expected.shape}")
    difference = np.abs(got.astype(np.float64) - expected)
    return float((difference if output == _IMAGE else difference / np.maximum(1, np.abs(expected))).max())


def parity_inputs(function: Function | Served, num_classes: int) -> Iterator[dict[str, np.ndarray]]:
    """One batch of inputs, in the signature's order, for each size of BATCH_SIZES; together every class many times."""
    first = 0
    for size in BATCH_SIZES:
        yield {name: _input(name, spec, first, size, num_classes) for name, spec in function.signature.inputs.items()}
        first += size


def _input(name: str, spec: TensorSpec, first: int, size: int, num_classes: int) -> np.ndarray:
    if name == "label":
        return (np.arange(first, first + size) % num_classes).astype(np.int32)
    if name == "z":
        return standard_normal_latents(_SEED, first, size, int(spec.shape[1]))
    if name == "class_weights":
        weights = np.exp(2 * standard_normal_latents(_SEED + 1, first, size, num_classes))
        return weights / weights.sum(axis=1, keepdims=True)
    if name == "image":
        return _images(spec, first, size)
    if name == "seed":  # every bit of 64 is used, the sign's too
        odd = 0x9E3779B97F4A7C15
        return np.array([i * odd % 2**64 for i in range(first, first + size)], np.uint64).astype(np.int64)
    raise ExportError(f"there are no inputs to compare forms by for one that is named {name}")


def _images(spec: TensorSpec, first: int, size: int) -> np.ndarray:
    """Pictures that fill [0, 1]: every pixel of its own, some of them 0 and some 1, as real images have many."""
    shape = tuple(int(axis) for axis in spec.shape[1:])
    noise = standard_normal_latents(_SEED + 2, first, size, int(np.prod(shape)))
    return np.clip(0.5 + 0.5 * noise, 0, 1).reshape(size, *shape)
