"""The gate on an artifact that was written before."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cvae_export import ExportError, ParityError, export_run
from cvae_export.check import check_artifact
from cvae_export.command import main
from cvae_export.forms import CATALOG, get_forms
from cvae_sdk.errors import IntegrityError
from cvae_sdk.manifest import Manifest
from cvae_training import Run


def test_a_sound_artifact_passes_form_by_form(complete: Path) -> None:
    passed = {}
    check_artifact(complete, on_form=lambda name, form: passed.update({name: form.parity}))
    assert passed.keys() == {entry.name for entry in CATALOG if not entry.by_npm}
    assert passed["onnx"].cases == 20
    assert 0 < passed["onnx_int8"].max_abs_error <= 0.2


def test_with_the_run_every_signature_is_compared_again(complete: Path, run: Run) -> None:
    passed = {}
    check_artifact(complete, run, on_form=lambda name, form: passed.update({name: form.parity}))
    stated = Manifest.parse((complete / "manifest.json").read_bytes()).formats
    assert {name: parity.cases for name, parity in passed.items()} == {
        name: form.parity.cases for name, form in stated.items()
    }


@pytest.fixture
def small(article_run: Run, tmp_path: Path) -> Path:
    export_run(article_run, tmp_path / "small", forms=get_forms(["onnx", "weights"]))
    return tmp_path / "small"


def replaced(artifact: Path, path: str, content: bytes) -> None:
    """Put other bytes in a file's place and list them, as somebody who means to deceive would."""
    (artifact / path).write_bytes(content)
    values = json.loads((artifact / "manifest.json").read_bytes())
    values["files"][path] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    del values["digest"]
    compact = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    values["digest"] = hashlib.sha256(compact.encode()).hexdigest()
    text = json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    (artifact / "manifest.json").write_text(text)


def test_another_runs_form_is_found(small: Path, tmp_path: Path, make_run: Callable[..., Run]) -> None:
    export_run(make_run("article", seed=3), tmp_path / "other", forms=get_forms(["onnx", "weights"]))
    replaced(small, "weights.safetensors", (tmp_path / "other" / "weights.safetensors").read_bytes())
    with pytest.raises(ParityError, match="weights: decode differs from the recorded images by"):
        check_artifact(small)


def test_a_damaged_file_is_found_before_anything_runs(small: Path) -> None:
    content = bytearray((small / "onnx" / "decoder.onnx").read_bytes())
    content[1000] ^= 1
    (small / "onnx" / "decoder.onnx").write_bytes(content)
    with pytest.raises(IntegrityError, match=r"onnx/decoder\.onnx has SHA-256"):
        check_artifact(small, on_form=lambda *_: pytest.fail("a form was run"))


def test_another_model_of_the_same_shape_is_found_by_its_run(small: Path, make_run: Callable[..., Run]) -> None:
    with pytest.raises(ParityError, match="onnx: decode differs from the JAX model"):
        check_artifact(small, make_run("article", seed=3))


def test_a_run_of_another_shape_is_told(small: Path, make_run: Callable[..., Run]) -> None:
    with pytest.raises(ExportError, match="is not of this run: its latents, classes or images are others"):
        check_artifact(small, make_run("fast"))


def test_the_command_says_what_it_found(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check", str(small)]) == 0
    output = capsys.readouterr().out
    assert "onnx             max_abs_error" in output
    assert f"artifact small in {small} is whole" in output
    shutil.rmtree(small / "onnx")
    assert main(["--check", str(small)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "cvae-export: onnx/decoder.onnx is listed in the manifest but missing"
