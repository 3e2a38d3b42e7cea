"""A page's model in the page's own ONNX Runtime, WebAssembly and all, run by Node: what a browser without WebGPU does.

One process for a session, which node_session.mjs is; batches go in and images come out by its pipes.
"""

import contextlib
import json
import shutil
import subprocess
import weakref
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt

from cvae_export.errors import ExportError

__all__ = ["NodeSession", "find_node"]

_SCRIPT = Path(__file__).with_suffix(".mjs")
_UINT32 = np.dtype("<u4")
_FLOAT32 = np.dtype("<f4")


def find_node() -> str:
    """The command node; ExportError if there is none."""
    node = shutil.which("node")
    if node is None:
        raise ExportError("the form web is run by Node before it is kept, and there is no node here: install Node.js")
    return node


class NodeSession:
    """`mix` of the ONNX file `model` by the ONNX Runtime in the folder `runtime`; ends with its last reference."""

    def __init__(self, model: Path, runtime: Path) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - the script beside this file
            [find_node(), str(_SCRIPT), str(model.resolve()), str(runtime.resolve())],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        weakref.finalize(self, _end, self._process)
        self._requests = cast("IO[bytes]", self._process.stdin)
        self._answers = cast("IO[bytes]", self._process.stdout)
        told = self._hear()
        self.latent_dim: int = told["latents"]
        self.classes: int = told["classes"]

    def mix(self, z: npt.NDArray[np.float32], class_weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Images [n, height, width, channels] of latents [n, latent_dim] and class weights [n, classes]."""
        asked = {"z": (z, self.latent_dim), "class_weights": (class_weights, self.classes)}
        for name, (array, width) in asked.items():
            if array.shape != (len(z), width):
                raise ExportError(f"web: {name} must have shape {(len(z), width)}, got {array.shape}")
        request = np.array([len(z)], _UINT32).tobytes()
        request += b"".join(array.astype(_FLOAT32).tobytes() for array, _ in asked.values())
        with contextlib.suppress(BrokenPipeError):  # what it said last tells why
            self._requests.write(request)
            self._requests.flush()
        shape: list[int] = self._hear()["shape"]
        return np.frombuffer(self._read(4 * int(np.prod(shape))), _FLOAT32).reshape(shape).astype(np.float32)

    def _hear(self) -> dict[str, Any]:
        (length,) = np.frombuffer(self._read(4), _UINT32)
        told = json.loads(self._read(int(length)))
        if "error" in told:
            raise ExportError(f"web: ONNX Runtime in Node: {told['error']}")
        return told

    def _read(self, size: int) -> bytes:
        content = self._answers.read(size)
        if len(content) < size:
            raise ExportError(f"web: Node ended with status {self._process.wait()} and said no more")
        return content


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):  # of what it did not live to read
                pipe.close()
