"""Every form against the model itself, and the gate against planted faults."""

from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cvae_export import FORMS, ExportError, ParityError, build_decoder
from cvae_export.decoder import Decoder, Function
from cvae_export.form import Form, Loaded
from cvae_export.parity import BATCH_SIZES, measure_parity, parity_inputs
from cvae_sdk import Manifest, Sampler
from cvae_sdk.manifest import Parity, Signature, TensorSpec
from cvae_training import Run

# float32 sums of up to 784 terms of size 1, in another order: about 5e-7 was measured.
TOLERANCE = 2e-6
# A flow's couplings pass the roundings of those before them on, and scale them: about 2e-6 was measured after 16.
FLOW_TOLERANCE = 5e-6


def tolerance(run: Run) -> float:
    return FLOW_TOLERANCE if run.config.model.flow_layers else TOLERANCE


def reference(run: Run, z: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The image by model.apply and, for the mean image, by NumPy."""
    decoded = np.asarray(run.model.apply(run.params, z, weights, method=run.model.generate))
    image = np.clip(decoded, 0, 1) if run.config.objective.likelihood == "l2" else 1 / (1 + np.exp(-decoded))
    return image.reshape(-1, *run.image_shape)


def random_inputs(run: Run, batch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(batch)
    z = rng.standard_normal((batch, run.config.model.latent_dim)).astype(np.float32)
    return z, rng.integers(0, 10, batch).astype(np.int32), rng.dirichlet(np.ones(10), batch).astype(np.float32)


@pytest.fixture(scope="session")
def loaded(artifact: Path) -> Mapping[str, list[Loaded]]:
    return {form.name: list(form.load(artifact / form.path)) for form in FORMS}


@pytest.mark.parametrize("batch", [1, 2, 7, 64, 1000])
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_a_form_gives_the_models_images(form: Form, batch: int, run: Run, loaded: Mapping[str, list[Loaded]]) -> None:
    z, label, weights = random_inputs(run, batch)
    assert loaded[form.name]
    for reader in loaded[form.name]:
        if reader.signature == "mix":
            outputs, expected = reader.run({"z": z, "class_weights": weights}), reference(run, z, weights)
        else:
            outputs, expected = reader.run({"z": z, "label": label}), reference(run, z, np.eye(10, dtype="f4")[label])
        image = outputs["image"]
        assert image.dtype == np.float32
        np.testing.assert_allclose(image, expected, rtol=0, atol=tolerance(run))


def test_the_sdk_gives_the_models_images(artifact: Path, run: Run) -> None:
    z, label, _ = random_inputs(run, 33)
    image = Sampler(artifact).decode(z, label)
    np.testing.assert_allclose(image, reference(run, z, np.eye(10, dtype="f4")[label]), rtol=0, atol=tolerance(run))


def test_images_are_in_the_unit_interval_though_the_articles_decoder_passes_1(article_run: Run) -> None:
    z, label, _ = random_inputs(article_run, 64)
    z *= 20
    decoded = article_run.model.apply(article_run.params, z, np.eye(10, dtype="f4")[label], method="generate")
    assert float(jnp.max(decoded)) > 1
    image = np.asarray(build_decoder(article_run).functions["decode"].call(z, label)["image"])
    assert image.min() == 0
    assert image.max() == 1


def test_the_manifest_has_each_forms_largest_error_over_enough_inputs(artifact: Path, run: Run) -> None:
    manifest = Manifest.parse((artifact / "manifest.json").read_bytes())
    assert sorted(manifest.formats) == ["onnx", "saved_model", "saved_model_xla", "stablehlo"]
    for form in manifest.formats.values():
        assert form.parity.max_abs_error <= tolerance(run)
        assert form.parity.cases >= 200
        assert form.parity.tolerance == 1e-5


def test_the_gates_inputs_have_every_class_and_the_asked_batch_sizes(article_run: Run) -> None:
    decode = build_decoder(article_run).functions["decode"]
    batches = list(parity_inputs(decode, 10))
    assert [len(batch["z"]) for batch in batches] == [1, 2, 7, 64, 257] == list(BATCH_SIZES)
    assert min(np.bincount(np.concatenate([batch["label"] for batch in batches]))) >= 30


def test_the_gates_class_weights_sum_to_1(article_run: Run) -> None:
    mix = build_decoder(article_run).functions["mix"]
    for batch in parity_inputs(mix, 10):
        np.testing.assert_allclose(batch["class_weights"].sum(axis=1), 1, rtol=1e-6)


class TestTheGate:
    """A form that differs, each in its own way."""

    def measure(self, run: Run, change) -> None:
        decoder = build_decoder(run)
        call = jax.jit(decoder.functions["decode"].call)

        def run_decode(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {"image": change(np.asarray(call(inputs["z"], inputs["label"])["image"]))}

        measure_parity("planted", [Loaded("decode", run_decode)], decoder)

    def test_passes_an_equal_form(self, article_run: Run) -> None:
        self.measure(article_run, lambda image: image)

    def test_refuses_one_pixel_off_by_more_than_the_tolerance(self, article_run: Run) -> None:
        def one_pixel(image: np.ndarray) -> np.ndarray:
            image = image.copy()
            if len(image) == 257:
                image[200, 3, 5, 0] += 2e-5
            return image

        with pytest.raises(ParityError, match=r"planted: decode differs .* by 2e-05 at batch size 257, .* 1e-05"):
            self.measure(article_run, one_pixel)

    def test_refuses_nan(self, article_run: Run) -> None:
        with pytest.raises(ParityError, match="differs from the JAX model by nan"):
            self.measure(article_run, lambda image: np.where(image > 0.5, np.float32("nan"), image))

    def test_refuses_another_shape(self, article_run: Run) -> None:
        with pytest.raises(
            ExportError, match=r"planted: decode gives float32 \(1, 784\), JAX gives float32 \(1, 28, 28"
        ):
            self.measure(article_run, lambda image: image.reshape(len(image), -1))

    def test_refuses_another_dtype(self, article_run: Run) -> None:
        with pytest.raises(ExportError, match="planted: decode gives float64"):
            self.measure(article_run, lambda image: image.astype(np.float64))

    def test_refuses_a_decoder_that_swaps_two_classes(self, article_run: Run) -> None:
        decoder = build_decoder(article_run)
        call = jax.jit(decoder.functions["decode"].call)
        swapped = np.array([1, 0, *range(2, 10)], np.int32)
        reader = Loaded("decode", lambda inputs: jax.device_get(call(inputs["z"], swapped[inputs["label"]])))
        with pytest.raises(ParityError):
            measure_parity("planted", [reader], decoder)

    def test_refuses_an_output_of_another_name(self, article_run: Run) -> None:
        decoder = build_decoder(article_run)
        call = jax.jit(decoder.functions["decode"].call)
        reader = Loaded("decode", lambda inputs: {"picture": np.asarray(call(*inputs.values())["image"])})
        with pytest.raises(ExportError, match="planted: decode gives picture, JAX gives image"):
            measure_parity("planted", [reader], decoder)


class TestTheGateOfSeveralOutputs:
    """An encoder whose second output differs: relative to what is above 1, absolutely below."""

    SIGNATURE = Signature(
        {"image": TensorSpec("float32", ("batch", 2, 3, 1)), "label": TensorSpec("int32", ("batch",))},
        {"mean": TensorSpec("float32", ("batch", 6)), "logvar": TensorSpec("float32", ("batch", 6))},
    )

    def measure(self, change: Callable[[np.ndarray], np.ndarray]) -> Parity:
        def encode(image: jax.Array, label: jax.Array) -> dict[str, jax.Array]:
            flat = image.reshape(len(image), -1)
            return {"mean": flat, "logvar": 100 + label[:, None] * flat}

        def planted(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            outputs = encode(**{name: jnp.asarray(array) for name, array in inputs.items()})
            return {"mean": np.asarray(outputs["mean"]), "logvar": change(np.asarray(outputs["logvar"]))}

        decoder = Decoder({"encode": Function(encode, self.SIGNATURE)}, 6, tuple("abc"), (2, 3, 1))
        return measure_parity("planted", [Loaded("encode", planted)], decoder)

    def test_measures_what_is_large_by_its_size(self) -> None:
        parity = self.measure(lambda logvar: logvar + np.float32(2e-3))
        assert 1e-5 < parity.max_latent_error <= 2.1e-5
        assert parity.max_abs_error == 0

    def test_refuses_a_second_output_that_is_off(self) -> None:
        with pytest.raises(ParityError, match=r"planted: logvar of encode differs from the JAX model by 0.01 at batch"):
            self.measure(lambda logvar: logvar * np.float32(1.01))

    def test_refuses_a_second_output_that_is_no_number(self) -> None:
        with pytest.raises(ParityError, match=r"planted: logvar of encode differs from the JAX model by nan"):
            self.measure(lambda logvar: logvar * np.float32("nan"))

    def test_refuses_a_second_output_of_another_shape(self) -> None:
        with pytest.raises(ExportError, match=r"logvar of encode gives float32 \(1, 3\), JAX gives float32 \(1, 6\)"):
            self.measure(lambda logvar: logvar[:, :3])
