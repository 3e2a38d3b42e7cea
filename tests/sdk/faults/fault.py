"""A way in which an artifact can be wrong, and a small artifact to plant it in.

The artifact is the decoder and the goldens of the one that was kept on 2026-11-23, with a manifest of just these. What
is planted is signed again, so that nothing else is wrong, save where the hash is what is planted.
"""

import hashlib
import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx
import pytest

from cvae_sdk import ArtifactError, CvaeError, Sampler

GOLDEN_ARTIFACT = Path(__file__).parents[2] / "golden" / "artifact-2026-11-23"
ONNX = "onnx/decoder.onnx"
GOLDEN = "golden.npz"
MANIFEST = "manifest.json"


def sign_values(values: dict[str, Any]) -> bytes:
    """manifest.json of any JSON values, with the digest that makes them pass for whole."""
    rest = {name: value for name, value in values.items() if name != "digest"}
    compact = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    digest = hashlib.sha256(compact.encode("utf-8", "surrogatepass")).hexdigest()
    text = json.dumps({**rest, "digest": digest}, sort_keys=True, indent=2, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "surrogatepass")


class Planting:
    """An artifact before it is written: change `files` and `values`, then `write`, then spoil the folder."""

    def __init__(
        self, folder: Path, rng: random.Random, patch: pytest.MonkeyPatch | None, source: Path = GOLDEN_ARTIFACT
    ) -> None:
        self.folder, self.rng = folder, rng
        self.patch = patch or pytest.MonkeyPatch()
        self.files = {path: (source / path).read_bytes() for path in (ONNX, GOLDEN)}
        self.values: dict[str, Any] = json.loads((source / MANIFEST).read_bytes())
        form = self.values["formats"]["onnx"] | {"signatures": ["decode"], "files": {"decode": [ONNX]}}
        self.values |= {"schema_version": 1, "formats": {"onnx": form}, "files": {}}

    def write(self) -> None:
        """Write it, each file listed as it is."""
        for path, content in self.files.items():
            self.path(path).parent.mkdir(parents=True, exist_ok=True)
            self.path(path).write_bytes(content)
            record = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            self.values["files"].setdefault(path, record)
        self.path(MANIFEST).write_bytes(sign_values(self.values))

    def path(self, path: str) -> Path:
        return self.folder / path

    def model(self) -> onnx.ModelProto:
        return onnx.load_from_string(self.files[ONNX])

    def constant(self, model: onnx.ModelProto, least: int = 2) -> onnx.TensorProto:
        """One of the float constants of at least so many numbers, drawn at random."""
        large = [
            tensor for tensor in model.graph.initializer if tensor.data_type == 1 and len(tensor.raw_data) >= 4 * least
        ]
        return self.rng.choice(large)


def open_and_verify(planting: Planting) -> None:
    Sampler(planting.folder).verify()


@dataclass(frozen=True)
class Fault:
    """`plant` makes it, `act` runs into it, and then `error` is raised, of `file`, with `says` filled in."""

    name: str
    plant: Callable[[Planting], object]
    error: type[CvaeError] = ArtifactError
    file: str | None = MANIFEST
    says: tuple[str, ...] = ("field", "expected", "found")
    variants: int = 1
    """How often it is planted, each time at random; 1 for one that is always the same."""
    act: Callable[[Planting], object] = field(default=open_and_verify)


def clear(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
