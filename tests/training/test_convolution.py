"""The convolutional layers against loops in NumPy."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cvae_training import build_model, preset
from cvae_training.config import ModelConfig
from cvae_training.convolution import Convolution, convolve_in_loops, depth_to_space, space_to_depth


def convolved(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Each pixel from the nine around it, in float64."""
    batch, height, width, _ = x.shape
    result = np.zeros((batch, height, width, kernel.shape[-1])) + bias
    for row in range(height):
        for column in range(width):
            for i in range(3):
                for j in range(3):
                    if 0 <= row + i - 1 < height and 0 <= column + j - 1 < width:
                        result[:, row, column] += x[:, row + i - 1, column + j - 1].astype(np.float64) @ kernel[i, j]
    return result


@pytest.mark.parametrize("convolve", ["patches", "xla"])
@pytest.mark.parametrize("shape", [(2, 5, 4, 3), (1, 1, 1, 2), (3, 2, 7, 1)], ids=str)
def test_a_convolution_equals_numpy(convolve: Any, shape: tuple[int, ...], rng: np.random.Generator) -> None:
    x = rng.normal(size=shape).astype(np.float32)
    layer = Convolution(6, convolve)
    kernel, bias = rng.normal(size=(3, 3, shape[-1], 6)), rng.normal(size=6)
    got = layer.apply({"params": {"kernel": jnp.float32(kernel), "bias": jnp.float32(bias)}}, x)
    # Sums of at most 28 float32 products of order 1.
    np.testing.assert_allclose(got, convolved(x, kernel, bias), atol=2e-5)


def test_a_block_of_pixels_becomes_the_channels_of_one() -> None:
    x = np.arange(2 * 4 * 6 * 3, dtype=np.float32).reshape(2, 4, 6, 3)
    deep = np.asarray(space_to_depth(jnp.asarray(x)))
    for row in range(2):
        for column in range(3):
            block = x[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            np.testing.assert_array_equal(deep[:, row, column], block.reshape(2, 12))
    np.testing.assert_array_equal(depth_to_space(jnp.asarray(deep)), x)


@pytest.mark.parametrize("image_shape", [(28, 28, 1), (32, 32, 3), (5, 9, 1), (1, 1, 3)], ids=str)
@pytest.mark.parametrize("channels", [(4,), (4, 6), (3, 4, 5)], ids=str)
def test_images_of_any_size_go_in_and_come_out(image_shape: tuple[int, int, int], channels: tuple[int, ...]) -> None:
    model = conv_model(image_shape, channels)
    pixels = int(np.prod(image_shape))
    x, c = jnp.full((2, pixels), 0.5), jnp.eye(2, 3)
    params = jax.eval_shape(lambda: model.init(jax.random.key(0), x, c, jax.random.key(1)))
    decoded, mean, _ = jax.eval_shape(lambda params: model.apply(params, x, c, jax.random.key(2)), params)
    assert (decoded.shape, mean.shape) == ((2, pixels), (2, 5))


def conv_model(image_shape: tuple[int, int, int], channels: tuple[int, ...], **options: Any) -> Any:
    network = ModelConfig(
        network="conv", channels=channels, latent_dim=5, encoder_dimensions=(7,), decoder_dimensions=(6,), flow_layers=2
    )
    return build_model(replace(preset("best"), model=network), image_shape, **options)


def test_every_pixel_reaches_the_encoder_and_is_reached_by_the_decoder(rng: np.random.Generator) -> None:
    image_shape = (6, 7, 2)  # padded to 8 x 8
    model = conv_model(image_shape, (4, 5))
    x, c = rng.random((1, 84)).astype(np.float32), np.eye(1, 3, dtype=np.float32)
    params = model.init(jax.random.key(0), x, c, jax.random.key(1))
    into = jax.jacobian(lambda x: model.apply(params, x, method="encode")[0].sum())(jnp.asarray(x))
    assert (np.abs(np.asarray(into)) > 0).all()
    z = jnp.ones((1, 5))
    moved = model.apply(params, z, c, method="decode") - model.apply(params, -z, c, method="decode")
    assert (np.abs(np.asarray(moved)) > 0).all()


def test_both_ways_to_convolve_give_one_network(rng: np.random.Generator) -> None:
    x, c = rng.random((3, 784)).astype(np.float32), np.eye(3, dtype=np.float32)
    models = [conv_model((28, 28, 1), (4, 6), convolve=convolve) for convolve in ("patches", "xla")]
    params = [model.init(jax.random.key(0), x, c, jax.random.key(1)) for model in models]
    assert jax.tree.map(jnp.shape, params[0]) == jax.tree.map(jnp.shape, params[1])
    one, other = (model.apply(params[0], x, c, jax.random.key(2))[0] for model in models)
    # The order of sums of up to 600 float32 products of order 0.1.
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_cpu_convolves_by_patches_in_loops() -> None:
    assert convolve_in_loops() == ("patches" if jax.default_backend() == "cpu" else "xla")
