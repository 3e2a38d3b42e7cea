"""An artifact that tests may damage, and manifests that are wrong in one thing and signed all the same.

What a manifest's bytes must be is written here anew, from manifest.py's docstring.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cvae_sdk import Sampler
from cvae_sdk.command import main

MNIST = Path(__file__).parents[2] / "artifacts" / "mnist"
OPENED = ("onnx/decoder.onnx", "golden.npz")

Edit = Callable[[dict[str, Any]], object]


def sign_values(values: dict[str, Any]) -> bytes:
    """manifest.json of any JSON values, with the digest that makes them pass for whole."""
    rest = {name: value for name, value in values.items() if name != "digest"}
    compact = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    digest = hashlib.sha256(compact.encode("utf-8", "surrogatepass")).hexdigest()
    text = json.dumps({**rest, "digest": digest}, sort_keys=True, indent=2, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "surrogatepass")


def record_of(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


@pytest.fixture(scope="session")
def mnist() -> Path:
    """The committed artifact: never written to."""
    return MNIST


@pytest.fixture(scope="session")
def sampler() -> Sampler:
    return Sampler()


@pytest.fixture(scope="session")
def sign() -> Callable[[dict[str, Any]], bytes]:
    return sign_values


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    """A small artifact of its own: the ONNX decoder and the goldens of the committed one."""
    folder = tmp_path / "artifact"
    values = json.loads((MNIST / "manifest.json").read_bytes())
    values["files"] = {}
    onnx = values["formats"]["onnx"] | {"signatures": ["decode"]}
    del onnx["files"]
    values |= {
        "schema_version": 1,
        "formats": {"onnx": onnx},
        "signatures": {name: values["signatures"][name] for name in ("decode", "mix")},
    }
    for path in OPENED:
        content = (MNIST / path).read_bytes()
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
        values["files"][path] = record_of(content)
    (folder / "manifest.json").write_bytes(sign_values(values))
    return folder


@pytest.fixture
def resign(artifact: Path) -> Callable[[Edit], None]:
    """Edit the manifest's values and sign them again, so that only what was edited is wrong."""

    def edit_and_sign(edit: Edit) -> None:
        values = json.loads((artifact / "manifest.json").read_bytes())
        edit(values)
        (artifact / "manifest.json").write_bytes(sign_values(values))

    return edit_and_sign


@pytest.fixture
def rewrite(artifact: Path, resign: Callable[[Edit], None]) -> Callable[[str, bytes], None]:
    """Write a file anew and list it as it now is."""

    def write_and_sign(path: str, content: bytes) -> None:
        (artifact / path).write_bytes(content)
        resign(lambda values: values["files"].update({path: record_of(content)}))

    return write_and_sign


@pytest.fixture(scope="session")
def golden_artifact() -> Path:
    """One of three classes, 2 latents and images of [5, 4, 3], whose ONNX only decodes: never written to."""
    return MNIST.parents[1] / "tests" / "golden" / "artifact-2026-11-23"


@pytest.fixture
def cvae(capfdbinary, tmp_path, monkeypatch):
    """Run the command in an empty folder: its exit code, and what it wrote to the two streams."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, bytes, str]:
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code
        out, err = capfdbinary.readouterr()
        return code, out, err.decode()

    return run
