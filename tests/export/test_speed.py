"""Speeds are of the forms that were asked for, of calls that were made, at the batch sizes that were named."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from cvae_export import speed
from cvae_export.form import Form, Loaded
from cvae_export.speed import machine, measure_speeds, size_in_bytes


class Clock:
    """Each form's runtime moves it by what a call is meant to take."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(speed, "time", clock)
    return clock


def form(name: str, clock: Clock, per_image: float, calls: Counter[str], signature: str = "decode") -> Form:
    """A form that takes a quarter of a second to open and for its first call half a second more."""

    def run(inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        calls[name] += 1
        clock.now += per_image * len(inputs["z"]) + (0.5 if calls[name] == 1 else 0)
        return {"image": np.zeros((len(inputs["z"]), 2, 2, 1), np.float32)}

    def load(path: Path) -> list[Loaded]:
        clock.now += 0.25
        return [Loaded("mix", lambda inputs: {}), Loaded(signature, run)]

    def write(decoder: object, path: Path) -> None:
        raise AssertionError("nothing is written")

    return Form(name, name, write, load)  # pyright: ignore[reportArgumentType]


def test_speeds_are_the_median_call_of_each_form_by_batch_size(clock: Clock, tmp_path: Path) -> None:
    calls: Counter[str] = Counter()
    forms = [form("quick", clock, 2**-10, calls), form("slow", clock, 2**-7, calls)]
    found = measure_speeds(forms, tmp_path, latent_dim=3, num_classes=2, batch_sizes=(1, 16))
    assert found["quick"].load == 0.25
    assert found["quick"].first_call == 0.5 + 2**-10
    assert found["quick"].calls == {1: 2**-10, 16: 2**-6}
    assert found["slow"].calls == {1: 2**-7, 16: 2**-3}


def test_forms_take_turns(clock: Clock, tmp_path: Path) -> None:
    calls: Counter[str] = Counter()
    steps: list[str] = []
    forms = [form("a", clock, 1.0, calls), form("b", clock, 1.0, calls)]
    measure_speeds(forms, tmp_path, 3, 2, (1,), on_step=lambda name, what: steps.append(name))
    assert steps == ["a", "b", *["a", "b"] * 5]


def test_a_slow_form_takes_fewer_turns_of_a_large_batch(clock: Clock, tmp_path: Path) -> None:
    calls: Counter[str] = Counter()
    forms = [form("slow", clock, 2.0, calls), form("quick", clock, 0.25, calls)]
    found = measure_speeds(forms, tmp_path, 3, 2, (1,))
    assert calls["slow"] == 1 + 2 * 3  # the first call; then in each of three turns, one before the one that is timed
    assert calls["quick"] == 1 + 2 * 5
    assert found["slow"].calls == {1: 2.0}


def test_what_has_no_decode_is_left_out(clock: Clock, tmp_path: Path) -> None:
    calls: Counter[str] = Counter()
    forms = [form("encoder", clock, 1.0, calls, signature="encode"), form("b", clock, 1.0, calls)]
    assert list(measure_speeds(forms, tmp_path, 3, 2, (1,))) == ["b"]


def test_a_size_is_that_of_a_file_or_of_all_files_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "deep" / "deeper").mkdir(parents=True)
    (tmp_path / "deep" / "a").write_bytes(b"123")
    (tmp_path / "deep" / "deeper" / "b").write_bytes(b"4567")
    assert size_in_bytes(tmp_path / "deep") == 7
    assert size_in_bytes(tmp_path / "deep" / "a") == 3


def test_the_machine_is_told_by_its_processor_cores_and_python() -> None:
    assert machine().count(", ") >= 2
    assert "core" in machine()
