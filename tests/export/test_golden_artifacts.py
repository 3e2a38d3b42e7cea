"""Artifacts that earlier versions wrote: each form still gives the recorded images in the runtime of today."""

from pathlib import Path

import numpy as np
import pytest

from cvae_export.forms import CATALOG, get_forms
from cvae_sdk import Manifest

GOLDEN = Path(__file__).parents[1] / "golden"
BY_NAME = {form.name: form for form in get_forms(["all"])}
WRITTEN = [
    (folder, name)
    for folder in sorted(GOLDEN.glob("artifact-*"))
    for name in Manifest.parse((folder / "manifest.json").read_bytes()).formats
]


def test_there_is_a_golden_of_each_form_but_the_page_which_has_41_mb_of_runtime() -> None:
    assert {entry.name for entry in CATALOG} - {"web"} == {name for _, name in WRITTEN}


def replay(folder: Path, name: str, off_by: float = 0) -> None:
    """Run a form on the recorded inputs; AssertionError unless it gives the recorded images, moved by `off_by`."""
    manifest = Manifest.parse((folder / "manifest.json").read_bytes())
    written = manifest.formats[name]
    with np.load(folder / "golden.npz", allow_pickle=False) as goldens:
        z, label, image = goldens["z"], goldens["label"], goldens["image"] + np.float32(off_by)
    weights = np.eye(len(manifest.classes), dtype=np.float32)[label]
    inputs = {"decode": {"z": z, "label": label}, "mix": {"z": z, "class_weights": weights}}
    replayed = set()
    for reader in BY_NAME[name].load(folder / written.path):
        signature = "decode" if reader.signature == "serving_default" else reader.signature
        if signature in inputs:
            got = reader.run(inputs[signature])["image"]
            # Sums in another order in fp32; a form of fewer bits says its own.
            np.testing.assert_allclose(got, image, rtol=0, atol=max(2e-6, 2 * written.parity.max_abs_error))
            replayed.add(signature)
    assert "decode" in replayed


@pytest.mark.parametrize(("folder", "name"), WRITTEN, ids=lambda value: getattr(value, "name", value))
def test_a_form_that_was_written_once_is_read_and_gives_the_recorded_images(folder: Path, name: str) -> None:
    replay(folder, name)


def test_other_images_would_be_seen() -> None:
    with pytest.raises(AssertionError):
        replay(*WRITTEN[0], off_by=1e-5)
