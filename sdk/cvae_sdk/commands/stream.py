"""cvae stream: images by the million, in shards that can be made again, gone on with and joined."""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from cvae_sdk.commands.one_line_parser import Verbs, add_verb
from cvae_sdk.commands.progress import Progress, span
from cvae_sdk.commands.sampler_arguments import add_artifact, add_noise, open_sampler, seed_of
from cvae_sdk.errors import CvaeError, InputError
from cvae_sdk.label_text import entry_from_text
from cvae_sdk.sampler import Sampler
from cvae_sdk.shard_formats import SHARD_FORMATS, Batch, write_npz, write_tar
from cvae_sdk.shard_manifest import SHARDS_NAME, ShardManifest, find_manifest, open_folder
from cvae_sdk.shards import StreamSpec, batches, is_whole, plan_shards, write_shard

__all__ = ["add_stream"]

_RECORD_EVERY = 1.0  # seconds: what a kill can cost, beside the shard that it stops
_FILES = {".npz": "npz", ".tar": "webdataset"}


def add_stream(verbs: Verbs) -> None:
    """The verb of this file."""
    stream = add_verb(
        verbs,
        "stream",
        "write images by the million, in shards",
        "Write many images into a folder of shards, with shards.json, which lists them with their SHA-256. "
        "Image i has label i modulo the number of labels. The same command again goes on where it was stopped: it "
        "checks what is there and makes what is missing or damaged. Parts of one stream may be made on several "
        "machines: give each its --first and --total, and all the same --seed.",
        "cvae stream 0 1 2 3 4 5 6 7 8 9 --total 1000000 --seed 1 -o digits --format webdataset",
        "cvae stream 7 --total 1000 --seed 1 -o sevens.npz",
        "cvae stream 3 8 --total 100 --seed 1 -o - --format webdataset | tar t",
    )
    stream.add_argument(
        "labels", nargs="*", metavar="LABEL", help="a class's name or number, or a mix such as 3:1,8:1 [all classes]"
    )
    stream.add_argument("--total", type=int, required=True, metavar="N", help="how many images")
    stream.add_argument(
        "-o",
        "--out",
        required=True,
        metavar="OUT",
        help="a new folder, or one to go on with; FILE.npz or FILE.tar for one file; - for standard output",
    )
    stream.add_argument(
        "--format",
        choices=list(SHARD_FORMATS),
        metavar="F",
        help="png (folders of files), npz (arrays), parquet or webdataset (tar archives) [png; a file's from its name]",
    )
    stream.add_argument("--shard-size", type=int, default=10_000, metavar="N", help="images of a shard [10000]")
    stream.add_argument("--first", type=int, default=0, metavar="I", help="index of the first image [0]")
    add_noise(stream)
    add_artifact(stream)
    stream.set_defaults(run=_stream)


def _stream(options: argparse.Namespace) -> None:
    file_format = "-" if options.out == "-" else _FILES.get(Path(options.out).suffix.lower())
    if file_format is None:
        _stream_folder(options, Path(options.out))
        return
    form = options.format or ("webdataset" if file_format == "-" else file_format)
    if form not in _FILES.values():
        raise InputError("standard output and single files take npz or webdataset, got --format png", field="format")
    if file_format not in ("-", form):
        raise InputError(f"--format {form} is not what {options.out} is named for", field="format")
    if file_format != "-" and os.path.lexists(options.out):
        raise InputError(f"{options.out} exists: choose another name, or remove it", field="out")
    with open_sampler(options) as sampler:
        spec = _spec(options, sampler, form, seed_of(options))
        started = time.monotonic()
        with Progress(spec.total) as progress:
            made = _telling(batches(sampler, spec, spec.first, spec.total), progress)
            if file_format == "-":
                _write(sys.stdout.buffer, made, spec)
            else:
                _write_file(Path(options.out), made, spec)
    if file_format != "-":
        print(f"{_speed(spec.total, started)}, saved in {options.out}{_of_seed(options, spec)}")


def _stream_folder(options: argparse.Namespace, folder: Path) -> None:
    found = find_manifest(folder)
    seed = found.spec.seed if found is not None and options.seed is None else seed_of(options)
    with open_sampler(options) as sampler:
        spec = _spec(options, sampler, options.format or "png", seed)
        manifest = open_folder(folder, spec)
        with _alone(folder):
            _make_missing(options, sampler, manifest, folder)


def _make_missing(options: argparse.Namespace, sampler: Sampler, manifest: ShardManifest, folder: Path) -> None:
    spec, started = manifest.spec, time.monotonic()
    whole = {record.name: record for record in manifest.shards if is_whole(record, folder)}
    for record in manifest.shards:
        if record.name not in whole:
            print(f"cvae: {record.name} is missing or damaged, and is made again", file=sys.stderr)
    recorded, done = started, sum(record.count for record in whole.values())
    made = spec.total - done
    try:
        with Progress(spec.total, done) as progress:
            for shard in plan_shards(spec):
                if shard.name in whole:
                    continue
                record = write_shard(sampler, spec, shard, folder, progress.add)
                whole[shard.name] = record
                progress.line(f"{record.name}  {record.count:,} images, {record.bytes:,} bytes")
                if time.monotonic() - recorded > _RECORD_EVERY:
                    ShardManifest(spec, tuple(whole.values())).write(folder)
                    recorded = time.monotonic()
    except BaseException:
        with suppress(CvaeError):  # the first error is the one to tell
            ShardManifest(spec, tuple(whole.values())).write(folder)
        raise
    ShardManifest(spec, tuple(whole.values())).write(folder)
    what = _speed(made, started) if made else "nothing was missing"
    print(f"{what}; {spec.total:,} in {len(whole)} shards in {folder}{_of_seed(options, spec)}")


def _spec(options: argparse.Namespace, sampler: Sampler, form: str, seed: int) -> StreamSpec:
    texts = options.labels or sampler.classes
    return StreamSpec(
        artifact=sampler.manifest.digest,
        seed=seed,
        labels=tuple(entry_from_text(text, sampler.classes) for text in texts),
        total=options.total,
        format=form,
        shard_size=options.shard_size,
        first=options.first,
        temperature=options.temperature,
        truncation=options.truncation,
    )


def _write(file: BinaryIO, made: Iterator[Batch], spec: StreamSpec) -> None:
    if spec.format == "npz":
        write_npz(file, made, spec.total)
    else:
        write_tar(file, made)


def _write_file(path: Path, made: Iterator[Batch], spec: StreamSpec) -> None:
    """Write one file under a temporary name beside it, and give it its own when it is whole."""
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as beside:
            temporary = Path(beside) / path.name
            with temporary.open("xb") as file:
                _write(file, made, spec)
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(path)
    except OSError as error:
        raise CvaeError(f"cannot write {path}: {error.strerror or error}") from error


@contextmanager
def _alone(folder: Path) -> Generator[None]:
    """While it is entered no other stream writes into the folder. What is half-written, also before, is removed."""
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise CvaeError(f"cannot read {folder}: {error.strerror or error}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(f"another cvae stream writes into {folder} now: wait for it", field="out") from error
        _remove_leftovers(folder)
        try:
            yield
        finally:
            # A signal may come between the making of a temporary folder and the block that removes it.
            _remove_leftovers(folder)
    finally:
        os.close(descriptor)


def _remove_leftovers(folder: Path) -> None:
    import shutil

    for path in folder.glob(".images-*-*"):
        shutil.rmtree(path, ignore_errors=True)
    for path in folder.glob(f".{SHARDS_NAME}-*"):
        with suppress(OSError):
            path.unlink()


def _telling(each: Iterator[Batch], progress: Progress) -> Iterator[Batch]:
    for batch in each:
        yield batch
        progress.add(len(batch.images))


def _speed(images: int, started: float) -> str:
    seconds = time.monotonic() - started
    return f"{images:,} images made in {span(seconds)} ({images / max(seconds, 1e-9):,.0f}/s)"


def _of_seed(options: argparse.Namespace, spec: StreamSpec) -> str:
    return f", seed {spec.seed}" if options.seed is None else ""
