"""Decoders of other makers, through every form: Flax NNX, Equinox, and the README's own example."""

import dataclasses
import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow as tf
from flax import nnx

import cvae_export
from cvae_export import DecoderError, ExportError, FormWarning, ImpossibleFormError, UnsupportedPrimitiveError
from cvae_export.forms import CATALOG, get_forms
from cvae_export.onnx import ONNX
from cvae_export.stablehlo import STABLEHLO
from cvae_export.tf_rules import RULES
from cvae_export.weights import WEIGHTS
from cvae_sdk import Manifest, Sampler
from cvae_sdk.command import main as cvae
from cvae_training import Run

LATENT_DIM = 6
CLASSES = ("zero", "one", "two")
README = Path(cvae_export.__file__).parents[1] / "README.md"
# float32 sums of up to 3 x 3 x 8 terms in another order, through four layers: 6e-7 was measured.
TOLERANCE = 2e-6


class NnxDecoder(nnx.Module):
    """Embedding, layer and batch norm, transposed convolution, bilinear resize, gelu."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.table = nnx.Embed(len(CLASSES), LATENT_DIM, rngs=rngs)
        self.hidden = nnx.Linear(LATENT_DIM, 4 * 4 * 8, rngs=rngs)
        self.norm = nnx.LayerNorm(4 * 4 * 8, rngs=rngs)
        self.up = nnx.ConvTranspose(8, 8, (4, 4), strides=(2, 2), rngs=rngs)
        self.batch_norm = nnx.BatchNorm(8, use_running_average=True, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, deterministic=True, rngs=rngs)
        self.out = nnx.Conv(8, 3, (3, 3), rngs=rngs)

    def __call__(self, z: jax.Array, class_weights: jax.Array) -> jax.Array:
        h = self.hidden(z + class_weights @ self.table.embedding[...])
        h = jax.nn.gelu(self.norm(h)).reshape(-1, 4, 4, 8)
        h = self.dropout(jax.nn.silu(self.batch_norm(self.up(h))))
        return jax.nn.sigmoid(self.out(jax.image.resize(h, (h.shape[0], 12, 12, 8), "bilinear")))


class EquinoxDecoder(eqx.Module):
    """Of one image, as Equinox's layers are: embedding, attention, group norm, transposed convolution, repetition."""

    table: eqx.nn.Embedding
    hidden: eqx.nn.Linear
    attention: eqx.nn.MultiheadAttention
    norm: eqx.nn.GroupNorm
    up: eqx.nn.ConvTranspose2d
    out: eqx.nn.Conv2d
    activation: Callable[[jax.Array], jax.Array]

    def __init__(self, key: jax.Array) -> None:
        keys = jax.random.split(key, 5)
        self.table = eqx.nn.Embedding(len(CLASSES), LATENT_DIM, key=keys[0])
        self.hidden = eqx.nn.Linear(2 * LATENT_DIM, 8 * 3 * 4, key=keys[1])
        self.attention = eqx.nn.MultiheadAttention(2, 8, key=keys[2])
        self.norm = eqx.nn.GroupNorm(2, 8)
        self.up = eqx.nn.ConvTranspose2d(8, 8, 4, stride=2, padding=1, key=keys[3])
        self.out = eqx.nn.Conv2d(8, 1, 3, padding="SAME", key=keys[4])
        self.activation = jax.nn.mish

    def __call__(self, z: jax.Array, label: jax.Array) -> jax.Array:
        h = self.hidden(jnp.concatenate([z, self.table(label)])).reshape(8, 12).T
        h = (h + self.attention(h, h, h)).T.reshape(8, 3, 4)
        h = self.up(self.activation(self.norm(h)))
        h = jnp.repeat(jnp.repeat(h, 2, axis=1), 2, axis=2)
        return jnp.moveaxis(jnp.clip(0.5 + 0.3 * self.out(h), 0, 1), 0, -1)


def shaken(params: Any) -> Any:
    """Parameters without any that are 0 or 1 throughout, which would hide a form that forgets one."""
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: leaf + rng.uniform(0.05, 0.2, leaf.shape).astype("f4") if leaf.dtype == np.float32 else leaf,
        params,
    )


GRAPH, NNX_PARAMS = nnx.split(NnxDecoder(nnx.Rngs(0)))
NNX_PARAMS = shaken(NNX_PARAMS)
EQUINOX_PARAMS, EQUINOX_REST = eqx.partition(EquinoxDecoder(jax.random.key(0)), eqx.is_array)
EQUINOX_PARAMS = shaken(EQUINOX_PARAMS)


def nnx_decode(params: Any, z: jax.Array, label: jax.Array) -> jax.Array:
    return nnx_mix(params, z, jax.nn.one_hot(label, len(CLASSES)))


def nnx_mix(params: Any, z: jax.Array, class_weights: jax.Array) -> jax.Array:
    return nnx.merge(GRAPH, params)(z, class_weights)


def equinox_decode(params: Any, z: jax.Array, label: jax.Array) -> jax.Array:
    return jax.vmap(eqx.combine(params, EQUINOX_REST))(z, label)


DECODERS: dict[str, tuple[Callable[..., jax.Array], Any, dict[str, Any]]] = {
    "nnx": (nnx_decode, NNX_PARAMS, {"image_shape": (12, 12, 3), "mix_fn": nnx_mix}),
    "equinox": (equinox_decode, EQUINOX_PARAMS, {"image_shape": [12, 16, 1]}),
}


@pytest.fixture(scope="module", params=DECODERS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The name of a decoder, and its artifact; not to be changed."""
    fn, params, description = DECODERS[request.param]
    out = tmp_path_factory.mktemp("own") / request.param
    cvae_export.export(fn, params, out, latent_dim=LATENT_DIM, classes=CLASSES, licence="mit", **description)
    return request.param, out


def test_the_sdk_gives_the_functions_own_images(exported: tuple[str, Path]) -> None:
    name, out = exported
    fn, params, _ = DECODERS[name]
    z = np.random.default_rng(3).standard_normal((7, LATENT_DIM)).astype(np.float32)
    label = np.arange(7, dtype=np.int32) % 3
    expected = np.asarray(fn(params, z, label))
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(Sampler(out).decode(z, label), expected, rtol=0, atol=TOLERANCE)
    assert Sampler(out).sample("two", n=3, seed=0).shape == (3, *expected.shape[1:])


def test_cvae_verify_passes(exported: tuple[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert cvae(["verify", str(exported[1])]) == 0
    assert "6 recorded images" in capsys.readouterr().out
    assert cvae(["info", str(exported[1])]) == 0
    assert "trained on   unknown" in capsys.readouterr().out


def test_every_form_of_a_runs_is_there_and_within_its_tolerance(exported: tuple[str, Path]) -> None:
    manifest = Manifest.parse((exported[1] / "manifest.json").read_bytes())
    assert {"onnx", "saved_model", "saved_model_xla", "stablehlo"} <= set(manifest.formats)
    for form in ("onnx", "saved_model", "saved_model_xla", "stablehlo"):
        assert manifest.formats[form].parity.max_abs_error <= TOLERANCE
    assert manifest.training == {}


def test_the_card_and_the_report_claim_no_quality_and_no_training(exported: tuple[str, Path]) -> None:
    card = (exported[1] / "README.md").read_text()
    assert card.startswith("---\nlicense: mit\n")
    assert "Nothing was measured: this is a function that was exported, and not a run." in card
    for claim in ("held-out", "variational", "datasets:", "trained on", "kl", "settings", "blurrier"):
        assert claim not in card
    assert "variational" not in (exported[1] / "report.html").read_text()


def test_mix_is_there_where_a_function_for_it_was_given(exported: tuple[str, Path]) -> None:
    name, out = exported
    signatures = tf.saved_model.load(str(out / "saved_model" / "1")).signatures
    card = (out / "README.md").read_text()
    assert ("mix" in signatures) == ("mix" in Sampler(out).manifest.signatures) == ("`mix`" in card) == (name == "nnx")
    if name == "nnx":
        z = np.random.default_rng(4).standard_normal((5, LATENT_DIM)).astype(np.float32)
        weights = np.random.default_rng(5).dirichlet(np.ones(3), 5).astype(np.float32)
        got = signatures["mix"](z=tf.constant(z), class_weights=tf.constant(weights))["image"].numpy()
        np.testing.assert_allclose(got, np.asarray(nnx_mix(NNX_PARAMS, z, weights)), rtol=0, atol=TOLERANCE)


def export_equinox(fn: Callable[..., Any], out: Path, **options: Any) -> Manifest:
    description = {"latent_dim": LATENT_DIM, "classes": CLASSES, "image_shape": (12, 16, 1)}
    return cvae_export.export(fn, EQUINOX_PARAMS, out, **(description | options))


def test_a_primitive_without_a_rule_is_told_with_its_line_and_leaves_nothing(tmp_path: Path) -> None:
    def sorted_pixels(params: Any, z: jax.Array, label: jax.Array) -> jax.Array:
        return jnp.sort(equinox_decode(params, z, label), axis=1)

    with pytest.raises(UnsupportedPrimitiveError, match="no rule for the primitive 'sort'") as raised:
        export_equinox(sorted_pixels, tmp_path / "out")
    line = sorted_pixels.__code__.co_firstlineno + 1
    assert str(raised.value).endswith(f", at {__file__}:{line} (in sorted_pixels)")
    assert list(tmp_path.iterdir()) == []


def test_an_unfit_decoder_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DecoderError, match="decode ignores its label"):
        export_equinox(lambda params, z, label: equinox_decode(params, z, 0 * label), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_run_whose_training_diverged_is_told_and_leaves_nothing(article_run: Run, tmp_path: Path) -> None:
    diverged = dataclasses.replace(article_run, params=jax.tree.map(lambda leaf: leaf * np.nan, article_run.params))
    with pytest.raises(DecoderError, match="decode gives NaN or infinity, first for the class '0'"):
        cvae_export.export_run(diverged, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_what_a_forms_library_raises_is_told_in_one_line(tmp_path: Path) -> None:
    def write(decoder: Any, path: Path) -> Any:
        raise RuntimeError("no kernel\n  at node 3")

    with pytest.raises(ExportError, match=r"^onnx cannot be written: RuntimeError: no kernel$"):
        export_equinox(equinox_decode, tmp_path / "out", forms=(STABLEHLO, dataclasses.replace(ONNX, write=write)))
    assert list(tmp_path.iterdir()) == []


def export_nnx(fn: Callable[..., Any], out: Path, forms: Any) -> Manifest:
    description = {"latent_dim": LATENT_DIM, "classes": CLASSES, "image_shape": (12, 12, 3)}
    return cvae_export.export(fn, NNX_PARAMS, out, forms=forms, **description)


def test_all_is_every_form_that_it_can_have_and_warnings_name_the_others(tmp_path: Path) -> None:
    with pytest.warns(FormWarning) as told:
        export_equinox(equinox_decode, tmp_path / "out", forms=("all",))
    litert, weights = (str(warning.message) for warning in told)
    assert weights == "weights is left out: only a network that cvae-train trained has this form"
    assert litert.startswith("litert is left out: LiteRT does not open what its converter wrote (")
    formats = Manifest.parse((tmp_path / "out" / "manifest.json").read_bytes()).formats
    assert set(formats) == {entry.name for entry in CATALOG} - {"litert", "weights", "web"}
    for name, form in formats.items():
        assert form.parity.max_abs_error <= (form.parity.tolerance if name.startswith("onnx_") else TOLERANCE)


def test_what_litert_has_no_operator_for_is_named_and_left_out_of_all(tmp_path: Path) -> None:
    def decode(params: Any, z: jax.Array, label: jax.Array) -> jax.Array:
        return jnp.clip(jnp.arcsinh(nnx_decode(params, z, label)), 0, 1)

    reason = "LiteRT has no operator for TensorFlow's Asinh"
    with pytest.raises(ImpossibleFormError, match=f"^litert: {reason}: leave litert out of the forms$"):
        export_nnx(decode, tmp_path / "named", forms=("litert",))
    assert list(tmp_path.iterdir()) == []
    possible = [dataclasses.replace(form, if_possible=True) for form in get_forms(["onnx", "litert"])]
    with pytest.warns(FormWarning, match=f"^litert is left out: {reason}$"):
        manifest = export_nnx(decode, tmp_path / "out", forms=possible)
    assert set(manifest.formats) == {"onnx"}
    assert not (tmp_path / "out" / "litert").exists()


@pytest.mark.parametrize("names", [("weights",), ("all", "weights")])
def test_a_form_that_it_cannot_have_fails_where_it_is_named(names: tuple[str, ...], tmp_path: Path) -> None:
    message = "^weights: only a network that cvae-train trained has this form: leave weights out of the forms$"
    forms = [form for form in get_forms(names) if form.name in ("onnx", "weights")]
    with pytest.raises(ImpossibleFormError, match=message):
        export_equinox(equinox_decode, tmp_path / "out", forms=forms)
    assert list(tmp_path.iterdir()) == []


def test_no_form_that_it_can_have_is_told(tmp_path: Path) -> None:
    maybe = dataclasses.replace(WEIGHTS, if_possible=True)
    with (
        pytest.warns(FormWarning, match="weights is left out"),
        pytest.raises(ExportError, match="no form is asked for that this decoder can have"),
    ):
        export_equinox(equinox_decode, tmp_path / "out", forms=(maybe,))
    assert list(tmp_path.iterdir()) == []


def examples() -> list[str]:
    (section,) = re.findall(r"^## Your own decoder\n(.*?)^## ", README.read_text() + "## ", re.DOTALL | re.MULTILINE)
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


@pytest.mark.parametrize("number", range(2))
def test_the_readmes_example_runs_as_it_stands(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(examples()) == 2
    (tmp_path / "example.py").write_text(examples()[number])
    names = runpy.run_path(str(tmp_path / "example.py"))
    assert names["images"].shape == (4, 8, 8, 1)
    assert (tmp_path / "artifacts" / "mine" / "manifest.json").exists()


def test_the_readme_names_every_primitive_that_the_plain_graph_knows() -> None:
    (text,) = re.findall(r"^The plain graph knows (.*?)\.\n", README.read_text(), re.DOTALL | re.MULTILINE)
    assert sorted(re.findall(r"`(\w+)`", text)) == sorted(RULES)
