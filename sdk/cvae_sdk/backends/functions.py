"""A backend of plain functions, one for each signature, behind the checks that every local runtime needs."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from cvae_sdk.errors import BackendError, ClosedError, CvaeError, ForkedError, named, one_line
from cvae_sdk.manifest import Manifest

__all__ = ["INPUTS", "OUTPUTS", "Arrays", "Function", "FunctionsBackend", "reason_of"]

Arrays = Mapping[str, npt.NDArray[Any]]
Function = Callable[[Arrays], Arrays]

INPUTS: Mapping[str, tuple[str, ...]] = {
    "decode": ("z", "label"),
    "mix": ("z", "class_weights"),
    "encode": ("image", "label"),
}
"""What each signature takes, in order."""
OUTPUTS: Mapping[str, tuple[str, ...]] = {"decode": ("image",), "mix": ("image",), "encode": ("mean", "logvar")}
"""What each signature gives, in order."""


class FunctionsBackend:
    """See Backend. Functions are called by several threads at once, and may give what is not to be kept or written to.

    Outputs are float32, contiguous and the caller's own. Where there is no `decode`, it is `mix` of a one-hot. So many
    calls side by side pay as there are `workers`.
    """

    def __init__(
        self,
        runtime: str,
        manifest: Manifest,
        functions: Mapping[str, Function],
        *,
        survives_fork: bool = False,
        workers: int = 1,
    ) -> None:
        self._runtime = runtime
        self._workers = workers
        self._functions = {name: function for name, function in functions.items() if name in OUTPUTS}
        self._rows = {"image": manifest.image_shape, "mean": (manifest.latent_dim,), "logvar": (manifest.latent_dim,)}
        self._classes = len(manifest.classes)
        self._process = None if survives_fork else os.getpid()
        if "decode" not in self._functions and "mix" in self._functions:
            self._functions["decode"] = self._decode_by_mix(self._functions["mix"])
        self._signatures = frozenset(self._functions)

    @property
    def signatures(self) -> frozenset[str]:
        """Those of decode, mix and encode that it can run."""
        return self._signatures

    def run(self, signature: str, inputs: Arrays) -> Arrays:
        """The exported function of that name; see Backend. Raises ForkedError in a child of its process."""
        if self._process not in (None, os.getpid()):
            raise ForkedError(
                f"{self._runtime} cannot go on in a forked process: open the Sampler in the process that uses it, or "
                "start processes by spawn",
                field="process", expected=self._process, found=os.getpid(),
            )  # fmt: skip
        functions = self._functions
        if signature not in functions:
            if signature in self._signatures:
                raise ClosedError("the backend was closed: open the Sampler again")
            raise BackendError(
                f"{self._runtime} has no signature {named(signature)} of this artifact: "
                f"it has {', '.join(sorted(self._signatures))}",
                field="signature", expected=sorted(self._signatures), found=signature,
            )  # fmt: skip
        try:
            outputs = functions[signature](inputs)
        except CvaeError:
            raise
        except Exception as error:  # the runtimes' own have no common base but this
            raise BackendError(f"{self._runtime} failed: {reason_of(error)}") from error
        batch = len(next(iter(inputs.values())))
        return {name: self._checked(name, outputs.get(name), batch) for name in OUTPUTS[signature]}

    def side_by_side(self) -> "tuple[FunctionsBackend, int]":
        """Itself, and how many calls side by side pay."""
        return self, self._workers

    def close(self) -> None:
        """Let go of the model; nothing may be run after that."""
        self._functions = {}

    def _checked(self, name: str, output: npt.NDArray[Any] | None, batch: int) -> npt.NDArray[np.float32]:
        expected = (batch, *self._rows[name])
        found = None if output is None else (str(output.dtype), output.shape)
        if output is None or found != ("float32", expected):
            raise BackendError(
                f"the model gave {name} as {one_line(found)}, not float32 {list(expected)}",
                field=name, expected=("float32", expected), found=found,
            )  # fmt: skip
        return output if _is_own(output) else np.array(output, np.float32, order="C")

    def _decode_by_mix(self, mix: Function) -> Function:
        one_hot = np.eye(self._classes, dtype=np.float32)
        return lambda inputs: mix({"z": inputs["z"], "class_weights": one_hot[inputs["label"]]})


def _is_own(array: npt.NDArray[Any]) -> bool:
    """Whether nothing else can hold its memory: all of an array that was made for it."""
    whole: Any = array if array.base is None else array.base
    fits = isinstance(whole, np.ndarray) and whole.base is None and whole.flags.owndata and whole.size == array.size
    return fits and array.flags.c_contiguous and array.flags.writeable


def reason_of(error: BaseException) -> str:
    """The first line of what a library says, or else the kind of its exception."""
    text = str(error).strip()
    return named(text.splitlines()[0]) if text else type(error).__name__
