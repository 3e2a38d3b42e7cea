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
from cvae_training.training_run import StepReport

STEPS, BATCH = 10, 50
LINE = re.compile(r"epoch +(\d+)/(\d+)  loss \d+\.\d\d  mse \d+\.\d\d  kl \d+\.\d\d  \d+ s")


def losses(loss: float) -> Losses:
    return Losses(loss=loss, mse=11.0, kl=6.25)  # type: ignore[arg-type]


def report(epoch: int) -> EpochReport:
    return EpochReport(epoch, STEPS, losses(100 / epoch), losses(1.0))


def step(number: int) -> StepReport:
    return StepReport(number, losses(200 / number) if number % STEPS else None)


def shown(epochs: int, stream: TextIO, first_step: int = 0) -> None:
    """A run in stretches of 4, 4 and 2 steps of each epoch."""
    with Progress(epochs, STEPS, BATCH, stream) as progress:
        progress.step(StepReport(first_step, None))
        for number in range(first_step + 1, epochs * STEPS + 1):
            if number % STEPS in (0, 4, 8):
                progress.step(step(number))
            if number % STEPS == 0:
                progress(report(number // STEPS))


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
    with Progress(10, STEPS, BATCH, stream) as progress:
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
    with contextlib.redirect_stderr(io.StringIO()) as stream, Progress(1, STEPS, BATCH) as progress:
        progress(report(1))
    assert LINE.fullmatch(stream.getvalue().rstrip("\n"))


def frames(text: str) -> list[str]:
    """What a terminal showed, one after the other, but for what only blanks."""
    return [frame for frame in text.replace("\n", "\r").split("\r") if frame.strip()]


def test_the_bar_moves_within_an_epoch_with_the_losses_of_its_steps(terminal: Any) -> None:
    with Progress(2, STEPS, BATCH, terminal.stream) as progress:
        for number in (0, 1, 4, 8):
            progress.step(step(number) if number else StepReport(0, None))
            progress._display._bar.refresh()  # however little time has passed
    seen = frames(terminal.read())
    assert seen[0].startswith("compiling   0%|")
    assert any(
        re.match(r"epoch 1/2  20%\|.*images/s, .* left, loss 50\.00  mse 11\.00  kl 6\.25$", frame) for frame in seen
    )
    assert re.match(r"epoch 1/2  40%\|.*images/s, loss 25\.00  mse", seen[-1])


def test_speed_and_time_left_are_those_since_the_first_step_is_compiled(terminal: Any) -> None:
    with Progress(2, STEPS, BATCH, terminal.stream) as progress:
        now = [100.0]
        bar = progress._display._bar
        bar._time = lambda: now[0]
        # Resumed after 4 steps; a minute to compile; then 2 steps a second.
        for later, number in ((0.0, 4), (60.0, 5), (1.0, 7), (1.0, 9), (1.0, 11)):
            now[0] += later
            progress.step(StepReport(number, losses(3.0)))
    last = [frame for frame in frames(terminal.read()) if "left" in frame][-1]
    assert "epoch 2/2  55%|" in last
    assert "100 images/s, 00:04 left" in last  # 2 steps of 50 a second; 9 of 20 steps to go


def test_a_narrow_terminal_gets_the_loss_alone(narrow_terminal: Any) -> None:
    shown(3, narrow_terminal.stream)
    seen = frames(narrow_terminal.read())
    assert "loss 33.33" in seen[-1]
    assert not any("mse" in frame for frame in seen)
    assert max(map(len, seen)) <= 80


def test_a_run_that_was_finished_leaves_no_bar(terminal: Any) -> None:
    with Progress(3, STEPS, BATCH, terminal.stream) as progress:
        progress.step(StepReport(3 * STEPS, None))
    text = terminal.read()
    assert "\n" not in text
    assert text.endswith("\r")
    assert not text.split("\r")[-2].strip()


def test_a_bar_of_a_run_that_failed_is_wiped(terminal: Any) -> None:
    with contextlib.suppress(ValueError), Progress(3, STEPS, BATCH, terminal.stream) as progress:
        progress.step(StepReport(0, None))
        progress.step(step(4))
        raise ValueError
    assert not terminal.read().split("\r")[-2].strip()


def test_a_long_epoch_gets_a_plain_line_a_minute() -> None:
    stream, now = io.StringIO(), [0.0]
    with Progress(2, 1000, BATCH, stream, clock=lambda: now[0]) as progress:
        progress.step(StepReport(0, None))
        for number in range(1, 1001):
            now[0] += 0.5
            progress.step(StepReport(number, losses(2000 / number) if number < 1000 else None))
        progress(report(1))
    lines = stream.getvalue().splitlines()
    # Every 120 steps of half a second and 50 images, after the first.
    assert lines[0] == "epoch 1/2 at 12 %  loss 16.53  mse 11.00  kl 6.25  100 images/s, 60 s"
    assert [line.split("  ")[0] for line in lines] == [
        *(f"epoch 1/2 at {share} %" for share in (12, 24, 36, 48, 60, 72, 84, 96)),
        "epoch 1/2",
    ]
    assert lines[-1].endswith("kl 6.25  500 s")


def test_a_resumed_run_counts_its_speed_from_its_first_step() -> None:
    stream, now = io.StringIO(), [0.0]
    with Progress(2, 1000, BATCH, stream, clock=lambda: now[0]) as progress:
        for later, number in ((0, 500), (50, 501), (100, 701)):
            now[0] += later
            progress.step(StepReport(number, losses(3.0)))
    assert stream.getvalue() == "epoch 1/2 at 70 %  loss 3.00  mse 11.00  kl 6.25  100 images/s, 150 s\n"
