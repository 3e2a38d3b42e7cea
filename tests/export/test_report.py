"""The page beside the manifest: it fetches nothing, shows the samples and says what was measured."""

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cvae_export import export_run
from cvae_export.differences import DifferenceLog
from cvae_export.onnx import ONNX
from cvae_export.report import SAMPLES_PER_CLASS, report_page
from cvae_export.speed import Speed
from cvae_export.stablehlo import STABLEHLO
from cvae_sdk import Manifest, Sampler
from cvae_sdk.manifest import FileRecord, Format, Parity
from cvae_training import Run

FETCHING = ("src", "href", "srcset", "action", "data", "poster", "background", "formaction")


class Page(HTMLParser):
    """A page's tags with their attributes, its tables' rows, and the text outside of its style."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.text, self.style, self._inside = "", "", ""
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "style":
            self.style += data
            return
        self.text += data
        if self._inside in ("td", "th"):
            self.rows[-1][-1] += data


def assert_fetches_nothing(page: Page) -> None:
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "iframe", "object", "embed", "base")
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name not in FETCHING or (value or "").startswith("data:image/png;base64,")
            assert "url(" not in (value or "")
    assert "url(" not in page.style
    assert "@import" not in page.style
    policies = [attributes.get("content") for _, attributes in page.tags if "http-equiv" in attributes]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


@pytest.fixture(scope="module")
def page(artifact: Path) -> Page:
    return Page((artifact / "report.html").read_text())


def manifest(classes: tuple[str, ...], image_shape: tuple[int, int, int] = (2, 2, 1)) -> Manifest:
    form = Format("onnx/decoder.onnx", ("decode",), {"tf2onnx": "1.17.0"}, Parity(1e-7, 1e-5, 3), opset=17)
    return Manifest(
        name="<b>mine",
        version=3,
        created="2026-11-23T00:00:00Z",
        classes=classes,
        latent_dim=2,
        image_shape=image_shape,
        signatures={},
        formats={"onnx": form},
        files={"onnx/decoder.onnx": FileRecord("0" * 64, 7)},
        training={},
    )


def page_of(classes: tuple[str, ...], speeds: dict[str, Speed] | None = None) -> Page:
    samples = np.zeros((len(classes) * SAMPLES_PER_CLASS, 2, 2, 1), np.uint8)
    log = DifferenceLog()
    log.add(np.zeros((2, 2, 2, 1), np.float32), np.full((2, 2, 2, 1), 0.5, np.float32), np.array([0, 1]))
    return Page(report_page(manifest(classes), samples, {"onnx": 1234}, {"onnx": log}, speeds))


def test_it_fetches_nothing_and_runs_nothing(page: Page) -> None:
    assert_fetches_nothing(page)
    assert any(tag == "img" for tag, _ in page.tags)


@pytest.mark.parametrize(
    "fault",
    ["<script>1</script>", '<img src="https://example.org/x.png">', '<p style="background: url(x.png)">'],
)
def test_something_fetched_would_be_seen(artifact: Path, fault: str) -> None:
    with pytest.raises(AssertionError):
        assert_fetches_nothing(Page((artifact / "report.html").read_text() + fault))


def test_it_is_a_file_of_the_artifact(artifact: Path) -> None:
    assert "report.html" in Sampler(artifact).manifest.files


def test_its_pictures_are_the_sdks_samples_with_a_text_for_each_class(page: Page, artifact: Path) -> None:
    pictures = [attributes for tag, attributes in page.tags if tag == "img"]
    assert [picture["alt"] for picture in pictures] == [f"10 samples of class {label}" for label in range(10)]
    grid = np.asarray(Sampler(artifact).grid(seed=0), np.int16)
    for label, picture in enumerate(pictures):
        content = base64.b64decode((picture["src"] or "").partition(",")[2])
        got = np.asarray(Image.open(io.BytesIO(content)), np.int16)
        expected = grid[30 * label : 30 * label + 28]
        assert np.abs(got - expected).max() <= 1  # JAX and ONNX may round a pixel apart


def test_it_says_each_forms_size_and_largest_difference(page: Page, artifact: Path) -> None:
    manifest = Sampler(artifact).manifest
    for name, form in manifest.formats.items():
        files = [file.bytes for path, file in manifest.files.items() if Path(path).is_relative_to(form.path)]
        described, overall = (row for row in page.rows if row[0] == name)
        assert described[1:3] == [form.path, f"{sum(files):,}"]
        error = form.parity.max_abs_error
        assert overall[2] == (f"{error:.1e}" if error else "0")


def test_it_has_a_row_for_each_batch_size_and_class_of_each_form(page: Page, artifact: Path) -> None:
    firsts = [row[0] for row in page.rows]
    count = len(Sampler(artifact).manifest.formats)
    for name in (*(f"batch {size}" for size in (1, 2, 7, 64, 257)), *(f"class {label}" for label in range(10))):
        assert firsts.count(name) == count


def test_pixels_off_are_counted_and_shared_out() -> None:
    (overall,) = (row for row in page_of(("a", "b")).rows if row[0] == "onnx" and len(row) == 7)
    assert overall == ["onnx", "2", "5.0e-01", "5.0e-01", "8 (1e+02 %)", "8 (1e+02 %)", "8 (1e+02 %)"]


def test_names_are_text_whatever_they_look_like() -> None:
    page = page_of(("<script>alert(1)</script>", 'a "quoted" & name'))
    assert_fetches_nothing(page)
    assert "<b>mine" in page.text
    assert 'class a "quoted" & name' in [row[0] for row in page.rows]


def test_of_many_classes_some_are_shown() -> None:
    page = page_of(tuple(f"class number {i}" for i in range(100)))
    assert len([tag for tag, _ in page.tags if tag == "img"]) == 24
    assert "24 of 100 classes." in page.text


def test_speeds_are_there_when_they_were_measured() -> None:
    assert "Not measured" in page_of(("a", "b")).text
    page = page_of(("a", "b"), {"onnx": Speed(0.25, 0.125, {1: 0.001, 256: 0.002})})
    assert ["onnx", "250", "125", "1", "2"] in page.rows
    assert re.search(r"Images a second at batch 256\s*onnx\s*128,000", page.text)
    assert_fetches_nothing(page)


def test_an_export_measures_speeds_when_asked_and_the_same_page_otherwise(
    article_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    for folder, timings in (("a", False), ("b", False), ("c", True)):
        export_run(article_run, tmp_path / folder, name="same", forms=(STABLEHLO, ONNX), timings=timings)
    first, second, timed = ((tmp_path / folder / "report.html").read_text() for folder in "abc")
    assert first == second
    assert "Not measured" in first
    assert [row[0] for row in Page(timed).rows][-3:] == ["form", "onnx", "stablehlo"]
