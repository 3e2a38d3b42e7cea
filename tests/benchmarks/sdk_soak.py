"""Whether a Sampler that works for long stays as it is: the same bytes from many threads, and nothing that grows.

    .venv/bin/python tests/benchmarks/sdk_soak.py [ARTIFACT] [--seconds 300] [--threads 4] [--cycles 200]

soak.py has the checks; test_soak.py runs them in short. Memory is the resident set: what malloc keeps is in it. Its
arenas, one or more for each thread, fill within the first hundreds of openings, which a process of its own begins with.
The planted leak keeps 10 kB of each call, for a tenth of the time.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from soak import Growth, bytes_of_a_cycle, differing_calls, mixed_load

from cvae_sdk import Sampler

MOST_GROWTH, MOST_CYCLE = 1 << 20, 50_000
LEAK = 10_000


def tell(name: str, growth: Growth) -> None:
    print(f"{name}: {growth.calls:,} calls in the second half; memory {growth.bytes / 2**20:+.2f} MiB, descriptors "
          f"{growth.descriptors:+d}, threads {growth.threads:+d}", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", nargs="?", default="mnist", help="folder, or shipped name [mnist]")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--cycles", type=int, default=200)
    options = parser.parse_args()
    warm_up = 20
    for before in range(warm_up, warm_up + 3 * options.cycles, options.cycles):
        cycle = bytes_of_a_cycle(options.artifact, options.cycles, warm_up)
        warm_up = 0
        print(f"{options.cycles} times opened, sampled and closed, after {before} times: {cycle:+,.0f} bytes each "
              f"(target {MOST_CYCLE:,} at most)", flush=True)  # fmt: skip
    sampler = Sampler(options.artifact)
    differing = differing_calls(sampler, 16, 300)
    print(f"16 threads x 300 calls: {differing} of 4,800 differ from serial ones (target 0)", flush=True)
    tell(f"mixed load of {options.seconds:g} s", mixed_load(sampler, options.seconds, options.threads))
    leaky = mixed_load(sampler, max(10, options.seconds / 10), options.threads, LEAK)
    tell("the same with a planted leak", leaky)
    print(f"target: at most {MOST_GROWTH >> 20} MiB, no descriptor, no thread; the planted leak "
          f"{'is' if leaky.bytes > MOST_GROWTH else 'IS NOT'} caught by it")  # fmt: skip


if __name__ == "__main__":
    main()
