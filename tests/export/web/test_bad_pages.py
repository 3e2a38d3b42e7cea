"""A page whose files or browser are not as they should be says so in a sentence, and draws nothing."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from web_browser import Driver, Server, until, visit

WASM = "onnxruntime/ort-wasm-simd-threaded.wasm"
AGAIN = "copy the page's folder to its server again."
THERE_AGAIN = "copy the page's folder there again."


@pytest.fixture
def folder(pages: dict[str, Path], tmp_path: Path) -> Path:
    """A page whose files can be replaced, but not changed in place: they are links to the ones of all tests."""
    shutil.copytree(pages["mnist"], tmp_path / "page", copy_function=os.link)
    return tmp_path / "page"


def replace(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def is_refused(browser: Driver, server: Server, sentence: str) -> None:
    visit(browser, server.address)
    error = browser.find_element(By.ID, "error")
    until(browser, error.is_displayed)
    assert error.text == sentence
    assert not browser.find_element(By.ID, "main").is_displayed()
    assert not browser.find_element(By.ID, "not-started").is_displayed()


def flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize("change", [flip, lambda content: content[:-1], lambda _: b"", lambda content: content + b"\0"])
@pytest.mark.parametrize("name", ["mix.onnx", WASM])
def test_a_changed_file_is_told(browser, serve, folder, name, change):
    replace(folder / name, change((folder / name).read_bytes()))
    is_refused(browser, serve(folder), f"{name} is damaged, its SHA-256 is not the listed one: {AGAIN}")


@pytest.mark.parametrize("name", ["mix.onnx", WASM, "manifest.json"])
def test_a_missing_file_is_told(browser, serve, folder, name):
    (folder / name).unlink()
    is_refused(browser, serve(folder), f"{name} is missing from the page's server: {THERE_AGAIN}")


def test_a_missing_script_of_the_runtime_is_told(browser, serve, folder):
    (folder / "onnxruntime" / "ort.wasm.min.mjs").unlink()
    sentence = f"onnxruntime/ort.wasm.min.mjs is missing from the page's server, or damaged: {THERE_AGAIN}"
    is_refused(browser, serve(folder), sentence)


def test_a_missing_loader_of_the_runtime_is_told(browser, serve, folder):
    (folder / "onnxruntime" / "ort-wasm-simd-threaded.mjs").unlink()
    visit(browser, serve(folder).address)
    said = browser.find_element(By.ID, "error").text
    assert said.startswith("ONNX Runtime cannot open the model: ")
    assert "ort-wasm-simd-threaded.mjs" in said


@pytest.mark.parametrize("content", [b"<!DOCTYPE html><title>Not found</title>", b"", b'{"name": "mnist", "classes"'])
def test_a_manifest_that_is_no_json_is_told(browser, serve, folder, content):
    replace(folder / "manifest.json", content)
    is_refused(browser, serve(folder), f"manifest.json is damaged: {AGAIN}")


@pytest.mark.parametrize("status", [403, 500, 503])
def test_an_answer_that_is_an_error_is_told(browser, serve, folder, status):
    server = serve(folder, statuses={"mix.onnx": status})
    is_refused(browser, server, f"The page's server answers {status} for mix.onnx.")


def test_a_model_of_the_right_hash_that_is_no_onnx_is_told(browser, serve, folder):
    import hashlib
    import json

    replace(folder / "mix.onnx", b"no ONNX")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["mix.onnx"] = {"bytes": 7, "sha256": hashlib.sha256(b"no ONNX").hexdigest()}
    replace(folder / "manifest.json", json.dumps(manifest).encode())
    visit(browser, serve(folder).address)
    assert browser.find_element(By.ID, "error").text.startswith("ONNX Runtime cannot open the model: ")


def test_a_browser_without_webassembly_is_told(browser: Driver, serve: Callable[..., Server], folder: Path) -> None:
    server = serve(folder, headers={"Content-Security-Policy": "script-src 'self'"})
    is_refused(
        browser,
        server,
        "This browser, or the page's server by its policy, allows no WebAssembly, which the model needs: allow it for"
        " this site, or use another browser.",
    )


def test_a_browser_that_cannot_check_files_is_told(browser: Driver, serve: Callable[..., Server], folder: Path) -> None:
    server = serve(folder)
    hide = {"source": "Object.defineProperty(Crypto.prototype, 'subtle', { value: undefined })"}
    script = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", hide)
    try:
        is_refused(
            browser, server, "This page can check its files only over https, or from this very machine: open it so."
        )
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)


def test_a_webgpu_that_fails_is_told_and_webassembly_draws(
    browser: Driver, serve: Callable[..., Server], folder: Path
) -> None:
    pretend = "Object.defineProperty(GPU.prototype, 'requestAdapter', { value: async () => ({}) })"
    script = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": pretend})
    try:
        visit(browser, serve(folder).address)
        assert browser.find_element(By.ID, "main").is_displayed()
        assert browser.find_element(By.ID, "runtime").text.startswith("WebAssembly, since WebGPU failed: ")
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)


def test_opened_as_a_file_it_says_that_it_needs_a_server(browser: Driver, folder: Path) -> None:
    browser.get((folder / "index.html").as_uri())
    said = browser.find_element(By.ID, "not-started")
    assert said.is_displayed()
    assert "python -m http.server" in said.text


def test_a_server_that_calls_modules_plain_text_gets_a_page_that_says_what_it_needs(
    browser: Driver, serve: Callable[..., Server], folder: Path
) -> None:
    browser.get(serve(folder, types={".mjs": "text/plain"}).address)
    said = browser.find_element(By.ID, "not-started")
    assert said.is_displayed()
    assert "a server that sends .mjs files as JavaScript" in said.text
    assert not browser.find_element(By.ID, "main").is_displayed()


def test_a_server_s_own_strict_policy_is_no_hindrance(
    browser: Driver, serve: Callable[..., Server], folder: Path
) -> None:
    policy = (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob:;"
        " connect-src 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; sandbox allow-scripts"
        " allow-same-origin allow-downloads"
    )
    headers = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Embedder-Policy": "require-corp",
    }
    visit(browser, serve(folder, headers=headers).address)
    assert browser.find_element(By.ID, "error").text == ""
    assert browser.find_element(By.ID, "main").is_displayed()


def test_a_page_as_written_is_not_refused(browser: Driver, serve: Callable[..., Server], folder: Path) -> None:
    visit(browser, serve(folder).address)
    assert browser.find_element(By.ID, "main").is_displayed()
    assert browser.find_element(By.ID, "error").text == ""
