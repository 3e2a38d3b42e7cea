"""The bar of a long command: drawn on a terminal alone, of what was made and not of what was there."""

import io
import re

import pytest

from cvae_sdk.commands.progress import Progress, span


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    """Half a second passes with each look."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.5
        return self.now


def shown(stream: io.StringIO) -> str:
    with Progress(1000, 500, stream, Clock()) as progress:
        progress.add(100)
        progress.line("a shard")
        progress.add(400)
    return stream.getvalue()


def test_elsewhere_than_on_a_terminal_each_part_is_a_line_and_nothing_else():
    assert shown(io.StringIO()) == "a shard\n"


def test_a_terminal_shows_share_speed_and_time_left_in_one_line_that_is_wiped_out(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    text = shown(Terminal())
    assert "\n" not in text
    drawn = text.split("\r")
    assert re.fullmatch(r" 50 % \|#{12} {12}\| 500 of 1,000 images\x1b\[K", drawn[1])
    # 100 of the images that were missing after 1.5 s: 67/s, and 400 are left.
    assert re.fullmatch(r" 60 % \|#{14} {10}\| 600 of 1,000 images, 67/s, 6 s left\x1b\[K", drawn[2])
    assert re.match(r"100 % \|#{24}\| 1,000 of 1,000 images, ", drawn[3])
    assert drawn[-1] == "\x1b[K"


def test_a_narrow_terminal_is_never_wrapped(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    assert max(len(part.removesuffix("\x1b[K")) for part in shown(Terminal()).split("\r")) == 29


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (41.4, "41 s"), (59.6, "1:00"), (187, "3:07"), (8100, "2:15:00"), (3600, "1:00:00")],
)
def test_a_time_is_told_as_people_read_it(seconds, text):
    assert span(seconds) == text
