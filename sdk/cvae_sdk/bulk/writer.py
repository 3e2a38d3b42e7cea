"""Images of a seed as shards in a folder, made by all workers of a Ray.

Each shard is a task of Ray, which starts again what dies, on whatever machine is left; a worker keeps its Sampler from
task to task. Images depend on nothing but the plan, so the shards are the same bytes whoever makes them, and a run that
was stopped is continued by the same call: workers look for each shard's record and SHA-256, and make what is missing.
"""

import contextlib
import functools
import os
import secrets
import shutil
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cvae_sdk.backends.options import BackendOptions
from cvae_sdk.bulk.cluster import connected, library
from cvae_sdk.bulk.labels import BulkLabels, to_entries
from cvae_sdk.bulk.maker import MAKING, RECORDS, TOKEN, Made, Maker, Workplace
from cvae_sdk.bulk.packed import PackedArtifact, one_thread
from cvae_sdk.errors import BackendError, CvaeError, InputError
from cvae_sdk.label_text import entries_to_labels
from cvae_sdk.shard_manifest import ShardManifest, find_manifest, open_folder
from cvae_sdk.shards import Shard, ShardRecord, StreamSpec, plan_shards

__all__ = ["FORMATS", "SHARD_SIZE", "Done", "write_shards"]

FORMATS = ("parquet", "webdataset", "npz")
"""Those of a file for each shard."""
SHARD_SIZE = 16_384
_TRIES = 20
"""Of a shard whose worker dies: machines die, but a shard that kills every worker must come to an end."""


@dataclass(frozen=True)
class Done:
    """How far a run is: what is in its place of how much, what of that was there before, and the last shard."""

    total_images: int
    total_shards: int
    images: int = 0
    shards: int = 0
    kept_images: int = 0
    kept_shards: int = 0
    last: Made | None = None

    def and_(self, made: Made) -> "Done":
        """With one shard more."""
        count, kept = made.record.count, not made.anew
        return replace(
            self,
            images=self.images + count,
            shards=self.shards + 1,
            kept_images=self.kept_images + count * kept,
            kept_shards=self.kept_shards + kept,
            last=made,
        )


def write_shards(
    folder: str | os.PathLike[str],
    labels: BulkLabels,
    total: int,
    *,
    seed: int,
    artifact: str | os.PathLike[str] | None = None,
    backend: str | BackendOptions = "onnx",
    format: str = FORMATS[0],
    shard_size: int = SHARD_SIZE,
    first: int = 0,
    temperature: float = 1.0,
    truncation: float | None = None,
    workers: int | None = None,
    address: str | None = None,
    report: Callable[[Done], object] = lambda done: None,
) -> ShardManifest:
    """Write images `first` to `first + total - 1` of a seed as shards, those that are missing, and shards.json last.

    `labels` are repeated in order, image i has label i modulo their number; "uniform" is every class in turn. `folder`
    must be one that all workers see. Without `address` a Ray of this machine is started for it, of as many workers as
    it has processors; at an address `workers` are those that the cluster has when it begins. `report` is called when
    the workers begin, and after each shard.

    Raises InputError for arguments that cannot be, or a folder that holds another stream; CvaeError where a worker
    cannot write or does not see the folder; UnreachableError, BackendUnavailableError, BackendError of Ray. Whatever
    stopped it, the same call goes on with it.
    """
    if format not in FORMATS:
        raise InputError(f"format must be one of {', '.join(FORMATS)}, got {format!r}", field="format", found=format)
    if workers is not None and workers < 1:
        raise InputError(f"workers must be at least 1, got {workers}", field="workers", found=workers)
    library()
    packed, options = PackedArtifact.of(artifact), one_thread(backend)
    entries = to_entries(labels, packed.classes)
    spec = StreamSpec(packed.digest, seed, entries, total, format, shard_size, first, temperature, truncation)
    packed.open(options, entries_to_labels(entries, packed.classes)).close()  # what cannot be fails here, before Ray
    path = Path(folder).resolve()
    if find_manifest(path) is not None:
        open_folder(path, spec)  # another stream is refused here, before Ray
    shards = plan_shards(spec)
    done, made = Done(total, len(shards)), dict[str, ShardRecord]()
    with connected(address, workers) as ray:
        known = {record.name: record for record in open_folder(path, spec).shards}
        with _marked(path) as token:
            report(done)
            place = Workplace(str(path), token, packed, options, spec)
            at_once = workers or int(ray.cluster_resources().get("CPU", 1))
            for one in _all_made(ray, place, [(shard, known.get(shard.name)) for shard in shards], at_once):
                made[one.record.name] = one.record
                done = done.and_(one)
                report(done)
            manifest = ShardManifest(spec, tuple(made[shard.name] for shard in shards))
            manifest.write(path)
    shutil.rmtree(path / RECORDS, ignore_errors=True)
    return manifest


@contextlib.contextmanager
def _marked(folder: Path) -> Generator[str]:
    """The folder with a token for workers to see; what an earlier run left unfinished is removed, before and after."""
    token = secrets.token_hex(16)
    try:
        shutil.rmtree(folder / MAKING, ignore_errors=True)
        (folder / RECORDS).mkdir(exist_ok=True)
        (folder / TOKEN).write_text(token)
    except OSError as error:
        raise CvaeError(f"cannot write {folder}: {error.strerror or error}") from error
    try:
        yield token
    finally:
        with contextlib.suppress(OSError):
            (folder / TOKEN).unlink()
        shutil.rmtree(folder / MAKING, ignore_errors=True)


def _all_made(
    ray: Any, place: Workplace, shards: list[tuple[Shard, ShardRecord | None]], at_once: int
) -> Iterator[Made]:
    """Each shard when it is in its place, in whatever order; as many tasks of Ray at a time as there are workers."""
    task = ray.remote(make_shard).options(num_cpus=1, max_retries=_TRIES)
    shared = [ray.put(place)]  # in a list, so that Ray hands on the reference and not the content
    waiting = iter(shards)
    running: list[Any] = []
    while True:
        for shard, known in waiting:
            running.append(task.remote(shared, shard, known))
            if len(running) >= at_once:
                break
        if not running:
            return
        (ready,), running = ray.wait(running, num_returns=1)
        yield _result(ray, ready)


def _result(ray: Any, ready: Any) -> Made:
    try:
        return ray.get(ready)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, CvaeError):
            raise error.cause from None
        last = str(error).strip().splitlines()[-1]
        raise BackendError(f"a worker failed, {last}: it needs the same cvae-sdk[ray] as this machine") from error
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError, ray.exceptions.NodeDiedError) as error:
        raise BackendError(
            f"{_TRIES + 1} workers died of the same shard: see Ray's logs, and how much memory they have"
        ) from error
    except ray.exceptions.RayError as error:
        raise BackendError(f"Ray failed: {str(error).strip().splitlines()[0]}") from error


def make_shard(place: list[Any], shard: Shard, known: ShardRecord | None) -> Made:
    """The task: a shard, made by this process's Maker."""
    return _maker(place[0]).make(shard, known)


@functools.lru_cache(maxsize=1)
def _maker(place: Any) -> Maker:
    ray: Any = library()
    return Maker(ray.get(place))
