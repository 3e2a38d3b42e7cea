"""ONNX Runtime's telemetry, which the SDK leaves off: it goes to the network for addresses alone that a user gives.

From 1.29 on, ONNX Runtime's own builds for Linux and macOS begin to send as they are imported, and keep a number for
the machine, and what is still to be sent, in the user's cache folder. The variable is read once, at the first import in
a process: a program that imports ONNX Runtime before the SDK decides for itself.
"""

import os
from collections.abc import Generator
from contextlib import contextmanager

__all__ = ["onnxruntime_telemetry_off"]

_VARIABLE = "ORT_DISABLE_TELEMETRY"


@contextmanager
def onnxruntime_telemetry_off() -> Generator[None]:
    """For the import of ONNX Runtime: off, unless the environment has the variable, whose value then stands."""
    if _VARIABLE in os.environ:
        yield
        return
    os.environ[_VARIABLE] = "1"
    try:
        yield
    finally:
        os.environ.pop(_VARIABLE, None)
