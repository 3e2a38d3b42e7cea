"""A Ray of two processors for a file's tests, a small stream of shards, and what a run did."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cvae_sdk.bulk import Done, write_shards
from cvae_sdk.bulk.cluster import connected
from cvae_sdk.shard_manifest import ShardManifest

TOTAL, SHARD_SIZE = 5_000, 512  # ten shards


@pytest.fixture(scope="module")
def ray() -> Iterator[object]:
    with connected(None, 2) as library:
        yield library


class Run:
    """A call of write_shards into a folder: the last report, and the manifest."""

    def __init__(self, folder: Path, watch: Callable[[Done], object] = lambda done: None, **options: object) -> None:
        def report(done: Done) -> None:
            self.done = done
            watch(done)

        settings = {"seed": 7, "shard_size": SHARD_SIZE, "workers": 2} | options
        labels, total = settings.pop("labels", "uniform"), settings.pop("total", TOTAL)
        self.manifest: ShardManifest = write_shards(folder, labels, total, report=report, **settings)

    @property
    def made(self) -> int:
        return self.done.shards - self.done.kept_shards


def hashes_of(folder: Path) -> dict[str, str]:
    """Every file's SHA-256: shards, and shards.json with what they should have."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.fixture(scope="session")
def run() -> type[Run]:
    return Run


@pytest.fixture(scope="session")
def hashes() -> Callable[[Path], dict[str, str]]:
    return hashes_of


@pytest.fixture(scope="module")
def undisturbed(ray: object, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stream made by one worker that nothing happened to: never written to."""
    folder = tmp_path_factory.mktemp("bulk") / "undisturbed"
    assert Run(folder, workers=1).made == 10
    return folder
