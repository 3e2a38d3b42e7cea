"""SIGINT and SIGTERM as an exception that is not lost.

Python raises what a signal's handler raises wherever it happens to be, which may be a finalizer or a callback of a
native library: there an exception is printed at most, and the program goes on. So the signal is noted as well.
"""

import signal
from types import FrameType

__all__ = ["Interrupted", "Interruption"]


class Interrupted(BaseException):
    """A signal asked the program to end; not an Exception, so that nothing on the way takes it for an error."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Interruption:
    """While it is entered, SIGINT and SIGTERM raise Interrupted."""

    def __init__(self) -> None:
        self._number = 0
        self._before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def __enter__(self) -> "Interruption":
        for number in self._before:
            signal.signal(number, self._raise)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Raise Interrupted if a signal has come, though what it raised then was swallowed."""
        if self._number:
            raise Interrupted(self._number)

    def _raise(self, number: int, _: FrameType | None) -> None:
        self._number = number
        self.check()
