"""The page, in a real browser without a screen: what its controls say is what Sampler draws.

Chromium and its driver come from the system (Debian: chromium, chromium-driver); CI must have them.
"""

import base64
import io
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

import cvae_sdk
from cvae_sdk import Sampler
from cvae_sdk.images import tile
from cvae_sdk.latents import standard_normal_latents

FOUND = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
if not all(FOUND.values()) and not os.environ.get("CI"):
    pytest.skip("needs the commands chromium and chromedriver", allow_module_level=True)

FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--force-color-profile=srgb"),
]
# The page's policy lets nobody fetch a picture again, so what is given to the browser to show is kept.
KEEP = """
const make = URL.createObjectURL;
window.kept = {};
URL.createObjectURL = (blob) => { const url = make(blob); window.kept[url] = blob; return url; };
"""
BYTES_OF = """
const [id, done] = arguments;
const reader = new FileReader();
reader.onload = () => done(reader.result.split(",")[1]);
reader.readAsDataURL(window.kept[document.getElementById(id).src]);
"""
SET = "const [id, value] = arguments; const e = document.getElementById(id); e.value = value;"
INPUT = "e.dispatchEvent(new Event('input', {bubbles: true}));"

Driver = webdriver.Chrome


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    assert all(FOUND.values()), f"CI must have chromium and chromedriver: {FOUND}"
    options = webdriver.ChromeOptions()
    options.binary_location = str(FOUND["chromium"])
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(FOUND["chromedriver"])))
    driver.set_script_timeout(60)
    driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": KEEP})
    yield driver
    driver.quit()


@pytest.fixture
def page(browser: Driver, port: int) -> Iterator[Driver]:
    """The page as it opens, drawn whole; the browser must have had nothing to complain of at the end."""
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics(1200, 900))
    browser.get(f"http://127.0.0.1:{port}/")
    for name in ("samples", "first", "grid"):
        until(
            browser, lambda name=name: browser.execute_script(f"return document.getElementById('{name}').naturalWidth")
        )
    browser.get_log("browser")
    yield browser
    assert browser.get_log("browser") == []


def metrics(width: int, height: int) -> dict[str, Any]:
    return {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}


def until(browser: Driver, what: Callable[[], object]) -> None:
    WebDriverWait(browser, 15, poll_frequency=0.05).until(lambda _: what())


def shown(browser: Driver, name: str) -> np.ndarray:
    """The pixels of a picture of the page, from the bytes that the browser has."""
    content = base64.b64decode(browser.execute_async_script(BYTES_OF, name))
    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(picture)


def put(browser: Driver, name: str, value: object) -> None:
    """Move a slider or fill a field, as a hand does."""
    browser.execute_script(SET + INPUT, name, str(value))


def is_shown(browser: Driver, name: str, expected: np.ndarray) -> None:
    """Wait until the picture is this one, pixel for pixel."""
    until(browser, lambda: np.array_equal(shown(browser, name), expected))


def text(browser: Driver, name: str) -> str:
    return browser.find_element(By.ID, name).text


def sheet(images: Any, columns: int) -> np.ndarray:
    return np.asarray(tile(images, columns))


def test_it_opens_with_the_sampler_s_images_of_the_first_class(page, mixer):
    is_shown(page, "samples", sheet(mixer.sample(0, n=16, seed=0), 4))
    is_shown(page, "grid", np.asarray(mixer.grid(seed=0)))
    assert text(page, "status") == "16 images of class 0, seed 0"
    assert text(page, "name") == "mnist"
    assert page.title == "mnist · cvae preview"
    assert not page.find_element(By.ID, "error").is_displayed()


def test_a_class_s_button_draws_that_class(page, mixer):
    page.find_element(By.ID, "class-7").click()
    is_shown(page, "samples", sheet(mixer.sample(7, n=16, seed=0), 4))
    first = standard_normal_latents(0, 0, 1, mixer.latent_dim)
    assert first.shape == (1, mixer.latent_dim)
    is_shown(page, "first", sheet(mixer.sample(7, n=1, seed=0), 1).repeat(4, 0).repeat(4, 1))


def test_seed_number_temperature_and_truncation_are_the_sampler_s(page, mixer):
    put(page, "seed", 2**64 - 1)
    put(page, "n", 5)
    put(page, "temperature", 0.5)
    put(page, "truncation", 1.5)
    expected = mixer.sample(0, n=5, seed=2**64 - 1, temperature=0.5, truncation=1.5)
    is_shown(page, "samples", sheet(expected, 3))
    is_shown(page, "grid", np.asarray(mixer.grid(seed=2**64 - 1, temperature=0.5, truncation=1.5)))
    is_shown(page, "first", np.asarray(tile(expected[:1], 1, scale=4)))
    assert [text(page, f"{name}-value") for name in ("n", "temperature", "truncation")] == ["5", "0.50", "1.5 \u03c3"]


def test_mixing_sliders_draw_a_mix(page, mixer):
    page.find_element(By.CSS_SELECTOR, "#mixing summary").click()
    for name, share in (("weight-3", 30), ("weight-8", 90), ("weight-0", 0)):
        put(page, name, share)
    weights = np.zeros(10, np.float32)
    weights[[3, 8]] = 0.25, 0.75
    is_shown(page, "samples", sheet(mixer.sample(np.tile(weights, (16, 1)), seed=0), 4))
    assert [text(page, f"weight-{k}-value") for k in (0, 3, 8)] == ["0 %", "25 %", "75 %"]
    assert not page.find_elements(By.CSS_SELECTOR, "#classes input:checked")
    assert text(page, "status") == "16 images of 25 % 3, 75 % 8, seed 0"


def test_a_latent_s_slider_changes_the_first_image_and_reset_brings_it_back(page, mixer):
    before = np.asarray(tile(mixer.sample(0, n=1, seed=0), 1, scale=4))
    is_shown(page, "first", before)
    put(page, "latent-5", 3.25)
    z = standard_normal_latents(0, 0, 1, mixer.latent_dim)
    z[0, 5] = 3.25
    moved = (mixer.decode(z, np.array([0], np.int32)) * np.float32(255) + np.float32(0.5)).astype(np.uint8)
    is_shown(page, "first", np.asarray(tile(moved, 1, scale=4)))
    page.find_element(By.ID, "reset").click()
    is_shown(page, "first", before)
    assert float(text(page, "latent-5-value")) == pytest.approx(
        standard_normal_latents(0, 0, 1, mixer.latent_dim)[0, 5], abs=0.005
    )


def test_the_grid_has_as_many_in_a_row_as_its_slider_says(page, mixer):
    put(page, "grid-n", 3)
    is_shown(page, "grid", np.asarray(mixer.grid(None, 3, seed=0)))


def test_the_gif_goes_through_the_chosen_classes(page, mixer):
    for k in range(2, 10):
        page.find_element(By.ID, f"morph-{k}").click()
    put(page, "steps", 3)
    page.find_element(By.ID, "draw-morph").click()
    until(page, lambda: page.execute_script("return document.getElementById('morph').naturalWidth"))
    content = base64.b64decode(page.execute_async_script(BYTES_OF, "morph"))
    assert content == mixer.gif([0, 1], 3, seed=0, scale=8, duration=80)


@pytest.mark.parametrize("mixed", [False, True])
def test_the_python_line_draws_the_page_s_images(page, mixed):
    page.find_element(By.ID, "class-3").click()
    if mixed:
        put(page, "weight-8", 33)
    put(page, "seed", 12)
    put(page, "temperature", 0.85)
    put(page, "truncation", 2.1)
    until(page, lambda: "truncation=2.1" in text(page, "python"))
    line = text(page, "python")
    assert re.fullmatch(r'Sampler\("[^"]+"\)\.sample\(.*, n=16, seed=12, temperature=0\.85, truncation=2\.1\)', line)
    images = eval(line, {"Sampler": Sampler})  # noqa: S307 - what a user would paste
    is_shown(page, "samples", sheet(images, 4))


def test_copying_takes_the_line(page, port):
    origin = f"http://127.0.0.1:{port}"
    page.execute_cdp_cmd("Browser.grantPermissions", {"origin": origin, "permissions": ["clipboardSanitizedWrite"]})
    page.find_element(By.ID, "copy").click()
    until(page, lambda: text(page, "copy") == "Copied")
    seed = page.find_element(By.ID, "seed")
    seed.clear()
    seed.send_keys(Keys.CONTROL, "v")
    assert seed.get_attribute("value") == text(page, "python")
    until(page, lambda: text(page, "copy") == "Copy Python line")


def test_a_new_seed_draws_other_images(page, mixer):
    page.find_element(By.ID, "new-seed").click()
    seed = int(page.find_element(By.ID, "seed").get_attribute("value"))
    assert seed != 0
    is_shown(page, "samples", sheet(mixer.sample(0, n=16, seed=seed), 4))


def test_a_wrong_seed_is_told_and_the_next_right_one_is_drawn(page, mixer):
    put(page, "seed", 2**64)
    until(page, lambda: page.find_element(By.ID, "error").is_displayed())
    assert text(page, "error").startswith("seed must be an integer from 0 to 18446744073709551615")
    put(page, "seed", 1)
    is_shown(page, "samples", sheet(mixer.sample(0, n=16, seed=1), 4))
    until(page, lambda: not page.find_element(By.ID, "error").is_displayed())
    refused = page.get_log("browser")  # the browser tells of each answer of status 400
    assert refused
    assert all("400 (Bad Request)" in entry["message"] for entry in refused)


def test_keys_alone_choose_a_class_and_move_a_slider(page, mixer):
    page.find_element(By.ID, "class-0").send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    is_shown(page, "samples", sheet(mixer.sample(2, n=16, seed=0), 4))
    page.find_element(By.ID, "n").send_keys(Keys.ARROW_LEFT)
    is_shown(page, "samples", sheet(mixer.sample(2, n=15, seed=0), 4))


def test_every_control_has_a_name_and_every_picture_a_text(page):
    nodes = page.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    named = {"radio", "checkbox", "slider", "textbox", "button", "image"}
    seen: dict[str, int] = {}
    for node in nodes:
        role = node.get("role", {}).get("value")
        if role in named and not node.get("ignored"):
            seen[role] = seen.get(role, 0) + 1
            assert node.get("name", {}).get("value"), node
    assert seen["radio"] == seen["checkbox"] == 10
    assert seen["slider"] == 24 + 5  # latents, and five more; those of the mix are folded away
    assert seen["image"] == 3


@pytest.mark.parametrize("width", [320, 390, 768, 1200])
def test_nothing_is_wider_than_the_window(page, width):
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics(width, 844))
    page.execute_script("document.getElementById('mixing').open = true")
    assert page.execute_script("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_the_page_in_light_and_dark(page, scheme):
    page.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    style = "const s = getComputedStyle(document.querySelector(arguments[0])); return [s.color, s.backgroundColor]"

    def luminance(color: str) -> float:
        channels = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    _, page_color = page.execute_script(style, "body")
    assert (luminance(page_color) > 0.5) == (scheme == "light")
    for selector, own in (("body", True), ("#about", False), ("#classes input:checked + label", True), ("pre", True)):
        color, background = page.execute_script(style, selector)
        pair = sorted((luminance(color), luminance(background if own else page_color)))
        assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5, selector  # WCAG 2.2, criterion 1.4.3
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_the_page_asks_nobody_but_its_own_server(page, port):
    asked = page.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert len(asked) >= 6
    assert all(name.startswith((f"http://127.0.0.1:{port}/", "blob:")) for name in asked)
    for file in (Path(cvae_sdk.__file__).parent / "preview").glob("page.*"):
        assert not re.findall(r"https?://", file.read_text()), file.name


def test_the_policy_bites(page):
    """A script or a style that somebody got into the page would not be run."""
    page.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.pwned = 1'; document.body.append(s);"
        "document.body.setAttribute('style', 'color: rgb(1, 2, 3)')"
    )
    assert page.execute_script("return window.pwned") is None
    assert page.execute_script("return getComputedStyle(document.body).color") != "rgb(1, 2, 3)"
    assert sum("Content Security Policy" in entry["message"] for entry in page.get_log("browser")) == 2
