"""The table of faults, added up over all the modules here that have a part of it."""

import importlib
from pathlib import Path
from typing import Any

from faults import calls, files, goldens, manifest, onnx_bytes, servers, weights

LEAST = 150


def table() -> list[Any]:
    names = sorted(
        path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in ("__init__", "test_rejected")
    )
    modules = [importlib.import_module(f"faults.{name}") for name in names]
    return [fault for module in modules for fault in getattr(module, "FAULTS", ())]


def test_each_of_at_least_150_faults_has_a_name_of_its_own(tell_count) -> None:
    names = [fault.name for fault in table()]
    assert len(set(names)) == len(names) >= LEAST
    assert all(name.partition(": ")[0] and name.partition(": ")[2] for name in names)
    tell_count(len(names), LEAST, "or more classes of bad input are told apart, each with its own error")


def test_each_module_s_part_bears_its_name() -> None:
    for module, prefix in (
        (files, "files"),
        (manifest, "manifest"),
        (onnx_bytes, "onnx"),
        (weights, "weights"),
        (goldens, "golden"),
        (servers, "server"),
        (calls, "call"),
    ):
        assert {fault.name.partition(": ")[0] for fault in module.FAULTS} == {prefix}


def test_the_faults_are_planted_in_at_least_1000_artifacts(tell_count) -> None:
    artifacts = sum(getattr(fault, "variants", 1) for fault in table())
    assert artifacts >= 1000
    tell_count(artifacts, 1000, "or more bad artifacts and files are refused, each class at random places")
