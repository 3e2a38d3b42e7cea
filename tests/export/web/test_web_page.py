"""The page's folder: what is written, found, refused and left behind."""

import hashlib
import json
import os
import re
import shutil
from pathlib import Path

import pytest
from web_browser import ROOT

from cvae_export.command import main
from cvae_export.errors import ExportError
from cvae_export.onnxruntime_web import TESTED_VERSION, find_onnxruntime_web
from cvae_export.web_page import write_web_page
from cvae_sdk.artifact import Artifact
from cvae_sdk.errors import IntegrityError

MNIST = ROOT / "artifacts" / "mnist"
INSTALL = f"npm install onnxruntime-web@{TESTED_VERSION}"
NAMES = [
    f"{folder}{name}"
    for folder, names in {
        "": "controls.mjs icon.svg index.html latents.mjs manifest.json mix.onnx model.mjs page.css page.mjs"
        " pictures.mjs python_line.mjs",
        "onnxruntime/": "LICENSE.txt ort-wasm-simd-threaded.asyncify.mjs ort-wasm-simd-threaded.asyncify.wasm"
        " ort-wasm-simd-threaded.mjs ort-wasm-simd-threaded.wasm ort.wasm.min.mjs ort.webgpu.min.mjs",
    }.items()
    for name in names.split()
]


@pytest.fixture
def pretended(tmp_path: Path) -> Path:
    """A package of tiny files, for what does not run them."""
    package = tmp_path / "project" / "node_modules" / "onnxruntime-web"
    (package / "dist").mkdir(parents=True)
    (package / "package.json").write_text('{"name": "onnxruntime-web", "version": "1.99.0"}')
    for name in NAMES:
        if name.startswith("onnxruntime/ort"):
            (package / "dist" / name.removeprefix("onnxruntime/")).write_text(name)
    return package


def names_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_the_page_is_these_files_and_its_manifest_says_their_hashes(pages: dict[str, Path]) -> None:
    for name, folder in pages.items():
        artifact = Artifact.open(ROOT / "artifacts" / name)
        assert names_in(folder) == sorted(NAMES)
        manifest = json.loads((folder / "manifest.json").read_text())
        assert manifest["name"] == name
        assert manifest["version"] == artifact.manifest.version
        assert manifest["latent_dim"] == artifact.manifest.latent_dim
        assert manifest["onnxruntime_web"] == TESTED_VERSION
        assert sorted(manifest["files"]) == sorted(name for name in NAMES if name == "mix.onnx" or "/" in name)
        for path, record in manifest["files"].items():
            content = (folder / path).read_bytes()
            assert record == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        assert manifest["files"]["mix.onnx"]["sha256"] == artifact.manifest.files["onnx/mix.onnx"].sha256


def test_two_pages_of_an_artifact_are_the_same_bytes(pretended: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_web_page(MNIST, tmp_path / name, pretended)
    for name in NAMES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_page_names_no_address_but_in_what_is_not_fetched(pages: dict[str, Path]) -> None:
    for path in pages["mnist"].iterdir():
        if path.suffix in (".html", ".css", ".mjs"):
            assert not re.findall(r"https?://", path.read_text()), path.name


def test_the_policy_allows_its_own_files_and_webassembly_and_no_more(pages: dict[str, Path]) -> None:
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', (pages["mnist"] / "index.html").read_text())
    assert dict(part.strip().split(" ", 1) for part in policy.split(";")) == {
        "default-src": "'none'",
        "script-src": "'self' 'wasm-unsafe-eval'",
        "style-src": "'self'",
        "img-src": "'self' data: blob:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


@pytest.mark.parametrize("below", [".", "src", "src/deep"])
@pytest.mark.parametrize("web", ["", ".web"])
def test_the_package_is_found_here_or_above(
    pretended: Path, monkeypatch: pytest.MonkeyPatch, below: str, web: str
) -> None:
    project = pretended.parents[1]
    if web:
        (project / web).mkdir()
        shutil.move(project / "node_modules", project / web / "node_modules")
    (project / below).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(project / below)
    found = find_onnxruntime_web()
    assert found.version == "1.99.0"
    assert {f"onnxruntime/{name}" for name in found.files} == {n for n in NAMES if n.startswith("onnxruntime/ort")}


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


def test_the_command_writes_the_page(pretended, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(pretended.parents[1])
    assert main(["--web", str(MNIST), "--out", "page"]) == 0
    assert names_in(pretended.parents[1] / "page") == sorted(NAMES)
    assert capsys.readouterr().out == f"page of {MNIST} saved in page; to look at it: python -m http.server -d page\n"


def test_without_the_package_one_line_says_how_to_get_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    said = refused(capsys, "--web", MNIST, "--out", "page")
    assert said == (
        f"cvae-export: onnxruntime-web is in no node_modules here or above: {INSTALL}, or name its folder with"
        " --onnxruntime-web\n"
    )
    assert not (tmp_path / "page").exists()


def test_a_package_that_is_not_it_is_refused(pretended, tmp_path, capsys):
    arguments = ("--web", MNIST, "--out", tmp_path / "page", "--onnxruntime-web")
    empty = tmp_path / "empty"
    empty.mkdir()
    no_package = f"cvae-export: {empty} is no npm package, its package.json cannot be read: {INSTALL}\n"
    assert refused(capsys, *arguments, empty) == no_package
    for content in ("[", "[]", '{"name": "x"}'):
        (empty / "package.json").write_text(content)
        assert refused(capsys, *arguments, empty) == no_package
    (empty / "package.json").write_text('{"name": "left-pad", "version": "1.0.0"}')
    left_pad = f"cvae-export: {empty} is the npm package left-pad, not onnxruntime-web: {INSTALL}\n"
    assert refused(capsys, *arguments, empty) == left_pad
    (pretended / "dist" / "ort.wasm.min.mjs").unlink()
    assert refused(capsys, *arguments, pretended) == (
        f"cvae-export: onnxruntime-web 1.99.0 in {pretended} has no dist/ort.wasm.min.mjs: {INSTALL}\n"
    )
    assert not (tmp_path / "page").exists()


def test_a_folder_that_exists_is_left_alone(pretended, tmp_path, capsys):
    (tmp_path / "page").mkdir()
    said = refused(capsys, "--web", MNIST, "--out", tmp_path / "page", "--onnxruntime-web", pretended)
    assert said == f"cvae-export: {tmp_path}/page exists: choose another folder, or remove it first\n"
    assert names_in(tmp_path / "page") == []


def test_the_page_needs_an_out(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--web", str(MNIST)])
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "cvae-export: the following arguments are required: --out\n"


def test_an_artifact_without_a_model_that_mixes_is_refused(pretended, tmp_path):
    golden = ROOT / "tests" / "golden" / "artifact-2026-11-23"
    with pytest.raises(ExportError, match=r"has no ONNX model that mixes classes: export its run again with onnx$"):
        write_web_page(golden, tmp_path / "page", pretended)
    assert not (tmp_path / "page").exists()


def test_a_damaged_artifact_is_refused_and_leaves_nothing(pretended, tmp_path):
    shutil.copytree(MNIST, tmp_path / "mnist", copy_function=os.link)
    model = tmp_path / "mnist" / "onnx" / "mix.onnx"
    content = bytearray(model.read_bytes())
    content[1000] ^= 1
    model.unlink()
    model.write_bytes(content)
    with pytest.raises(IntegrityError, match=r"onnx/mix\.onnx has SHA-256"):
        write_web_page(tmp_path / "mnist", tmp_path / "page", pretended)
    assert not (tmp_path / "page").exists()
    assert not list(tmp_path.glob(".page*"))
