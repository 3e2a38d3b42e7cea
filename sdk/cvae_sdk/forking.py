"""What a forked child must not do with what its parent's threads were for.

A child has its parent's memory but none of its threads. An ONNX Runtime session that is freed there joins its threads,
and ONNX Runtime itself waits, when the process exits, for one of its own: either would wait forever.
"""

import ctypes

__all__ = ["exit_at_once", "keep_for_good"]


def keep_for_good(value: object) -> None:
    """Never free this, in this process."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(value))


def exit_at_once() -> None:
    """When this process exits, after all that Python does then, run no destructors of the libraries loaded by now.

    By glibc's on_exit, whose functions get the exit status, last in, first out; elsewhere nothing is done.
    """
    try:
        library = ctypes.CDLL(None)
        library.on_exit(library._exit, None)
    except (AttributeError, OSError, TypeError):
        return
