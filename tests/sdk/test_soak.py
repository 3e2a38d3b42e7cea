"""A short soak: tests/benchmarks/sdk_soak.py is the long one."""

import sys
from pathlib import Path

import pytest

from cvae_sdk import Sampler

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

from soak import bytes_of_a_cycle, mixed_load

if not Path("/proc/self/statm").exists():
    pytest.skip("only Linux tells of a process what is measured here", allow_module_level=True)

SECONDS = 6
MOST = 4 << 20
"""Bytes of growth: malloc settles for minutes, of which the long soak has five; its bound is 1 MiB."""
LEAK = 20_000


@pytest.fixture(scope="module")
def tiny(golden_artifact) -> Sampler:
    return Sampler(golden_artifact)


def test_under_mixed_load_nothing_grows(tiny):
    growth = mixed_load(tiny, SECONDS)
    assert growth.calls > 100
    assert growth.bytes <= MOST
    assert growth.descriptors <= 0
    assert growth.threads <= 0


def test_the_same_check_catches_a_planted_leak(tiny):
    growth = mixed_load(tiny, SECONDS, leak=LEAK)
    assert growth.bytes > MOST


def test_opening_and_closing_200_times_takes_at_most_50_kb_each(golden_artifact):
    assert bytes_of_a_cycle(golden_artifact, 200) <= 50_000
