"""Write the artifact of a tiny model, to be kept under today's date and never edited:

    .venv/bin/python tests/golden/write_artifact.py tests/golden/artifact-2026-11-26

Every suite replays the artifacts that lie here: what was once written is read by every later version. One that a JAX
refuses may go once the date has passed that its manifest gives (`expires` of stablehlo).
"""

import sys
from pathlib import Path

import jax

from cvae_export import export_run
from cvae_training import Config, Run
from cvae_training.config import ModelConfig, ObjectiveConfig
from cvae_training.train import initial_state

CLASSES = ("circle", "square", "größer")
IMAGE_SHAPE = (5, 4, 3)
CONFIG = Config(
    model=ModelConfig(latent_dim=2, encoder_dimensions=(4,), decoder_dimensions=(3, 6)),
    objective=ObjectiveConfig(likelihood="bernoulli"),
)


def tiny_run() -> Run:
    """A run that was never trained, whose biases are not 0."""
    params = initial_state(CONFIG, IMAGE_SHAPE, len(CLASSES), total_steps=10).params
    keys = iter(jax.random.split(jax.random.key(11), 100))
    params = jax.tree.map(lambda leaf: leaf + 0.5 * jax.random.normal(next(keys), leaf.shape), params)
    losses = {"loss": 1.0, "mse": 1.0, "kl": 0.0}
    metrics = ({"epoch": 1, "step": 1, "train": losses, "held_out": losses},)
    versions = {"jax": jax.__version__}
    return Run(CONFIG, CLASSES, IMAGE_SHAPE, {"train": 9, "held_out": 3}, params, metrics, versions)


if __name__ == "__main__":
    export_run(tiny_run(), Path(sys.argv[1]), name="golden", forms=("all",))
