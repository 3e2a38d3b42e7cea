"""How long a bad artifact takes to be refused, and how much memory, each class of fault planted in artifacts/mnist:

    .venv/bin/python tests/benchmarks/rejecting.py [--variants 3]

Time is of the call that raises alone: of opening, or where that finds nothing wrong (it does not look at the goldens)
of `verify`. Every class counts alike. Memory is the largest that Python and
NumPy hold at once beyond what they held before, by tracemalloc, in a second run of the same; it is told over the
largest file of the artifact. ONNX Runtime's own memory is not in it: it sees no artifact that is refused before it.
A fault that speaks of the small artifact alone, and so is none of this one, is told as taken.
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "sdk"))

from faults import files, goldens, manifest, onnx_bytes, weights
from faults.fault import Fault, Planting, open_and_verify

from cvae_sdk import CvaeError, Sampler

FAULTS = (*files.FAULTS, *manifest.FAULTS, *onnx_bytes.FAULTS, *weights.FAULTS, *goldens.FAULTS)
MNIST = ROOT / "artifacts" / "mnist"
TARGET_MS, TARGET_TIMES = 50, 2


def refusals(variants: int, trace: bool) -> Iterator[tuple[str, float, int, int, bool]]:
    """Of each planted fault: its name, seconds, peak bytes, bytes of the largest file, and whether it was refused."""
    for fault in FAULTS:
        for variant in range(min(variants, fault.variants)):
            with tempfile.TemporaryDirectory() as beside:
                yield refusal(fault, Path(beside), variant, trace)


def refusal(fault: Fault, beside: Path, variant: int, trace: bool) -> tuple[str, float, int, int, bool]:
    with pytest.MonkeyPatch.context() as patch:
        planting = Planting(beside / "artifact", random.Random(f"{fault.name} {variant}"), patch, MNIST)
        fault.plant(planting)
        largest = max(map(len, planting.files.values()))
        if trace:
            tracemalloc.start()
        refused, start = False, time.perf_counter()
        try:
            if fault.act is open_and_verify:
                sampler = Sampler(planting.folder)
                start = time.perf_counter()
                sampler.verify()
            else:
                fault.act(planting)
        except CvaeError:
            refused = True
        took = time.perf_counter() - start
        peak = tracemalloc.get_traced_memory()[1] if trace else 0
        tracemalloc.stop()
    return fault.name, took, peak, largest, refused


def main() -> None:
    """Print the slowest, the largest, and what was aimed for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", type=int, default=3, help="of each class, at most")
    variants = parser.parse_args().variants
    Sampler(MNIST).verify()
    timed = list(refusals(variants, trace=False))
    taken = sorted({name for name, *_, refused in timed if not refused})
    timed = [each for each in timed if each[-1]]
    seconds = sorted(each[1] for each in timed)
    print(f"{len(timed)} bad artifacts of {len({each[0] for each in timed})} classes refused")
    print(f"not faults of this artifact, and taken: {', '.join(taken) or 'none'}")
    percentile = seconds[int(0.99 * len(seconds))]
    print(f"time: median {1e3 * statistics.median(seconds):.1f} ms, 99th percentile {1e3 * percentile:.1f} ms "
          f"(target {TARGET_MS}), largest {1e3 * seconds[-1]:.1f} ms")  # fmt: skip
    for name, took, *_ in sorted(timed, key=lambda each: -each[1])[:8]:
        print(f"    {1e3 * took:7.1f} ms  {name}")
    traced = [each for each in refusals(1, trace=True) if each[-1]]
    traced.sort(key=lambda each: -each[2] / each[3])
    print(f"memory: at most {traced[0][2] / traced[0][3]:.2f} times the largest file (target {TARGET_TIMES})")
    for name, _, peak, largest, _ in traced[:8]:
        print(f"    {peak / largest:5.2f} times {largest:9,d} bytes  {name}")


if __name__ == "__main__":
    main()
