"""How training shows where it is: a bar on a terminal, a dozen plain lines anywhere else."""

import sys
import time
from typing import TextIO

from tqdm import tqdm

from cvae_training.train import EpochReport

__all__ = ["Progress"]

_LINES = 12


class Progress:
    """Shows each epoch that it is called with; use it as a context manager."""

    def __init__(self, epochs: int, stream: TextIO | None = None) -> None:
        self._epochs = epochs
        self._stream = stream or sys.stderr
        self._start = time.monotonic()
        self._shown = 0
        self._bar = None
        if self._stream.isatty():
            self._bar = tqdm(
                total=epochs, unit="epoch", file=self._stream, dynamic_ncols=True, smoothing=0.1, desc="compiling"
            )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if self._bar is not None:
            self._bar.leave = error is None  # a message follows, which the bar's remains would spoil
            self._bar.close()

    def __call__(self, report: EpochReport) -> None:
        """Show an epoch that has just ended."""
        losses = f"loss {report.train.loss:.2f}  mse {report.train.mse:.2f}  kl {report.train.kl:.2f}"
        if self._bar is not None:
            self._bar.set_description_str("training", refresh=False)
            self._bar.set_postfix_str(losses, refresh=False)
            self._bar.update(report.epoch - self._bar.n)  # a resumed run begins in the middle
            return
        due = report.epoch * _LINES // self._epochs
        if due > self._shown or report.epoch == 1:
            self._shown = due
            seconds = time.monotonic() - self._start
            width = len(str(self._epochs))
            print(
                f"epoch {report.epoch:{width}}/{self._epochs}  {losses}  {seconds:.0f} s",
                file=self._stream,
                flush=True,
            )
