"""How far each backend is from ONNX Runtime over one artifact, and images a second, in turns, as times ONNX Runtime's.

cvae-train --preset article --out runs/article
cvae-export runs/article --out artifacts/article --forms onnx,weights,stablehlo,saved_model,litert
python tests/benchmarks/backends.py artifacts/article [--only-distance]

`alone` is one call after another, `together` is as many threads at once as the backend says pay (side_by_side).
"""

import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from cvae_sdk import Sampler
from cvae_sdk.artifact import Artifact
from cvae_sdk.backends import Backend, open_backend
from cvae_sdk.backends.options import BACKENDS

BATCHES, ROUNDS, SECONDS = (1, 64, 1024), 15, 0.05
DRAWN = 10_000
PAUSE = 0.02  # in which the threads of the one before, which wait spinning, lie down


def throughput(backend: Backend, inputs: dict[str, np.ndarray], workers: int) -> float:
    """Images a second, of `workers` threads that each call for SECONDS."""

    def calls(_: int) -> float:
        start, count = time.perf_counter(), 0
        while (passed := time.perf_counter() - start) < SECONDS or count == 0:
            backend.run("decode", inputs)
            count += 1
        return count * len(inputs["z"]) / passed

    time.sleep(PAUSE)
    if workers == 1:
        return calls(0)
    with ThreadPoolExecutor(workers) as pool:
        return sum(pool.map(calls, range(workers)))


def distance(folder: Path) -> None:
    """Print for each backend the largest difference of a pixel and of a grey level, and of latents of those images."""
    artifact = Artifact.open(folder)
    labels = np.arange(DRAWN) % len(artifact.manifest.classes)
    onnx = Sampler(folder)
    images, greys = onnx.sample(labels, seed=1, output="float32"), onnx.sample(labels, seed=1).astype(np.int16)
    latents = onnx.encode(images, labels)
    print(f"backend      of {DRAWN} images: pixel   levels  share of pixels a level off   latent, relative above 1")
    for name in names_of(artifact):
        sampler = Sampler(folder, backend=name)
        pixel = np.abs(sampler.sample(labels, seed=1, output="float32") - images).max()
        levels = np.abs(sampler.sample(labels, seed=1).astype(np.int16) - greys)
        found = sampler.encode(images, labels)
        latent = max((np.abs(a - b) / np.maximum(1, np.abs(b))).max() for a, b in zip(found, latents, strict=True))
        print(f"{name:12} {pixel:22.1e} {levels.max():8} {(levels > 0).mean():28.1e} {latent:26.1e}")
        sampler.close()


def names_of(artifact: Artifact) -> list[str]:
    return [name for name in BACKENDS if {"numpy": "weights"}.get(name, name) in artifact.manifest.formats]


def measure(folder: Path) -> None:
    """Print a row for each backend and batch: medians, and the ratio to onnx, its least and most of all rounds."""
    artifact = Artifact.open(folder)
    names = names_of(artifact)
    backends = {name: open_backend(artifact, BACKENDS[name]()) for name in names}
    print("backend      calls     batch   images/s  to onnx  least   most")
    for batch in BATCHES:
        rng = np.random.default_rng(batch)
        z = rng.standard_normal((batch, artifact.manifest.latent_dim), dtype=np.float32)
        inputs = {"z": z, "label": np.arange(batch, dtype=np.int32) % len(artifact.manifest.classes)}
        ways = {(name, "alone"): (backend, 1) for name, backend in backends.items()}
        ways |= {(name, "together"): backend.side_by_side() for name, backend in backends.items()}
        ways = {way: each for way, each in ways.items() if way[1] == "alone" or each[1] > 1}
        for backend, workers in ways.values():  # compiles
            throughput(backend, inputs, workers)
        found: dict[tuple[str, str], list[float]] = {way: [] for way in ways}
        for _ in range(ROUNDS):
            for way, (backend, workers) in ways.items():
                found[way].append(throughput(backend, inputs, workers))
        for way, values in found.items():
            base = found.get(("onnx", way[1]), found["onnx", "alone"])
            ratios = sorted(value / other for value, other in zip(values, base, strict=True))
            print(
                f"{way[0]:12} {way[1]:8} {batch:6} {statistics.median(values):10,.0f} {statistics.median(ratios):8.2f}"
                f" {ratios[0]:6.2f} {ratios[-1]:6.2f}"
            )


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3 or sys.argv[2:] not in ([], ["--only-distance"]):
        sys.exit(__doc__)
    distance(Path(sys.argv[1]))
    if len(sys.argv) == 2:
        measure(Path(sys.argv[1]))
