"""A run's metrics as TensorBoard events: the only file that knows tensorboardX.

    tensorboard/train/       loss, mse, kl, learning_rate      of each epoch, by step
    tensorboard/held_out/    loss, mse, kl                     TensorBoard draws one tag of both folders in one chart

metrics.jsonl is the truth: the first epoch that ends after a run's start or resumption writes these folders anew from
it, so that no step is there twice, and begins with a session start at step 0, at which a TensorBoard that watches drops
what it had read before.
"""

import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax

from cvae_training.config import OptimizerConfig
from cvae_training.errors import OutputWarning
from cvae_training.optimizer import build_schedule
from cvae_training.processes import is_first

if TYPE_CHECKING:
    from tensorboardX import RecordWriter

__all__ = ["EventLog"]

_PARTS = ("train", "held_out")
_FLUSH_SECONDS = 2.0  # a flush waits for the disk, which would be felt after epochs of milliseconds


class EventLog:
    """Writes each line of metrics that it is called with, after those in `before`; use it as a context manager.

    Of several processes the first one writes. What goes wrong is told in one OutputWarning, after which nothing more is
    written: events are worth no run.
    """

    def __init__(
        self, folder: Path, optimizer: OptimizerConfig, total_steps: int, before: Sequence[dict[str, Any]]
    ) -> None:
        self._folder = folder
        self._rate = jax.jit(build_schedule(optimizer, total_steps))
        self._before = list(before)
        self._writers: dict[str, RecordWriter] = {}
        self._flushed = 0.0
        self._off = not is_first()

    def __enter__(self) -> "EventLog":
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()
        for writer in self._writers.values():
            writer.close()

    def __call__(self, line: dict[str, Any]) -> None:
        """Write one epoch's line of metrics.jsonl."""
        if self._off:
            return
        try:
            if not self._writers:
                self._begin()
            self._write(line)
        except Exception as error:  # of any kind: tensorboardX imports PyTorch where there is one, broken or not
            self._give_up(error)
        if time.monotonic() - self._flushed >= _FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Bring all events to the disk: before a checkpoint that a resumed run would not write them after."""
        try:
            for writer in () if self._off else self._writers.values():
                writer.flush()
        except OSError as error:
            self._give_up(error)
        self._flushed = time.monotonic()

    def _begin(self) -> None:
        from tensorboardX import RecordWriter  # not at the start: it takes a tenth of a second to import

        for part in _PARTS:
            folder = self._folder / part
            folder.mkdir(parents=True, exist_ok=True)
            # First, so that a kill in between leaves too few events, never any twice.
            for old in folder.glob("*tfevents*"):
                old.unlink()
            self._writers[part] = RecordWriter(str(folder / f"events.out.tfevents.{time.time_ns()}.cvae"))
            self._write_event(part, file_version="brain.Event:2")
            self._write_event(part, step=0, session_log={"status": "START"})
        for line in self._before:
            self._write(line)

    def _write(self, line: dict[str, Any]) -> None:
        for part in _PARTS:
            scalars = dict(line[part])
            if part == "train":
                scalars["learning_rate"] = float(self._rate(line["step"] - 1))  # the last step's; the first is step 0
            values = [{"tag": tag, "simple_value": value} for tag, value in scalars.items()]
            self._write_event(part, step=line["step"], summary={"value": values})

    def _write_event(self, part: str, **fields: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue] -- generated

        self._writers[part].write(Event(wall_time=time.time(), **fields).SerializeToString())

    def _give_up(self, error: Exception) -> None:
        self._off = True
        reason = (error.strerror if isinstance(error, OSError) else None) or " ".join(str(error).split())
        warnings.warn(
            f"cannot write TensorBoard events to {self._folder}: {reason}; training goes on without them",
            OutputWarning,
            stacklevel=3,
        )
