"""cvae-evaluate as its user sees it."""

import json
import math
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from cvae_training import DataSet, InputError, Run, RunError, Split, evaluate_command, load_run
from cvae_training.classifier import Classifier, ClassifierConfig, train_classifier
from cvae_training.config import ObjectiveConfig
from cvae_training.evaluate import EvaluationConfig, evaluate, evaluate_likelihood, sampler
from cvae_training.evaluation_table import format_table

CLASSIFIER = ClassifierConfig(channels=(4,), features=8, epochs=1, batch_size=500)
WITH_SHAPES = """
import sys
from jaxtyping import install_import_hook

with install_import_hook("cvae_training", "beartype.beartype"):
    from cvae_training.evaluate_command import main

from cvae_training.classifier import ClassifierConfig

sys.exit(main(sys.argv[1:], ClassifierConfig(channels=(4,), features=8, epochs=1, batch_size=500)))
"""
FEW = ["-k", "5", "--samples", "40"]
MEAN_FIGURES = (
    *("loss", "reconstruction", "mse", "kl", "elbo", "elbo_bits_per_dimension"),
    *("importance_weighted", "importance_weighted_bits_per_dimension"),
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _cache_elsewhere(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CVAE_CACHE_DIR", str(cache))


@pytest.fixture(scope="module")
def run(finished_run: Any) -> Run:
    return load_run(finished_run.folder)


@pytest.fixture(scope="module")
def classifier(digits: DataSet) -> Classifier:
    return train_classifier(CLASSIFIER, digits.train, 10)


def exit_code(arguments: list[str]) -> int:
    """Of main, whether it returns the code or exits with it, as argparse does."""
    try:
        return evaluate_command.main(arguments, CLASSIFIER)
    except SystemExit as error:
        return int(error.code or 0)


def test_cvae_evaluate_is_an_installed_command() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "training" / "pyproject.toml").read_text())
    assert project["project"]["scripts"]["cvae-evaluate"] == "cvae_training.evaluate_command:main"


def test_the_table_has_a_row_for_all_and_one_per_class_and_says_what_figures_do_not_mean(
    finished_run: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code([str(finished_run.folder), *FEW]) == 0
    output = capsys.readouterr()
    lines = output.out.splitlines()
    for name in ("all", *"0123456789"):
        assert len([line for line in lines if re.match(rf"{name} +[\d,]+ ", line)]) == 2, name
    assert (
        "Held-out images of mnist-10k: likelihood bernoulli, kl_weight 1, importance-weighted (iw) with k = 5" in lines
    )
    assert re.search(r"^Active latent units: \d of 3 ", output.out, re.MULTILINE)
    text = " ".join(output.out.split())
    assert "no Inception FID: it compares only with the same classifier and data" in text
    assert "real accuracy real Frechet" in text
    assert "with that variance of 1 it compares with other l2 runs only" in text
    assert max(map(len, lines)) <= 120
    assert output.err.splitlines()[-1] == "evaluating 1,500 held-out images with k = 5, and 40 samples of each class"


def test_the_json_has_every_figure_and_is_the_same_for_a_seed(
    finished_run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "figures.json"
    assert exit_code([str(finished_run.folder), *FEW, "--json", str(path)]) == 0
    assert "Held-out images" in capsys.readouterr().out
    assert exit_code([str(finished_run.folder), *FEW, "--json", "-"]) == 0
    alone = capsys.readouterr().out
    assert alone == path.read_text()
    assert exit_code([str(finished_run.folder), *FEW, "--json", "-", "--seed", "1"]) == 0
    other = json.loads(capsys.readouterr().out)

    figures = json.loads(alone)
    assert set(figures) == {
        *("data_set", "classes", "likelihood", "kl_weight", "config", "classifier", "active_units", "latent_variances"),
        *("held_out", "held_out_per_class", "samples", "samples_per_class", "notes"),
    }
    assert figures["config"] == {"importance_samples": 5, "samples_per_class": 40, "seed": 0}
    assert set(figures["held_out"]) == {"images", *MEAN_FIGURES}
    assert set(figures["samples"]) == {
        *("samples", "class_fidelity", "frechet_distance", "real_accuracy", "real_frechet_distance", "neighbors"),
    }
    assert all(
        0 <= value <= 1 for name, value in figures["samples"]["neighbors"].items() if "nearest_training" not in name
    )
    assert [len(figures[name]) for name in ("held_out_per_class", "samples_per_class", "latent_variances")] == [
        10,
        10,
        3,
    ]
    assert set(figures["notes"]) == {"likelihood", "classifier", "neighbors"}

    # Another seed draws other noise, the same images and classifier.
    assert other["held_out"]["elbo"] != figures["held_out"]["elbo"]
    assert other["samples"]["frechet_distance"] != figures["samples"]["frechet_distance"]
    for name in ("classifier", "active_units", "latent_variances"):
        assert other[name] == figures[name]
    for name in ("real_accuracy", "real_frechet_distance"):
        assert other["samples"][name] == figures["samples"][name]


def test_figures_of_classes_average_to_those_of_all(run: Run, digits: DataSet, classifier: Classifier) -> None:
    evaluation = evaluate(run, digits, classifier, EvaluationConfig(3, 20))
    classes = [figures for figures in evaluation.held_out_per_class if figures is not None]
    images = [figures.images for figures in classes]
    assert images == np.bincount(digits.held_out.labels).tolist()
    for name in MEAN_FIGURES:
        mean = np.average([getattr(figures, name) for figures in classes], weights=images)
        assert getattr(evaluation.held_out, name) == pytest.approx(mean, rel=1e-9)
    fidelity = np.mean([figures.class_fidelity or 0 for figures in evaluation.samples_per_class])
    assert evaluation.samples.class_fidelity == pytest.approx(fidelity, rel=1e-9)


def test_the_held_out_loss_is_the_one_that_training_recorded(run: Run, digits: DataSet, finished_run: Any) -> None:
    got, _, _ = evaluate_likelihood(run, digits.held_out, EvaluationConfig(20, 1))
    recorded = finished_run.reports[-1].held_out
    # Training draws one latent per image; this early in it 1,500 of them leave about 0.1 % of the loss to chance.
    assert got.loss == pytest.approx(float(recorded.loss), rel=5e-3)
    assert got.mse == pytest.approx(float(recorded.mse), rel=5e-3)
    assert got.kl == pytest.approx(float(recorded.kl), rel=1e-4)


@pytest.mark.parametrize("likelihood", ["l2", "bernoulli"])
def test_likelihood_figures_equal_numpys(run: Run, digits: DataSet, likelihood: Any) -> None:
    k, seed, n = 4, 5, 6
    objective = ObjectiveConfig(likelihood, kl_weight=0.25)
    run = replace(run, config=replace(run.config, objective=objective))
    held_out = Split(digits.held_out.images[:n], digits.held_out.labels[:n])
    got, _, variances = evaluate_likelihood(run, held_out, EvaluationConfig(k, 1, seed))

    # The noise as the code's docstrings promise it; all else in float64.
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), 0), 0)
    noise = np.stack([jax.random.normal(jax.random.fold_in(key, i), (n, 3)) for i in range(k)]).astype(np.float64)
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), run.params["params"])

    def dense(x: np.ndarray, layer: dict[str, np.ndarray]) -> np.ndarray:
        return x @ layer["kernel"] + layer["bias"]

    x = held_out.images.reshape(n, -1) / 255.0
    hidden = x
    for i in range(2):
        hidden = np.maximum(dense(hidden, params["encoder"][f"Dense_{i}"]), 0)
    mean, logvar = np.split(dense(hidden, params["pre_latent_proj"]), 2, axis=-1)
    z = mean + np.exp(logvar / 2) * noise
    hidden = dense(z, params["post_latent_proj"]) + dense(np.eye(10)[held_out.labels], params["class_proj"])
    decoded = dense(np.maximum(dense(hidden, params["decoder"]["Dense_0"]), 0), params["decoder"]["Dense_1"])
    if likelihood == "l2":
        decoded = np.maximum(decoded, 0)
        image = np.minimum(decoded, 1)
        log_likelihood = -0.5 * ((x - decoded) ** 2).sum(axis=-1) - 784 / 2 * np.log(2 * np.pi)
        constant = -784 / 2 * np.log(2 * np.pi)
    else:
        image = 1 / (1 + np.exp(-decoded))
        log_likelihood = (x * np.log(image) + (1 - x) * np.log(1 - image)).sum(axis=-1)
        constant = 0
    kl = 0.5 * (np.exp(logvar) - 1 - logvar + mean**2).sum(axis=-1)
    log_weights = log_likelihood + 0.5 * (noise**2 + logvar - z**2).sum(axis=-1)
    elbo = log_likelihood.mean() - kl.mean()
    weighted = (np.logaddexp.reduce(log_weights, axis=0) - np.log(k)).mean()
    expected = {
        "loss": constant - log_likelihood.mean() + 0.25 * kl.mean(),
        "reconstruction": constant - log_likelihood.mean(),
        "mse": 0.5 * ((x - image) ** 2).sum(axis=-1).mean(),
        "kl": kl.mean(),
        "elbo": elbo,
        "elbo_bits_per_dimension": -elbo / 784 / math.log(2),
        "importance_weighted": weighted,
        "importance_weighted_bits_per_dimension": -weighted / 784 / math.log(2),
    }
    for name, value in expected.items():
        # Float32 sums over 784 pixels and layers of up to 784 terms.
        assert getattr(got, name) == pytest.approx(value, rel=2e-5), name
    np.testing.assert_allclose(variances, mean.var(axis=0), rtol=1e-3)


def test_latents_that_the_encoder_ignores_are_not_active(run: Run, digits: DataSet, classifier: Classifier) -> None:
    params = jax.tree.map(np.array, run.params)
    projection = params["params"]["pre_latent_proj"]
    projection["kernel"][:, 1] = 0  # the mean of latent 1 becomes a constant, that of latent 2 varies a lot
    projection["kernel"][:, 2] *= 50
    evaluation = evaluate(replace(run, params=params), digits, classifier, EvaluationConfig(1, 2))
    assert evaluation.latent_variances[1] == pytest.approx(0, abs=1e-9)
    assert evaluation.latent_variances[2] > 0.01
    assert evaluation.active_units == sum(variance > 0.01 for variance in evaluation.latent_variances) < 3


def test_samples_are_the_exported_images_of_normal_latents(run: Run) -> None:
    draw = sampler(run, jax.random.key(1))
    images = draw(3, 0, 500)
    assert images.shape == (500, 28, 28, 1)
    assert images.min() >= 0
    assert images.max() <= 1
    np.testing.assert_array_equal(draw(3, 0, 7), images[:7])
    assert np.abs(draw(3, 1, 500) - images).max() > 0.01
    assert np.abs(draw(4, 0, 500) - images).max() > 0.01
    # Against decode by hand: the first latent of class 3's batch 0, as the key's path promises.
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(1), 3), 0)
    z = jax.random.normal(key, (500, 3))
    logits: Any = run.model.apply(run.params, z, jax.nn.one_hot(np.full(500, 3), 10), method="decode")
    expected = 1 / (1 + np.exp(-np.asarray(logits, np.float64)))
    np.testing.assert_allclose(images.reshape(500, -1), expected, atol=1e-5)


def test_a_class_that_is_not_held_out_has_no_figures(run: Run, digits: DataSet, classifier: Classifier) -> None:
    chosen = digits.held_out.labels != 9
    held_out = Split(digits.held_out.images[chosen], digits.held_out.labels[chosen])
    data = replace(digits, held_out=held_out)
    run = replace(run, images=run.images | {"held_out": len(held_out)})
    evaluation = evaluate(run, data, classifier, EvaluationConfig(1, 3))
    assert evaluation.held_out_per_class[9] is None
    assert evaluation.samples_per_class[9].real_accuracy is None
    assert re.search(r"^9 +0( +-){8}$", format_table(evaluation), re.MULTILINE)
    json.dumps(evaluation.to_dict(), allow_nan=False)


def test_other_data_than_the_runs_are_refused(run: Run, few_digits: DataSet, classifier: Classifier) -> None:
    with pytest.raises(
        RunError, match=r"the numbers of images of mnist-10k changed from .*1500.* to .*32.* since the run"
    ):
        evaluate(run, few_digits, classifier, EvaluationConfig(1, 1))


def test_data_without_held_out_images_are_refused(run: Run, digits: DataSet, classifier: Classifier) -> None:
    data = replace(digits, held_out=Split(digits.held_out.images[:0], digits.held_out.labels[:0]))
    run = replace(run, images=run.images | {"held_out": 0})
    with pytest.raises(RunError, match="mnist-10k has no held-out images to evaluate on"):
        evaluate(run, data, classifier, EvaluationConfig(1, 1))


def test_a_run_that_diverged_is_told(run: Run, digits: DataSet) -> None:
    params = jax.tree.map(lambda leaf: leaf * np.nan, run.params)
    with pytest.raises(RunError, match="not finite"):
        evaluate_likelihood(replace(run, params=params), digits.held_out, EvaluationConfig(1, 1))


@pytest.mark.parametrize(
    "arguments",
    [(0, 1, 0), (-1, 1, 0), (1_000_001, 1, 0), (1, 0, 0), (1, 1_000_001, 0), (1, 1, -1), (1, 1, 2**32)],
)
def test_settings_out_of_range_are_refused(arguments: tuple[int, int, int]) -> None:
    with pytest.raises(InputError, match=r"(k|samples|seed) must be from \d to [\d,^ -]+, got"):
        EvaluationConfig(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere is not a run folder: cannot read nowhere/config.json: No such file or directory"),
        (["RUN", "-k", "0"], "k must be from 1 to 1,000,000, got 0"),
        (["RUN", "--samples", "0"], "samples must be from 1 to 1,000,000, got 0"),
        (["RUN", "--seed", "-1"], "seed must be from 0 to 2^32 - 1, got -1"),
        (["RUN", "-k", "many"], "argument -k: invalid int value: 'many'"),
        (["RUN", "--json", "no/such/figures.json"], "cannot write no/such/figures.json: No such folder"),
        (["RUN", "--json", "."], "cannot write .: Is a directory"),
        ([], "the following arguments are required: RUN"),
        (["RUN", "other\nline"], "unrecognized arguments: other line"),
    ],
)
def test_a_mistake_exits_2_with_one_line(
    arguments: list[str],
    message: str,
    finished_run: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert exit_code([str(finished_run.folder) if part == "RUN" else part for part in arguments]) == 2
    output = capsys.readouterr()
    assert (output.out, output.err) == ("", f"cvae-evaluate: {message}\n")
    assert list(tmp_path.iterdir()) == []


def test_a_run_without_a_checkpoint_exits_2_with_one_line(
    finished_run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(finished_run.folder, tmp_path / "run", ignore=shutil.ignore_patterns("checkpoints"))
    assert exit_code([str(tmp_path / "run")]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert re.fullmatch(r"cvae-evaluate: [^\n]+\n", output.err)


def test_a_disk_that_is_full_exits_2_after_the_table(finished_run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    assert exit_code([str(finished_run.folder), *FEW, "--json", "/dev/full"]) == 2
    output = capsys.readouterr()
    assert "Held-out images" in output.out
    assert output.err.splitlines()[-1] == "cvae-evaluate: cannot write /dev/full: No space left on device"


def test_the_shapes_in_the_signatures_hold(finished_run: Any) -> None:
    # In a process of its own: the checks are woven in on import.
    command = [sys.executable, "-c", WITH_SHAPES, str(finished_run.folder), "-k", "2", "--samples", "3"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr.count("Error")) == (0, 0), result.stderr
    assert "Active latent units" in result.stdout


def test_help_explains_every_flag(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert exit_code(["--help"]) == 0
    output = capsys.readouterr().out
    for flag in ("RUN", "-k N", "--samples N", "--seed S", "--json FILE"):
        assert re.search(rf"^  {flag}  +\w", output, re.MULTILINE), flag
    assert "CVAE_CACHE_DIR" in output


def test_an_interruption_is_one_line(
    finished_run: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluate_command, "evaluate", interrupted)
    assert exit_code([str(finished_run.folder)]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "cvae-evaluate: interrupted"
