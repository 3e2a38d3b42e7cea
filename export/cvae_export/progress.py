"""How an export shows where it is: on a terminal a bar over the forms that says what is done to which, and anywhere
else, as above the bar, a plain line for each form that has passed.
"""

import sys
import time
from collections.abc import Callable
from typing import TextIO

from tqdm import tqdm

from cvae_sdk.manifest import Format

__all__ = ["Progress"]

_STATUS = "{desc}"
_BAR = "{desc} |{bar:20}| {n_fmt}/{total_fmt} forms, {elapsed}"


class Progress:
    """Shows each form that it is called with, and each step that `step` is; use it as a context manager."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream or sys.stderr, clock
        self._started = clock()
        self._bar = (
            tqdm(total=0, file=self._stream, dynamic_ncols=True, bar_format=_STATUS, leave=False, mininterval=0.1)
            if self._stream.isatty()
            else None
        )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def status(self, text: str) -> None:
        """Say what is done before the first form and after the last; on a terminal only."""
        if self._bar is not None:
            self._bar.bar_format = _STATUS
            self._bar.set_description_str(text)

    def begin(self, forms: int) -> None:
        """Say how many forms there will be."""
        if self._bar is not None:
            self._bar.reset(total=forms)
        self._started = self._clock()

    def step(self, name: str, what: str) -> None:
        """Show what is done to a form now; on a terminal only."""
        if self._bar is not None:
            self._bar.bar_format = _BAR
            self._bar.set_description_str(f"{name}: {what}", refresh=False)
            self._bar.refresh()

    def __call__(self, name: str, form: Format) -> None:
        """Show a form that has passed."""
        now, parity = self._clock(), form.parity
        compared = f"max_abs_error {parity.max_abs_error:.1e} over {parity.cases} inputs"
        line = f"{name:16} {compared}, {now - self._started:.1f} s"
        self._started = now
        if self._bar is None:
            print(line, file=self._stream, flush=True)
        else:
            self._bar.write(line, file=self._stream)
            self._bar.update()
