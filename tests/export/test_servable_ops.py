"""What a CPU build of TF Serving cannot run is refused at export."""

import shutil
from pathlib import Path

import pytest
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework import kernels

from cvae_export import ExportError, export_run
from cvae_export.saved_model import SAVED_MODEL
from cvae_export.servable_ops import SERVABLE_OPS, check_servable
from cvae_training import Run


@pytest.mark.parametrize("op", sorted(SERVABLE_OPS))
def test_each_listed_operation_has_a_kernel_for_cpus(op: str) -> None:
    registered = {kernel.device_type for kernel in kernels.get_registered_kernels_for_op(op).kernel}
    assert registered & {"CPU", "DEFAULT"}  # DEFAULT is for any device that has none of its own


def test_an_exported_model_has_only_these(artifact: Path) -> None:
    check_servable(artifact / "saved_model" / "1")


def test_the_one_by_jax2tf_is_refused(artifact: Path) -> None:
    with pytest.raises(ExportError, match=r"may not have: .*XlaCallModule in the function \w+"):
        check_servable(artifact / "saved_model_xla" / "1")


def plant(version_folder: Path, *, op: str, in_function: bool) -> None:
    path = version_folder / "saved_model.pb"
    message = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    graph = message.meta_graphs[0].graph_def
    nodes = graph.library.function[0].node_def if in_function else graph.node
    nodes.add(name="planted", op=op)
    path.write_bytes(message.SerializeToString())


@pytest.mark.parametrize("op", ["XlaCallModule", "EagerPyFunc", "TFText>WhitespaceTokenize"])
@pytest.mark.parametrize("in_function", [False, True])
def test_a_planted_operation_is_found(artifact: Path, tmp_path: Path, op: str, in_function: bool) -> None:
    folder = tmp_path / "1"
    shutil.copytree(artifact / "saved_model" / "1", folder)
    plant(folder, op=op, in_function=in_function)
    place = "the function" if in_function else "the graph"
    with pytest.raises(ExportError, match=f"saved_model: .* may not have: {op} in {place}"):
        check_servable(folder)


def test_an_export_with_a_planted_operation_leaves_nothing(article_run: Run, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("cvae_export.servable_ops.SERVABLE_OPS", SERVABLE_OPS - {"MatMul"})
    with pytest.raises(ExportError, match="a CPU build of TF Serving may not have: MatMul in the function"):
        export_run(article_run, tmp_path / "out", forms=(SAVED_MODEL,))
    assert list(tmp_path.iterdir()) == []
