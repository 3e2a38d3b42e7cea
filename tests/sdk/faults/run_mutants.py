"""Run models that were changed at random and signed again: a process of its own, since a runtime may crash.

    python -m faults.run_mutants FOLDER FIRST LAST

prints a line before each, its number, and one after it, the outcome: the error's class, or what the images are to
those that were recorded. Memory is bounded, so that a model that asks for all of it is told so.
"""

import random
import resource
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from cvae_sdk import CvaeError, Sampler
from faults.fault import ONNX, Planting, clear
from faults.wire import mutate

_MEMORY = 6 << 30
_SECONDS = 10


def outcome(folder: Path, seed: int) -> str:
    """What comes of one mutant: opening it, decoding with it, and replaying the recorded images."""
    rng = random.Random(seed)
    with pytest.MonkeyPatch.context() as patch:
        planting = Planting(folder, rng, patch)
        content = planting.files[ONNX]
        while (changed := mutate(content, rng, rng.choice([1, 1, 1, 2, 4]))) == content:
            pass
        planting.files[ONNX] = changed
        planting.write()
    try:
        sampler = Sampler(folder)
    except CvaeError as error:
        return f"refused {type(error).__name__}"
    try:
        images = sampler.decode(np.zeros((3, 2), np.float32), [0, 1, 2])
    except CvaeError as error:
        return f"fails {type(error).__name__}"
    if images.shape != (3, 5, 4, 3) or images.dtype != np.float32:
        return f"WRONG {images.dtype} {images.shape}"
    try:
        sampler.verify()
    except CvaeError as error:
        return f"verify {type(error).__name__}"
    return "same"


def main() -> None:
    """Run those from FIRST to LAST."""
    folder, first, last = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    for seed in range(first, last):
        signal.alarm(_SECONDS)  # ends the process: a hang is as bad as a crash
        print(seed, flush=True)
        print(outcome(folder, seed), flush=True)
        clear(folder)


if __name__ == "__main__":
    main()
