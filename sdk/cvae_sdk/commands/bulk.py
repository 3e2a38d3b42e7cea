"""cvae bulk: images by the million, made by all workers of a Ray."""

import argparse
import time
from pathlib import Path

from cvae_sdk.backends.options import BACKENDS
from cvae_sdk.bulk import Done, write_shards
from cvae_sdk.bulk.cluster import library
from cvae_sdk.bulk.labels import UNIFORM
from cvae_sdk.bulk.writer import FORMATS, SHARD_SIZE
from cvae_sdk.commands.one_line_parser import Verbs, add_verb
from cvae_sdk.commands.progress import Progress, span
from cvae_sdk.commands.sampler_arguments import add_noise, seed_of
from cvae_sdk.errors import InputError
from cvae_sdk.shard_manifest import find_manifest

__all__ = ["add_bulk"]

_LINES = 20
"""At most, where there is no bar."""


def add_bulk(verbs: Verbs) -> None:
    """The verb of this file."""
    bulk = add_verb(
        verbs,
        "bulk",
        "write images by the million, on all workers of a Ray",
        "Write many images into a folder of shards, as stream does, on all processors of this machine or all machines "
        "of a Ray cluster: the same bytes on however many. All must see the folder. The same command again goes on "
        "where it was stopped, and makes only what is missing or damaged. Needs pip install 'cvae-sdk[ray]'.",
        "cvae bulk --labels uniform --total 1000000 --seed 0 --out digits",
        "cvae bulk --labels 3 8 3:1,8:1 --total 1000000 --seed 0 --out /shared/mixes --address auto",
    )
    bulk.add_argument(
        "--labels",
        nargs="+",
        default=[UNIFORM],
        metavar="LABEL",
        help="classes' names or numbers, or mixes such as 3:1,8:1, repeated in order; uniform is every class [uniform]",
    )
    bulk.add_argument("--total", type=int, required=True, metavar="N", help="how many images")
    bulk.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder, or one to go on with")
    bulk.add_argument(
        "--format", choices=FORMATS, default=FORMATS[0], metavar="F", help=f"{', '.join(FORMATS)} [parquet]"
    )
    bulk.add_argument(
        "--shard-size", type=int, default=SHARD_SIZE, metavar="N", help=f"images of a shard [{SHARD_SIZE}]"
    )
    bulk.add_argument("--first", type=int, default=0, metavar="I", help="index of the first image [0]")
    bulk.add_argument(
        "--address",
        metavar="A",
        help="a Ray cluster: HOST:PORT, ray://HOST:PORT, or auto for $RAY_ADDRESS or this machine's [a Ray of its own]",
    )
    bulk.add_argument(
        "--workers", type=int, metavar="N", help="processes at work at a time [a processor each, of all machines]"
    )
    add_noise(bulk)
    bulk.add_argument("--artifact", metavar="A", help="a folder, or the name of a shipped artifact [mnist]")
    bulk.add_argument(
        "--backend", choices=list(BACKENDS), default="onnx", metavar="B", help=f"{', '.join(BACKENDS)} [onnx]"
    )
    bulk.set_defaults(run=_bulk)


def _bulk(options: argparse.Namespace) -> None:
    if options.total < 1:
        raise InputError(f"--total must be at least 1, got {options.total}", field="total")
    found = find_manifest(options.out)
    seed = found.spec.seed if found is not None and options.seed is None else seed_of(options)
    library(quiet=True)
    shown = _Shown(options.total)
    with shown.progress:
        manifest = write_shards(
            options.out,
            UNIFORM if options.labels == [UNIFORM] else options.labels,
            options.total,
            seed=seed,
            artifact=options.artifact,
            backend=options.backend,
            format=options.format,
            shard_size=options.shard_size,
            first=options.first,
            temperature=options.temperature,
            truncation=options.truncation,
            workers=options.workers,
            address=options.address,
            report=shown,
        )
    tail = f", seed {seed}" if options.seed is None else ""
    print(f"{shown.summary()}; {manifest.spec.total:,} in {len(manifest.shards)} shards in {options.out}{tail}")


class _Shown:
    """Shows a run's reports, and sums them up."""

    def __init__(self, total: int) -> None:
        self.progress = Progress(total)
        self._started, self._done = time.monotonic(), Done(total, 0)
        self._images = self._kept = 0

    def __call__(self, done: Done) -> None:
        """Show how far the workers are; the first call says that they begin."""
        if not done.shards:
            self._started = time.monotonic()
        self.progress.keep(done.kept_images - self._kept)
        self.progress.add(done.images - self._images - (done.kept_images - self._kept))
        self._images, self._kept, self._done = done.images, done.kept_images, done
        if done.shards and done.shards * _LINES // done.total_shards > (done.shards - 1) * _LINES // done.total_shards:
            self.progress.line(f"{done.shards} of {done.total_shards} shards, {done.images:,} images")

    def summary(self) -> str:
        """What was made, and how fast."""
        made, seconds = self._done.images - self._done.kept_images, time.monotonic() - self._started
        if not made:
            return "nothing was missing"
        return f"{made:,} images made in {span(seconds)} ({made / max(seconds, 1e-9):,.0f}/s)"
