"""The shapes and types in the trainer's signatures, checked while it trains, saves and loads.

In a process of its own: the checks are woven in on import, so they would depend on which test folder came first.
"""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
from jaxtyping import TypeCheckError, install_import_hook

with install_import_hook("cvae_training", "beartype.beartype"):
    from cvae_training import FeedForward, Split, create_run, load, load_data_set, preset, train
    from cvae_training.config import ModelConfig
    from cvae_training.evaluate import EvaluationConfig, evaluate_likelihood
    from cvae_training.objective import kl_to_standard_normal

model = ModelConfig(latent_dim=2, encoder_dimensions=(4,), decoder_dimensions=(4,))
config = replace(preset("article"), model=model, epochs=1, batch_size=4000)
create_run(Path(sys.argv[1]) / "run", config)
digits = load_data_set("mnist-10k")
bound = load(Path(sys.argv[1]) / "run")
bound.reconstruct(digits.held_out.images[:3], ["1", 2, np.int32(3)])
bound.log_likelihood(digits.held_out.images[:3], 7, k=2)
bound.sample("7", n=3)
few = replace(digits, train=Split(digits.train.images[:32], digits.train.labels[:32]))
conv = replace(model, network="conv", channels=(2, 3), flow_layers=2, flow_width=4)
optimizer = replace(preset("best").optimizer, warmup_steps=1)
small = replace(preset("best"), model=conv, optimizer=optimizer, epochs=1, batch_size=16)
create_run(Path(sys.argv[1]) / "conv", small, data=few)
for likelihood in ("gaussian", "logistic"):
    objective = replace(small.objective, likelihood=likelihood)
    train(replace(small, objective=objective), few, lambda report: None)
evaluate_likelihood(load(Path(sys.argv[1]) / "conv").run, digits.held_out, EvaluationConfig(importance_samples=2))
print("right shapes pass")

faults = {
    "an axis too many": lambda: FeedForward((2,)).init(jax.random.key(0), np.zeros((1, 2, 3), np.float32)),
    "axes that differ": lambda: kl_to_standard_normal(jax.numpy.zeros((2, 3)), jax.numpy.zeros((2, 4))),
    "labels of another type": lambda: Split(digits.train.images, digits.train.labels.astype(np.int64)),
}
for name, fault in faults.items():
    try:
        fault()
    except TypeCheckError:
        print(name, "is seen")
"""


def test_the_shapes_in_the_signatures_hold_and_wrong_ones_are_seen(tmp_path: Path) -> None:
    result = subprocess.run([sys.executable, "-c", SCRIPT, tmp_path], capture_output=True, text=True, check=False)
    assert result.stdout.splitlines() == [
        "right shapes pass",
        "an axis too many is seen",
        "axes that differ is seen",
        "labels of another type is seen",
    ], result.stderr
