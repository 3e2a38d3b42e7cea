"""Put the ONNX parts of the artifacts that the SDK ships into the package when it is built or installed editable.

The wheel's copy is an artifact of its own, with a manifest of just what it ships. A source distribution already
holds that copy and has no artifacts/ beside it. Of the two decoders the one that mixes classes is shipped: with one-hot
weights it gives what the other gives, bit for bit, and each is as large as the rest of the wheel.
"""

import shutil
import sys
import types
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_GOLDENS = "golden.npz"
_SIGNATURES = ("mix",)


class ShipArtifacts(BuildHookInterface):
    """Derive cvae_sdk/artifacts/ from artifacts/."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the copies anew; hatchling calls this before it collects the files."""
        root = Path(self.root)
        # The package's own __init__ needs numpy and onnxruntime, which a build environment does not have.
        package = types.ModuleType("cvae_sdk")
        package.__path__ = [str(root / "cvae_sdk")]
        sys.modules["cvae_sdk"] = package
        from cvae_sdk.artifact import SHIPPED

        for name in SHIPPED:
            source, target = root.parent / "artifacts" / name, root / "cvae_sdk" / "artifacts" / name
            if source.is_dir():
                _ship(source, target)
            elif not target.is_dir():
                raise FileNotFoundError(f"neither {source} nor {target} is there: the SDK has no artifact to ship")


def _ship(source: Path, target: Path) -> None:
    from cvae_sdk.artifact import Artifact
    from cvae_sdk.manifest import MANIFEST_NAME

    artifact = Artifact.open(source)
    shipped = artifact.manifest.subset(("onnx",), (_GOLDENS,), _SIGNATURES)
    shutil.rmtree(target, ignore_errors=True)
    for path in shipped.files:
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (target / path).write_bytes(artifact.read(path))
    (target / MANIFEST_NAME).write_bytes(shipped.to_bytes())
