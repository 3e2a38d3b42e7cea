"""A stranger's first hour: train, export, verify, sample, by the commands alone."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cvae_sdk import Sampler
from cvae_training import load_run
from cvae_training.likelihood import LIKELIHOODS

COMMANDS = Path(sys.executable).parent


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    name, *rest = map(str, arguments)
    return subprocess.run([COMMANDS / name, *rest], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run of two epochs, and its artifact."""
    root = tmp_path_factory.mktemp("pipeline")
    run, artifact = root / "runs" / "first", root / "artifacts" / "first"
    trained = command("cvae-train", "--preset", "fast", "--epochs", 2, "--warmup-steps", 10, "--out", run)
    assert trained.returncode == 0, trained.stderr
    exported = command("cvae-export", run, "--out", artifact)
    assert exported.returncode == 0, exported.stderr
    # Nothing of TensorFlow's own talk is among what the user reads.
    assert len(exported.stderr.splitlines()) == 4
    return run, artifact


def test_the_artifact_verifies(folders: tuple[Path, Path]) -> None:
    verified = command("cvae", "verify", folders[1])
    assert verified.returncode == 0
    assert "20 recorded images" in verified.stdout


def test_the_sampler_gives_the_trained_models_images(folders: tuple[Path, Path]) -> None:
    run = load_run(folders[0])
    sampler = Sampler(folders[1])
    rng = np.random.default_rng(0)
    z = rng.standard_normal((50, sampler.latent_dim)).astype(np.float32)
    label = rng.integers(0, 10, 50)
    decoded = run.model.apply(run.params, z, np.eye(10, dtype=np.float32)[label], method="generate")
    expected = LIKELIHOODS[run.config.objective.likelihood].mean(decoded, 0.0).reshape(-1, 28, 28, 1)
    np.testing.assert_allclose(sampler.decode(z, label), expected, rtol=0, atol=2e-6)


def test_a_picture_is_drawn_and_the_same_seed_draws_it_again(folders: tuple[Path, Path], tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        arguments = ("7", "-n", 16, "--seed", 3, "--artifact", folders[1], "-o", tmp_path / name)
        assert command("cvae", "sample", *arguments).returncode == 0
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (4 * 30 - 2, 4 * 30 - 2)


@pytest.mark.parametrize(
    "arguments",
    [
        ("cvae-train", "--preset", "better", "--out", "run"),
        ("cvae-train", "--data-set", "imagenet", "--out", "run"),
        ("cvae-export", "nowhere", "--out", "artifact"),
        ("cvae", "sample", "eleven"),
        ("cvae", "verify", "nowhere"),
        ("cvae", "frobnicate"),
    ],
    ids=" ".join,
)
def test_a_mistake_costs_one_line_and_exit_code_2(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = subprocess.run(
        [COMMANDS / arguments[0], *arguments[1:]], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"{arguments[0]}")
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []
