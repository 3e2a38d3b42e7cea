"""What the SDK costs over ONNX Runtime alone: both in one process, in turn, on the same model and the same inputs.

    .venv/bin/cvae-train --preset article --out runs/article
    .venv/bin/cvae-export runs/article --out artifacts/article --forms onnx
    .venv/bin/python tests/benchmarks/sdk_speed.py artifacts/article [mnist] [--rounds 15] [--stream 1000000]

Bare is an onnxruntime.InferenceSession of the very file that the Sampler runs, with ONNX Runtime's own options, and its
`run` on float32 latents that are at hand: with int32 labels, or, for an artifact that has `mix` alone, as the shipped
ones have, with one-hot weights that are at hand. In each round both sides take turns for so many calls that a turn is
long enough; a ratio is of one round. Before each turn there is a pause: after a call the threads of a session go on
spinning for 10 to 15 ms, which would be taken from the other side's turn. `sample` and `stream` draw latents and give
uint8, where bare gives floats of latents that it is given.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from cvae_sdk import Sampler
from cvae_sdk.artifact import Artifact, locate

BATCHES = (64, 256, 1024, 4096)
TURN = 0.15
"""Seconds at least that one side has before it is the other's turn."""
PAUSE = 0.05
"""Seconds before a turn: until the threads of the other side's session sleep."""
DECODE, SAMPLE, STREAM, EXTRA = 0.95, 0.7, 0.7, 12.0


@dataclass(frozen=True)
class Bare:
    """A session of ONNX Runtime with its default options."""

    session: onnxruntime.InferenceSession
    mixes: bool
    latent_dim: int
    num_classes: int

    @classmethod
    def open(cls, place: str) -> "Bare":
        artifact = Artifact.open(locate(place))
        form = artifact.manifest.formats["onnx"]
        signature = "decode" if "decode" in form.signatures else "mix"
        path = form.files[signature][0] if form.files else form.path
        session = onnxruntime.InferenceSession(artifact.read(path), providers=["CPUExecutionProvider"])
        return cls(session, signature == "mix", artifact.manifest.latent_dim, len(artifact.manifest.classes))

    def inputs(self, batch: int) -> tuple[np.ndarray, np.ndarray]:
        z = np.random.default_rng(batch).standard_normal((batch, self.latent_dim), np.float32)
        return z, (np.arange(batch) % self.num_classes).astype(np.int32)

    def call(self, z: np.ndarray, label: np.ndarray) -> Callable[[], object]:
        feeds = {"z": z, "label": label}
        if self.mixes:
            feeds = {"z": z, "class_weights": np.eye(self.num_classes, dtype=np.float32)[label]}
        run = self.session.run
        return lambda: run(["image"], feeds)


def seconds_of(call: Callable[[], object], times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - start) / times


def rounds_of(
    ours: Callable[[], object], bare: Callable[[], object], rounds: int, turn: float = TURN
) -> list[tuple[float, float]]:
    """Seconds of a call of both, in each round; who is first changes."""
    times = max(1, int(turn / min(seconds_of(bare, 3), seconds_of(bare, 3))))
    seconds_of(ours, 3)
    pairs = []
    for i in range(rounds):
        sides = [(0, ours), (1, bare)] if i % 2 else [(1, bare), (0, ours)]
        took = [0.0, 0.0]
        for side, call in sides:
            time.sleep(PAUSE)
            took[side] = seconds_of(call, times)
        pairs.append((took[0], took[1]))
    return pairs


def told(name: str, values: list[float], target: str, unit: str = "") -> None:
    print(f"  {name:36} median {statistics.median(values):7.3f}{unit}, "
          f"least {min(values):7.3f}, most {max(values):7.3f}   (target {target})", flush=True)  # fmt: skip


def measure(place: str, rounds: int, total: int) -> None:
    sampler, bare = Sampler(place), Bare.open(place)
    what = "mix.onnx with one-hot weights" if bare.mixes else "the decoder's ONNX file"
    print(f"{sampler.manifest.name}: bare runs {what}; times as fast as bare, unless it says so")
    for batch in BATCHES:
        z, label = bare.inputs(batch)
        pairs = rounds_of(lambda z=z, label=label: sampler.decode(z, label), bare.call(z, label), rounds)
        told(f"decode, batch {batch}", [theirs / ours for ours, theirs in pairs], f"{DECODE} or more")
    z, label = bare.inputs(1)
    pairs = rounds_of(lambda: sampler.decode(z, label), bare.call(z, label), rounds)
    told("decode, batch 1: µs more than bare", [1e6 * (ours - theirs) for ours, theirs in pairs], f"{EXTRA:g} or less")
    told("decode, batch 1: µs of bare", [1e6 * theirs for _, theirs in pairs], "none")
    z, label = bare.inputs(4096)
    pairs = rounds_of(lambda: sampler.sample(label, seed=0), bare.call(z, label), rounds)
    told("sample, 4096 images", [theirs / ours for ours, theirs in pairs], f"{SAMPLE} or more")
    if total:
        stream(sampler, bare, total)


def stream(sampler: Sampler, bare: Bare, total: int, batch: int = 4096) -> None:
    """A whole stream, in 20 parts or more, each in turn with as many images of bare; and memory after each part."""
    per_part = max(1, total // 20 // batch)
    z, label = bare.inputs(batch)
    call, ratios, memory, drawn = bare.call(z, label), [], [], 0
    took = [0.0, 0.0]
    images: Iterator[np.ndarray] = sampler.stream(range(bare.num_classes), total, batch, seed=0)
    while drawn < total:
        time.sleep(PAUSE)
        start, before = time.perf_counter(), drawn
        for _ in range(per_part):
            drawn += len(next(images, ()))
        ours = (time.perf_counter() - start) / (drawn - before)
        memory.append(resident())
        time.sleep(PAUSE)
        theirs = seconds_of(call, per_part) / batch
        took[0], took[1] = took[0] + ours * (drawn - before), took[1] + theirs * (drawn - before)
        ratios.append(theirs / ours)
    told(f"stream, {total:,} images", ratios, f"{STREAM} or more")
    print(f"  {'':36} as a whole {took[1] / took[0]:.3f}: {total / took[0]:,.0f} images a second, "
          f"bare {total / took[1]:,.0f}")  # fmt: skip
    half = memory[len(memory) // 2]
    print(f"  {'':36} resident memory {memory[0] / 2**20:.1f} MiB after the first part, {half / 2**20:.1f} after half, "
          f"{memory[-1] / 2**20:.1f} at the end")  # fmt: skip


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifacts", nargs="*", default=["mnist"], help="folders, or shipped names [mnist]")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--stream", type=int, default=1_000_000, help="images of the stream, 0 for none [1000000]")
    options = parser.parse_args()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"ONNX Runtime {onnxruntime.__version__}, NumPy {np.__version__}, {cores} cores, {options.rounds} rounds")
    for place in options.artifacts:
        measure(place, options.rounds, options.stream)


if __name__ == "__main__":
    main()
