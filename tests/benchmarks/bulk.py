"""Bulk sampling on a local Ray against `Sampler.stream` in one process per worker; memory, kills and stops on the way.

    .venv/bin/python tests/benchmarks/bulk.py [speed] [scale] [kills] [stops]        all four by default
        [--total 1000000] [--runs 3] [--workers 2] [--shard-size 16384]

speed   a stream (images only) and a stream that writes the same shards, each of half as many images, and cvae bulk, in
        turn, --runs times: images a second from the moment that all have opened their Samplers, and their ratios. The
        resident memory of bulk's workers, sampled four times a second, in five parts of the run.
scale   cvae bulk of a quarter of the images with 1, 2 and 4 workers, as the table of sdk/BULK.md
kills   a run with 1 worker that nothing happens to; then one in which 10 workers, at random times, are killed by
        SIGKILL: are all hashes equal?
stops   5 runs into one folder, each stopped by SIGKILL of the driver at a random time, with its Ray, then one to the
        end: are all hashes those of the run that nothing happened to, and was any shard made twice? Each shard's file
        keeps its inode and time from when it is first seen.
"""

import argparse
import hashlib
import itertools
import multiprocessing
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cvae_sdk import Sampler
from cvae_sdk.backends.options import OnnxOptions
from cvae_sdk.bulk import Done, write_shards
from cvae_sdk.bulk.cluster import library
from cvae_sdk.shards import StreamSpec, plan_shards, write_shard

CVAE = Path(sys.executable).with_name("cvae")
SEED = 0


def resident_mib(pid: int) -> float:
    """Resident memory of a process, but for what it shares with others through files, and 0 if it has gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


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


class BulkRun:
    """A run in this process: seconds and images from the first shard of every worker on, pids, and memory over time."""

    def __init__(
        self,
        options: argparse.Namespace,
        folder: Path,
        workers: int,
        total: int,
        watch: Callable[[Done], object] = lambda done: None,
    ) -> None:
        self.pids: dict[int, int] = {}
        self.memory: list[tuple[float, dict[int, float]]] = []
        self._times: list[tuple[float, int]] = []
        self._ended = threading.Event()
        sampling = threading.Thread(target=self._sample)

        def report(done: Done) -> None:
            self._times.append((time.perf_counter(), done.images))
            if done.last is not None:
                self.pids[done.last.pid] = self.pids.get(done.last.pid, 0) + 1
            if len(self.pids) == workers and not self._opened:
                self._opened = self._times[-1]
            watch(done)

        self._opened: tuple[float, int] = ()  # pyright: ignore[reportAttributeAccessIssue]
        sampling.start()
        try:
            self.manifest = write_shards(
                folder,
                "uniform",
                total,
                seed=SEED,
                shard_size=options.shard_size,
                workers=workers,
                report=report,
            )
        finally:
            self._ended.set()
            sampling.join()

    def speed(self) -> float:
        """Images a second from when each worker had made a shard to the last shard."""
        (start, before), (end, after) = self._opened, self._times[-1]
        return (after - before) / (end - start)

    def speed_with_start(self) -> float:
        """Images a second from when Ray had started: with the workers' processes and Samplers."""
        (start, before), (end, after) = self._times[0], self._times[-1]
        return (after - before) / (end - start)

    def _sample(self) -> None:
        while not self._ended.wait(0.25):
            self.memory.append((time.perf_counter(), {pid: resident_mib(pid) for pid in list(self.pids)}))


def memory_in_parts(run: BulkRun, parts: int = 5) -> list[float]:
    """The largest worker's MiB in each part of the time in which there were workers."""
    seen = [max(each.values()) for _, each in run.memory if each and max(each.values()) > 0]
    return [max(part) for part in np.array_split(seen, parts) if len(part)]


def digest_of(folder: Path) -> str:
    """One hash of all files' hashes, from the bytes on the disk."""
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in sorted(folder.iterdir())]
    return hashlib.sha256("\n".join(sums).encode()).hexdigest()


def measure_speed(options: argparse.Namespace) -> None:
    rows: list[tuple[float, float, float, float]] = []
    memory: list[float] = []
    for k in range(options.runs):
        images, shards = stream_speed(options, written=False), stream_speed(options, written=True)
        with tempfile.TemporaryDirectory(dir=options.work) as folder:
            run = BulkRun(options, Path(folder) / "out", options.workers, options.total)
        memory = memory_in_parts(run)
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
        speed, mib = run.speed(), max(memory_in_parts(run))
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


def undisturbed(options: argparse.Namespace) -> str:
    folder = options.work / "undisturbed"
    if not folder.exists():
        BulkRun(options, folder, 1, options.total)
    return digest_of(folder)


def measure_kills(options: argparse.Namespace) -> None:
    rng, killed = random.Random(options.random_seed), []
    count = -(-options.total // options.shard_size)
    at = sorted(rng.sample(range(1, count), min(10, count - 1)))

    timers: list[threading.Timer] = []

    def kill(pid: int) -> None:
        try:
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)
        except ProcessLookupError:  # it was killed already: the next report has another one
            pass

    def watch(done: Done) -> None:
        due = sum(each <= done.shards for each in at)
        if done.last is not None and due > len(killed) and not any(timer.is_alive() for timer in timers):
            timers.append(threading.Timer(rng.uniform(0.05, 0.5), kill, [done.last.pid]))
            timers[-1].start()

    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        run = BulkRun(options, Path(folder) / "out", options.workers, options.total, watch)
        equal = digest_of(Path(folder) / "out") == undisturbed(options)
    print(
        f"kills: {len(killed)} workers killed, {len(run.pids)} processes made {len(run.manifest.shards)} shards; "
        f"hashes equal those of a run with 1 worker: {equal}",
        flush=True,
    )


def measure_stops(options: argparse.Namespace) -> None:
    rng, folder, first_seen, twice = random.Random(options.random_seed), options.work / "stopped", {}, set()
    shutil.rmtree(folder, ignore_errors=True)
    command = [CVAE, "bulk", "--total", options.total, "--seed", SEED, "--shard-size", options.shard_size]
    command += ["--workers", options.workers, "--out", folder]
    environment = os.environ | {"TMPDIR": str(options.work)}  # a driver that is killed leaves its Ray's folder there
    expected, stops, seconds = undisturbed(options), 0, options.total / options.assumed_speed / 8

    def look() -> None:
        for path in folder.glob("*.parquet"):
            with_time = (path.stat().st_ino, path.stat().st_mtime_ns)
            if first_seen.setdefault(path.name, with_time) != with_time:
                twice.add(path.name)

    while stops < 5:
        before = len(first_seen)
        driver = subprocess.Popen([str(each) for each in command], stdout=-3, stderr=-3, env=environment)
        while driver.poll() is None and len(first_seen) == before:
            time.sleep(0.05)
            look()
        end = time.perf_counter() + rng.uniform(0, seconds)
        while driver.poll() is None and time.perf_counter() < end:
            time.sleep(0.05)
            look()
        if driver.poll() is not None:
            print(f"stops: it ended by itself after {stops} stops: take more images")
            break
        driver.kill()
        driver.wait()
        stops += 1
        time.sleep(3)
        look()
        print(f"stop {stops}: {len(first_seen)} shards are there", flush=True)
    subprocess.run([str(each) for each in command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    look()
    print(
        f"stops: {stops} stops by SIGKILL; hashes equal those of a run with 1 worker: {digest_of(folder) == expected}; "
        f"shards made twice: {len(twice)} of {len(first_seen)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = {"speed": measure_speed, "scale": measure_scale, "kills": measure_kills, "stops": measure_stops}
    parser.add_argument("parts", nargs="*", choices=[*parts, []], default=list(parts))
    parser.add_argument("--total", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--shard-size", type=int, default=16_384)
    parser.add_argument("--random-seed", type=int, default=0)
    parser.add_argument("--assumed-speed", type=float, default=30_000.0, help="images/s, for the times of stops")
    options = parser.parse_args()
    library(quiet=True)
    with tempfile.TemporaryDirectory(prefix="bulk-") as work:
        options.work = Path(work)
        for part in options.parts:
            parts[part](options)


if __name__ == "__main__":
    main()
