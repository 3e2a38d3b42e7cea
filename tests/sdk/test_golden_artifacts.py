"""Artifacts that earlier versions wrote: the SDK of today opens them, and gives their images."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from cvae_sdk import Sampler

GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("artifact-*"))
# SHA-256 of the three images of seed 5, one of each class, as this SDK first drew them.
DRAWN = {
    "artifact-2026-11-23": "b8eb7d02fdb9d52a64e96188cf5fdd2c6a46a2151fe4e44b65819482cb3498aa",
    "artifact-2026-11-26": "b8eb7d02fdb9d52a64e96188cf5fdd2c6a46a2151fe4e44b65819482cb3498aa",
}


def test_every_golden_is_replayed() -> None:
    assert [folder.name for folder in GOLDEN] == sorted(DRAWN)


@pytest.mark.parametrize("folder", GOLDEN, ids=lambda folder: folder.name)
def test_a_golden_verifies(folder: Path) -> None:
    verified = Sampler(folder).verify()
    assert verified.goldens == 6
    assert verified.max_abs_error < 2e-6  # sums in another order


@pytest.mark.parametrize("folder", GOLDEN, ids=lambda folder: folder.name)
def test_a_golden_gives_the_images_of_a_seed_that_it_gave_at_first(folder: Path) -> None:
    sampler = Sampler(folder)
    images = sampler.sample(list(sampler.classes), seed=5)
    assert images.dtype == np.uint8
    assert hashlib.sha256(images.tobytes()).hexdigest() == DRAWN[folder.name]
