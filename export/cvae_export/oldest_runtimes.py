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
    "litert": {"ai-edge-litert": "1.0.0"},  # the oldest wheel
    "onnx": {"onnxruntime": "1.15.0"},  # the oldest wheel for Python 3.11
    "onnx_fp16": {"onnxruntime": "1.15.0"},
    "onnx_int8": {"onnxruntime": "1.15.0"},
    "saved_model": {"tensorflow": "2.12.0"},  # the oldest wheel for Python 3.11
}
_WRITTEN_BY_JAX: Mapping[str, Mapping[str, str]] = {
    "saved_model_xla": {"tensorflow": "2.20.0"},  # 2.19 knows XlaCallModule to version 9, JAX writes 10
    "stablehlo": {"jax": "0.8.2"},  # 0.8.1 takes 0.10's file for one of 0 devices, and does not know 0.12's version
}
_JAX_MEASURED = ("0.10", "0.12")
"""The first two numbers of the versions of JAX whose files were tried: what reads them follows from what JAX writes."""


def oldest_runtime(name: str, written: Written) -> Mapping[str, str] | None:
    """Runtime and version for the form `name`; None where none was measured, as for another opset or JAX."""
    if written.opset not in (None, _OPSET):
        return None
    if ".".join(written.written_by.get("jax", "").split(".")[:2]) in _JAX_MEASURED and name in _WRITTEN_BY_JAX:
        return _WRITTEN_BY_JAX[name]
    return _OLDEST.get(name)
