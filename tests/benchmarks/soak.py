"""What a process holds while a Sampler works: memory, descriptors, threads; and whether that grows.

Mixed load is every kind of call, of several threads, for so many seconds; it is measured at half time and at the end,
both times when the threads stand still. Before it, all threads make each kind of call at the same moment, at its
largest: what a runtime's allocators take for that they keep, and else it would be taken whenever chance first has them
meet. A leak is planted by keeping a little of each call: the same check must see it.
"""

import gc
import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from cvae_sdk import Sampler

__all__ = ["Growth", "bytes_of_a_cycle", "differing_calls", "mixed_load"]

MEETINGS = 20
"""Times that all threads make each kind of call at once."""
_T = TypeVar("_T")


@dataclass(frozen=True)
class Growth:
    """In the second half of a load."""

    calls: int
    bytes: int
    descriptors: int
    threads: int


@dataclass(frozen=True)
class Held:
    bytes: int
    descriptors: int
    threads: int


def held() -> Held:
    """By this process now."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    threads = len(list(Path("/proc/self/task").iterdir()))
    return Held(pages * os.sysconf("SC_PAGE_SIZE"), len(list(Path("/proc/self/fd").iterdir())), threads)


class Largest(random.Random):
    """Takes the last of a choice, which is the largest."""

    def choice(self, seq: Sequence[_T]) -> _T:
        return seq[-1]


def kinds_of_call(sampler: Sampler, rng: random.Random) -> list[Callable[[], object]]:
    """One of each, with arguments by chance."""
    label, seed = rng.randrange(len(sampler.classes)), rng.getrandbits(64)
    return [
        lambda: sampler.sample(label, rng.choice([1, 2, 16, 64, 700]), seed=seed),
        lambda: sampler.sample([0, label], seed=seed, temperature=rng.random(), truncation=2.0, output="float32"),
        lambda: sampler.sample(label, 4, seed=seed, output="png"),
        lambda: sampler.decode(np.zeros((rng.choice([1, 8, 64]), sampler.latent_dim), np.float32)[:1], [label]),
        lambda: sum(len(batch) for batch in sampler.stream(label, 300, 100, seed=seed)),
        lambda: list(islice(sampler.stream(label, 10**9, 50, seed=seed), 1)),
        lambda: sampler.neighbors(label, 4, seed=seed),
        lambda: sampler.grid([label], 3, seed=seed),
        lambda: sampler.interpolate(label, label, 4, seed=seed),
        lambda: refused(lambda: sampler.sample(-1)),
        lambda: refused(lambda: sampler.decode(np.zeros((1, 1), np.float32), [0])),
    ]


def refused(call: Callable[[], object]) -> str:
    try:
        call()
    except ValueError as error:
        return str(error)
    raise AssertionError("a bad call was taken")


def mixed_load(sampler: Sampler, seconds: float, threads: int = 4, leak: int = 0) -> Growth:
    """After the meetings and a warm-up of a quarter of the time, two halves; `leak` bytes of each call are kept."""
    kept: list[bytes] = []
    with ThreadPoolExecutor(threads) as pool:
        gate = threading.Barrier(threads)

        def meet(number: int) -> None:
            rng = Largest(number)
            for _ in range(MEETINGS):
                for kind in range(len(kinds_of_call(sampler, rng))):
                    gate.wait()
                    kinds_of_call(sampler, rng)[kind]()

        def work(number: int, until: float) -> int:
            gate.wait()  # so that every thread has its part of each stretch
            rng, calls = random.Random(number), 0
            while time.monotonic() < until:
                rng.choice(kinds_of_call(sampler, rng))()
                calls += 1
                if leak:
                    kept.append(os.urandom(leak))
            return calls

        def stretch(part: int, length: float) -> int:
            until = time.monotonic() + length
            return sum(pool.map(lambda number: work(100 * part + number, until), range(threads)))

        list(pool.map(meet, range(threads)))
        stretch(0, seconds / 4)
        stretch(1, seconds / 2)
        before = held()
        calls = stretch(2, seconds / 2)
        after = held()
    return Growth(
        calls, after.bytes - before.bytes, after.descriptors - before.descriptors, after.threads - before.threads
    )


def bytes_of_a_cycle(place: str | Path, cycles: int, warm_up: int = 20) -> float:
    """Bytes by which the process grows with each opening, sampling and closing."""

    def cycle() -> None:
        with Sampler(place) as sampler:
            sampler.sample(0, 600, seed=0)

    for _ in range(warm_up):
        cycle()
    before = held()
    for _ in range(cycles):
        cycle()
    return (held().bytes - before.bytes) / cycles


def differing_calls(sampler: Sampler, threads: int, calls: int) -> int:
    """How many of threads x calls give other bytes than the same calls one after the other."""
    arguments = [(i % len(sampler.classes), 1 + i % 9, i) for i in range(threads * calls)]

    def draw(call: tuple[int, int, int]) -> bytes:
        return sampler.sample(call[0], call[1], seed=call[2]).tobytes()

    serial = [hash(draw(call)) for call in arguments]
    with ThreadPoolExecutor(threads) as pool:
        shared = [hash(each) for each in pool.map(draw, arguments)]
    return sum(a != b for a, b in zip(serial, shared, strict=True))
