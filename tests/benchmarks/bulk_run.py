"""A run of bulk sampling that is watched: its speed, its workers' memory, and one hash of what it wrote."""

import argparse
import hashlib
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from cvae_sdk.bulk import Done, write_shards
from cvae_sdk.bulk.cluster import library

__all__ = ["SEED", "BulkRun", "digest_of", "run_parts"]

SEED = 0


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

    def memory_in_parts(self, parts: int = 5) -> list[float]:
        """The largest worker's MiB in each part of the time in which there were workers."""
        seen = [max(each.values()) for _, each in self.memory if each and max(each.values()) > 0]
        return [max(part) for part in np.array_split(seen, parts) if len(part)]

    def _sample(self) -> None:
        while not self._ended.wait(0.25):
            self.memory.append((time.perf_counter(), {pid: resident_mib(pid) for pid in list(self.pids)}))


def resident_mib(pid: int) -> float:
    """Resident memory of a process, but for what it shares with others through files, and 0 if it has gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def digest_of(folder: Path) -> str:
    """One hash of all files' hashes, from the bytes on the disk."""
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in sorted(folder.iterdir())]
    return hashlib.sha256("\n".join(sums).encode()).hexdigest()


def run_parts(parser: argparse.ArgumentParser, parts: Mapping[str, Callable[[argparse.Namespace], None]]) -> None:
    """Of a benchmark: read its arguments, and measure the parts that are asked for, in a folder `work` of their own."""
    parser.add_argument("parts", nargs="*", choices=[*parts, []])  # argparse wants the empty list among them
    parser.add_argument("--total", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--shard-size", type=int, default=16_384)
    options = parser.parse_args()
    library(quiet=True)
    with tempfile.TemporaryDirectory(prefix="bulk-") as work:
        options.work = Path(work)
        for part in options.parts or parts:
            parts[part](options)
