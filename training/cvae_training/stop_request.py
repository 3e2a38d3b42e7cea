"""SIGINT and SIGTERM as a question that a loop can ask between its steps."""

import signal
from types import FrameType

__all__ = ["StopRequest"]


class StopRequest:
    """Notes SIGINT and SIGTERM while it is entered; called, it says whether one came. A second one acts as usual."""

    def __init__(self) -> None:
        self.signal = 0
        """The number of the signal that came, or 0."""
        self._before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def __call__(self) -> bool:
        """Whether a signal has come."""
        return self.signal != 0

    def __enter__(self) -> "StopRequest":
        for number in self._before:
            signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.signal = number
        self.__exit__()
