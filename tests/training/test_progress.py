"""What a user sees while training: plain lines, or a bar on a terminal."""

import contextlib
import io
import re
from typing import Any, TextIO

from hypothesis import given, settings
from hypothesis import strategies as st

from cvae_training.objective import Losses
from cvae_training.progress import Progress
from cvae_training.train import EpochReport

LINE = re.compile(r"epoch +(\d+)/(\d+)  loss \d+\.\d\d  mse \d+\.\d\d  kl \d+\.\d\d  \d+ s")


def report(epoch: int) -> EpochReport:
    losses = Losses(loss=100 / epoch, mse=11.0, kl=6.25)
    return EpochReport(epoch, 5, losses, losses)


def shown(epochs: int, stream: TextIO) -> None:
    with Progress(epochs, stream) as progress:
        for epoch in range(1, epochs + 1):
            progress(report(epoch))


@settings(deadline=None)
@given(st.integers(1, 500))
def test_a_file_gets_a_dozen_plain_lines_with_the_first_and_the_last_epoch(epochs: int) -> None:
    stream = io.StringIO()
    shown(epochs, stream)
    text = stream.getvalue()
    assert "\r" not in text
    assert "\x1b" not in text
    matches = [LINE.fullmatch(line) for line in text.splitlines()]
    assert all(matches)
    numbers = [int(match[1]) for match in matches if match]
    assert numbers == sorted(set(numbers))
    assert (numbers[0], numbers[-1]) == (1, epochs)
    assert len(numbers) <= 13


def test_a_line_holds_the_training_losses() -> None:
    stream = io.StringIO()
    with Progress(10, stream) as progress:
        progress(report(1))
    assert stream.getvalue().startswith("epoch  1/10  loss 100.00  mse 11.00  kl 6.25  ")


def test_a_terminal_gets_a_bar_on_one_line(terminal: Any) -> None:
    shown(3, terminal.stream)
    text = terminal.read()
    assert text.count("\n") == 1
    assert text.endswith("\n")
    last = text.rstrip().split("\r")[-1]
    assert "3/3" in last
    assert "loss 33.33  mse 11.00  kl 6.25" in last


def test_output_sent_elsewhere_goes_there() -> None:
    with contextlib.redirect_stderr(io.StringIO()) as stream, Progress(1) as progress:
        progress(report(1))
    assert LINE.fullmatch(stream.getvalue().rstrip("\n"))
