"""What tests counted, told when all have run: `make test` ends with a line for each, whichever worker counted it."""

import os
import signal
from collections.abc import Callable

import pytest

# gRPC else writes on stderr what its servers here do wrong on purpose; read when a test first imports it.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
# Some tests import ONNX Runtime themselves, which else sends telemetry.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# A shell's job in the background starts with SIGINT ignored, and so would every command that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_COUNT = "count"


@pytest.fixture
def tell_count(record_property: Callable[[str, object], None]) -> Callable[[int, int, str], None]:
    """Takes how many of how many did as they should, and what; told if the test passes."""
    return lambda found, tried, what: record_property(_COUNT, f"{found} of {tried} {what}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the counts of the tests that passed."""
    passed = terminalreporter.getreports("passed")
    lines = [text for report in passed for name, text in report.user_properties if name == _COUNT]
    if lines:
        terminalreporter.section("what was counted")
        for line in lines:
            terminalreporter.line(str(line))
