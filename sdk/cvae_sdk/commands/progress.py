"""How a long command shows where it is: on a terminal a bar, anywhere else a line for each part that is done."""

import shutil
import sys
import time
from collections.abc import Callable
from typing import TextIO

__all__ = ["Progress", "span"]

_EVERY = 0.1  # seconds between two drawings
_BAR = 24


class Progress:
    """Images made of a total; use it as a context manager, which leaves the terminal's line empty.

    Speed and time left are of what was made here, not of what was there before.
    """

    def __init__(
        self, total: int, done: int = 0, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._total, self._done, self._before = total, done, done
        self._stream, self._clock = stream or sys.stderr, clock
        self._terminal = self._stream.isatty()
        self._started, self._drawn = clock(), -_EVERY

    def __enter__(self) -> "Progress":
        self._draw()
        return self

    def __exit__(self, *_: object) -> None:
        if self._terminal:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def add(self, images: int) -> None:
        """Say that so many more are made."""
        self._done += images
        if self._clock() - self._drawn >= _EVERY:
            self._draw()

    def keep(self, images: int) -> None:
        """Say that so many more were there before."""
        self._before += images
        self.add(images)

    def line(self, text: str) -> None:
        """A part is done: told where there is no bar."""
        if not self._terminal:
            print(text, file=self._stream, flush=True)

    def _draw(self) -> None:
        if not self._terminal:
            return
        now = self._clock()
        self._drawn = now
        share = self._done / self._total
        bar = "#" * int(_BAR * share)
        text = f"{100 * share:3.0f} % |{bar:{_BAR}}| {self._done:,} of {self._total:,} images"
        made, spent = self._done - self._before, now - self._started
        if made and spent > 0:
            text += f", {made / spent:,.0f}/s, {span((self._total - self._done) * spent / made)} left"
        width = shutil.get_terminal_size().columns - 1  # the last column would wrap in some
        self._stream.write("\r" + text[:width] + "\x1b[K")
        self._stream.flush()


def span(seconds: float) -> str:
    """A time as people read it: 41 s, 3:07, 2:15:00."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
