"""ONNX Runtime for browsers, from its npm package, which is on this machine already: nothing is downloaded here.

A page needs the runtime's script, and for what it runs on, WebAssembly or WebGPU, a loader with its WebAssembly.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from cvae_export.errors import ExportError

__all__ = ["INSTALL", "TESTED_VERSION", "OnnxRuntimeWeb", "find_onnxruntime_web", "is_installed"]

TESTED_VERSION = "1.30.0"
_PACKAGE = "onnxruntime-web"
_FILES = (
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
    "ort.webgpu.min.mjs",
    "ort-wasm-simd-threaded.asyncify.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
)
INSTALL = f"npm install {_PACKAGE}@{TESTED_VERSION}"


@dataclass(frozen=True)
class OnnxRuntimeWeb:
    """A package that was found: its version, and the files that a page needs by their names."""

    version: str
    files: dict[str, Path]


def find_onnxruntime_web(folder: Path | None = None) -> OnnxRuntimeWeb:
    """The package in `folder`; by default that in node_modules, or in .web/node_modules, here or above.

    Raises ExportError if there is none, or one without the files.
    """
    package = _nearest() if folder is None else folder
    if package is None:
        raise ExportError(
            f"{_PACKAGE} is in no node_modules here or above: {INSTALL}, or name its folder with --onnxruntime-web"
        )
    try:
        described = json.loads((package / "package.json").read_bytes())
        name, version = described["name"], described["version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ExportError(f"{package} is no npm package, its package.json cannot be read: {INSTALL}") from error
    if name != _PACKAGE:
        raise ExportError(f"{package} is the npm package {name}, not {_PACKAGE}: {INSTALL}")
    files = {file: package / "dist" / file for file in _FILES}
    if missing := [file for file, path in files.items() if not path.is_file()]:
        raise ExportError(f"{_PACKAGE} {version} in {package} has no dist/{missing[0]}: {INSTALL}")
    return OnnxRuntimeWeb(version, files)


def is_installed() -> bool:
    """Whether it is found without being told where, and whole."""
    try:
        find_onnxruntime_web()
    except ExportError:
        return False
    return True


def _nearest() -> Path | None:
    here = Path.cwd()
    for folder in (here, *here.parents):
        for modules in (folder / "node_modules", folder / ".web" / "node_modules"):
            if (modules / _PACKAGE).is_dir():
                return modules / _PACKAGE
    return None
