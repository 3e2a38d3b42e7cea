"""The page, in a real browser without a screen: what its controls say is what Python draws."""

import base64
import io
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver.common.by import By
from web_browser import Driver, Reference, Server, is_close, open_browser, pixels, serving, until, visit

from cvae_sdk import Sampler
from cvae_sdk.latents import standard_normal_latents

ROOT = Path(__file__).parents[3]
PUT = (
    "const e = document.getElementById(arguments[0]); e.value = arguments[1];"
    "e.dispatchEvent(new Event('input', {bubbles: true})); e.dispatchEvent(new Event('change', {bubbles: true}));"
)
# As the page does it: its own modules, all that they fetch checked.
MAKE = """
const [seeds, done] = arguments;
(async () => {
const { openModel, readManifest } = await import("./model.mjs");
const { standardNormalLatents } = await import("./latents.mjs");
const manifest = await readManifest();
const model = await openModel(manifest);
const n = manifest.classes.length;
const weights = Float32Array.from({ length: n * n }, (_, i) => Number(i % (n + 1) === 0));
let bytes = "";
for (let seed = 0; seed < seeds; seed++) {
  const levels = await model.mix(standardNormalLatents(seed, 0, n, manifest.latent_dim), weights);
  bytes += Array.from(levels, (level) => String.fromCharCode(level)).join("");
}
done([model.runtime, btoa(bytes)]);
})();
"""
FIRST = np.eye(10, dtype=np.float32)[:1]


@pytest.fixture(scope="module")
def mnist(pages: dict[str, Path]) -> Iterator[Server]:
    with serving(Server(pages["mnist"])) as server:
        yield server


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference("mnist")


@pytest.fixture
def page(browser: Driver, mnist: Server) -> Iterator[Driver]:
    """The page as it opens; the browser must have had nothing to complain of at the end."""
    browser.get_log("browser")  # of the tests before
    visit(browser, mnist.address)
    yield browser
    told = [entry["message"] for entry in browser.get_log("browser")]
    # It has no graphics card, and these tests read canvases again and again.
    expected = ("No available adapters", "Multiple readback operations using getImageData")
    assert [message for message in told if not any(words in message for words in expected)] == []


def put(page: Driver, name: str, value: object) -> None:
    """Move a slider, fill a field or choose from a list, as a hand does."""
    page.execute_script(PUT, name, str(value))


def text(page: Driver, name: str) -> str:
    return page.find_element(By.ID, name).text


def shows(page: Driver, expected: np.ndarray, selector: str = "#image") -> None:
    until(page, lambda: is_close(pixels(page, selector), expected))


def mixed(**shares: float) -> np.ndarray:
    weights = np.zeros((1, 10), np.float32)
    for name, share in shares.items():
        weights[0, int(name.removeprefix("k"))] = share
    return weights


def test_it_opens_with_the_image_of_python(page: Driver, reference: Reference) -> None:
    z = standard_normal_latents(0, 0, 1, 24)
    shows(page, reference.levels(z, FIRST)[0])
    until(page, lambda: text(page, "status") == "Class 0, image 0 of seed 0")
    assert text(page, "name") == "mnist"
    assert page.title == "mnist · cvae in the browser"
    assert text(page, "runtime") == "WebAssembly"
    assert not page.find_element(By.ID, "error").is_displayed()
    assert not page.find_element(By.ID, "not-started").is_displayed()
    for k in (0, 4, 9):  # each class's button shows the same latents in that class
        shows(page, reference.levels(z, np.eye(10, dtype=np.float32)[k : k + 1])[0], f"[for=class-{k}] canvas")


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_a_hundred_seeds_by_ten_classes_are_the_grey_levels_of_python(
    name: str,
    pages: dict[str, Path],
    browser: Driver,
    serve: Callable[..., Server],
    tell_count: Callable[[int, int, str], None],
) -> None:
    visit(browser, serve(pages[name]).address)
    runtime, encoded = browser.execute_async_script(MAKE, 100)
    found = np.frombuffer(base64.b64decode(encoded), np.uint8).reshape(100, 10, 28, 28, 1)
    sampler = Sampler(ROOT / "artifacts" / name)
    expected = np.stack([sampler.sample(list(range(10)), seed=seed) for seed in range(100)])
    difference = np.abs(found.astype(int) - expected.astype(int))
    assert runtime == "WebAssembly"
    assert difference.max() <= 1
    assert (difference > 0).mean() <= 1e-3
    tell_count(
        int((difference == 0).sum()), difference.size, f"pixels of {name} are the same in a browser and in Python"
    )


def test_by_webgpu_the_grey_levels_are_those_of_python(
    pages: dict[str, Path], tmp_path: Path, serve: Callable[..., Server]
) -> None:
    """On a graphics card that the browser simulates."""
    with open_browser(tmp_path, "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader") as browser:
        visit(browser, serve(pages["mnist"]).address)
        assert text(browser, "runtime") == "WebGPU"
        z = standard_normal_latents(0, 0, 16, 24)
        expected = Reference("mnist").levels(z, FIRST.repeat(16, 0))
        shows(browser, expected[0])
        for i in (1, 7, 15):
            shows(browser, expected[i], f"[for=sample-{i}] canvas")


def test_class_image_seed_temperature_and_truncation_are_the_contract_s(page: Driver, reference: Reference) -> None:
    page.find_element(By.ID, "class-7").click()
    page.find_element(By.ID, "sample-5").click()
    put(page, "seed", 2**64 - 1)
    put(page, "temperature", 0.85)
    put(page, "truncation", 1.5)
    z = standard_normal_latents(2**64 - 1, 0, 16, 24, temperature=0.85, truncation=1.5)
    expected = reference.levels(z, np.eye(10, dtype=np.float32)[[7] * 16])
    shows(page, expected[5])
    for i in (0, 5, 15):
        shows(page, expected[i], f"[for=sample-{i}] canvas")
    assert [text(page, f"{name}-value") for name in ("temperature", "truncation")] == ["0.85", "1.5 \u03c3"]
    assert text(page, "python") == (
        'Sampler("mnist").sample(7, seed=18446744073709551615, first=5, temperature=0.85, truncation=1.5)[0]'
    )


def test_the_sliders_of_the_mix_mix(page: Driver, reference: Reference) -> None:
    page.find_element(By.CSS_SELECTOR, "#mixing summary").click()
    for name, share in (("weight-3", 30), ("weight-8", 90), ("weight-0", 0)):
        put(page, name, share)
    shows(page, reference.levels(standard_normal_latents(0, 0, 1, 24), mixed(k3=0.25, k8=0.75))[0])
    assert [text(page, f"weight-{k}-value") for k in (0, 3, 8)] == ["0 %", "25 %", "75 %"]
    assert not page.find_elements(By.CSS_SELECTOR, "#classes input:checked")
    until(page, lambda: text(page, "status") == "25 % 3, 75 % 8, image 0 of seed 0")
    assert text(page, "python") == 'Sampler("mnist").sample({"3": 0.25, "8": 0.75}, seed=0)[0]'


def test_a_dragged_latent_changes_the_image_and_reset_brings_it_back(page: Driver, reference: Reference) -> None:
    z = standard_normal_latents(0, 0, 1, 24)
    before = reference.levels(z, FIRST)[0]
    shows(page, before)
    put(page, "latent-5", 3.25)
    z[0, 5] = 3.25
    shows(page, reference.levels(z, FIRST)[0])
    until(page, lambda: text(page, "status") == "Class 0, latents of your own")
    line = text(page, "python")
    found = re.fullmatch(
        r'\(Sampler\("mnist"\)\.mix\(np\.float32\((.*)\), np\.float32\((.*)\)\)\[0\] \* 255 \+ 0\.5\)'
        r'\.astype\("uint8"\)',
        line,
    )
    assert found is not None
    assert np.float32(json.loads(found[1])).tobytes() == z.tobytes()  # to the last bit
    assert np.float32(json.loads(found[2])).tobytes() == FIRST.tobytes()
    page.find_element(By.ID, "reset").click()
    shows(page, before)


def test_the_morph_goes_from_class_to_class(page: Driver, reference: Reference) -> None:
    put(page, "from", 2)
    put(page, "to", 6)
    put(page, "morph", 75)
    z = standard_normal_latents(0, 0, 1, 24)
    shows(page, reference.levels(z, mixed(k2=0.25, k6=0.75))[0])
    strip = [reference.levels(z, mixed(k2=1 - i / 8, k6=i / 8))[0] for i in range(9)]
    shows(page, np.concatenate(strip, axis=1), "#strip")
    page.find_element(By.ID, "play").click()
    until(page, lambda: page.find_element(By.ID, "morph").get_property("value") not in ("75", "0", "100"))
    page.find_element(By.ID, "play").click()
    assert text(page, "play") == "Play"
    way = int(page.find_element(By.ID, "morph").get_property("value")) / 100
    shows(page, reference.levels(z, mixed(k2=1 - way, k6=way))[0])


@pytest.mark.parametrize("seed", [0, 12])
def test_the_python_line_draws_the_page_s_image(page: Driver, seed: int) -> None:
    page.find_element(By.ID, "class-3").click()
    put(page, "seed", seed)
    until(page, lambda: f"3, seed={seed}" in text(page, "python"))
    line = text(page, "python")
    assert line == f'Sampler("mnist").sample(3, seed={seed})[0]'
    shows(page, eval(line, {"Sampler": Sampler})[..., 0])  # noqa: S307 - what a user would paste


def test_the_png_is_the_image_pixel_for_pixel(page: Driver, tmp_path: Path) -> None:
    page.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    page.find_element(By.ID, "class-3").click()
    until(page, lambda: text(page, "status") == "Class 3, image 0 of seed 0")
    page.find_element(By.ID, "save").click()
    saved = tmp_path / "mnist-Class-3-image-0-of-seed-0.png"
    until(page, saved.is_file)
    with Image.open(io.BytesIO(saved.read_bytes())) as picture:
        assert picture.size == (28, 28)
        assert np.array_equal(np.asarray(picture.convert("L")), pixels(page, "#image"))


@pytest.mark.parametrize("drag", [False, True])
def test_what_is_copied_runs_as_it_is_and_draws_the_page_s_image(page: Driver, mnist: Server, drag: bool) -> None:
    if drag:
        put(page, "latent-0", 1.5)
        until(page, lambda: ".mix(" in text(page, "python"))
    origin = mnist.address.rstrip("/")
    permissions = ["clipboardSanitizedWrite", "clipboardReadWrite"]
    page.execute_cdp_cmd("Browser.grantPermissions", {"origin": origin, "permissions": permissions})
    page.find_element(By.ID, "copy").click()
    until(page, lambda: text(page, "copy") == "Copied")
    names: dict[str, Any] = {}
    copied = page.execute_async_script("navigator.clipboard.readText().then(arguments[0])")
    exec(copied, names)  # noqa: S102 - what a user would paste
    shows(page, names["image"][..., 0])
    until(page, lambda: text(page, "copy") == "Copy Python line")


def test_a_new_seed_draws_another_image(page: Driver, reference: Reference) -> None:
    page.find_element(By.ID, "new-seed").click()
    seed = int(page.find_element(By.ID, "seed").get_property("value"))
    assert seed > 0
    shows(page, reference.levels(standard_normal_latents(seed, 0, 1, 24), FIRST)[0])


@pytest.mark.parametrize("wrong", ["", "-1", "1e3", "18446744073709551616", "seven"])
def test_a_wrong_seed_is_told_and_the_next_right_one_is_drawn(page: Driver, reference: Reference, wrong: str) -> None:
    put(page, "seed", wrong)
    error = page.find_element(By.ID, "error")
    until(page, error.is_displayed)
    assert error.text == f"seed must be an integer from 0 to 2^64 - 1, got {wrong}".strip()
    assert page.find_element(By.ID, "seed").get_attribute("aria-invalid") == "true"
    put(page, "seed", 1)
    shows(page, reference.levels(standard_normal_latents(1, 0, 1, 24), FIRST)[0])
    assert not error.is_displayed()
    assert page.find_element(By.ID, "seed").get_attribute("aria-invalid") is None


def test_the_first_image_is_there_soon(page: Driver, mnist: Server) -> None:
    began = time.monotonic()
    visit(page, mnist.address)
    # Three seconds are promised on a machine with nothing else to do, and measured by tests/benchmarks/web_page.py.
    assert time.monotonic() - began < 15


def test_no_request_leaves_the_page_s_own_server(page: Driver, mnist: Server) -> None:
    page.get_log("performance")
    visit(page, mnist.address)
    page.find_element(By.ID, "class-7").click()
    put(page, "latent-1", 2)
    until(page, lambda: text(page, "status") == "Class 7, latents of your own")
    events = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    asked = {event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"}
    assert f"{mnist.address}mix.onnx" in asked
    assert f"{mnist.address}onnxruntime/ort-wasm-simd-threaded.wasm" in asked
    assert all(url.startswith((mnist.address, f"blob:{mnist.address}", "data:")) for url in asked), asked


def test_the_policy_bites(page: Driver) -> None:
    """A script, a style or a request to elsewhere that somebody got into the page would not be run."""
    page.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.pwned = 1'; document.body.append(s);"
        "document.body.setAttribute('style', 'color: rgb(1, 2, 3)')"
    )
    elsewhere = "const done = arguments[0]; fetch('http://127.0.0.1:1/').then(() => done(1), (e) => done(e.message))"
    assert page.execute_async_script(elsewhere) == "Failed to fetch"
    assert page.execute_script("return window.pwned") is None
    assert page.execute_script("return getComputedStyle(document.body).color") != "rgb(1, 2, 3)"
    told = [entry["message"] for entry in page.get_log("browser")]
    assert sum("violates the following Content Security Policy" in message for message in told) >= 3, told
