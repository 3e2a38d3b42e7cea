"""examples/torch_augmentation.py in .torch, made small: its table is of its figures, its verdict what they allow."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "examples" / "torch_augmentation.py"
TORCH = ROOT / ".torch" / "bin" / "python"
SMALL = ("--steps", "40", "--own-steps", "600")
Figures = dict[str, dict[str, list[float]]]


def augmentation(*arguments: object) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # where cvae-train and cvae-export are
    command = [TORCH, SCRIPT, *map(str, arguments)]
    environment = os.environ | {"PATH": path}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500, check=False)


def in_table(report: str) -> dict[tuple[str, str], str]:
    rows = re.findall(r"^\| (\d+) \| (\w+) \| (\S+ ± \S+) \| \d+ \|$", report, re.MULTILINE)
    return {(per_class, arm): text for per_class, arm, text in rows}


def expected_verdict(gains: np.ndarray) -> str:
    """SciPy's interval of the mean, by Student's t."""
    low, high = stats.t.interval(0.95, len(gains) - 1, loc=gains.mean(), scale=stats.sem(gains))
    word = "helped" if low > 0 else "hurt" if high < 0 else f"made no difference that {len(gains)} draws can tell"
    return f"{word}: {gains.mean():+.2f} points, 95 % interval {low:+.2f} to {high:+.2f}."


def assert_report_is_of(report: str, figures: Figures) -> None:
    expected = {
        (per_class, arm): f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}"
        for per_class, told in figures.items()
        for arm, values in told.items()
    }
    assert in_table(report) == expected
    sentences = dict(
        re.findall(r"^- (\d+ per class: samples of [\w ]+?) (helped.*|hurt.*|made.*)$", report, re.MULTILINE)
    )
    whose = {"shipped": "samples of the shipped model", "own": "samples of a CVAE of the few alone"}
    assert sentences == {
        f"{per_class} per class: {whose[arm]}": expected_verdict(np.subtract(values, told["none"]))
        for per_class, told in figures.items()
        for arm, values in told.items()
        if arm != "none"
    }
    assert "The shipped model learned from 8,500 labelled digits" in report


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A file of figures, of 10 and 20 digits per class, and the report on it."""
    file = tmp_path_factory.mktemp("augmentation") / "figures.json"
    done = augmentation("--per-class", 10, 20, "--draws", 3, *SMALL, "--json", file)
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 6
    return file, done.stdout


def test_the_report_is_of_the_figures_that_it_saves(measured, tell_count):
    file, report = measured
    figures = json.loads(file.read_text())["accuracy"]
    assert {per_class: {arm: len(values) for arm, values in told.items()} for per_class, told in figures.items()} == {
        "10": {"none": 3, "shipped": 3},
        "20": {"none": 3, "shipped": 3},
    }
    assert all(10 < value <= 100 for told in figures.values() for values in told.values() for value in values)
    assert_report_is_of(report, figures)


def test_a_draw_s_figures_are_the_same_alone(measured, tmp_path):
    file, _ = measured
    again = tmp_path / "again.json"
    assert augmentation("--per-class", 20, "--draws", 2, *SMALL, "--json", again).returncode == 0
    figures, alone = (json.loads(each.read_text())["accuracy"]["20"] for each in (file, again))
    assert alone == {arm: values[:2] for arm, values in figures.items()}


@pytest.mark.parametrize(
    ("gains", "word"),
    [
        ((4, 5, 6), "helped"),
        ((-4, -5, -6), "hurt"),
        ((-1, 0, 2), "made no difference"),
        ((9, 0, 0), "made no difference"),
    ],
)
def test_the_verdict_claims_what_the_spread_allows(measured, tmp_path, gains, word):
    file, _ = measured
    planted = json.loads(file.read_text())
    planted["accuracy"] = {
        "10": {"none": [50.0, 60.0, 70.0], "shipped": [50.0 + gains[0], 60.0 + gains[1], 70.0 + gains[2]]}
    }
    copy = tmp_path / "planted.json"
    copy.write_text(json.dumps(planted))
    done = augmentation("--per-class", 10, "--draws", 3, *SMALL, "--json", copy)
    assert (done.returncode, done.stderr) == (0, "")  # nothing was measured again
    assert f"the shipped model {word}" in done.stdout
    assert_report_is_of(done.stdout, planted["accuracy"])


def test_a_cvae_of_the_few_digits_alone_is_trained_exported_and_sampled(tmp_path):
    file = tmp_path / "own.json"
    planted = {"none": [70.0], "shipped": [80.0], "own": [75.0]}
    settings = {"artifact": "mnist", "steps": 40, "own": True, "own_steps": 600}
    file.write_text(json.dumps({"settings": settings, "accuracy": {"10": planted}}))
    done = augmentation("--per-class", 10, "--draws", 2, "--own", *SMALL, "--json", file)
    assert done.returncode == 0, done.stderr
    figures = json.loads(file.read_text())["accuracy"]
    assert {arm: values[:1] for arm, values in figures["10"].items()} == planted
    assert all(len(values) == 2 and 10 < values[1] <= 100 for values in figures["10"].values())
    assert_report_is_of(done.stdout, figures)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--draws", "1"], "argument --draws: invalid number from 2 to 10 value: '1'"),
        (["--per-class", "ten"], "argument --per-class: invalid number from 5 to 500 value: 'ten'"),
        (["--artifact", "nobody"], "nobody"),
        (["--artifact", "fashion-mnist"], "the artifact must have the classes 0 to 9, got T-shirt/top"),
        (["--data", "no/folder"], "No such file or directory: 'no/folder/mnist-10k-images"),
        (["--json", "no/folder/figures.json"], "No such file or directory: 'no/folder/figures.json'"),
        (["--nothing"], "unrecognized arguments: --nothing"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(arguments, sentence):
    done = augmentation(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("torch_augmentation.py: ")
    assert sentence in line


def test_figures_of_other_settings_are_not_gone_on_with(measured):
    file, _ = measured
    done = augmentation("--steps", 41, "--json", file)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{file} is of other settings" in done.stderr
