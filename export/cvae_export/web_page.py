"""An artifact as a page: a static folder that samples in the visitor's own browser, from any server, asking no other.

index.html page.css page.mjs ...    the page, by modules; web/ beside this file
latents.mjs                         the seed contract
manifest.json                       what the page needs of the artifact's manifest, and its files' SHA-256
mix.onnx                            z and class weights in, images out
onnxruntime/                        ONNX Runtime for browsers

The form `web` writes it into an artifact, and `write_web_page` from one that is there: the same bytes.
"""

import hashlib
import json
import os
import shutil
from pathlib import Path

from cvae_export.errors import ExportError
from cvae_export.onnxruntime_web import OnnxRuntimeWeb, find_onnxruntime_web
from cvae_export.whole_folder import appearing_whole
from cvae_sdk.artifact import Artifact, locate
from cvae_sdk.manifest import Manifest

__all__ = ["MODEL", "RUNTIME_FOLDER", "copy_page", "describe_page", "write_web_page"]

MODEL = "mix.onnx"
RUNTIME_FOLDER = "onnxruntime"
_PAGE = Path(__file__).parent / "web"
_LICENSE = "onnxruntime-license.txt"
_PAGE_FILES = (".html", ".css", ".mjs", ".svg")


def write_web_page(
    artifact: str | os.PathLike[str], out: str | os.PathLike[str], onnxruntime_web: Path | None = None
) -> None:
    """Write the page of an artifact, in a folder or shipped by name, to the new folder `out`, whole or not at all.

    `onnxruntime_web` is the folder of that npm package, by default searched for. Raises ExportError for what is in the
    way, and ArtifactError for an artifact that is not whole.
    """
    runtime = find_onnxruntime_web(onnxruntime_web)
    out = Path(out)
    if os.path.lexists(out):
        raise ExportError(f"{out} exists: choose another folder, or remove it first")
    opened = Artifact.open(locate(artifact))
    model = opened.read(_model_path(opened))
    with appearing_whole(out) as folder:
        copy_page(folder, model, runtime)
        describe_page(folder, opened.manifest, runtime.version)


def copy_page(folder: Path, model: bytes, runtime: OnnxRuntimeWeb) -> None:
    """Put all but the page's manifest into `folder`: `describe_page` has to follow."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(_PAGE.iterdir()):
        if path.suffix in _PAGE_FILES:
            shutil.copyfile(path, folder / path.name)
    (folder / MODEL).write_bytes(model)
    (folder / RUNTIME_FOLDER).mkdir()
    for name, path in runtime.files.items():
        shutil.copyfile(path, folder / RUNTIME_FOLDER / name)
    shutil.copyfile(_PAGE / _LICENSE, folder / RUNTIME_FOLDER / "LICENSE.txt")


def describe_page(folder: Path, manifest: Manifest, runtime_version: str) -> None:
    """Write the page's manifest.json: what the artifact's says, but of the page's own files."""
    paths = [MODEL, *(f"{RUNTIME_FOLDER}/{path.name}" for path in sorted((folder / RUNTIME_FOLDER).iterdir()))]
    described = {
        "name": manifest.name,
        "version": manifest.version,
        "classes": list(manifest.classes),
        "latent_dim": manifest.latent_dim,
        "image_shape": list(manifest.image_shape),
        "onnxruntime_web": runtime_version,
        "files": {path: _record(folder / path) for path in paths},
    }
    (folder / "manifest.json").write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")


def _model_path(artifact: Artifact) -> str:
    onnx = artifact.manifest.formats.get("onnx")
    paths = () if onnx is None or onnx.files is None else onnx.files.get("mix", ())
    if not paths:
        name = artifact.manifest.name
        raise ExportError(f"the artifact {name} has no ONNX model that mixes classes: export its run again with onnx")
    return paths[0]


def _record(path: Path) -> dict[str, object]:
    content = path.read_bytes()
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
