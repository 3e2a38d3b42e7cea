"""The gate: every written form, run in its own runtime, against `model.apply`.

pixels      error = |form - jax|                            in [0, 1], of an output named image
latents     error = |form - jax| / max(1, |jax|)            of any other output: an encoder's mean and logvar

The largest error over all inputs counts, each kind against a tolerance of its own.
"""

from collections.abc import Callable, Iterator, Mapping

import jax
import numpy as np

from cvae_export.decoder import Decoder, Function
from cvae_export.errors import ExportError, ParityError
from cvae_export.form import Loaded
from cvae_sdk.latents import standard_normal_latents
from cvae_sdk.manifest import Parity, TensorSpec

__all__ = ["BATCH_SIZES", "LATENT_TOLERANCE", "TOLERANCE", "Arrays", "Observer", "measure_parity", "parity_inputs"]

BATCH_SIZES = (1, 2, 7, 64, 257)
TOLERANCE = 1e-5
"""float32 sums in another order differ by about 3e-7 in a pixel; a grey level is 4e-3."""
LATENT_TOLERANCE = 1e-4
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
    tolerances = {"pixels": tolerance, "latents": latent_tolerance}
    worst: dict[str, float] = {}
    cases = 0
    for reader in loaded:
        # TF Serving's name for the signature that is used when none is asked for.
        signature = "decode" if reader.signature == "serving_default" else reader.signature
        function = decoder.functions[signature]
        reference = jax.jit(function.call)
        for inputs in parity_inputs(function, len(decoder.classes)):
            size = len(next(iter(inputs.values())))
            expected = {output: np.asarray(array) for output, array in reference(*inputs.values()).items()}
            got = reader.run(inputs)
            if sorted(got) != sorted(expected):
                raise ExportError(
                    f"{name}: {signature} gives {', '.join(sorted(got))}, JAX gives {', '.join(sorted(expected))}"
                )
            for output, values in expected.items():
                kind = "pixels" if output == "image" else "latents"
                what = f"{name}: {signature}" if kind == "pixels" else f"{name}: {output} of {signature}"
                error = _error(what, kind, got[output], values)
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


def _error(what: str, kind: str, got: np.ndarray, expected: np.ndarray) -> float:
    if got.shape != expected.shape or got.dtype != expected.dtype:
        raise ExportError(f"{what} gives {got.dtype} {got.shape}, JAX gives {expected.dtype} {expected.shape}")
    difference = np.abs(got.astype(np.float64) - expected)
    return float((difference if kind == "pixels" else difference / np.maximum(1, np.abs(expected))).max())


def parity_inputs(function: Function, num_classes: int) -> Iterator[dict[str, np.ndarray]]:
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
    raise ExportError(f"there are no inputs to compare forms by for one that is named {name}")


def _images(spec: TensorSpec, first: int, size: int) -> np.ndarray:
    """Pictures that fill [0, 1]: every pixel of its own, some of them 0 and some 1, as real images have many."""
    shape = tuple(int(axis) for axis in spec.shape[1:])
    noise = standard_normal_latents(_SEED + 2, first, size, int(np.prod(shape)))
    return np.clip(0.5 + 0.5 * noise, 0, 1).reshape(size, *shape)
