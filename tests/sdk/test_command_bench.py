"""cvae bench: a row for each call and batch size, whose numbers agree with one another."""

import json
import re

import pytest

from cvae_sdk.command import main


def test_the_table_has_a_row_for_each_call_and_batch_size(capsys):
    assert main(["bench", "--seconds", "0", "--threads", "1"]) == 0
    head, gap, titles, *rows = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"mnist: opened in [\d.]+ m?s, first call [\d.]+ (µs|ms|s)", head)
    assert gap == ""
    assert titles.split() == ["batch", "a", "call", "images/s"]
    assert [row.split()[:2] for row in rows] == [
        [call, batch] for call in ("decode", "sample") for batch in ("1", "16", "256", "4096")
    ]


def test_json_says_the_same_for_programs(capsys, sampler):
    assert main(["bench", "--seconds", "0", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["artifact"], facts["digest"], facts["backend"]) == ("mnist", sampler.manifest.digest, "onnx")
    assert facts["open_seconds"] > 0
    assert facts["first_call_seconds"] > 0
    for row in facts["calls"]:
        assert row["repeats"] >= 3
        assert row["images_per_second"] == pytest.approx(row["batch"] / row["seconds"])


@pytest.mark.parametrize("seconds", ["-1", "nan", "1e9"])
def test_seconds_out_of_range_are_a_line(capsys, seconds):
    assert main(["bench", "--seconds", seconds]) == 2
    assert re.fullmatch(r"cvae: --seconds must be from 0 to 3600, got \S+\n", capsys.readouterr().err)
