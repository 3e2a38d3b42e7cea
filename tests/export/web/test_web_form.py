"""The page as a form of an artifact: what is written, what the gate finds, and what a browser draws of it."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from web_browser import Driver, Server, absent, is_close, pixels, until, visit

from cvae_export import ExportError, ParityError, build_decoder, export_run
from cvae_export.check import check_artifact
from cvae_export.command import main
from cvae_export.decoder import Decoder
from cvae_export.forms import CATALOG, get_forms
from cvae_export.node_session import NodeSession
from cvae_export.onnxruntime_web import INSTALL
from cvae_export.parity import BATCH_SIZES, measure_parity
from cvae_export.web_form import web_form
from cvae_export.web_page import write_web_page
from cvae_sdk import Manifest, Sampler
from cvae_sdk.latents import standard_normal_latents
from cvae_training import Run

EPOCH = "1700000000"


@pytest.fixture(scope="session")
def node() -> str:
    found = shutil.which("node")
    if found is None:
        absent("needs the command node (Debian: apt install nodejs)")
    return str(found)


@pytest.fixture(scope="session")
def exported(article_run: Run, package: Path, node: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact with ONNX and the page; not to be changed."""
    folder = tmp_path_factory.mktemp("exported") / "article"
    export_run(article_run, folder, forms=get_forms(["onnx", "web"], package=package))
    return folder


@pytest.fixture
def page(exported: Path, tmp_path: Path) -> Path:
    """The form alone, with files that can be replaced: they are links to the ones of all tests."""
    shutil.copytree(exported / "web", tmp_path / "web", copy_function=os.link)
    return tmp_path / "web"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_manifest_says_what_it_is_and_the_hash_of_each_file(exported: Path) -> None:
    manifest = Manifest.parse((exported / "manifest.json").read_bytes())
    form = manifest.formats["web"]
    assert (form.path, form.signatures, form.files) == ("web", ("mix",), {"mix": ("web/mix.onnx",)})
    assert form.opset == 17
    assert form.written_by["onnxruntime-web"] == "1.30.0"
    assert form.parity.cases == 2 * sum(BATCH_SIZES)  # mix, and decode by one-hot weights
    assert 0 < form.parity.max_abs_error <= form.parity.tolerance == 1e-5
    for name, content in contents(exported / "web").items():
        record = manifest.files[f"web/{name}"]
        assert (record.bytes, record.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert "`python -m http.server -d web`" in (exported / "README.md").read_text()


def test_it_is_the_page_of_the_artifact_byte_for_byte(exported: Path, package: Path, tmp_path: Path) -> None:
    write_web_page(exported, tmp_path / "page", package)
    first, second = contents(exported / "web"), contents(tmp_path / "page")
    assert [name for name in first | second if first.get(name) != second.get(name)] == []
    assert json.loads(first["manifest.json"])["name"] == "article"


def test_two_exports_are_the_same_bytes(
    article_run: Run, package: Path, node: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", EPOCH)
    for folder in (tmp_path / "a", tmp_path / "b"):
        export_run(article_run, folder, name="same", forms=get_forms(["web"], package=package))
    first, second = contents(tmp_path / "a"), contents(tmp_path / "b")
    assert [name for name in first | second if first.get(name) != second.get(name)] == []


def test_a_browser_draws_the_artifact_s_images(exported: Path, browser: Driver, serve: Callable[..., Server]) -> None:
    visit(browser, serve(exported / "web").address)
    sampler = Sampler(exported)
    for k in (0, 3, 9):
        expected = sampler.sample(k, seed=0)[0, ..., 0]
        until(browser, lambda k=k, expected=expected: is_close(pixels(browser, f"[for=class-{k}] canvas"), expected))


def test_the_check_replays_the_recorded_images(exported: Path) -> None:
    passed = {}
    check_artifact(exported, on_form=lambda name, form: passed.update({name: form.parity}))
    assert passed["web"].cases == 20
    assert 0 < passed["web"].max_abs_error <= 1e-5


@pytest.mark.parametrize("signature", ["decode", "mix"])
def test_another_run_s_model_in_its_place_is_found(
    exported: Path, make_run: Callable[..., Run], signature: str
) -> None:
    decoder = build_decoder(make_run("article", seed=3))
    loaded = [each for each in web_form().load(exported / "web") if each.signature == signature]
    with pytest.raises(ParityError, match=f"web: {signature} differs from the JAX model by"):
        measure_parity("web", loaded, decoder)


def test_a_decoder_that_cannot_mix_has_no_page(article_run: Run, package: Path, tmp_path: Path) -> None:
    whole = build_decoder(article_run)
    decoder = Decoder({"decode": whole.functions["decode"]}, whole.latent_dim, whole.classes, whole.image_shape)
    with pytest.raises(ExportError, match=r"web: its page mixes classes, and this decoder has no mix: give mix_fn, or"):
        web_form(package=package).write(decoder, tmp_path / "web")
    assert not (tmp_path / "web").exists()


def test_all_asks_for_nothing_of_npm() -> None:
    names = [form.name for form in get_forms(["all"])]
    assert names == [entry.name for entry in CATALOG if entry.name != "web"]
    assert [form.name for form in get_forms(["all", "web"])] == [*names, "web"]


class TestNode:
    """What becomes of a page whose runtime does not run."""

    def test_it_gives_the_images_of_onnxruntime_for_python(self, exported: Path) -> None:
        session = NodeSession(exported / "web" / "mix.onnx", exported / "web" / "onnxruntime")
        z = standard_normal_latents(5, 0, 3, session.latent_dim)
        weights = np.eye(session.classes, dtype=np.float32)[[3, 1, 4]]
        expected = Sampler(exported).mix(z, weights)
        # Sums in another order: 7e-7 was measured.
        np.testing.assert_allclose(session.mix(z, weights), expected, rtol=0, atol=5e-6)
        np.testing.assert_allclose(session.mix(z[:1], weights[:1]), expected[:1], rtol=0, atol=5e-6)

    def test_a_model_that_is_none_is_told(self, page: Path) -> None:
        (page / "mix.onnx").unlink()
        (page / "mix.onnx").write_bytes(b"no ONNX")
        with pytest.raises(ExportError, match=r"web: ONNX Runtime in Node: .*protobuf parsing failed"):
            list(web_form().load(page))

    @pytest.mark.parametrize("name", ["ort.wasm.min.mjs", "ort-wasm-simd-threaded.wasm", "ort-wasm-simd-threaded.mjs"])
    def test_a_runtime_that_is_not_whole_is_told(self, page: Path, name: str) -> None:
        (page / "onnxruntime" / name).unlink()
        with pytest.raises(ExportError, match=f"web: ONNX Runtime in Node: .*{name}"):
            list(web_form().load(page))

    def test_inputs_of_another_shape_are_refused(self, exported: Path) -> None:
        session = NodeSession(exported / "web" / "mix.onnx", exported / "web" / "onnxruntime")
        z = np.zeros((2, session.latent_dim), np.float32)
        with pytest.raises(ExportError, match=r"web: class_weights must have shape \(2, 10\), got \(2, 9\)"):
            session.mix(z, np.zeros((2, 9), np.float32))

    def test_a_node_that_dies_is_told(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "node").write_text("#!/bin/sh\nexit 3\n")
        (tmp_path / "node").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        with pytest.raises(ExportError, match="web: Node ended with status 3 and said no more"):
            NodeSession(tmp_path / "mix.onnx", tmp_path)


class TestCommand:
    """What is missing is told at once, in one line, and nothing is written."""

    def refused(self, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
        assert main([str(argument) for argument in arguments]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        return captured.err

    def test_without_the_package(self, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        said = self.refused(capsys, tmp_path / "run", "--forms", "onnx,web", "--out", tmp_path / "out")
        assert said == (
            f"cvae-export: onnxruntime-web is in no node_modules here or above: {INSTALL}, or name its folder with"
            " --onnxruntime-web\n"
        )
        assert list(tmp_path.iterdir()) == []

    def test_without_node(self, package, tmp_path, monkeypatch, capsys):
        monkeypatch.setenv("PATH", str(tmp_path))
        arguments = (tmp_path / "run", "--forms", "web", "--out", tmp_path / "out", "--onnxruntime-web", package)
        assert self.refused(capsys, *arguments) == (
            "cvae-export: the form web is run by Node before it is kept, and there is no node here: install Node.js\n"
        )
        assert list(tmp_path.iterdir()) == []

    def test_a_package_that_nothing_needs_is_refused(self, tmp_path, capsys):
        with pytest.raises(SystemExit) as stopped:
            main(["run", "--out", str(tmp_path / "out"), "--onnxruntime-web", "x"])
        assert stopped.value.code == 2
        assert capsys.readouterr().err == "cvae-export: --onnxruntime-web is for --web, or --forms with web\n"

    def test_the_list_says_how_to_get_the_package(self, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        assert main(["--list"]) == 0
        (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("web ")]
        assert line.endswith(f"needs onnxruntime-web of npm, and Node (not installed: {INSTALL})")
