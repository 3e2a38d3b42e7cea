"""The forms that are written on request: what they hold, how near they are, and that they need no extra operators."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import onnx
import onnxruntime
import pytest
from safetensors import safe_open

from cvae_export import ParityError, build_decoder, export_run
from cvae_export.forms import get_forms
from cvae_export.numpy_decoder import generate, read_weights
from cvae_export.onnx_graph import to_onnx
from cvae_export.onnx_small import to_int8
from cvae_export.weights import WEIGHTS
from cvae_sdk import Manifest, Sampler
from cvae_training import BoundModel, Run, load_data_set

# Of a grey level, 1 / 255; each is well below the form's own tolerance, and above what was measured.
LARGEST = {"onnx_fp16": 1.5, "onnx_int8": 40, "litert": 0.005, "weights": 0.005}
README = Path(__file__).parents[2] / "export" / "README.md"


@pytest.mark.parametrize("batch", [1, 2, 7, 64, 1000])
@pytest.mark.parametrize("name", LARGEST)
def test_a_form_gives_the_models_images(complete: Path, run: Run, name: str, batch: int) -> None:
    rng = np.random.default_rng(batch)
    z = rng.standard_normal((batch, run.config.model.latent_dim)).astype(np.float32)
    label, weights = rng.integers(0, 10, batch).astype(np.int32), rng.dirichlet(np.ones(10), batch).astype(np.float32)
    (form,) = get_forms([name])
    readers = {reader.signature: reader for reader in form.load(complete / form.path)}
    assert {"decode", "mix"} <= readers.keys()
    for signature, inputs in (
        ("decode", {"z": z, "label": label}),
        ("mix", {"z": z, "class_weights": weights}),
    ):
        image = readers[signature].run(inputs)["image"]
        chosen = inputs.get("class_weights", np.eye(10, dtype=np.float32)[label])
        decoded = np.asarray(run.model.apply(run.params, z, chosen, method="generate"))
        expected = np.clip(decoded, 0, 1) if run.config.objective.likelihood == "l2" else 1 / (1 + np.exp(-decoded))
        assert image.dtype == np.float32
        assert np.abs(image - expected.reshape(image.shape)).max() <= LARGEST[name] / 255


def test_the_manifest_has_each_forms_tolerance_and_shares_of_pixels(complete: Path) -> None:
    formats = Manifest.parse((complete / "manifest.json").read_bytes()).formats
    assert {name: form.parity.tolerance for name, form in formats.items() if form.parity.tolerance != 1e-5} == {
        "onnx_fp16": 1e-2,
        "onnx_int8": 0.2,
    }
    for form in formats.values():
        assert 0 <= form.parity.off_by_more_than_8 <= form.parity.off_by_more_than_1 <= 1
    assert formats["onnx_int8"].parity.off_by_more_than_1 > 0


def test_an_artifact_with_every_form_opens_in_the_sdk(complete: Path) -> None:
    assert Sampler(complete).verify().max_abs_error < 1e-5


class TestSmallOnnx:
    @pytest.mark.parametrize("name", ["onnx_fp16", "onnx_int8"])
    @pytest.mark.parametrize("file", ["decoder", "mix", "encode"])
    def test_takes_and_gives_float32_by_the_same_names(self, complete: Path, name: str, file: str) -> None:
        session = onnxruntime.InferenceSession(complete / name / f"{file}.onnx", providers=["CPUExecutionProvider"])
        types = {each.name: each.type for each in (*session.get_inputs(), *session.get_outputs())}
        chosen = {"class_weights": "tensor(float)"} if file == "mix" else {"label": "tensor(int32)"}
        latents = ("mean", "logvar") if file == "encode" else ("z",)
        assert types == dict.fromkeys(("image", *latents), "tensor(float)") | chosen

    @pytest.mark.parametrize(("name", "tolerance"), [("onnx_fp16", 1e-2), ("onnx_int8", 0.5)])
    def test_encode_is_within_its_stated_tolerance_and_decodes_to_the_same_reconstruction(
        self, complete: Path, run: Run, name: str, tolerance: float
    ) -> None:
        parity = Manifest.parse((complete / "manifest.json").read_bytes()).formats[name].parity
        assert 1e-4 < parity.max_latent_error <= parity.latent_tolerance == tolerance
        held_out = load_data_set("mnist-10k").held_out
        image, label = held_out.images[:50].reshape(-1, 28, 28, 1) / np.float32(255), held_out.labels[:50]
        (form,) = get_forms([name])
        readers = {reader.signature: reader.run for reader in form.load(complete / form.path)}
        mean = readers["encode"]({"image": image, "label": label.astype(np.int32)})["mean"]
        reconstructed = readers["decode"]({"z": mean, "label": label.astype(np.int32)})["image"]
        expected = BoundModel(run, "random").reconstruct(image, label.tolist())
        assert np.abs(reconstructed - expected).max() <= 2 * LARGEST[name] / 255  # rounded there and back

    def test_fp16_is_half_of_fp32_and_has_no_float32_weights(self, complete: Path) -> None:
        sizes = [(complete / name / "decoder.onnx").stat().st_size for name in ("onnx_fp16", "onnx")]
        assert sizes[0] < 0.53 * sizes[1]
        model = onnx.load(complete / "onnx_fp16" / "decoder.onnx")
        assert not [t.name for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT and len(t.dims)]

    def test_int8_has_its_large_products_alone_in_integers(self, complete: Path, run: Run) -> None:
        nodes = onnx.load(complete / "onnx_int8" / "decoder.onnx").graph.node
        # article: 64-128-256-784; best: 256-256 and 256-1568, not its flow's 16-256-32 nor its convolutions.
        expected = 2 if run.config.model.flow_layers else 3
        assert sum(node.op_type == "MatMulInteger" for node in nodes) == expected
        assert not [node for node in nodes if node.op_type == "ConvInteger"]

    def test_int8_leaves_a_learned_prior_in_float32_however_many_latents_it_has(
        self, make_run: Callable[..., Run]
    ) -> None:
        """best-fashion's layers are 256 by 128, with every side above 64; each is a 30th of all products or less."""
        run = make_run("best-fashion")
        nodes = to_int8(to_onnx(build_decoder(run).functions["decode"])).graph.node
        flow_products = 3 * run.config.model.flow_layers
        products = [node.op_type for node in nodes if node.op_type.startswith("MatMul")]
        assert products == ["MatMul"] * (flow_products + 2) + ["MatMulInteger"] * 2

    def test_int8_of_small_products_alone_is_the_model_as_it_is(self) -> None:
        model = onnx.parser.parse_model(
            '<ir_version: 8, opset_import: ["": 17]> g (float[n, 2] x) => (float[n, 2] y) { y = Relu(x) }'
        )
        assert to_int8(model) == model

    def test_int8_weights_have_7_bits(self, complete: Path) -> None:
        model = onnx.load(complete / "onnx_int8" / "decoder.onnx")
        integers = [onnx.numpy_helper.to_array(t) for t in model.graph.initializer if t.data_type == 3 and len(t.dims)]
        weights = [array for array in integers if array.ndim == 2]
        assert weights
        assert max(np.abs(array.astype(int)).max() for array in weights) <= 64

    def test_a_form_that_passes_its_own_tolerance_is_refused(self, article_run: Run, tmp_path: Path) -> None:
        (form,) = get_forms(["onnx_fp16"])
        with pytest.raises(ParityError, match=r"onnx_fp16: decode differs .* more than the tolerance 1e-05"):
            export_run(article_run, tmp_path / "out", forms=[dataclasses.replace(form, tolerance=1e-5)])


class TestLiteRt:
    def test_has_built_in_operators_alone(self, complete: Path) -> None:
        content = (complete / "litert" / "decoder.tflite").read_bytes()
        assert content[4:8] == b"TFL3"
        assert b"Flex" not in content

    def test_holds_the_decoder_once_for_decode_and_mix(self, complete: Path) -> None:
        size = (complete / "litert" / "decoder.tflite").stat().st_size
        decoder, encoder = ((complete / "onnx" / f"{name}.onnx").stat().st_size for name in ("decoder", "encode"))
        assert size < 1.2 * (decoder + encoder) < 2 * decoder + encoder


class TestWeights:
    def test_are_the_runs_parameters_by_name(self, complete: Path, run: Run) -> None:
        with safe_open(complete / "weights.safetensors", "numpy") as file:
            got = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            network = json.loads(file.metadata()["network"])
        leaves, _ = jax.tree_util.tree_flatten_with_path(run.params["params"])
        assert len(got) == len(leaves)
        for path, leaf in leaves:
            np.testing.assert_array_equal(got["/".join(key.key for key in path)], leaf)
        assert network["likelihood"] == run.config.objective.likelihood

    @pytest.mark.parametrize("likelihood", ["l2", "bernoulli", "gaussian", "logistic"])
    @pytest.mark.parametrize("preset_name", ["article", "fast"])
    def test_numpy_decodes_every_likelihood(
        self, preset_name: str, likelihood: str, tmp_path: Path, make_run: Callable[..., Run]
    ) -> None:
        run = make_run(preset_name, likelihood)
        decoder = build_decoder(run)
        WEIGHTS.write(decoder, tmp_path / "weights.safetensors")
        rng = np.random.default_rng(0)
        z = rng.standard_normal((5, decoder.latent_dim)).astype(np.float32)
        c = rng.dirichlet(np.ones(10), 5).astype(np.float32)
        image = generate(*read_weights(tmp_path / "weights.safetensors"), z, c)
        # logistic_mean is a small difference of two large numbers, each rounded.
        np.testing.assert_allclose(image, decoder.functions["mix"].call(z, c)["image"], rtol=0, atol=2e-5)

    def test_the_readmes_code_gives_the_goldens(self, complete: Path, run: Run, tmp_path: Path, monkeypatch) -> None:
        short, full = (block.split("```")[0] for block in README.read_text().split("```python\n")[1:3])
        (tmp_path / "artifacts").mkdir()
        (tmp_path / "artifacts" / "all").symlink_to(complete)
        monkeypatch.chdir(tmp_path)
        with np.load(complete / "golden.npz") as goldens:
            z, label, expected = goldens["z"], goldens["label"], goldens["image"]
        names: dict = {}
        exec(full, names)  # noqa: S102
        weights, network = names["read_weights"]("artifacts/all/weights.safetensors")
        image = names["generate"](weights, network, z, np.eye(10, dtype=np.float32)[label])
        np.testing.assert_allclose(image, expected, rtol=0, atol=5e-6)
        if run.config.objective.likelihood == "l2":
            exec(short, names)  # noqa: S102
            np.testing.assert_allclose(names["decode"](z, label), expected, rtol=0, atol=5e-6)

    def test_the_readmes_code_is_the_modules(self) -> None:
        full = README.read_text().split("```python\n")[2].split("```")[0]
        module = Path(generate.__code__.co_filename).read_text()
        assert full[full.index("def read_weights") :].strip() == module[module.index("def read_weights") :].strip()
