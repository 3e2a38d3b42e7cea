"""What there is to export to, and what the command says of it."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from cvae_export import FORMS, ExportError, export_run
from cvae_export.command import main
from cvae_export.forms import CATALOG, get_forms
from cvae_sdk import Manifest
from cvae_training import Run


def test_each_entry_says_where_its_form_lies() -> None:
    for entry in CATALOG:
        form = entry.form()
        assert (form.name, form.path) == (entry.name, entry.path)


def test_the_default_forms_are_the_four_that_need_no_extra() -> None:
    assert [form.name for form in FORMS] == ["stablehlo", "saved_model", "saved_model_xla", "onnx"]
    assert not [entry.name for entry in CATALOG if entry.default and entry.extra]


def test_all_is_every_form_but_the_one_of_npm() -> None:
    assert [form.name for form in get_forms(["all"])] == [entry.name for entry in CATALOG if not entry.by_npm]
    assert [entry.name for entry in CATALOG if entry.by_npm] == ["web"]


def test_the_list_has_a_line_for_each_form_and_imports_nothing_heavy() -> None:
    program = (
        "import sys; from cvae_export.command import main; code = main(['--list']);"
        "sys.exit(code or [name for name in ('tensorflow', 'jax', 'onnx') if name in sys.modules] or None)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == [entry.name for entry in CATALOG]
    assert "phones and small boards; needs ai-edge-litert" in done.stdout


@pytest.fixture
def without_litert(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr("cvae_export.forms.find_spec", lambda name: None if "litert" in name else find_spec(name))


@pytest.mark.usefixtures("without_litert")
def test_a_form_whose_library_is_missing_names_the_extra() -> None:
    message = r"the form litert needs ai-edge-litert, .* not installed: pip install 'cvae-export\[litert\]'"
    with pytest.raises(ExportError, match=message):
        get_forms(["onnx", "litert"])
    assert [form.name for form in get_forms(["onnx"])] == ["onnx"]


@pytest.mark.usefixtures("without_litert")
def test_the_list_says_which_library_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    missing = [line for line in capsys.readouterr().out.splitlines() if "not installed" in line]
    (line,) = [line for line in missing if not line.startswith("web ")]  # npm may have brought it or not
    assert line.startswith("litert ")
    assert "pip install 'cvae-export[litert]'" in line


def test_an_unknown_form_is_told_with_those_there_are() -> None:
    with pytest.raises(ExportError, match=r"no form 'onxx': there are stablehlo, .*, web, and all"):
        get_forms(["onxx"])


def test_a_few_forms_make_an_artifact_whose_card_shows_those(article_run: Run, tmp_path: Path) -> None:
    manifest = export_run(article_run, tmp_path / "out", forms=get_forms(["litert", "weights"]))
    assert sorted(manifest.formats) == ["litert", "weights"]
    card = (tmp_path / "out" / "README.md").read_text()
    assert 'Interpreter("litert/decoder.tflite")' in card
    assert "onnxruntime" not in card
    assert Manifest.parse((tmp_path / "out" / "manifest.json").read_bytes()).formats == manifest.formats


class TestOpset:
    @pytest.mark.parametrize("opset", [7, 13, 18])
    def test_onnx_is_written_at_the_one_that_is_asked_for(self, article_run: Run, tmp_path: Path, opset: int) -> None:
        manifest = export_run(article_run, tmp_path / "out", forms=get_forms(["onnx"], opset))
        assert manifest.formats["onnx"].opset == opset

    def test_one_that_is_too_old_names_operator_and_opset(self, article_run: Run, tmp_path: Path) -> None:
        with pytest.raises(ExportError, match=r"onnx: opset 5 is too old for \w+: give a newer one, 17 say"):
            export_run(article_run, tmp_path / "out", forms=get_forms(["onnx"], 5))
        with pytest.raises(ExportError, match="onnx_int8: opset 10 is too old for DynamicQuantizeLinear: give 11 or"):
            export_run(article_run, tmp_path / "out", forms=get_forms(["onnx_int8"], 10))
        assert list(tmp_path.iterdir()) == []

    def test_one_that_tf2onnx_does_not_know_is_told(self, article_run: Run, tmp_path: Path) -> None:
        with pytest.raises(ExportError, match="onnx: opset 99 cannot be written: tf2onnx knows 1 to 18"):
            export_run(article_run, tmp_path / "out", forms=get_forms(["onnx"], 99))
