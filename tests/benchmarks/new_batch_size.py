"""What a SavedModel's first call at a new batch size costs over its second, for the plain graph and for jax2tf's.

    .venv/bin/python tests/benchmarks/new_batch_size.py [ARTIFACT]

Two warm-up calls, then 50 batch sizes that were not seen, each called twice; the two models in turn at each size.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import tensorflow as tf

BATCH_SIZES = tuple(range(3, 253, 5))
FORMS = ("saved_model", "saved_model_xla")


def milliseconds(decode, batch: int, latent_dim: int) -> float:
    """The time of one call on new inputs, until its result is read."""
    rng = np.random.default_rng(batch)
    z = tf.constant(rng.standard_normal((batch, latent_dim)).astype(np.float32))
    label = tf.constant(rng.integers(0, 10, batch).astype(np.int32))
    start = time.perf_counter()
    decode(z=z, label=label)["image"].numpy()
    return 1000 * (time.perf_counter() - start)


def main() -> None:
    artifact = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2] / "artifacts" / "mnist")
    models = {form: tf.saved_model.load(str(artifact / form / "1")) for form in FORMS}
    decoders = {form: model.signatures["decode"] for form, model in models.items()}
    latent_dim = decoders["saved_model"].structured_input_signature[1]["z"].shape[1]
    for decode in decoders.values():
        for batch in (1, 2):
            milliseconds(decode, batch, latent_dim)
    print("batch   " + "".join(f"{form:>32}" for form in FORMS))
    print("        " + f"{'first':>12}{'second':>10}{'extra':>10}" * len(FORMS) + "   ms")
    extra = {form: [] for form in FORMS}
    for batch in BATCH_SIZES:
        row = f"{batch:<8}"
        for form, decode in decoders.items():
            first, second = (milliseconds(decode, batch, latent_dim) for _ in range(2))
            extra[form].append(first - second)
            row += f"{first:12.2f}{second:10.2f}{first - second:10.2f}"
        print(row)
    for form, values in extra.items():
        print(
            f"{form}: extra over {len(values)} sizes, median {np.median(values):.2f} ms, "
            f"95th percentile {np.percentile(values, 95):.2f} ms, largest {max(values):.2f} ms"
        )


if __name__ == "__main__":
    main()
