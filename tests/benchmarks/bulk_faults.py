"""What bulk sampling keeps when workers and drivers are killed: the same bytes, and each shard made once.

    .venv/bin/python tests/benchmarks/bulk_faults.py [kills] [stops]        both by default
        [--total 1000000] [--workers 2] [--shard-size 16384] [--random-seed 0]

kills   a run with 1 worker that nothing happens to; then one in which 10 workers, at random times, are killed by
        SIGKILL: are all hashes equal?
stops   5 runs into one folder, each stopped by SIGKILL of the driver at a random time, with its Ray, then one to the
        end: are all hashes those of the run that nothing happened to, and was any shard made twice? Each shard's file
        keeps its inode and time from when it is first seen.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from bulk_run import SEED, BulkRun, digest_of, run_parts

from cvae_sdk.bulk import Done

CVAE = Path(sys.executable).with_name("cvae")


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
    parser.add_argument("--random-seed", type=int, default=0)
    parser.add_argument("--assumed-speed", type=float, default=30_000.0, help="images/s, for the times of stops")
    run_parts(parser, {"kills": measure_kills, "stops": measure_stops})


if __name__ == "__main__":
    main()
