"""Models and manifests changed at random, and signed again: refused with an error, or as they were.

A mutant model runs in a process of its own. Either the SDK raises, when it is opened or run, or `verify` raises since
the images are not those that were recorded, or they are, to 1e-5. What must not come: another exception, a crash, a
wrong shape, a word on stdout or stderr, or ten seconds without an answer.
"""

import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from cvae_sdk import CvaeError, ManifestError, Sampler
from faults.fault import MANIFEST, Planting, clear, sign_values

MODELS = 1500
MANIFESTS = 1000
GOOD = {
    "refused ModelError",
    "refused BackendError",
    "fails BackendError",
    "verify GoldenError",
    "verify BackendError",
    "same",
}
VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    -1,
    2**31,
    2**63,
    10**30,
    0.5,
    -0.5,
    "",
    "x",
    "batch",
    [],
    {},
    [1],
    {"a": []},
    "../x",
]


def test_random_models_are_refused_or_give_the_recorded_images(tmp_path: Path, tell_count: Any) -> None:
    command = [sys.executable, "-m", "faults.run_mutants", str(tmp_path / "artifact"), "0", str(MODELS)]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[1], capture_output=True, text=True, timeout=600, check=False
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0, f"ended by {done.returncode} at mutant {lines[-1:]}: {done.stderr[-2000:]}"
    assert done.stderr == ""
    assert lines[::2] == [str(seed) for seed in range(MODELS)]
    outcomes = Counter(lines[1::2])
    assert outcomes.keys() <= GOOD
    assert outcomes["refused ModelError"] > MODELS / 2
    assert outcomes["same"] < MODELS / 5  # a name, or a weight in its last bits
    tell_count(sum(outcomes.values()), MODELS, f"models changed at random and signed: {dict(outcomes.most_common())}")


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every object or list and the name or position of each thing in it."""
    inner = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    return [(value, step) for step, _ in inner] + [place for _, item in inner for place in places(item)]


def change(values: dict[str, Any], rng: random.Random) -> None:
    place, step = rng.choice(places(values))
    kind = rng.choice(["value", "value", "value", "take away", "rename", "borrow"])
    if kind == "take away":
        del place[step]
    elif kind == "rename" and isinstance(place, dict):
        place[rng.choice(["x", step + "x", "../" + step, step.upper(), "a/" + step])] = place.pop(step)
    elif kind == "borrow":
        other, other_step = rng.choice(places(values))
        place[step] = json.loads(json.dumps(other[other_step]))
    else:
        place[step] = rng.choice(VALUES)


def test_random_manifests_are_refused_or_change_nothing_that_is_run(tmp_path: Path, tell_count: Any) -> None:
    outcomes: Counter[str] = Counter()
    for seed in range(MANIFESTS):
        rng = random.Random(seed)
        planting = Planting(tmp_path / "artifact", rng, None)
        planting.write()
        whole = json.dumps(planting.values, sort_keys=True)
        for _ in range(rng.choice([1, 1, 2])):
            change(planting.values, rng)
        planting.path(MANIFEST).write_bytes(sign_values(planting.values))
        raised: CvaeError | None = None
        try:
            assert Sampler(planting.folder).verify().max_abs_error <= 1e-5
        except CvaeError as error:
            raised = error
        if raised is not None:
            assert not isinstance(raised, ManifestError) or (raised.file == MANIFEST and raised.field is not None)
            outcomes[type(raised).__name__] += 1
        else:  # the date, a class's name, a parity: what no image depends on
            assert (planting.values["latent_dim"], planting.values["image_shape"]) == (2, [5, 4, 3])
            outcomes["same" if json.dumps(planting.values, sort_keys=True) == whole else "taken"] += 1
        clear(planting.folder)
    assert outcomes["ManifestError"] > MANIFESTS / 3
    tell_count(
        sum(outcomes.values()), MANIFESTS, f"manifests changed at random and signed: {dict(outcomes.most_common())}"
    )
