"""The report of a run: one file, whole, that shows what the model does and what metrics.jsonl says."""

import base64
import io
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cvae_training import Config, DataSet, RunError, create_run, evaluate_command, load
from cvae_training import command as train_command
from cvae_training.classifier import ClassifierConfig
from cvae_training.config import DataConfig
from cvae_training.png import strip
from cvae_training.report import write_report

CLASSIFIER = ClassifierConfig(channels=(4,), features=8, epochs=1, batch_size=500)
FETCHING = ("src", "href", "srcset", "action", "data", "poster", "background", "formaction")
NAMES = ("<script>alert(1)</script>", 'a "quoted" & name', "plain")
SMALL = [
    *("--latent-dim", "2", "--encoder-dimensions", "6,4", "--decoder-dimensions", "5", "--learning-rate", "0.01"),
    *("--warmup-steps", "1", "--epochs", "2", "--batch-size", "2000"),
]


class Page(HTMLParser):
    """A page's tags with their attributes, and the text outside of its style."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text, self.style, self._inside = "", "", ""
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "style":
            self.style += data
        else:
            self.text += data + " "

    def images(self, alt: str) -> list[np.ndarray]:
        """The pictures whose text has `alt` in it, as arrays with their see-through gaps."""
        found = [attributes for tag, attributes in self.tags if tag == "img" and alt in (attributes["alt"] or "")]
        contents = [base64.b64decode((attributes["src"] or "").partition(",")[2]) for attributes in found]
        return [np.asarray(Image.open(io.BytesIO(content))) for content in contents]


def assert_fetches_nothing(page: Page) -> None:
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "iframe", "object", "embed", "base")
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name not in FETCHING or (value or "").startswith("data:image/png;base64,")
            assert "url(" not in (value or "").replace("url(#", "")
    assert "url(" not in page.style
    assert "@import" not in page.style
    policies = [attributes.get("content") for _, attributes in page.tags if "http-equiv" in attributes]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


@pytest.fixture(scope="module")
def run(finished_run: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shutil.copytree(finished_run.folder, tmp_path_factory.mktemp("report") / "run")


@pytest.fixture(scope="module")
def page(run: Path, digits: DataSet) -> Page:
    return Page(write_report(run, digits).read_text())


@pytest.fixture(scope="module")
def own_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of large pictures in color, named to be mistaken for markup; two held out of one, one of others."""
    rng = np.random.default_rng(0)
    labels = np.array([0] * 14 + [1] * 4 + [2] * 4)
    images = rng.integers(0, 256, (len(labels), 130, 100, 3)).astype(np.uint8)
    path = tmp_path_factory.mktemp("data") / "own.npz"
    np.savez(path, images=images, labels=labels, classes=np.array(NAMES))
    return path


def test_it_fetches_nothing_and_runs_nothing(page: Page) -> None:
    assert_fetches_nothing(page)
    assert any(tag == "img" for tag, _ in page.tags)


@pytest.mark.parametrize(
    "fault",
    [
        "<script>1</script>",
        '<img src="https://example.org/x.png">',
        '<p style="background: url(x.png)">',
        "<style>@import 'x'</style>",
    ],
)
def test_something_fetched_would_be_seen(run: Path, fault: str) -> None:
    with pytest.raises(AssertionError):
        assert_fetches_nothing(Page((run / "report.html").read_text() + fault))


def test_the_same_run_gives_the_same_bytes(run: Path, page: Page) -> None:
    before = (run / "report.html").read_bytes()
    assert write_report(run).read_bytes() == before
    assert [path.name for path in run.iterdir() if path.name.startswith(".")] == []


def test_it_says_what_was_trained_how_and_with_what(page: Page, finished_run: Any) -> None:
    text = " ".join(page.text.split())
    assert "mnist-10k: 8,500 images of 28 x 28 grey pixels trained on, 1,500 held out, 10 classes." in text
    assert "Trained for 2 of 2 epochs, 16 steps of 1000 images." in text
    for name in ("learning_rate 0.01", "encoder_dimensions 12, 8", "likelihood bernoulli", "batch_size 1000", "seed 7"):
        assert name in text
    for library, version in load(finished_run.folder).run.versions.items():
        assert f"{library} {version}" in text


def test_it_has_a_curve_of_each_loss_and_their_last_figures(page: Page, finished_run: Any) -> None:
    labels = [attributes["aria-label"] or "" for tag, attributes in page.tags if tag == "svg"]
    assert [label.split()[0] for label in labels] == ["loss", "mse", "kl"]
    text = " ".join(page.text.split())
    for name, label in zip(("loss", "mse", "kl"), labels, strict=True):
        first, last = ([getattr(part, name) for part in (r.train, r.held_out)] for r in finished_run.reports)
        assert f"training from {first[0]:.2f} to {last[0]:.2f}" in label
        assert f"held out from {first[1]:.2f} to {last[1]:.2f}" in label
        assert f"{name} {last[0]:.2f} {last[1]:.2f}" in text


def test_every_picture_has_a_text(page: Page) -> None:
    texts = [attributes.get("alt") or "" for tag, attributes in page.tags if tag == "img"]
    assert all(len(text) > 20 for text in texts)
    assert len(set(texts)) == len(texts) == 10 + 10 + 6 + 5


def tiles(picture: np.ndarray, count: int, groups: int = 1) -> list[np.ndarray]:
    """The images of a strip, by the see-through columns between them."""
    solid = picture[..., -1].min(axis=0) == 255
    starts = [i for i in range(len(solid)) if solid[i] and (i == 0 or not solid[i - 1])]
    assert len(starts) == count
    return [picture[:, start : start + 28, 0] for start in starts]


def test_each_original_is_followed_by_its_reconstruction(page: Page, run: Path, digits: DataSet) -> None:
    model = load(run)
    for label in (0, 7):
        (picture,) = page.images(f"held-out images of class {label}, each followed by its reconstruction")
        originals = digits.held_out.images[digits.held_out.labels == label][:4]
        reconstructions = model.reconstruct(originals, label)
        for i, tile in enumerate(tiles(picture, 8)):
            if i % 2 == 0:
                np.testing.assert_array_equal(tile, originals[i // 2, ..., 0])
            else:  # to the nearest grey level
                np.testing.assert_allclose(tile / 255, reconstructions[i // 2, ..., 0], atol=0.5 / 255 + 1e-6)


def test_samples_are_of_their_class(page: Page, run: Path) -> None:
    model = load(run)
    images = model.sample(np.repeat(np.arange(10), 10), seed=0)
    (picture,) = page.images("10 samples of class 3")
    for tile, image in zip(tiles(picture, 10), images[30:40, ..., 0], strict=True):
        np.testing.assert_allclose(tile / 255, image, atol=0.5 / 255 + 1e-6)


def test_a_way_begins_and_ends_at_reconstructions(page: Page, run: Path, digits: DataSet) -> None:
    model, held_out = load(run), digits.held_out
    first, last = (np.flatnonzero(held_out.labels == label) for label in (0, 2))
    for alt, ends in (
        ("from one held-out image of class 0 to another", first[[0, -1]]),
        ("from a held-out image of class 0 to one of class 2", np.array([first[0], last[0]])),
    ):
        (picture,) = page.images(alt)
        way = tiles(picture, 9)
        expected = model.reconstruct(held_out.images[ends], held_out.labels[ends])[..., 0]
        for tile, image in zip((way[0], way[-1]), expected, strict=True):
            np.testing.assert_allclose(tile / 255, image, atol=0.5 / 255 + 1e-5)
        z, _ = model.encode(held_out.images[ends])
        weights = np.eye(10, dtype=np.float32)[held_out.labels[ends]].mean(axis=0, keepdims=True)
        middle = model.mix(z.mean(axis=0, keepdims=True), weights)[0, ..., 0]
        np.testing.assert_allclose(way[4] / 255, middle, atol=0.5 / 255 + 1e-5)


def test_names_are_text_and_pictures_of_any_size_and_color_fit(own_data: Path, tiny: Config, tmp_path: Path) -> None:
    config = replace(tiny, data=DataConfig(f"npz:{own_data}"), batch_size=4, epochs=1)
    create_run(tmp_path / "run", config)
    page = Page(write_report(tmp_path / "run").read_text())
    assert_fetches_nothing(page)
    for name in NAMES:
        assert name in page.text
        (picture,) = page.images(f"10 samples of class {name}")
        assert picture.shape == (96, 10 * 74 + 9 * 2, 4)  # 130 x 100 within 96 x 96, in color
    # Of one class alone two images are held out.
    assert len(page.images("on the way from one held-out image")) == 1
    assert len(page.images("on the way from a held-out image")) == 2
    assert "130 x 100 RGB pixels" in page.text


def test_a_grey_strip_has_its_images_in_order_with_gaps() -> None:
    images = np.linspace(0, 1, 4, dtype=np.float32)[:, None, None, None] * np.ones((1, 3, 2, 1), np.float32)
    made = strip(images, groups=2)
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(made.uri.partition(",")[2]))))
    assert picture.shape == (made.height, made.width, 2)
    np.testing.assert_array_equal(picture[0, :, 1], [255, 255, 0, 0, 255, 255, *[0] * 6, 255, 255, 0, 0, 255, 255])
    np.testing.assert_array_equal(picture[0, :, 0][picture[0, :, 1] > 0], [0, 0, 85, 85, 170, 170, 255, 255])


def test_a_run_that_stopped_early_says_whose_parameters_it_shows(tiny: Config, tmp_path: Path) -> None:
    optimizer = replace(tiny.optimizer, learning_rate=0.3)  # far too high: the held-out loss soon rises
    create_run(tmp_path / "run", replace(tiny, optimizer=optimizer, epochs=50, batch_size=1000, patience=2))
    used = load(tmp_path / "run").run.metrics[-1]["epoch"]
    content = write_report(tmp_path / "run").read_text()
    text = " ".join(Page(content).text.split())
    assert f"Trained for {used + 2} of 50 epochs" in text
    assert "stopped early after 2 epochs without a lower held-out loss" in text
    assert f"The parameters are those after epoch {used}." in text
    assert content.count('class="marked"') == 3


def test_other_data_than_the_runs_are_refused(run: Path, few_digits: DataSet) -> None:
    with pytest.raises(RunError, match="the numbers of images of mnist-10k changed"):
        write_report(run, few_digits)


def test_cvae_train_writes_it_at_the_end_and_again_when_it_resumes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert train_command.main(["--out", str(out), *SMALL]) == 0
    assert capsys.readouterr().out == f"run saved in {out}\nreport: {out}/report.html\n"
    before = (out / "report.html").read_bytes()
    (out / "report.html").unlink()
    assert train_command.main(["--out", str(out), "--resume"]) == 0
    assert (out / "report.html").read_bytes() == before


def interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def fail(*_: Any) -> None:
    raise MemoryError("no room\nfor pictures")


def nothing(*_: Any) -> None:
    pass


@pytest.mark.parametrize(
    ("prepare", "happens", "code", "message"),
    [
        (nothing, fail, 0, "the run is saved, its report is not: no room for pictures"),
        (nothing, interrupt, 130, "interrupted; the run is saved, its report is not"),
        (Path.mkdir, None, 0, "the run is saved, its report is not: cannot write {}: Is a directory"),
    ],
    ids=["memory", "interruption", "in the way"],
)
def test_a_report_that_fails_loses_no_run(
    finished_run: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    prepare: Callable[[Path], None],
    happens: Any,
    code: int,
    message: str,
) -> None:
    out = shutil.copytree(finished_run.folder, tmp_path / "run")
    prepare(out / "report.html")
    if happens is not None:
        monkeypatch.setattr("cvae_training.report.write_report", happens)
    assert train_command.main(["--out", str(out), "--resume"]) == code
    output = capsys.readouterr()
    assert output.out == f"run saved in {out}\n"
    assert output.err == "cvae-train: " + message.format(out / "report.html") + "\n"
    assert load(out).run.metrics
    assert [path.name for path in out.iterdir() if path.name.startswith(".")] == []


def test_cvae_evaluate_writes_it_again_with_its_table(
    finished_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CVAE_CACHE_DIR", str(tmp_path / "cache"))
    run = shutil.copytree(finished_run.folder, tmp_path / "run")
    assert evaluate_command.main([str(run), "-k", "2", "--samples", "3", "--report"], CLASSIFIER) == 0
    output = capsys.readouterr()
    assert output.err.endswith(f"report: {run}/report.html\n")
    page = Page((run / "report.html").read_text())
    assert output.out.strip() in page.text
    assert_fetches_nothing(page)


def test_a_report_that_cannot_be_written_is_refused_before_the_evaluation(
    finished_run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(finished_run.folder, tmp_path / "run")
    (run / "report.html").mkdir()
    assert evaluate_command.main([str(run), "--report"], CLASSIFIER) == 2
    assert re.fullmatch(r"cvae-evaluate: cannot write .*report\.html: Is a directory\n", capsys.readouterr().err)
