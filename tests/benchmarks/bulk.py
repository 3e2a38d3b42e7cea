"""Bulk sampling on a local Ray against `Sampler.stream` in one process per worker; memory on the way.

    .venv/bin/python tests/benchmarks/bulk.py [speed] [scale]        both by default
        [--total 1000000] [--runs 3] [--workers 2] [--shard-size 16384]

speed   a stream (images only) and a stream that writes the same shards, each of half as many images, and cvae bulk, in
        turn, --runs times: images a second from the moment that all have opened their Samplers, and their ratios. The
        resident memory of bulk's workers, sampled four times a second, in five parts of the run.
scale   cvae bulk of a quarter of the images with 1, 2 and 4 workers, as the table of sdk/BULK.md

bulk_faults.py kills workers and drivers.
"""

import argparse
import itertools
import multiprocessing
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from bulk_run import SEED, BulkRun, run_parts

from cvae_sdk import Sampler
from cvae_sdk.backends.options import OnnxOptions
from cvae_sdk.shards import StreamSpec, plan_shards, write_shard


def stream_part(part: tuple[int, int], ready: object, folder: str | None, options: argparse.Namespace) -> None:
    """A process's share of the stream: images alone, or written as shards into a folder."""
    first, count = part
    sampler = Sampler(backend=OnnxOptions(threads=1))
    next(iter(sampler.stream(range(10), 1, seed=SEED)))
    ready.wait()  # pyright: ignore[reportAttributeAccessIssue]
    if folder is None:
        for _ in sampler.stream(np.arange(10), count, seed=SEED, first=first):
            pass
    else:
        spec = StreamSpec(sampler.manifest.digest, SEED, sampler.classes, count, "parquet", options.shard_size, first)
        for shard in plan_shards(spec):
            write_shard(sampler, spec, shard, folder)
    ready.wait()  # pyright: ignore[reportAttributeAccessIssue]


def stream_speed(options: argparse.Namespace, written: bool) -> float:
    """Images a second of `--workers` processes, each with its part of the stream, which is of half the images."""
    total = max(1, options.total // 2)
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(options.workers + 1)
    shards = -(-total // options.shard_size)
    cuts = [min(total, shards * k // options.workers * options.shard_size) for k in range(options.workers + 1)]
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        processes = [
            context.Process(
                target=stream_part, args=((start, stop - start), ready, folder if written else None, options)
            )
            for start, stop in itertools.pairwise(cuts)
        ]
        for process in processes:
            process.start()
        ready.wait()
        started = time.perf_counter()
        ready.wait()
        seconds = time.perf_counter() - started
        for process in processes:
            process.join()
    return total / seconds


def measure_speed(options: argparse.Namespace) -> None:
    rows: list[tuple[float, float, float, float]] = []
    memory: list[float] = []
    for k in range(options.runs):
        images, shards = stream_speed(options, written=False), stream_speed(options, written=True)
        with tempfile.TemporaryDirectory(dir=options.work) as folder:
            run = BulkRun(options, Path(folder) / "out", options.workers, options.total)
        memory = run.memory_in_parts()
        rows.append((images, shards, run.speed(), run.speed_with_start()))
        print(
            f"run {k + 1}: stream {images:,.0f}/s, stream that writes {shards:,.0f}/s, bulk {run.speed():,.0f}/s "
            f"({run.speed_with_start():,.0f}/s with its workers' start); largest worker, MiB anonymous memory in "
            f"fifths of the run: {', '.join(f'{mib:.0f}' for mib in memory)}",
            flush=True,
        )
    for name, column in (("without", 2), ("with", 3)):
        ratios = [row[column] / row[0] for row in rows]
        written = [row[column] / row[1] for row in rows]
        print(
            f"bulk {name} its workers' start: {statistics.median(ratios):.3f} of stream (min {min(ratios):.3f}, max "
            f"{max(ratios):.3f}), {statistics.median(written):.3f} of stream that writes the same shards"
        )


def measure_scale(options: argparse.Namespace) -> None:
    rows: list[str] = []
    total = max(1, options.total // 4)
    for workers in (1, 2, 4):
        with tempfile.TemporaryDirectory(dir=options.work) as folder:
            run = BulkRun(options, Path(folder) / "out", workers, total)
            size = sum(record.bytes for record in run.manifest.shards) / total
        speed, mib = run.speed(), max(run.memory_in_parts())
        hours = 1e9 / speed / 3600
        rows.append(
            f"| {workers} | {speed:,.0f} | {speed / workers:,.0f} | {mib:.0f} | {size:.0f} | {hours:.1f} | "
            f"{hours * workers:.1f} | {size:.0f} |"
        )
        print(rows[-1], flush=True)
    print(f"\nFor sdk/BULK.md, {os.cpu_count()} cores:\n")
    print("| workers | images/s | a worker | MiB a worker | bytes an image | 10^9: hours | worker-hours | GB |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    print("\n".join(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    run_parts(parser, {"speed": measure_speed, "scale": measure_scale})


if __name__ == "__main__":
    main()
