"""What an export shows: a bar on a terminal, plain lines elsewhere."""

import io
import re

from cvae_export.progress import Progress
from cvae_sdk.manifest import Format, Parity

FORM = Format("onnx/decoder.onnx", ("decode",), {"tf2onnx": "1.17.0"}, Parity(5.4e-7, 1e-5, 331))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    now = 0.0

    def __call__(self) -> float:
        self.now += 1.5
        return self.now


def shown(stream: io.StringIO) -> str:
    """What an export of two forms shows."""
    with Progress(stream, Clock()) as progress:
        progress.status("importing TensorFlow")
        progress.begin(2)
        for name in ("stablehlo", "onnx"):
            progress.step(name, "writing")
            progress.step(name, "compared decode at batch size 64")
            progress(name, FORM)
        progress.step("onnx", "timing batches of 256")
    return stream.getvalue()


def test_elsewhere_than_on_a_terminal_each_form_is_one_plain_line() -> None:
    assert shown(io.StringIO()).splitlines() == [
        "stablehlo        max_abs_error 5.4e-07 over 331 inputs, 1.5 s",
        "onnx             max_abs_error 5.4e-07 over 331 inputs, 1.5 s",
    ]


def test_a_terminal_shows_what_is_done_to_which_form_and_how_many_have_passed() -> None:
    drawn = re.split(r"[\r\n]+", shown(Terminal()))
    assert "importing TensorFlow" in drawn
    assert any(re.match(r"stablehlo: writing \|\s+\| 0/2 forms", line) for line in drawn)
    assert any(re.match(r"onnx: compared decode at batch size 64 \|[#█]+\s+\| 1/2 forms", line) for line in drawn)
    assert any(re.match(r"onnx: timing batches of 256 \|[#█]+\| 2/2 forms", line) for line in drawn)


def test_a_terminal_keeps_a_line_for_each_form_and_no_bar() -> None:
    *lines, last = shown(Terminal()).split("\n")
    assert [[part for part in line.split("\r") if part.strip()][-1] for line in lines] == [
        "stablehlo        max_abs_error 5.4e-07 over 331 inputs, 1.5 s",
        "onnx             max_abs_error 5.4e-07 over 331 inputs, 1.5 s",
    ]
    assert last.endswith("\r")
    assert last.split("\r")[-2].strip() == ""  # the bar is wiped out
