"""The manifest says the oldest runtime that was seen to read each form, and nothing where none was measured."""

import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from cvae_export import FORMS
from cvae_export.form import Written
from cvae_export.oldest_runtimes import MEASURED, oldest_runtime
from cvae_sdk import Manifest


def installed(runtime: str) -> tuple[int, ...]:
    """The version of a runtime in this environment, as numbers."""
    names = ("tensorflow-cpu", "tensorflow") if runtime == "tensorflow" else (runtime,)
    for name in names:
        try:
            return numbers(version(name))
        except PackageNotFoundError:
            continue
    raise AssertionError(f"{runtime} is not installed")


def numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def test_the_manifest_has_the_oldest_runtime_of_the_first_four_forms(artifact: Path) -> None:
    formats = Manifest.parse((artifact / "manifest.json").read_bytes()).formats
    told = {name: set(formats[name].oldest_runtime or {}) for name in formats}
    assert told["onnx"] == {"onnxruntime"}
    assert told["saved_model"] == told["saved_model_xla"] == {"tensorflow"}
    assert told["stablehlo"] == {"jax"}


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_the_oldest_runtime_is_no_newer_than_the_one_that_runs_these_tests(form) -> None:
    for runtime, oldest in (oldest_runtime(form.name, Written((), {})) or {}).items():
        assert numbers(oldest) <= installed(runtime)


def test_of_another_opset_nothing_is_said() -> None:
    assert oldest_runtime("onnx", Written((), {}, opset=17)) is not None
    assert oldest_runtime("onnx", Written((), {}, opset=21)) is None
    assert oldest_runtime("nonsense", Written((), {})) is None


def test_the_table_is_dated() -> None:
    assert datetime.date.fromisoformat(MEASURED) >= datetime.date(2026, 11, 23)
