"""A user's own decoder: any JAX function of (params, z, label), made into what is exported.

decode(z, label) = fn(params, z, label)
mix(z, class_weights) = mix_fn(params, z, class_weights)      where there is one
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import PyTree

from cvae_export.decoder import BATCH, Decoder, Function
from cvae_export.errors import DecoderError
from cvae_sdk.errors import one_line
from cvae_sdk.manifest import Signature, TensorSpec

__all__ = ["own_decoder"]


def own_decoder(
    fn: Callable[..., Any],
    params: PyTree,
    *,
    latent_dim: int,
    classes: Sequence[str],
    image_shape: Sequence[int],
    mix_fn: Callable[..., Any] | None = None,
) -> Decoder:
    """The exported functions of a user's own; nothing is traced yet. `cvae_export.export` says what the arguments are.

    Raises DecoderError for parameters that are no arrays, and for a description that describes nothing.
    """
    for what, function in (("fn", fn), ("mix_fn", mix_fn)):
        if not callable(function) and (what, function) != ("mix_fn", None):
            raise DecoderError(
                f"{what} must be a function of (params, z, label or class_weights), got {_shown(function)}"
            )
    names = _distinct_names(classes)
    if not _is_size(latent_dim):
        raise DecoderError(f"latent_dim must be an integer of at least 1, got {_shown(latent_dim)}")
    shape = _checked_image_shape(image_shape)
    arrays = _checked_params(params)

    z = TensorSpec("float32", (BATCH, int(latent_dim)))
    image = {"image": TensorSpec("float32", (BATCH, *shape))}
    functions = {
        "decode": Function(
            lambda z, label: {"image": fn(arrays, z, label)},
            Signature({"z": z, "label": TensorSpec("int32", (BATCH,))}, image),
        )
    }
    if mix_fn is not None:
        functions["mix"] = Function(
            lambda z, class_weights: {"image": mix_fn(arrays, z, class_weights)},
            Signature({"z": z, "class_weights": TensorSpec("float32", (BATCH, len(names)))}, image),
        )
    return Decoder(functions, int(latent_dim), names, shape)


def _distinct_names(classes: Sequence[str]) -> tuple[str, ...]:
    names = tuple(classes) if isinstance(classes, list | tuple) else ()
    if not names or not all(isinstance(name, str) and name for name in names):
        raise DecoderError(f"classes must be a list of one name or more, in the order of labels, got {_shown(classes)}")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DecoderError(f"classes must be distinct names, got {twice[0]!r} {names.count(twice[0])} times")
    return names


def _checked_image_shape(image_shape: Sequence[int]) -> tuple[int, int, int]:
    sizes = tuple(image_shape) if isinstance(image_shape, list | tuple) else ()
    if len(sizes) != 3 or not all(map(_is_size, sizes)) or sizes[2] not in (1, 3):
        raise DecoderError(
            f"image_shape must be three positive integers (height, width, 1 or 3 channels), got {_shown(image_shape)}"
        )
    return int(sizes[0]), int(sizes[1]), int(sizes[2])


def _is_size(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and int(value) >= 1


def _checked_params(params: PyTree) -> PyTree:
    """The parameters as arrays of this process, whatever held them; random keys, which decoding does not use, too."""
    leaves, tree = jax.tree.flatten_with_path(params)
    return jax.tree.unflatten(tree, [_checked_leaf(jax.tree_util.keystr(path), leaf) for path, leaf in leaves])


def _checked_leaf(path: str, leaf: object) -> object:
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return leaf
    if isinstance(leaf, Tracer) or not isinstance(leaf, jax.Array | np.ndarray | np.generic | bool | int | float):
        raise DecoderError(
            f"params{path} is {_shown(leaf)}, and not an array: "
            "part the arrays of a module from the rest (flax.nnx.split, equinox.partition)"
        )
    if isinstance(leaf, jax.Array | np.ndarray | np.generic):
        if np.asarray(leaf).dtype.kind not in "biufV":  # V: bfloat16 and its like
            raise DecoderError(f"params{path} is an array of {np.asarray(leaf).dtype}, which are no numbers")
        return jnp.asarray(np.asarray(leaf))
    return leaf


def _shown(value: object) -> str:
    return f"{type(value).__name__} {one_line(value)}"
