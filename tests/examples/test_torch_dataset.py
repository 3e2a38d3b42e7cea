"""examples/torch_dataset.py in .torch, with PyTorch: what its loaders give is what the Sampler here gives."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from cvae_sdk import Sampler

ROOT = Path(__file__).parents[2]
TORCH = ROOT / ".torch" / "bin" / "python"
REAL, LENGTH, SEED = 10, 200, 3

PROGRAM = f"""
import pickle, sys
import numpy as np
import torch
from torch.utils.data import DataLoader, Subset
from torch_dataset import AugmentedImages
from cvae_sdk import Sampler

def read(loader):
    pixels, target = zip(*loader)
    return torch.cat(pixels).numpy(), torch.cat(target).numpy()

if __name__ == "__main__":
    images = np.arange({REAL}, dtype=np.uint8)[:, None, None, None].repeat(28, 1).repeat(28, 2)
    images.flags.writeable = False  # as an array from a file is
    sampler = Sampler("mnist")
    data = AugmentedImages(images, np.arange({REAL}), sampler, {LENGTH}, seed={SEED})
    thrice = AugmentedImages(images, np.arange({REAL}), sampler, {LENGTH}, sampled_per_real=3, seed={SEED})
    order = np.random.default_rng(0).permutation({LENGTH}).tolist()
    found = dict(
        in_order=read(DataLoader(data, batch_size=64)),
        forked=read(DataLoader(data, batch_size=7, num_workers=2, multiprocessing_context="fork")),
        spawned=read(DataLoader(data, batch_size=64, num_workers=2, multiprocessing_context="spawn")),
        pickled=read(DataLoader(pickle.loads(pickle.dumps(data)), batch_size=64)),
        shuffled=read(DataLoader(Subset(data, order), batch_size=64)),
        one_by_one=read([(pixels[None], torch.tensor([k])) for pixels, k in (data[i] for i in range({LENGTH}))]),
        thrice=read(DataLoader(thrice, batch_size=64)),
        real_alone=read(DataLoader(AugmentedImages(images, np.arange({REAL}), sampler, 35, sampled_per_real=0))),
    )
    for wrong in (lambda: data[{LENGTH}], lambda: data[-1]):
        try:
            wrong()
        except IndexError:
            continue
        raise SystemExit("an index that is none was taken")
    for wrong in (images[:0], images[:, :27], images.astype(float)):
        try:
            AugmentedImages(wrong, np.arange(len(wrong)), sampler, 5)
        except ValueError:
            continue
        raise SystemExit(f"{{wrong.dtype}} {{wrong.shape}} was taken for images")
    parts = {{f"{{name}}_pixels": pixels for name, (pixels, _) in found.items()}}
    parts |= {{f"{{name}}_labels": labels for name, (_, labels) in found.items()}}
    np.savez(sys.argv[1], order=order, **parts)
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    folder = tmp_path_factory.mktemp("torch")
    (folder / "program.py").write_text(PROGRAM)
    command = [TORCH, "-W", "error", folder / "program.py", folder / "found.npz"]
    environment = {"PYTHONPATH": str(ROOT / "examples"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    with np.load(folder / "found.npz") as arrays:
        return dict(arrays)


def levels(pixels: np.ndarray) -> np.ndarray:
    """Grey levels, [n, height, width, channels], of PyTorch's floats, [n, channels, height, width]."""
    assert pixels.dtype == np.float32
    found = pixels.transpose(0, 2, 3, 1) * 255
    np.testing.assert_allclose(found, np.rint(found), atol=1e-4)
    return np.rint(found).astype(np.uint8)


def test_every_other_item_is_the_sampler_s_next_image(found):
    labels = np.arange(LENGTH // 2) % 10
    np.testing.assert_array_equal(levels(found["in_order_pixels"])[1::2], Sampler("mnist").sample(labels, seed=SEED))
    np.testing.assert_array_equal(found["in_order_labels"][1::2], labels)


def test_three_samples_after_each_real_image_are_three_times_as_many(found):
    sampled = np.arange(LENGTH) % 4 != 0
    labels = np.arange(sampled.sum()) % 10
    expected = Sampler("mnist").sample(labels, seed=SEED)
    np.testing.assert_array_equal(levels(found["thrice_pixels"])[sampled], expected)
    np.testing.assert_array_equal(found["thrice_labels"][sampled], labels)


@pytest.mark.parametrize(("loader", "every"), [("in_order", 2), ("thrice", 4), ("real_alone", 1)])
def test_real_images_come_in_passes_each_in_another_order(found, loader, every):
    labels = found[f"{loader}_labels"][::every]
    # The k-th real image is grey level k all over, and labelled k.
    assert (levels(found[f"{loader}_pixels"])[::every] == labels[:, None, None, None]).all()
    passes = labels[: len(labels) // REAL * REAL].reshape(-1, REAL)
    assert len(passes) >= 3
    np.testing.assert_array_equal(np.sort(passes), np.tile(np.arange(REAL), (len(passes), 1)))
    assert len({tuple(each) for each in passes}) == len(passes)


@pytest.mark.parametrize("loader", ["forked", "spawned", "pickled", "one_by_one"])
def test_workers_batches_and_pickling_change_nothing(found, loader):
    for part in ("pixels", "labels"):
        np.testing.assert_array_equal(found[f"{loader}_{part}"], found[f"in_order_{part}"])


def test_an_item_is_the_same_in_any_order(found):
    for part in ("pixels", "labels"):
        np.testing.assert_array_equal(found[f"shuffled_{part}"], found[f"in_order_{part}"][found["order"]])
