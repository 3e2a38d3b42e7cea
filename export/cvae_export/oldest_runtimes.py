"""The oldest version of each runtime that was seen to read a form as it is written today.

tests/benchmarks/oldest_runtimes.py measures them, on Python 3.11: it opens each form of an artifact in environments
with older versions and compares the recorded images. A version stands here if it and every newer one tried passed.
"""

from collections.abc import Mapping

from cvae_export.form import Written

__all__ = ["MEASURED", "oldest_runtime"]

MEASURED = "2026-11-23"
_OPSET = 17
_OLDEST: Mapping[str, Mapping[str, str]] = {
    "onnx": {"onnxruntime": "1.15.0"},  # the oldest wheel for Python 3.11
    "saved_model": {"tensorflow": "2.12.0"},  # the oldest wheel for Python 3.11
    "saved_model_xla": {"tensorflow": "2.20.0"},  # 2.19 reads an older XlaCallModule
    "stablehlo": {"jax": "0.8.1"},  # 0.8.0 takes the file for one of 0 devices
}


def oldest_runtime(name: str, written: Written) -> Mapping[str, str] | None:
    """Runtime and version for the form `name`; None where none was measured, as for another opset."""
    if written.opset not in (None, _OPSET):
        return None
    return _OLDEST.get(name)
