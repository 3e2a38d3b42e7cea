"""What every decoder must keep to before a form of it is written, a run's and a user's own alike.

Traced:      with a batch of any size; float32 images [batch, height, width, channels] come out.
By values:   for several z and every label, images are numbers in [0, 1], differ between labels, and do not depend on
             what else is in the batch; mix at a one-hot row is decode at its label.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from cvae_export.decoder import BATCH, Decoder, Function
from cvae_export.errors import DecoderError
from cvae_export.parity import TOLERANCE
from cvae_export.user_code import place_of_error
from cvae_sdk.latents import standard_normal_latents
from cvae_sdk.manifest import TensorSpec

__all__ = ["check_decoder"]

_SEED = 2027
_LATENTS = 16
_BATCH = 3


def check_decoder(decoder: Decoder) -> None:
    """Raise DecoderError, in one line that says what is wrong, unless the decoder keeps to all of the above."""
    for name, function in decoder.functions.items():
        _check_traces(name, function)
    images = _check_values(decoder)
    _check_batches(decoder, images)
    if "mix" in decoder.functions:
        _check_mix(decoder, images)


def _check_traces(name: str, function: Function) -> None:
    concrete = [jax.ShapeDtypeStruct(_sized(spec), np.dtype(spec.dtype)) for spec in function.signature.inputs.values()]
    taken = ", ".join(f"{name} {spec.dtype} {list(_sized(spec))}" for name, spec in function.signature.inputs.items())
    outputs = _traced(function, concrete, f"{name} fails for {taken}")
    for output, spec in function.signature.outputs.items():
        _check_output(name, outputs[output], spec)
    free = _traced(function, function.symbolic_specs(), f"{name} cannot be traced with a free batch size")
    for output, spec in function.signature.outputs.items():
        shape = tuple(BATCH if str(size) == BATCH else size for size in free[output].shape)
        if shape != spec.shape:
            raise DecoderError(f"{name} gives {output} of shape {_shown(free[output].shape)}, not {_shown(spec.shape)}")


def _traced(function: Function, specs: Any, what: str) -> Any:
    try:
        return jax.eval_shape(function.call, *specs)
    except Exception as error:  # whatever a user's function raises, or JAX on its behalf
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "it gives no reason")
        raise DecoderError(f"{what}: {type(error).__name__}: {reason[:300]}{place_of_error(error)}") from error


def _sized(spec: TensorSpec) -> tuple[int, ...]:
    return tuple(_BATCH if axis == BATCH else int(axis) for axis in spec.shape)


def _check_output(name: str, output: Any, spec: TensorSpec) -> None:
    if not isinstance(output, jax.ShapeDtypeStruct):
        raise DecoderError(f"{name} must give one array, got a {type(output).__name__}")
    if output.shape != _sized(spec):
        raise DecoderError(f"{name} gives shape {output.shape} for a batch of {_BATCH}: it must be {_sized(spec)}")
    if output.dtype != np.dtype(spec.dtype):
        raise DecoderError(
            f"{name} gives {output.dtype}: it must be {spec.dtype}, as .astype(jnp.{spec.dtype}) makes it"
        )


def _check_values(decoder: Decoder) -> np.ndarray:
    """The images of some latents with each label, float32 [latents, classes, height, width, channels]."""
    decode = _compiled(decoder.functions["decode"])
    label = np.arange(len(decoder.classes), dtype=np.int32)
    images = np.stack([decode(np.repeat(z[None], len(label), axis=0), label) for z in _latents(decoder)])
    unfit = ~np.isfinite(images).all(axis=(0, 2, 3, 4))
    if unfit.any():
        raise DecoderError(
            f"decode gives NaN or infinity, first for the class {decoder.classes[int(unfit.argmax())]!r}"
        )
    _check_range("decode", images)
    if len(label) > 1 and np.ptp(images, axis=1).max() <= TOLERANCE:
        raise DecoderError(
            f"decode ignores its label: for {len(images)} latents, the images of all {len(label)} classes are the same "
            f"to {TOLERANCE:g}"
        )
    return images


def _check_range(name: str, images: np.ndarray) -> None:
    low, high = float(images.min()), float(images.max())
    if low < 0 or high > 1:
        raise DecoderError(
            f"{name} gives values from {low:.3g} to {high:.3g}: images must be in [0, 1], as by a sigmoid or jnp.clip"
        )


def _check_batches(decoder: Decoder, images: np.ndarray) -> None:
    label = np.arange(len(images), dtype=np.int32) % len(decoder.classes)
    together = _compiled(decoder.functions["decode"])(_latents(decoder), label)
    error = float(np.abs(together - images[np.arange(len(images)), label]).max())
    if not error <= TOLERANCE:
        raise DecoderError(
            f"decode gives an image that depends on the others in its batch, by {error:.3g}: normalization must use "
            "running statistics (use_running_average=True, inference=True)"
        )


def _check_mix(decoder: Decoder, images: np.ndarray) -> None:
    mix = _compiled(decoder.functions["mix"])
    classes = len(decoder.classes)
    label = np.arange(len(images)) % classes
    one_hot = np.eye(classes, dtype=np.float32)[label]
    error = float(np.abs(mix(_latents(decoder), one_hot) - images[np.arange(len(images)), label]).max())
    if not error <= TOLERANCE:
        raise DecoderError(f"mix at one class's weights differs from decode at its label by {error:.3g}")
    between = mix(_latents(decoder), (one_hot + one_hot[::-1]) / 2)
    if not np.isfinite(between).all():
        raise DecoderError("mix gives NaN or infinity between two classes")
    _check_range("mix", between)


def _latents(decoder: Decoder) -> np.ndarray:
    return standard_normal_latents(_SEED, 0, _LATENTS, decoder.latent_dim)


def _compiled(function: Function) -> Callable[..., np.ndarray]:
    call = jax.jit(function.positional)
    return lambda *inputs: np.asarray(call(*inputs))


def _shown(shape: tuple[Any, ...]) -> str:
    return f"({', '.join(map(str, shape))})"
