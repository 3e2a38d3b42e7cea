"""The SDK's reader of ONNX takes all that is exported; test_tf_graph.py shows it of the drawing of each primitive."""

from pathlib import Path

import pytest

from cvae_export import export_run
from cvae_export.forms import get_forms
from cvae_sdk.artifact import Artifact
from cvae_sdk.onnx_model import check_onnx
from cvae_training import Run


def check_all(folder: Path) -> list[tuple[str, str]]:
    artifact = Artifact.open(folder)
    checked = []
    for name, form in artifact.manifest.formats.items():
        if name.startswith("onnx"):
            for signature, (path,) in (form.files or {"decode": [form.path]}).items():
                check_onnx(artifact.read(path), path, artifact.manifest.signatures[signature], form.opset)
                checked.append((name, signature))
    return checked


def test_every_onnx_form_of_every_signature_is_admitted(complete: Path) -> None:
    forms, signatures = ("onnx", "onnx_fp16", "onnx_int8"), ("decode", "mix", "encode")
    assert set(check_all(complete)) == {(form, signature) for form in forms for signature in signatures}


@pytest.mark.parametrize("opset", [8, 10, 11, 15])
def test_older_opsets_are_admitted(article_run: Run, tmp_path: Path, opset: int) -> None:
    export_run(article_run, tmp_path / "out", forms=get_forms(["onnx"], opset))
    assert len(check_all(tmp_path / "out")) == 3


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_the_committed_artifacts_are_admitted(name: str) -> None:
    assert check_all(Path(__file__).parents[2] / "artifacts" / name)


def test_the_golden_artifacts_are_admitted() -> None:
    folders = sorted((Path(__file__).parents[1] / "golden").glob("artifact-*"))
    assert folders
    for folder in folders:
        assert check_all(folder)
