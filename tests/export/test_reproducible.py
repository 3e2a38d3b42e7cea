"""Two exports of one run are the same bytes."""

import os
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from cvae_export import export_run
from cvae_export.forms import get_forms
from cvae_export.onnx_names import with_canonical_names
from cvae_export.saved_model import SAVED_MODEL
from cvae_training import Run

EXPORTS = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from conftest import random_run
from cvae_export import export_run
from cvae_export.forms import get_forms
export_run(random_run(sys.argv[2]), Path(sys.argv[3]), name="same", forms=get_forms(["all"]))
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("preset_name", ["article", "fast"])
def test_in_another_process_folder_and_place_of_the_process_it_is_the_same(preset_name: str, tmp_path: Path) -> None:
    for number, folder in ((1, tmp_path / "a" / "x"), (2, tmp_path / "another" / "y")):
        environment = {**os.environ, "PYTHONHASHSEED": str(number), "SOURCE_DATE_EPOCH": "1700000000"}
        command = [sys.executable, "-c", EXPORTS, Path(__file__).parent, preset_name, folder]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    first, second = contents(tmp_path / "a" / "x"), contents(tmp_path / "another" / "y")
    assert len(first) > 12
    assert [name for name in first | second if first.get(name) != second.get(name)] == []


def test_what_a_process_exported_before_does_not_matter(
    article_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    for folder in (tmp_path / "a", tmp_path / "b"):
        export_run(article_run, folder, name="same", forms=get_forms(["all"]))
    first, second = contents(tmp_path / "a"), contents(tmp_path / "b")
    assert [name for name in first | second if first.get(name) != second.get(name)] == []


def test_tensorflow_by_itself_would_write_others(article_run: Run, tmp_path: Path, monkeypatch) -> None:
    from cvae_export import build_decoder

    monkeypatch.setattr("cvae_export.saved_model.make_canonical", lambda folder: None)
    for folder in (tmp_path / "a", tmp_path / "b"):
        SAVED_MODEL.write(build_decoder(article_run), folder)
    first, second = contents(tmp_path / "a"), contents(tmp_path / "b")
    assert {name for name in first if first[name] != second[name]} == {"1/fingerprint.pb", "1/saved_model.pb"}


def test_onnx_names_and_order_follow_from_the_computation() -> None:
    """(x + k) * k, once with its names and its nodes in another order, and one that nothing needs."""

    def model(total: str, constant: str, *, extra: bool) -> onnx.ModelProto:
        x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in "xy")
        nodes = [
            helper.make_node("Add", ["x", constant], [total], name=f"{total}_7"),
            helper.make_node("Mul", [total, constant], ["y"], name="unk__10"),
        ]
        if extra:
            nodes.insert(0, helper.make_node("Relu", ["x"], ["nobody"]))
        tensor = helper.make_tensor(constant, TensorProto.FLOAT, [2], [1.0, 2.0])
        return helper.make_model(helper.make_graph(nodes, "same", [x], [y], [tensor]))

    first = with_canonical_names(model("total", "const_fold_opt__3", extra=False))
    second = with_canonical_names(model("sum", "k", extra=True))
    assert first == second
    assert [node.name for node in first.graph.node] == ["Add_0", "Mul_0"]
    assert [tensor.name for tensor in first.graph.initializer] == ["constant_0"]
    assert first.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
