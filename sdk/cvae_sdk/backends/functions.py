"""A backend of plain functions, one for each signature, behind the checks that every local runtime needs."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from cvae_sdk.errors import BackendError, ClosedError, CvaeError, ForkedError, one_line
from cvae_sdk.manifest import Manifest

__all__ = ["OUTPUTS", "Arrays", "Function", "FunctionsBackend"]

Arrays = Mapping[str, npt.NDArray[Any]]
Function = Callable[[Arrays], Arrays]

OUTPUTS: Mapping[str, tuple[str, ...]] = {"decode": ("image",), "mix": ("image",), "encode": ("mean", "logvar")}
"""What each signature gives, in order."""


class FunctionsBackend:
    """See Backend. Functions are called by several threads at once, and may give what is not to be kept or written to.

    Outputs are float32, contiguous and the caller's own. Where there is no `decode`, it is `mix` of a one-hot.
    """

    def __init__(
        self, runtime: str, manifest: Manifest, functions: Mapping[str, Function], *, survives_fork: bool = False
    ) -> None:
        self._runtime = runtime
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
        """The exported function of that name; see Backend. Raises ForkedError in a child of the process it was made in."""
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
                f"{self._runtime} has no signature {one_line(signature)} of this artifact: "
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
        owned = output.base is None and output.flags.c_contiguous and output.flags.writeable
        return output if owned else np.array(output, np.float32, order="C")

    def _decode_by_mix(self, mix: Function) -> Function:
        one_hot = np.eye(self._classes, dtype=np.float32)
        return lambda inputs: mix({"z": inputs["z"], "class_weights": one_hot[inputs["label"]]})


def reason_of(error: BaseException) -> str:
    """The first line of what a library says, or else the kind of its exception."""
    text = str(error).strip()
    return one_line(text.splitlines()[0])[1:-1] if text else type(error).__name__
