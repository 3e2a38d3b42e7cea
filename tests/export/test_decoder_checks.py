"""What is wrong with a decoder, or with what is said of it, is told apart before anything is written."""

import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cvae_export import DecoderError
from cvae_export.decoder_checks import check_decoder
from cvae_export.own_decoder import own_decoder

PARAMS = {
    "w": jnp.asarray(np.random.default_rng(0).standard_normal((3, 20)), jnp.float32),
    "table": jnp.asarray(np.random.default_rng(1).standard_normal((2, 20)), jnp.float32),
}
DESCRIPTION: dict[str, Any] = {"latent_dim": 3, "classes": ["cat", "dog"], "image_shape": (4, 5, 1)}


def decode(params: Any, z: jax.Array, label: jax.Array) -> jax.Array:
    return jax.nn.sigmoid(z @ params["w"] + params["table"][label]).reshape(-1, 4, 5, 1)


def mix(params: Any, z: jax.Array, class_weights: jax.Array) -> jax.Array:
    return jax.nn.sigmoid(z @ params["w"] + class_weights @ params["table"]).reshape(-1, 4, 5, 1)


def each_row(params: Any, z: jax.Array, label: jax.Array) -> jax.Array:
    return jnp.concatenate([decode(params, z[i : i + 1], label[i : i + 1]) for i in range(z.shape[0])])


def checked(fn: Callable[..., Any], params: Any = PARAMS, **description: Any) -> None:
    check_decoder(own_decoder(fn, params, **(DESCRIPTION | description)))


def test_a_decoder_that_keeps_to_all_passes_with_its_mix() -> None:
    checked(decode)
    checked(decode, mix_fn=mix)


UNFIT: dict[str, tuple[Callable[..., Any], str]] = {
    "ignores its label": (
        lambda params, z, label: decode(params, z, 0 * label),
        "decode ignores its label: for 16 latents, the images of all 2 classes are the same to 1e-05",
    ),
    "hardly knows its label": (
        lambda params, z, label: decode(params | {"table": 1e-6 * params["table"]}, z, label),
        "decode ignores its label",
    ),
    "NaN": (
        lambda params, z, label: decode(params, z, label) / (label != 1).astype(jnp.float32)[:, None, None, None] * 0,
        "decode gives NaN or infinity, first for the class 'dog'",
    ),
    "dtype": (
        lambda params, z, label: decode(params, z, label).astype(jnp.float16),
        "decode gives float16: it must be float32, as .astype(jnp.float32) makes it",
    ),
    "shape": (
        lambda params, z, label: decode(params, z, label).reshape(-1, 20),
        "decode gives shape (3, 20) for a batch of 3: it must be (3, 4, 5, 1)",
    ),
    "above 1": (
        lambda params, z, label: 1 + decode(params, z, label),
        "images must be in [0, 1], as by a sigmoid or jnp.clip",
    ),
    "below 0": (
        lambda params, z, label: decode(params, z, label) - 0.5,
        "decode gives values from -0.",
    ),
    "two outputs": (
        lambda params, z, label: (decode(params, z, label), z),
        "decode must give one array, got a tuple",
    ),
    "the batch": (
        lambda params, z, label: decode(params, z - z.mean(axis=0), label),
        "decode gives an image that depends on the others in its batch",
    ),
}


@pytest.mark.parametrize("case", UNFIT)
def test_an_unfit_decoder_is_told_by_its_own_fault(case: str) -> None:
    fn, message = UNFIT[case]
    with pytest.raises(DecoderError, match=re.escape(message)) as raised:
        checked(fn)
    assert "\n" not in str(raised.value)


def line_in(function: Callable[..., Any], offset: int) -> str:
    return f" at {__file__}:{function.__code__.co_firstlineno + offset} (in {function.__name__})"


def test_a_function_of_a_fixed_batch_is_told_with_jaxs_reason_and_the_line() -> None:
    with pytest.raises(DecoderError, match=r"decode cannot be traced with a free batch size: TypeError: .*_Dim") as e:
        checked(each_row)
    assert str(e.value).endswith(line_in(each_row, 1))


def test_a_function_that_fails_is_told_with_its_reason_and_the_line() -> None:
    with pytest.raises(
        DecoderError, match=r"decode fails for z float32 \[3, 4\], label int32 \[3\]: TypeError: dot_g"
    ) as e:
        checked(decode, latent_dim=4)
    assert str(e.value).endswith(line_in(decode, 1))
    with pytest.raises(DecoderError, match=r"decode fails for .*: KeyError: 'w' at"):
        checked(decode, params={})


def test_a_mix_that_is_another_function_than_decode_is_told() -> None:
    with pytest.raises(DecoderError, match="mix at one class's weights differs from decode at its label by 0"):
        checked(decode, mix_fn=lambda params, z, class_weights: mix(params, z, class_weights[:, ::-1]))


def test_a_mix_that_leaves_the_unit_interval_between_two_classes_is_told() -> None:
    def bright_between(params: Any, z: jax.Array, class_weights: jax.Array) -> jax.Array:
        return mix(params, z, class_weights) + 4 * class_weights.prod(axis=1)[:, None, None, None]

    with pytest.raises(DecoderError, match=r"mix gives values from .* to 1\..*: images must be in"):
        checked(decode, mix_fn=bright_between)


def test_a_model_of_one_class_may_ignore_its_label() -> None:
    checked(lambda params, z, label: decode(params, z, 0 * label), classes=["cat"])


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({"classes": ["cat", "cat"]}, "classes must be distinct names, got 'cat' 2 times"),
        ({"classes": []}, "classes must be a list of one name or more, in the order of labels, got list []"),
        ({"classes": "cat"}, "classes must be a list of one name or more, in the order of labels, got str 'cat'"),
        ({"classes": [0, 1]}, "classes must be a list of one name or more, in the order of labels, got list [0, 1]"),
        ({"latent_dim": 0}, "latent_dim must be an integer of at least 1, got int 0"),
        ({"latent_dim": True}, "latent_dim must be an integer of at least 1, got bool True"),
        ({"image_shape": (4, 5)}, "image_shape must be three positive integers (height, width, 1 or 3 channels), got"),
        ({"image_shape": (4, 0, 1)}, "image_shape must be three positive integers"),
        ({"image_shape": (4.0, 5, 1)}, "image_shape must be three positive integers"),
        ({"image_shape": (4, 5, 2)}, "1 or 3 channels), got tuple (4, 5, 2)"),
        ({"mix_fn": "mix"}, "mix_fn must be a function of (params, z, label or class_weights), got str 'mix'"),
    ],
    ids=str,
)
def test_a_description_that_describes_nothing_is_told(description: dict[str, Any], message: str) -> None:
    with pytest.raises(DecoderError, match=re.escape(message)):
        own_decoder(decode, PARAMS, **(DESCRIPTION | description))


@pytest.mark.parametrize(
    ("leaf", "message"),
    [
        (jax.nn.relu, "params['layers'][0] is "),
        (
            "float32",
            "params['layers'][0] is str 'float32', and not an array: part the arrays of a module from the rest",
        ),
        (np.array(["a"]), "params['layers'][0] is an array of <U1, which are no numbers"),
    ],
    ids=["function", "text", "array of text"],
)
def test_parameters_that_are_no_arrays_are_told_by_their_place(leaf: Any, message: str) -> None:
    with pytest.raises(DecoderError, match=re.escape(message)):
        own_decoder(decode, {**PARAMS, "layers": [leaf]}, **DESCRIPTION)


def test_a_decoder_that_is_no_function_is_told() -> None:
    with pytest.raises(DecoderError, match=r"fn must be a function of \(params, z, label .*, got dict"):
        own_decoder(PARAMS, decode, **DESCRIPTION)


def test_numbers_and_random_keys_among_the_parameters_are_left_as_they_are() -> None:
    params = {**PARAMS, "scale": 1.0, "dropout": jax.random.key(0), "nothing": None}
    checked(lambda params, z, label: params["scale"] * decode(params, z, label), params)
