"""cvae bench: how fast this artifact is in this runtime on this machine."""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from cvae_sdk.commands.one_line_parser import Verbs, add_verb
from cvae_sdk.commands.sampler_arguments import add_artifact, open_sampler
from cvae_sdk.errors import InputError
from cvae_sdk.sampler import Sampler

__all__ = ["BATCHES", "Measured", "add_bench"]

BATCHES = (1, 16, 256, 4096)


@dataclass(frozen=True)
class Measured:
    """A call at a batch size: the median of its times, in seconds, and images a second at that."""

    call: str
    batch: int
    seconds: float
    images_per_second: float
    repeats: int


def add_bench(verbs: Verbs) -> None:
    """The verb of this file."""
    bench = add_verb(
        verbs,
        "bench",
        "measure how fast an artifact is here",
        "Measure the time to open the artifact and of the first call, and then decode (latents to float32 images) and "
        "sample (a label and a seed to uint8 images) at several batch sizes: medians of as many calls as --seconds "
        "hold, three at least.",
        "cvae bench --artifact fashion-mnist --threads 1",
    )
    add_artifact(bench)
    bench.add_argument("--seconds", type=float, default=0.5, metavar="S", help="for each line of the table [0.5]")
    bench.add_argument("--json", action="store_true", help="print JSON in place of the table")
    bench.set_defaults(run=_bench)


def _bench(options: argparse.Namespace) -> None:
    if not 0 <= options.seconds <= 3600:
        raise InputError(f"--seconds must be from 0 to 3600, got {options.seconds}", field="seconds")
    started = time.perf_counter()
    with open_sampler(options) as sampler:
        opened = time.perf_counter() - started
        started = time.perf_counter()
        sampler.sample(0, seed=0)
        first = time.perf_counter() - started
        rows = [measure(sampler, call, batch, options.seconds) for call in ("decode", "sample") for batch in BATCHES]
        name, digest = sampler.manifest.name, sampler.manifest.digest
    if options.json:
        facts = {
            "artifact": name,
            "digest": digest,
            "backend": options.backend or ("remote" if "://" in (options.artifact or "") else "onnx"),
            "threads": options.threads,
            "open_seconds": opened,
            "first_call_seconds": first,
            "calls": [asdict(row) for row in rows],
        }
        print(json.dumps(facts, indent=1))
        return
    print(f"{name}: opened in {_time(opened)}, first call {_time(first)}\n")
    print(f"{'':8}{'batch':>6}  {'a call':>9}  {'images/s':>12}")
    for row in rows:
        print(f"{row.call:8}{row.batch:6}  {_time(row.seconds):>9}  {row.images_per_second:12,.0f}")


def measure(sampler: Sampler, call: str, batch: int, seconds: float) -> Measured:
    """The median time of a call at a batch size."""
    labels = np.arange(batch, dtype=np.int32) % len(sampler.classes)
    z = np.random.default_rng(0).standard_normal((batch, sampler.latent_dim), np.float32)
    run: Callable[[], object] = (
        (lambda: sampler.decode(z, labels)) if call == "decode" else (lambda: sampler.sample(labels, seed=0))
    )
    run()  # a new batch size may cost a runtime something once
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    median = statistics.median(times)
    return Measured(call, batch, median, batch / median, len(times))


def _time(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= scale:
            return f"{seconds / scale:.2f} {unit}"
    return f"{seconds * 1e6:.0f} µs"
