"""How training shows where it is: a bar that moves twice a second on a terminal, a dozen plain lines anywhere else.

Speed and time left are those since the first step, which is compiled before it is run.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import TextIO

from tqdm import tqdm

from cvae_training.objective import Losses
from cvae_training.train import EpochReport
from cvae_training.training_run import StepReport

__all__ = ["Progress"]

_LINES = 12
_LINE_SECONDS = 60.0
_WIDE = 100
_BAR = "{desc} {percentage:3.0f}%|{bar}| {rate_noinv_fmt}, {remaining} left{postfix}"
_LAST_BAR = "{desc} {percentage:3.0f}%|{bar}| {rate_noinv_fmt}{postfix}"


class Progress:
    """Shows each epoch that it is called with, and each step that `step` is; use it as a context manager."""

    def __init__(
        self,
        epochs: int,
        steps_per_epoch: int,
        batch_size: int,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        to: TextIO = stream or sys.stderr
        self._display: _Bar | _Lines
        if to.isatty():
            self._display = _Bar(epochs, steps_per_epoch, batch_size, to)
        else:
            self._display = _Lines(epochs, steps_per_epoch, batch_size, to, clock)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        self._display.close(failed=error is not None)

    def step(self, report: StepReport) -> None:
        """Show how far training is; the first call says where it starts."""
        self._display.step(report)

    def __call__(self, report: EpochReport) -> None:
        """Show an epoch that has just ended."""
        self._display.epoch(report)


class _Bar:
    def __init__(self, epochs: int, steps_per_epoch: int, batch_size: int, stream: TextIO) -> None:
        self._epochs, self._steps, self._batch_size, self._stream = epochs, steps_per_epoch, batch_size, stream
        self._reports = 0
        self._bar = tqdm(
            total=epochs * steps_per_epoch * batch_size,
            unit=" images",
            unit_scale=True,
            file=stream,
            dynamic_ncols=True,
            smoothing=0.1,
            miniters=1,
            desc="compiling",
            bar_format=_BAR,
        )

    def step(self, report: StepReport) -> None:
        images = report.step * self._batch_size
        self._reports += 1
        if report.train is not None:
            self._bar.set_postfix_str(self._losses(report.train), refresh=False)
        if self._reports > 1:
            self._bar.set_description_str(_epoch_of(report.step, self._steps, self._epochs), refresh=False)
        if self._reports > 2:
            self._bar.update(images - self._bar.n)
            return
        # Where a resumed run starts, and then where its first step has been compiled: speed counts from there.
        self._bar.reset()
        self._bar.initial = self._bar.n = self._bar.last_print_n = images
        self._bar.refresh()

    def epoch(self, report: EpochReport) -> None:
        self._bar.set_postfix_str(self._losses(report.train), refresh=False)

    def close(self, *, failed: bool) -> None:
        # A message follows what failed, which the bar's remains would spoil; a run that was finished needs no bar.
        self._bar.leave = not failed and self._reports != 1
        self._bar.bar_format = _LAST_BAR
        self._bar.close()

    def _losses(self, losses: Losses) -> str:
        wide = os.get_terminal_size(self._stream.fileno()).columns >= _WIDE
        return _all_losses(losses) if wide else f"loss {losses.loss:.2f}"


class _Lines:
    def __init__(
        self, epochs: int, steps_per_epoch: int, batch_size: int, stream: TextIO, clock: Callable[[], float]
    ) -> None:
        self._epochs, self._steps, self._batch_size = epochs, steps_per_epoch, batch_size
        self._stream, self._clock = stream, clock
        self._start = self._last_time = clock()
        self._last_step = self._reports = self._shown = 0

    def step(self, report: StepReport) -> None:
        self._reports += 1
        since = self._clock() - self._last_time
        if self._reports <= 2:  # the start, and the first step
            self._last_time, self._last_step = self._clock(), report.step
        elif report.train is not None and since >= _LINE_SECONDS:
            share = 100 * (report.step % self._steps) // self._steps
            speed = (report.step - self._last_step) * self._batch_size / since
            self._print(report.step, f" at {share} %", report.train, f"{speed:,.0f} images/s, ")

    def epoch(self, report: EpochReport) -> None:
        due = report.epoch * _LINES // self._epochs
        if due > self._shown or report.epoch == 1:
            self._shown = due
            self._print(report.epoch * self._steps, "", report.train, "")

    def close(self, *, failed: bool) -> None:
        pass

    def _print(self, step: int, where: str, losses: Losses, speed: str) -> None:
        now = self._clock()
        self._last_time, self._last_step = now, step
        text = f"{_epoch_of(step, self._steps, self._epochs)}{where}  {_all_losses(losses)}  {speed}"
        print(f"{text}{now - self._start:.0f} s", file=self._stream, flush=True)


def _epoch_of(step: int, steps_per_epoch: int, epochs: int) -> str:
    """The epoch that a step, counted from 1, belongs to."""
    return f"epoch {-(-step // steps_per_epoch):{len(str(epochs))}}/{epochs}"


def _all_losses(losses: Losses) -> str:
    return f"loss {losses.loss:.2f}  mse {losses.mse:.2f}  kl {losses.kl:.2f}"
