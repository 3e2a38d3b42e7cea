"""Which line of the user's code an operation of a traced function came from.

JAX keeps the Python stack of each equation, from the function that was traced (the exported one, or one inside jit,
scan or the like) to where the equation was made.
"""

import sys
import sysconfig
import traceback
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

__all__ = ["place_of_equations", "place_of_error"]

_LIBRARIES = ("jax", "jaxlib", "flax", "equinox", "jaxtyping", "beartype", "numpy", "cvae_export")


def place_of_equations(equations: Sequence[Any]) -> str:
    """Where the last of the equations, each inside the one before, was written: " at FILE:LINE (in FUNCTION)", or "".

    The innermost line outside the libraries that models are built with.
    """
    stacks = [equation.source_info.traceback for equation in equations]
    return _place([stack.as_python_traceback() for stack in stacks if stack is not None])


def place_of_error(error: BaseException) -> str:
    """Where an error was raised, or what raised it called: " at FILE:LINE (in FUNCTION)", or ""."""
    return _place([error.__traceback__])


def _place(stacks: Iterable[TracebackType | None]) -> str:
    frames = [frame for stack in stacks for frame in traceback.extract_tb(stack)]
    users = [frame for frame in frames if not _is_library(frame.filename)]
    return f" at {users[-1].filename}:{users[-1].lineno} (in {users[-1].name})" if users else ""


@cache
def _is_library(filename: str) -> bool:
    path = Path(filename)
    if any(path.is_relative_to(folder) for folder in _library_folders()):
        return True
    standard = Path(sysconfig.get_path("stdlib"))
    return path.is_relative_to(standard) and not {"site-packages", "dist-packages"} & set(path.parts)


@cache
def _library_folders() -> list[Path]:
    files = [getattr(sys.modules.get(name), "__file__", None) for name in _LIBRARIES]
    return [Path(file).parent for file in files if file]
