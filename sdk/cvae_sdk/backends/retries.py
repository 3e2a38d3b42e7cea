"""Trying again, of one request: only what can be, after a while, and not when all others do so too.

Before try k + 1 it waits a time drawn evenly from 0 to FIRST 2^(k-1) seconds (full jitter: Brooker 2015, "Exponential
Backoff And Jitter"), on top of what the server asks for. A wait that the deadline has no room for is not begun.

All threads share a bucket: each request puts `share` of a token into it, each further try takes a token out, and there
are never more than ten. A server that is down so gets at most 1 + share requests for each one, once the ten are spent.
"""

import os
import secrets
import threading
import time
from collections.abc import Callable
from itertools import count
from typing import TypeVar

from cvae_sdk.backends.deadline import Deadline
from cvae_sdk.errors import OverloadedError, RemoteError

__all__ = ["Again", "Retries"]

FIRST = 0.2
CAPACITY = 10.0
_draw = secrets.SystemRandom()  # of which a forked process has no copy
_T = TypeVar("_T")


class Again(Exception):  # noqa: N818 - no failure of its own: it says that `error` can be tried again
    """`error`, of a try that may be made again, not before `after` seconds."""

    def __init__(self, error: RemoteError, after: float = 0.0) -> None:
        super().__init__(str(error))
        self.error, self.after = error, after


class Retries:
    """At most `tries` of each request, and `share` of a further one for each over all. For many threads at once."""

    def __init__(self, tries: int, share: float) -> None:
        self._tries, self._share = tries, share
        self._bucket = _Bucket(share)

    def run(self, attempt: Callable[[], _T], deadline: Deadline) -> _T:
        """What `attempt` gives, after it may have raised Again; RemoteError when it is not tried any more."""
        bucket = self._own_bucket()
        bucket.fill()
        for number in count(1):
            try:
                return attempt()
            except Again as again:
                error, after, cause = again.error, again.after, again.__cause__
            room = deadline.remaining() - after
            wait = _draw.uniform(0, FIRST * 2 ** (number - 1))
            if number >= self._tries or room <= 0 or (not after and wait >= room):
                raise error from cause
            if not bucket.take():
                raise OverloadedError(
                    f"{error}; not tried again, since the budget of retries is spent",
                    field="retry_budget", expected=self._share, found=error.found,
                ) from error  # fmt: skip
            time.sleep(after + min(wait, room / 2))
        raise AssertionError("count has no end")

    def _own_bucket(self) -> "_Bucket":
        """This process's: a lock that was held while it was forked would never be given back."""
        if self._bucket.process != os.getpid():
            self._bucket = _Bucket(self._share)
        return self._bucket


class _Bucket:
    def __init__(self, share: float) -> None:
        self.process = os.getpid()
        self._share, self._tokens = share, CAPACITY if share else 0.0
        self._lock = threading.Lock()

    def fill(self) -> None:
        with self._lock:
            self._tokens = min(CAPACITY, self._tokens + self._share)

    def take(self) -> bool:
        with self._lock:
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True
