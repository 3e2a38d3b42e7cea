"""The time by which a call of a server must have ended, with all its requests, tries and waits.

Whatever waits asks `left` again each time, so that a server that sends a byte now and then gains nothing by it. An
answer that is there by then is read, and one that takes longer to read than a few milliseconds is so in pieces, between
which `left` is asked too. What is not bounded is the look-up of a host's name, which the system does for as long as it
likes.
"""

import time
from dataclasses import dataclass

from cvae_sdk.errors import DeadlineError

__all__ = ["Deadline"]


@dataclass(frozen=True)
class Deadline:
    """`seconds` after a call of `server` began; `end` by time.monotonic()."""

    seconds: float
    server: str
    end: float

    @classmethod
    def after(cls, seconds: float, server: str) -> "Deadline":
        """The deadline of a call that begins now."""
        return cls(seconds, server, time.monotonic() + seconds)

    def remaining(self) -> float:
        """Seconds until then, below 0 after it."""
        return self.end - time.monotonic()

    def left(self) -> float:
        """Seconds until then, above 0; DeadlineError when none are left."""
        if (left := self.remaining()) <= 0:
            raise self.error()
        return left

    def error(self) -> DeadlineError:
        """What to raise when it has passed."""
        took = self.seconds - self.remaining()
        return DeadlineError(
            f"{self.server} gave no whole answer within the deadline of {self.seconds:g} s: ask for fewer images at a "
            "time, or set deadline in RemoteOptions",
            field="deadline", expected=self.seconds, found=took,
        )  # fmt: skip
