"""How often, after which waits, and at what cost to a server that is down, a request is tried again."""

import math
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from cvae_sdk import DeadlineError, OverloadedError, RemoteOptions, UnreachableError
from cvae_sdk.backends import retries
from cvae_sdk.backends.deadline import Deadline
from cvae_sdk.backends.http_status import seconds_to_wait
from cvae_sdk.backends.remote import open_remote
from cvae_sdk.backends.retries import CAPACITY, FIRST, Again, Retries
from remote import tiny_model
from remote.scripted_http import Exchange, ScriptedServer, http

NOW = datetime(2026, 11, 26, 12, 0, 0, tzinfo=UTC)


class Failing:
    """Fails so many times, and then gives "done"."""

    def __init__(self, times: float, after: float = 0.0) -> None:
        self.left, self.after, self.tries = times, after, 0

    def __call__(self) -> str:
        self.tries += 1
        if self.tries <= self.left:
            raise Again(UnreachableError("it is down", found="refused"), self.after)
        return "done"


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits, none of which is waited."""
    waited: list[float] = []
    monkeypatch.setattr(retries.time, "sleep", waited.append)
    return waited


def soon() -> Deadline:
    return Deadline.after(30, "here:1")


@pytest.mark.parametrize(("failures", "tries", "made"), [(0, 3, 1), (1, 3, 2), (2, 3, 3), (1, 2, 2)])
def test_a_request_is_tried_until_it_is_answered(failures: int, tries: int, made: int, waits: list[float]) -> None:
    attempt = Failing(failures)
    assert Retries(tries, 0.1).run(attempt, soon()) == "done"
    assert attempt.tries == made
    assert len(waits) == made - 1


@pytest.mark.parametrize("tries", [1, 2, 3])
def test_the_last_failure_is_raised(tries: int, waits: list[float]) -> None:
    attempt = Failing(math.inf)
    with pytest.raises(UnreachableError, match=r"^it is down$"):
        Retries(tries, 0.1).run(attempt, soon())
    assert attempt.tries == tries


def test_waits_are_drawn_evenly_up_to_a_bound_that_doubles(waits: list[float]) -> None:
    for _ in range(2000):
        with pytest.raises(UnreachableError):
            Retries(3, 1.0).run(Failing(math.inf), soon())
    first, second = np.array(waits).reshape(-1, 2).T
    for drawn, bound in ((first, FIRST), (second, 2 * FIRST)):
        assert drawn.min() >= 0
        assert drawn.max() <= bound
        # The mean of 2,000 even draws is within 5 standard errors of the middle but once in 10^6.
        assert abs(drawn.mean() - bound / 2) < 5 * bound / math.sqrt(12 * 2000)


def test_a_server_s_wait_is_waited_at_least(waits: list[float]) -> None:
    Retries(3, 0.1).run(Failing(1, after=7.0), soon())
    assert 7.0 <= waits[0] <= 7.0 + FIRST


def test_a_wait_that_the_deadline_has_no_room_for_is_not_begun(waits: list[float]) -> None:
    attempt = Failing(1, after=31.0)
    with pytest.raises(UnreachableError):
        Retries(3, 0.1).run(attempt, soon())
    assert (attempt.tries, waits) == (1, [])


def test_a_down_server_gets_at_most_1_1_requests_for_each_once_ten_tries_are_spent(waits: list[float]) -> None:
    shared, calls = Retries(3, 0.1), 1000
    attempts = [Failing(math.inf) for _ in range(calls)]
    spent = 0
    for attempt in attempts:
        with pytest.raises((UnreachableError, OverloadedError)) as raised:
            shared.run(attempt, soon())
        spent += raised.type is OverloadedError
    made = sum(attempt.tries for attempt in attempts)
    assert made <= 1.1 * calls + CAPACITY
    later = sum(attempt.tries for attempt in attempts[100:])
    assert later <= 1.1 * (calls - 100) + 1
    assert spent > 800


def test_what_is_raised_when_the_budget_is_spent_has_the_cause(waits: list[float]) -> None:
    with pytest.raises(OverloadedError) as raised:
        Retries(3, 0.0).run(Failing(math.inf), soon())
    assert str(raised.value) == "it is down; not tried again, since the budget of retries is spent"
    assert raised.value.field == "retry_budget"
    assert isinstance(raised.value.__cause__, UnreachableError)


def test_threads_share_the_budget(waits: list[float]) -> None:
    shared = Retries(3, 0.1)
    attempts = [[Failing(math.inf) for _ in range(100)] for _ in range(8)]

    def work(mine: list[Failing]) -> None:
        for attempt in mine:
            with pytest.raises((UnreachableError, OverloadedError)):
                shared.run(attempt, soon())

    threads = [threading.Thread(target=work, args=(mine,)) for mine in attempts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(attempt.tries for mine in attempts for attempt in mine) <= 1.1 * 800 + CAPACITY


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0), ("120", 120), ("9" * 400, math.inf), ("", 0), ("-1", 0), ("1.5", 0), ("soon", 0), ("1 2", 0),
        ("٣", 0),         ("Thu, 26 Nov 2026 12:01:30 GMT", 90), ("Thu, 26 Nov 2026 11:00:00 GMT", 0),
        ("Thursday, 26-Nov-26 12:01:30 GMT", 90),
        ("Thu Nov 26 12:01:30 2026", 90), ("Thu, 99 Nov 2026 12:01:30 GMT", 0), ("Thu, 26 Nov 99999 12:01:30 GMT", 0),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date_and_else_nothing(text: str, seconds: float) -> None:
    assert seconds_to_wait(text, NOW) == seconds


def busy(retry_after: Callable[[], str], times: int) -> Callable[[Exchange], None]:
    left = [times]

    def spoil(exchange: Exchange) -> None:
        left[0] -= 1
        head = http(b"", "503 Busy", [f"Retry-After: {retry_after()}"])
        exchange.send(exchange.good if left[0] < 0 else head)

    return spoil


@pytest.mark.parametrize("as_date", [False, True], ids=["seconds", "date"])
def test_a_busy_server_is_asked_again_when_it_said(http_server: ScriptedServer, as_date: bool) -> None:
    def said() -> str:  # dates have whole seconds, so that 3 s from now are 2 or more
        return f"{datetime.now(UTC) + timedelta(seconds=3):%a, %d %b %Y %H:%M:%S GMT}" if as_date else "1"

    backend, _ = open_remote(
        f"http://127.0.0.1:{http_server.port}/v1/models/tiny", RemoteOptions(), tiny_model.MANIFEST
    )
    z, label = tiny_model.latents(2)
    http_server.spoil = busy(said, 1)
    start = time.monotonic()
    images = backend.run("decode", {"z": z, "label": label})["image"]
    assert time.monotonic() - start >= (1.9 if as_date else 1.0)
    np.testing.assert_allclose(images, tiny_model.run("decode", {"z": z, "label": label})["image"], atol=1e-6)
    backend.close()


def test_a_call_of_many_requests_has_one_deadline(http_server: ScriptedServer) -> None:
    def slow(exchange: Exchange) -> None:
        exchange.server.stopping.wait(0.2)
        exchange.send(exchange.good)

    url = f"http://127.0.0.1:{http_server.port}/v1/models/tiny"
    backend, _ = open_remote(url, RemoteOptions(deadline=1.0, max_batch=1), tiny_model.MANIFEST)
    z, label = tiny_model.latents(100)
    http_server.spoil = slow
    with pytest.raises(DeadlineError, match=r"gave no whole answer within the deadline of 1 s: ask for fewer images"):
        backend.run("decode", {"z": z, "label": label})
    assert 3 <= http_server.spoiled <= 6
    backend.close()
