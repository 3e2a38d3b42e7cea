"""Keep off the terminal what native libraries tell of their builds whatever their log level is set to.

They write to file descriptor 2 itself, while they are loaded and first run. What else is written meanwhile, by another
thread, is held back as long and then shown.
"""

import os
import re
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager

__all__ = ["quiet_native_libraries"]

_TOLD = (
    rb"WARNING: All log messages before absl::InitializeLog\(\)"
    rb"|[IWE]0000 00:00:\d+"  # absl before it is told how to log
    rb"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IWE] (tensorflow|external)/"
    rb"|INFO: Created TensorFlow Lite "
)
_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def quiet_native_libraries() -> Generator[None]:
    """Lines that TensorFlow, XLA and LiteRT log are dropped from the standard error; for loading and a first run."""
    import tempfile  # a tenth of the time that the whole package takes to import

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _ONE_AT_A_TIME, tempfile.TemporaryFile() as said:
        try:
            terminal = os.dup(2)
        except OSError:  # there is none
            yield
            return
        _flush()
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            _flush()
            os.dup2(terminal, 2)
            said.seek(0)
            kept = b"".join(line for line in said if not re.match(_TOLD, line))
            if kept:
                os.write(terminal, kept)
            os.close(terminal)


def _flush() -> None:
    if sys.stderr is not None:  # pyright: ignore[reportUnnecessaryComparison] - None without a terminal, as of pythonw
        sys.stderr.flush()
