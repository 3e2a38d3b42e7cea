"""Do sampled digits help a classifier that has few real ones? It is trained with and without them, and both are told.

    pip install cvae-sdk torch
    python torch_augmentation.py
    python torch_augmentation.py --own          also by a CVAE that learned from the few digits alone

Each draw takes other few digits, other first weights and other samples; within a draw, classifiers differ in nothing
but the samples: digits, first weights, steps and images a step are the same. Tested are digits that nothing here was
trained on. --own needs cvae-train and cvae-export on the path, and about two minutes a draw.
"""

import argparse
import gzip
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader
from torch_dataset import AugmentedImages

from cvae_sdk import CvaeError, Sampler

DIGITS = Path(__file__).resolve().parents[1] / "training" / "cvae_training" / "datasets" / "mnist-10k"
TRAINED_ON = 8500  # of the 10,000, by cvae-train and so by the shipped model; the others are what is tested on
BATCH = 64
# Student's t: 95 % of it lies within so many standard errors, for 1 to 9 degrees of freedom.
T_95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
Results = dict[str, dict[str, list[float]]]  # digits per class -> whose samples -> accuracies in per cent, one a draw
WHOSE = {"shipped": "samples of the shipped model", "own": "samples of a CVAE of the few alone"}


def read_digits(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images, uint8 [n, 28, 28, 1], and labels [n], of IDX files as MNIST is published in."""
    images = gzip.decompress((folder / "mnist-10k-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((folder / "mnist-10k-labels-idx1-ubyte.gz").read_bytes())
    return np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28, 1), np.frombuffer(labels, np.uint8, offset=8)


def draw_few(labels: np.ndarray, per_class: int, draw: int) -> np.ndarray:
    """Which digits are the few: `per_class` of each class among those that were trained on."""
    rng = np.random.default_rng([per_class, draw])
    few = [rng.choice(np.flatnonzero(labels[:TRAINED_ON] == k), per_class, replace=False) for k in range(10)]
    return np.concatenate(few)


def train_own(images: np.ndarray, labels: np.ndarray, steps: int, folder: Path) -> Path:
    """The artifact of a CVAE that has seen these digits and no others; cvae-train holds out 15 % even of them."""
    np.savez(folder / "few.npz", images=images, labels=labels.astype(np.int64))
    epochs = max(1, steps * 32 // len(labels))
    stopping = ["--patience", str(max(1, epochs // 5)), "--checkpoint-epochs", str(epochs)]  # the best by those 15 %
    trained = ["--preset", "fast", "--batch-size", "32", "--epochs", str(epochs), *stopping]
    for command in (
        ["cvae-train", "--data-set", f"npz:{folder / 'few.npz'}", *trained, "--out", str(folder / "run")],
        ["cvae-export", str(folder / "run"), "--forms", "onnx", "--out", str(folder / "artifact")],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return folder / "artifact"


def accuracy(data: AugmentedImages, held_out: tuple[torch.Tensor, torch.Tensor], draw: int) -> float:
    """Train a small network on `data`, once and in order; its accuracy in per cent."""
    torch.manual_seed(draw)
    network = nn.Sequential(
        *(nn.Conv2d(1, 16, 3, stride=2, padding=1), nn.ReLU()),
        *(nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU()),
        *(nn.Flatten(), nn.Dropout(0.5), nn.Linear(32 * 7 * 7, 64), nn.ReLU(), nn.Linear(64, 10)),
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    for pixels, target in DataLoader(data, batch_size=BATCH):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(pixels), target).backward()
        optimizer.step()
    network.eval()
    with torch.no_grad():
        return 100 * (network(held_out[0]).argmax(1) == held_out[1]).double().mean().item()


def verdict(gains: np.ndarray) -> str:
    """One sentence on differences in accuracy, one for each draw: it claims only what their spread lets it claim."""
    mean = gains.mean()
    half = T_95[len(gains) - 2] * gains.std(ddof=1) / len(gains) ** 0.5
    if abs(mean) <= half:
        word = f"made no difference that {len(gains)} draws can tell"
    else:
        word = "helped" if mean > 0 else "hurt"
    return f"{word}: {mean:+.2f} points, 95 % interval {mean - half:+.2f} to {mean + half:+.2f}"


def measure(options: argparse.Namespace) -> Results:
    """The accuracies; those that --json has are not measured again, and it is written after each draw."""
    images, labels = read_digits(options.data)
    tested = torch.tensor(images[TRAINED_ON:, ..., 0], dtype=torch.float32)[:, None] / 255
    held_out = tested, torch.tensor(labels[TRAINED_ON:], dtype=torch.int64)
    settings = {name: getattr(options, name) for name in ("artifact", "steps", "own", "own_steps")}
    results = read_results(options.json, settings) if options.json and options.json.exists() else {}
    arms = ("none", "shipped", "own") if options.own else ("none", "shipped")

    def save() -> None:
        if options.json:
            options.json.write_text(json.dumps({"settings": settings, "accuracy": results}, indent=1) + "\n")

    save()  # a folder that is not there is better told now
    with Sampler(options.artifact) as shipped:
        if shipped.classes != tuple("0123456789"):
            raise ValueError(f"the artifact must have the classes 0 to 9, got {', '.join(shipped.classes)}")
        for per_class in map(str, options.per_class):
            told = results.setdefault(per_class, {arm: [] for arm in arms})
            for draw in range(len(told["none"]), options.draws):
                few = draw_few(labels, int(per_class), draw)
                found = measure_draw(images[few], labels[few], held_out, shipped, draw, options)
                for arm, value in zip(arms, found, strict=True):
                    told[arm].append(value)
                last = ", ".join(f"{arm} {value:.1f} %" for arm, value in zip(arms, found, strict=True))
                print(f"{per_class} per class, draw {draw}: {last}", file=sys.stderr, flush=True)
                save()
    return {str(n): {arm: results[str(n)][arm][: options.draws] for arm in arms} for n in options.per_class}


def measure_draw(
    images: np.ndarray,
    labels: np.ndarray,
    held_out: tuple[torch.Tensor, torch.Tensor],
    shipped: Sampler,
    draw: int,
    options: argparse.Namespace,
) -> list[float]:
    """The accuracies without samples, with the shipped model's, and with those of a CVAE of these digits alone."""

    def train(sampler: Sampler, sampled_per_real: int) -> float:
        length = BATCH * options.steps
        data = AugmentedImages(images, labels, sampler, length, sampled_per_real=sampled_per_real, seed=draw)
        return accuracy(data, held_out, draw)

    found = [train(shipped, 0), train(shipped, 1)]
    if options.own:
        with tempfile.TemporaryDirectory() as folder:
            artifact = train_own(images, labels, options.own_steps, Path(folder))
            with Sampler(artifact) as own:
                found.append(train(own, 1))
    return found


def read_results(file: Path, settings: dict[str, object]) -> Results:
    """What an earlier measurement of these settings left in `file`."""
    left = json.loads(file.read_bytes())
    if left.get("settings") != settings:
        raise ValueError(f"{file} is of other settings, {left.get('settings')}: name another file")
    return left["accuracy"]


def report(results: Results) -> str:
    """A table of means and standard deviations, and what they say."""
    lines = ["| digits per class | samples | accuracy, % | draws |", "| --- | --- | --- | --- |"]
    sentences = []
    for per_class, told in results.items():
        for name, values in told.items():
            spread = f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}"
            lines.append(f"| {per_class} | {name} | {spread} | {len(values)} |")
            if name != "none":
                gains = np.subtract(values, told["none"])
                sentences.append(f"- {per_class} per class: {WHOSE[name]} {verdict(gains)}.")
    sentences += [
        f"\nThe shipped model learned from {TRAINED_ON:,} labelled digits, the few among them: where its samples help,",
        "it hands on what it learned from the others. Its settings, though not its parameters, were chosen by the",
        "digits tested here. Only a CVAE of the few alone (--own) shows what sampling itself adds.",
    ]
    return "\n".join([*lines, "", *sentences])


class Parser(argparse.ArgumentParser):
    """One line for a mistake."""

    def error(self, message: str) -> None:
        """Exit with code 2."""
        self.exit(2, f"{self.prog}: {message}\n")


def number(lowest: int, highest: int) -> Callable[[str], int]:
    """A type for arguments: an integer in a range."""

    def to_int(text: str) -> int:
        if not lowest <= int(text) <= highest:
            raise ValueError
        return int(text)

    to_int.__name__ = f"number from {lowest} to {highest}"
    return to_int


def main() -> int:
    """Measure and report."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--per-class", type=number(5, 500), nargs="+", default=[10, 30, 100], help="how few")
    parser.add_argument("--draws", type=number(2, 10), default=5, help="of the few, 2 to 10 [5]")
    parser.add_argument("--steps", type=number(1, 10**6), default=1000, help=f"of {BATCH} images each [1000]")
    parser.add_argument("--own", action="store_true", help="also by a CVAE of the few alone")
    parser.add_argument("--own-steps", type=number(600, 10**6), default=1500, help="of training it, at most [1500]")
    parser.add_argument("--artifact", default="mnist", help="a shipped artifact or a folder [mnist]")
    parser.add_argument("--data", type=Path, default=DIGITS, help="the folder of mnist-10k")
    parser.add_argument("--json", type=Path, help="a file for all accuracies; one that is there is gone on with")
    options = parser.parse_args()
    torch.set_num_threads(1)  # threads that wait for each other are slower for so small a network
    if options.own and not (shutil.which("cvae-train") and shutil.which("cvae-export")):
        parser.error("--own needs cvae-train and cvae-export on the path: pip install cvae-training cvae-export")
    try:
        print(report(measure(options)))
    except (CvaeError, EOFError, OSError, RuntimeError, ValueError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
