"""An artifact as it travels to workers that may not see the driver's disk.

One that ships with this package goes by its name, and each worker opens its own. Any other goes as its files' bytes,
each checked against the manifest here, and again there: a worker lays them in a folder that only it reads, opens them,
and removes them. Either way what a worker has opened must have the digest that the driver saw.
"""

import dataclasses
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from cvae_sdk.artifact import SHIPPED, Artifact, locate
from cvae_sdk.backends.options import BACKENDS, BackendOptions
from cvae_sdk.errors import ArtifactError, InputError, one_line
from cvae_sdk.manifest import MANIFEST_NAME
from cvae_sdk.sampler import Sampler

__all__ = ["PackedArtifact", "one_thread"]


@dataclass(frozen=True)
class PackedArtifact:
    """A shipped artifact's name, or else all files of a folder; and of its manifest, the digest and the classes."""

    name: str | None
    files: Mapping[str, bytes]
    digest: str
    classes: tuple[str, ...]

    @classmethod
    def of(cls, artifact: str | os.PathLike[str] | None) -> "PackedArtifact":
        """Pack the default artifact for None, a shipped one by its name, or a folder. Raises ArtifactError."""
        if isinstance(artifact, str) and "://" in artifact:
            raise InputError(
                f"bulk sampling needs an artifact's own files, got the address {one_line(artifact)}: give its folder",
                found=artifact,
            )
        opened = Artifact.open(locate(artifact))
        digest, classes = opened.manifest.digest, opened.manifest.classes
        if artifact is None or artifact in SHIPPED:
            return cls(SHIPPED[0] if artifact is None else str(artifact), {}, digest, classes)
        files = {path: opened.read(path) for path in opened.manifest.files}
        files[MANIFEST_NAME] = (opened.folder / MANIFEST_NAME).read_bytes()
        return cls(None, files, digest, classes)

    def open(self, backend: BackendOptions, labels: npt.NDArray[Any]) -> Sampler:
        """A Sampler of it that has drawn an image, so that it needs the files no more. Raises CvaeError."""
        if self.name is not None:
            return self._opened(self.name, backend, labels)
        with tempfile.TemporaryDirectory(prefix="cvae-artifact-") as folder:
            for path, content in self.files.items():
                file = Path(folder, path)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
            return self._opened(folder, backend, labels)

    def _opened(self, artifact: str, backend: BackendOptions, labels: npt.NDArray[Any]) -> Sampler:
        sampler = Sampler(artifact, backend=backend)
        if sampler.manifest.digest != self.digest:
            raise ArtifactError(
                f"the artifact {self.name} here is not the driver's: install the same cvae-sdk for all workers",
                field="digest",
                expected=self.digest,
                found=sampler.manifest.digest,
            )
        for _ in sampler.stream(labels, 1, seed=0):
            pass
        return sampler


def one_thread(backend: str | BackendOptions) -> BackendOptions:
    """The backend's options, for one of many workers: a runtime that can be told to keeps to one thread."""
    if isinstance(backend, str):
        if backend not in BACKENDS:
            raise InputError(f"unknown backend {backend!r}: there are {', '.join(BACKENDS)}", found=backend)
        backend = BACKENDS[backend]()
    if getattr(backend, "threads", 1) is None:
        return dataclasses.replace(backend, threads=1)  # pyright: ignore[reportCallIssue]
    return backend
