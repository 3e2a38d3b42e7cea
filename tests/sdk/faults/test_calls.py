"""Each bad call gives its own error: soon, of one line, about the argument that is wrong, and nothing is printed."""

import time

import pytest

from cvae_sdk import CvaeError, InputError
from faults import calls
from faults.calls import CallFault, Opened, opened

LEAST = 60
SECONDS = 2


@pytest.fixture(scope="module")
def samplers() -> Opened:
    return opened()


@pytest.mark.parametrize("fault", calls.FAULTS, ids=[fault.name for fault in calls.FAULTS])
def test_a_bad_call_gives_its_error(fault: CallFault, samplers: Opened, capfd: pytest.CaptureFixture[str]) -> None:
    start = time.perf_counter()
    with pytest.raises(CvaeError) as raised:
        fault.act(samplers)
    took = time.perf_counter() - start
    error = raised.value
    assert type(error) is fault.error, error
    assert error.field == fault.field, error
    missing = [name for name in fault.says if getattr(error, name) is None]
    assert not missing, f"{missing}: {error}"
    assert len(str(error).splitlines()) == 1
    assert str(error).isprintable()
    assert len(str(error)) < 1000
    assert took < SECONDS
    assert capfd.readouterr() == ("", "")


def test_a_call_may_be_wrong_in_at_least_60_ways(tell_count) -> None:
    assert len(calls.FAULTS) >= LEAST
    tell_count(len(calls.FAULTS), LEAST, "or more classes of bad calls are refused")


def test_after_all_the_bad_calls_a_good_one_is_answered(samplers: Opened) -> None:
    before = samplers.mnist.sample([3, 1, 4], seed=0)
    for fault in calls.FAULTS:
        with pytest.raises(CvaeError):
            fault.act(samplers)
    assert samplers.mnist.sample([3, 1, 4], seed=0).tobytes() == before.tobytes()


def test_a_call_that_is_right_is_no_fault(samplers: Opened) -> None:
    """The test above, of a call with nothing wrong in it, fails."""
    fine = CallFault("call: nothing wrong", lambda o: o.mnist.sample(7), InputError, "label")
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"), pytest.raises(fine.error):
        fine.act(samplers)
