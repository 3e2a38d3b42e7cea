"""Images of a seed as a dataset of Ray Data, made while it is read.

    row    index int64, label int64 (or class_weights float32 [classes]), image uint8 [height, width, channels]

Actors make the rows, each with one Sampler of its own, from nothing but their indices: the same rows whatever the
number of actors, made again by Ray where one dies, in memory that does not grow with the number of rows.
"""

import importlib
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from cvae_sdk.backends.options import BackendOptions
from cvae_sdk.bulk.cluster import library
from cvae_sdk.bulk.labels import BulkLabels, to_entries
from cvae_sdk.bulk.packed import PackedArtifact, one_thread
from cvae_sdk.label_text import entries_to_labels
from cvae_sdk.shards import StreamSpec

if TYPE_CHECKING:
    import ray.data

__all__ = ["RowMaker", "dataset"]

_BATCH = 1024
"""Rows of one call of an actor."""
_TASK_BATCHES = 16
_MAX_TASKS = 4096


class RowMaker:
    """An actor of a dataset."""

    def __init__(self, packed: list[Any], backend: BackendOptions, spec: StreamSpec) -> None:
        artifact: PackedArtifact = library().get(packed[0])
        self._labels = entries_to_labels(spec.labels, artifact.classes)
        self._sampler, self._spec = artifact.open(backend, self._labels), spec

    def __call__(self, batch: Mapping[str, npt.NDArray[np.int64]]) -> dict[str, npt.NDArray[Any]]:
        """The rows that begin at the one index in `data`."""
        spec, first = self._spec, int(batch["data"][0])
        index = np.arange(first, min(first + _BATCH, spec.first + spec.total))
        (images,) = self._sampler.stream(
            self._labels,
            len(index),
            _BATCH,
            seed=spec.seed,
            first=first,
            temperature=spec.temperature,
            truncation=spec.truncation,
        )
        labels = self._labels[index % len(self._labels)]
        name, each = ("label", labels.astype(np.int64)) if labels.ndim == 1 else ("class_weights", labels)
        return {"index": index, name: each, "image": images}


def dataset(
    artifact: str | os.PathLike[str] | None,
    labels: BulkLabels,
    total: int,
    seed: int,
    *,
    first: int = 0,
    temperature: float = 1.0,
    truncation: float | None = None,
    backend: str | BackendOptions = "onnx",
    workers: int | None = None,
) -> "ray.data.Dataset":
    """Images `first` to `first + total - 1` of a seed, made on the Ray that the program is connected to.

    Without one, Ray connects as it does on its first use. `labels` are repeated in order, image i has label i modulo
    their number; "uniform" is every class in turn. `workers` actors make the images, or as many as there is room for.
    Rows come in the order of their indices if Ray Data is told to keep it (`DataContext.execution_options`).

    Raises InputError for arguments that cannot be, ArtifactError, BackendUnavailableError without the extra `ray`.
    """
    ray: Any = library()
    data: Any = importlib.import_module("ray.data")

    packed, options = PackedArtifact.of(artifact), one_thread(backend)
    entries = to_entries(labels, packed.classes)
    spec = StreamSpec(packed.digest, seed, entries, total, "npz", 1, first, temperature, truncation)
    packed.open(
        options, entries_to_labels(entries, packed.classes)
    ).close()  # what cannot be fails here, not in an actor
    starts = np.arange(first, first + total, _BATCH)
    tasks = min(len(starts), max(workers or 1, min(_MAX_TASKS, -(-len(starts) // _TASK_BATCHES))))
    made = data.from_numpy(np.array_split(starts, tasks)).map_batches(
        RowMaker,
        fn_constructor_args=([ray.put(packed)], options, spec),
        batch_size=1,
        batch_format="numpy",
        num_cpus=1,
        compute=data.ActorPoolStrategy(size=min(workers, tasks)) if workers else data.ActorPoolStrategy(min_size=1),
    )
    return cast("ray.data.Dataset", made)
