"""The page by keys, by ear, on narrow screens, in light and dark."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from web_browser import Driver, Server, serving, until, visit


@pytest.fixture(scope="module")
def fashion(pages: dict[str, Path]) -> Iterator[Server]:
    """The one with long names and many latents."""
    with serving(Server(pages["fashion-mnist"])) as server:
        yield server


def status(browser: Driver) -> str:
    return browser.find_element(By.ID, "status").text


def test_keys_alone_choose_a_class_and_an_image_and_move_a_latent(browser: Driver, fashion: Server) -> None:
    visit(browser, fashion.address)
    browser.find_element(By.ID, "class-0").send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    until(browser, lambda: status(browser) == "Class Pullover, image 0 of seed 0")
    browser.find_element(By.ID, "sample-0").send_keys(Keys.ARROW_RIGHT)
    until(browser, lambda: status(browser) == "Class Pullover, image 1 of seed 0")
    browser.find_element(By.ID, "latent-3").send_keys(Keys.ARROW_LEFT)
    until(browser, lambda: status(browser) == "Class Pullover, latents of your own")


def test_every_control_has_a_name_and_every_picture_a_text(browser: Driver, fashion: Server) -> None:
    visit(browser, fashion.address)
    browser.execute_script("document.getElementById('mixing').open = true")
    until(browser, lambda: browser.find_element(By.ID, "strip").get_attribute("aria-label"))
    nodes = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    named = {"radio", "slider", "textbox", "button", "image", "combobox", "radiogroup", "group"}
    seen: dict[str, int] = {}
    for node in nodes:
        role = node.get("role", {}).get("value")
        if role in named and not node.get("ignored"):
            seen[role] = seen.get(role, 0) + 1
            if role != "group":
                assert node.get("name", {}).get("value"), node
    assert seen["radio"] == 10 + 16
    assert seen["slider"] == 64 + 10 + 3  # latents, classes, temperature, truncation and morph
    assert seen["combobox"] == 2
    assert seen["image"] == 2


@pytest.mark.parametrize("width", [320, 390, 768, 1200])
def test_nothing_is_wider_than_the_window(browser: Driver, fashion: Server, width: int) -> None:
    visit(browser, fashion.address, width, 844)
    browser.execute_script("document.getElementById('mixing').open = true")
    browser.find_element(By.ID, "latent-3").send_keys(Keys.ARROW_LEFT)  # the long line of Python
    until(browser, lambda: status(browser).endswith("latents of your own"))
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_the_page_in_light_and_dark(browser: Driver, fashion: Server, scheme: str) -> None:
    visit(browser, fashion.address)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    style = "const s = getComputedStyle(document.querySelector(arguments[0])); return [s.color, s.backgroundColor]"

    def luminance(color: str) -> float:
        channels = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    _, page = browser.execute_script(style, "body")
    assert (luminance(page) > 0.5) == (scheme == "light")
    own_background = ("#classes input:checked + label", "#classes input:not(:checked) + label", "#save", "#copy", "pre")
    for selector in ("body", "#about", "#error", "#temperature-value", *own_background):
        color, background = browser.execute_script(style, selector)
        pair = sorted((luminance(color), luminance(background if selector in own_background else page)))
        assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5, selector  # WCAG 2.2, criterion 1.4.3
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_names_are_of_one_thing_each_and_references_lead_somewhere(browser: Driver, fashion: Server) -> None:
    visit(browser, fashion.address)
    ids = browser.execute_script("return [...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids)) > 100
    referred = browser.execute_script(
        "return ['for', 'aria-labelledby', 'aria-describedby', 'aria-controls'].flatMap((name) =>"
        " [...document.querySelectorAll(`[${name}]`)].flatMap((e) => e.getAttribute(name).split(' ')))"
    )
    assert referred
    assert set(referred) <= set(ids)
    assert browser.execute_script("return document.documentElement.lang") == "en"


def test_headings_and_landmarks_are_in_order(browser: Driver, fashion: Server) -> None:
    visit(browser, fashion.address)
    levels = browser.execute_script(
        "return [...document.querySelectorAll('h1, h2, h3, h4')].map((e) => Number(e.tagName[1]))"
    )
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    landmarks = "return ['header', 'main', 'form', 'footer'].map((e) => document.querySelectorAll(e).length)"
    assert browser.execute_script(landmarks) == [1, 1, 1, 1]


def test_tab_goes_through_every_control_and_shows_where_it_is(browser: Driver, fashion: Server) -> None:
    visit(browser, fashion.address)
    reached: list[str] = []
    for _ in range(100):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        name, outline = browser.execute_script(
            "const e = document.activeElement;"
            "const shown = e.type === 'radio' ? e.nextElementSibling : e;"
            "return [e.id || e.tagName, getComputedStyle(shown).outlineStyle]"
        )
        if name == "BODY":
            break
        assert outline != "none", name
        reached.append(name)
    one_of_each_group = ["class-0", "SUMMARY", "seed", "new-seed", "temperature", "truncation", "sample-0"]
    latents = [f"latent-{k}" for k in range(64)]
    assert reached == ["save", "copy", "PRE", *one_of_each_group, "from", "to", "play", "morph", *latents]


@pytest.mark.parametrize("width", [320, 390])
def test_what_a_finger_touches_is_large_enough(browser: Driver, fashion: Server, width: int) -> None:
    visit(browser, fashion.address, width, 844)
    small = browser.execute_script(
        "return [...document.querySelectorAll('button, select, summary, input')].filter((e) => {"
        "const { width, height } = e.getBoundingClientRect();"
        "return e.checkVisibility() && (width < 24 || height < 24); }).map((e) => e.id || e.tagName)"
    )
    assert small == []  # WCAG 2.2, criterion 2.5.8: 24 by 24


def test_what_has_the_focus_is_not_under_the_image_that_stays(browser: Driver, fashion: Server) -> None:
    visit(browser, fashion.address, 390, 844)
    browser.find_element(By.ID, "latent-63").send_keys(Keys.HOME)
    for k in range(62, 30, -1):
        browser.switch_to.active_element.send_keys(Keys.SHIFT, Keys.TAB, Keys.NULL)
        name, top, covered = browser.execute_script(
            "const bottom = document.getElementById('stage').getBoundingClientRect().bottom;"
            "const e = document.activeElement; return [e.id, e.getBoundingClientRect().top, bottom]"
        )
        assert name == f"latent-{k}"
        assert top >= covered  # WCAG 2.2, criterion 2.4.11
