"""artifacts/mnist, as it is committed: every form of it, in the runtimes of this environment."""

from pathlib import Path

import numpy as np
import pytest

import cvae_sdk
from cvae_export import FORMS
from cvae_export.form import Form
from cvae_sdk import Manifest, Sampler
from cvae_training import preset

ROOT = Path(__file__).parents[2]
MNIST = ROOT / "artifacts" / "mnist"


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return Manifest.parse((MNIST / "manifest.json").read_bytes())


def test_verifies() -> None:
    assert Sampler(MNIST).verify().goldens == 20


def test_has_four_forms_each_within_2e_6_of_the_model(manifest: Manifest) -> None:
    errors = {name: form.parity.max_abs_error for name, form in manifest.formats.items()}
    assert sorted(errors) == ["onnx", "saved_model", "saved_model_xla", "stablehlo"]
    assert max(errors.values()) <= 2e-6


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_a_form_written_elsewhere_gives_the_recorded_images_here(form: Form) -> None:
    with np.load(MNIST / "golden.npz", allow_pickle=False) as goldens:
        inputs, image = {"z": goldens["z"], "label": goldens["label"]}, goldens["image"]
    for reader in form.load(MNIST / form.path):
        if reader.signature == "mix":
            weights = np.eye(10, dtype=np.float32)[inputs["label"]]
            got = reader.run({"z": inputs["z"], "class_weights": weights})
        else:
            got = reader.run(inputs)
        np.testing.assert_allclose(got["image"], image, rtol=0, atol=2e-6)  # sums in another order: 5e-7 was measured


def test_was_trained_by_the_default_preset(manifest: Manifest) -> None:
    config = manifest.training["config"]
    assert config["objective"]["kl_weight"] == preset("fast").objective.kl_weight
    assert config["epochs"] == preset("fast").epochs


def test_what_the_sdk_ships_is_its_onnx_part_and_the_same_model(manifest: Manifest) -> None:
    shipped = Sampler()
    assert list(shipped.manifest.formats) == ["onnx"]
    assert set(shipped.manifest.files) == {"onnx/decoder.onnx", "golden.npz"}
    assert shipped.manifest.files["onnx/decoder.onnx"] == manifest.files["onnx/decoder.onnx"]
    assert shipped.verify().files == 2
    folder = Path(cvae_sdk.__file__).parent / "artifacts" / "mnist"
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == {"manifest.json", "onnx/decoder.onnx", "golden.npz"}
