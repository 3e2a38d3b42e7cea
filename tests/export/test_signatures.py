"""What the signatures beside decode mean, on the plain SavedModel as a server runs it."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cvae_export import export_run
from cvae_export.png import grey_levels
from cvae_export.tf_latents import first_latents
from cvae_sdk import Manifest, Sampler
from cvae_sdk.latents import standard_normal_latents
from cvae_training import BoundModel, Config, Run, load_data_set
from cvae_training.config import ModelConfig
from cvae_training.train import initial_state


@pytest.fixture(scope="session")
def signatures(artifact: Path) -> Any:
    model = tf.saved_model.load(str(artifact / "saved_model" / "1"))
    return {
        name: lambda model=model, name=name, **inputs: model.signatures[name](**inputs) for name in model.signatures
    }


@pytest.fixture(scope="session")
def digits() -> tuple[np.ndarray, np.ndarray]:
    held_out = load_data_set("mnist-10k").held_out
    return (held_out.images[:50].reshape(-1, 28, 28, 1) / np.float32(255)), held_out.labels[:50].astype(np.int32)


class TestEncode:
    def test_its_mean_is_decoded_to_the_models_reconstruction(
        self, signatures: Any, run: Run, digits: tuple[np.ndarray, np.ndarray]
    ) -> None:
        image, label = digits
        mean = signatures["encode"](image=tf.constant(image), label=tf.constant(label))["mean"]
        reconstructed = signatures["decode"](z=mean, label=tf.constant(label))["image"].numpy()
        expected = BoundModel(run, "random").reconstruct(image, label.tolist())
        np.testing.assert_allclose(
            reconstructed, expected, rtol=0, atol=1e-5
        )  # a flow there and back: 3e-6 was measured
        assert np.abs(expected[1] - expected[0]).max() > 1e-3  # each image has its own

    def test_its_logvar_is_the_encoders_where_no_prior_is_learned(
        self, article_run: Run, digits: tuple[np.ndarray, np.ndarray]
    ) -> None:
        from cvae_export import build_decoder

        outputs = build_decoder(article_run).functions["encode"].call(*map(jnp.asarray, digits))
        _, logvar = BoundModel(article_run, "random").encode(digits[0])
        np.testing.assert_allclose(outputs["logvar"], logvar, rtol=0, atol=1e-5)


class TestSample:
    def test_each_row_is_the_sdks_image_of_its_seed(self, artifact: Path, signatures: Any, run: Run) -> None:
        label, seed = np.arange(10, dtype=np.int32), np.array([0, 1, 2, 3, 2**32, 2**40 + 7, -1, 9, 0, 2**63 - 1])
        image = signatures["sample"](label=tf.constant(label), seed=tf.constant(seed))["image"].numpy()
        sampler = Sampler(artifact)
        z = np.concatenate([standard_normal_latents(int(s) % 2**64, 0, 1, run.config.model.latent_dim) for s in seed])
        np.testing.assert_allclose(image, sampler.decode(z, label), rtol=0, atol=1e-5)
        for row, each, s in zip(image, label, seed, strict=True):
            levels = sampler.sample(int(each), seed=int(s) % 2**64)[0].astype(np.int16)
            assert np.abs(levels - row * 255).max() <= 0.5 + 255e-5

    def test_a_row_depends_on_nothing_else_in_its_batch(self, signatures: Any) -> None:
        def sample(label: list[int], seed: list[int]) -> np.ndarray:
            inputs = {"label": tf.constant(label, tf.int32), "seed": tf.constant(seed, tf.int64)}
            return signatures["sample"](**inputs)["image"].numpy()

        together = sample([3, 1, 4], [5, 6, 7])
        np.testing.assert_allclose(together[2:], sample([4], [7]), rtol=0, atol=1e-6)
        assert np.abs(together[0] - sample([3], [6])[0]).max() > 1e-3

    @pytest.mark.parametrize("latent_dim", [1, 3, 4, 10, 33])
    def test_its_noise_is_the_sdks_to_the_bit(self, latent_dim: int) -> None:
        seeds = np.random.default_rng(latent_dim).integers(-(2**63), 2**63, 3000)
        expected = np.concatenate([standard_normal_latents(int(s) % 2**64, 0, 1, latent_dim) for s in seeds])
        drawn = tf.function(lambda seed: first_latents(seed, latent_dim), autograph=False)(tf.constant(seeds))
        np.testing.assert_array_equal(drawn.numpy().view(np.int32), expected.view(np.int32))
        assert np.abs(expected).max() > 3  # the tails are among them

    @given(seed=st.integers(-(2**63), 2**63 - 1))
    @settings(deadline=None, max_examples=50)
    def test_so_it_is_for_every_seed(self, seed: int) -> None:
        expected = standard_normal_latents(seed % 2**64, 0, 1, 5)
        np.testing.assert_array_equal(first_latents(tf.constant([seed], tf.int64), 5).numpy(), expected)


class TestPngBytes:
    def test_each_is_a_png_of_the_sdks_pixels(self, artifact: Path, signatures: Any, run: Run) -> None:
        label = np.arange(20, dtype=np.int32) % 10
        z = standard_normal_latents(3, 0, 20, run.config.model.latent_dim)
        contents = signatures["png_bytes"](z=tf.constant(z), label=tf.constant(label))["image_bytes"].numpy()
        images = Sampler(artifact).decode(z, label)
        assert contents.shape == (20,)
        for content, image in zip(contents, images, strict=True):
            with Image.open(io.BytesIO(content)) as picture:
                assert (picture.format, picture.mode, picture.size) == ("PNG", "L", (28, 28))
                assert np.abs(np.asarray(picture)[..., None] - 255.0 * image).max() <= 0.5 + 255e-5

    def test_of_no_images_are_none(self, signatures: Any, run: Run) -> None:
        z, label = tf.zeros((0, run.config.model.latent_dim)), tf.zeros(0, tf.int32)
        assert signatures["png_bytes"](z=z, label=label)["image_bytes"].shape == (0,)

    def test_grey_levels_reads_colors(self) -> None:
        file = io.BytesIO()
        Image.new("RGB", (2, 1), (1, 2, 3)).save(file, "PNG")
        np.testing.assert_array_equal(grey_levels(file.getvalue(), 3), [[[1, 2, 3], [1, 2, 3]]])


NETWORKS: dict[str, Callable[[int], ModelConfig]] = {
    "mlp": lambda latents: ModelConfig(latent_dim=latents, encoder_dimensions=(4,), decoder_dimensions=(3,)),
    "conv, flow": lambda latents: ModelConfig(
        network="conv",
        channels=(2, 3),
        latent_dim=latents,
        encoder_dimensions=(4,),
        decoder_dimensions=(3,),
        flow_layers=3,
        flow_width=4,
    ),
}


@pytest.mark.parametrize(("network", "latents"), [("mlp", 1), ("conv, flow", 1), ("conv, flow", 3)])
def test_two_classes_odd_latents_and_colors_pass_the_gate_in_every_form(
    tmp_path: Path, network: str, latents: int
) -> None:
    config, shape = Config(model=NETWORKS[network](latents)), (5, 6, 3)
    params = initial_state(config, shape, 2, total_steps=10).params
    keys = iter(jax.random.split(jax.random.key(1), 1000))
    params = jax.tree.map(lambda leaf: leaf + 0.3 * jax.random.normal(next(keys), leaf.shape), params)
    losses = {"loss": 1.0, "mse": 1.0, "kl": 0.0}
    metrics = ({"epoch": 1, "step": 1, "train": losses, "held_out": losses},)
    run = Run(config, ("cat", "dog"), shape, {"train": 8, "held_out": 2}, params, metrics, {})
    export_run(run, tmp_path / "out")
    manifest = Manifest.parse((tmp_path / "out" / "manifest.json").read_bytes())
    assert all({"decode", "mix", "encode"} <= set(form.signatures) for form in manifest.formats.values())
    assert manifest.signatures["encode"].outputs["mean"].shape == ("batch", latents)
    images = Sampler(tmp_path / "out").sample("dog", n=3, seed=0)
    served = tf.saved_model.load(str(tmp_path / "out" / "saved_model" / "1")).signatures["sample"]
    first = served(label=tf.constant([1]), seed=tf.constant([0], tf.int64))["image"].numpy()[0]
    assert np.abs(first * 255 - images[0]).max() <= 0.5 + 255e-5
