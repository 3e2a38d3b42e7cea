"""The gate: every written form, run in its own runtime, against `model.apply`.

max_abs_error = max over inputs of |form(z, ...) - jax(z, ...)|        pixels in [0, 1]
"""

from collections.abc import Callable, Iterator, Mapping

import jax
import numpy as np

from cvae_export.decoder import Decoder, Function
from cvae_export.errors import ExportError, ParityError
from cvae_export.form import Loaded
from cvae_sdk.latents import standard_normal_latents
from cvae_sdk.manifest import Parity

__all__ = ["BATCH_SIZES", "TOLERANCE", "Observer", "measure_parity"]

BATCH_SIZES = (1, 2, 7, 64, 257)
TOLERANCE = 1e-5
"""float32 sums in another order differ by about 3e-7 in a pixel; a grey level is 4e-3."""
_SEED = 2026

Observer = Callable[[str, Mapping[str, np.ndarray], np.ndarray, np.ndarray], None]
"""Is told of each batch before it is judged: signature, inputs, JAX's images, the form's."""


def measure_parity(
    name: str,
    loaded: list[Loaded],
    decoder: Decoder,
    tolerance: float = TOLERANCE,
    observe: Observer = lambda signature, inputs, expected, got: None,
) -> Parity:
    """Run all that was loaded of the form `name` on inputs of every class and batch size, and compare with JAX.

    Raises ParityError for an error above `tolerance`, or no number; ExportError for a result of another shape or dtype.
    """
    worst, cases = 0.0, 0
    for reader in loaded:
        # TF Serving's name for the signature that is used when none is asked for.
        signature = "decode" if reader.signature == "serving_default" else reader.signature
        function = decoder.functions[signature]
        reference = jax.jit(function.call)
        for inputs in parity_inputs(function, len(decoder.classes)):
            expected, got = np.asarray(reference(*inputs.values())), reader.run(inputs)
            if got.shape != expected.shape or got.dtype != expected.dtype:
                raise ExportError(
                    f"{name}: {signature} gives {got.dtype} {got.shape}, JAX gives {expected.dtype} {expected.shape}"
                )
            observe(signature, inputs, expected, got)
            error = float(np.abs(got.astype(np.float64) - expected).max())
            if not error <= tolerance:
                raise ParityError(
                    f"{name}: {signature} differs from the JAX model by {error:.3g} at batch size {len(got)}, "
                    f"more than the tolerance {tolerance:.3g}"
                )
            worst, cases = max(worst, error), cases + len(got)
    return Parity(max_abs_error=worst, tolerance=tolerance, cases=cases)


def parity_inputs(function: Function, num_classes: int) -> Iterator[dict[str, np.ndarray]]:
    """One batch of inputs, in the signature's order, for each size of BATCH_SIZES; together every class many times."""
    first = 0
    for size in BATCH_SIZES:
        yield {
            name: _input(name, spec.shape, first, size, num_classes) for name, spec in function.signature.inputs.items()
        }
        first += size


def _input(name: str, shape: tuple[int | str, ...], first: int, size: int, num_classes: int) -> np.ndarray:
    if name == "label":
        return (np.arange(first, first + size) % num_classes).astype(np.int32)
    if name == "z":
        return standard_normal_latents(_SEED, first, size, int(shape[1]))
    weights = np.exp(2 * standard_normal_latents(_SEED + 1, first, size, int(shape[1])))
    return weights / weights.sum(axis=1, keepdims=True)
