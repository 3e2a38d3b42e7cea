"""What each form's files are, beside giving the right images."""

from pathlib import Path

import jax
import numpy as np
import onnx
import pytest
import tensorflow as tf
from onnx import helper
from tensorflow.core.protobuf import saved_model_pb2

from cvae_export import ExportError, build_decoder
from cvae_export.onnx_graph import check_portable
from cvae_export.saved_model_xla import SAVED_MODEL_XLA
from cvae_export.stablehlo import STABLEHLO_VERSION
from cvae_sdk import Manifest
from cvae_training import Run


@pytest.fixture(scope="session")
def model(artifact: Path) -> onnx.ModelProto:
    return onnx.load(artifact / "onnx" / "decoder.onnx", load_external_data=False)


class TestOnnx:
    def test_is_one_file_of_standard_operators_at_opset_17(self, artifact: Path, model: onnx.ModelProto) -> None:
        assert [path.name for path in (artifact / "onnx").iterdir()] == ["decoder.onnx"]
        assert {opset.domain: opset.version for opset in model.opset_import}[""] == 17
        assert {node.domain for node in model.graph.node} == {""}
        assert not model.functions
        assert not any(tensor.external_data for tensor in model.graph.initializer)

    def test_has_named_inputs_and_outputs_with_a_free_batch(self, model: onnx.ModelProto, run: Run) -> None:
        def described(value: onnx.ValueInfoProto) -> tuple[str, list[int | str]]:
            tensor = value.type.tensor_type
            return helper.tensor_dtype_to_string(tensor.elem_type), [
                dim.dim_value or "free" for dim in tensor.shape.dim
            ]

        got = {value.name: described(value) for value in (*model.graph.input, *model.graph.output)}
        assert got == {
            "z": ("TensorProto.FLOAT", ["free", run.config.model.latent_dim]),
            "label": ("TensorProto.INT32", ["free"]),
            "image": ("TensorProto.FLOAT", ["free", 28, 28, 1]),
        }

    def test_a_custom_operator_is_refused(self, model: onnx.ModelProto) -> None:
        planted = onnx.ModelProto.FromString(model.SerializeToString())
        planted.opset_import.append(helper.make_opsetid("com.example", 1))
        output = planted.graph.output[0].name
        producer = next(node for node in planted.graph.node if output in node.output)
        producer.output[0] = "before"
        planted.graph.node.append(helper.make_node("Polish", ["before"], [output], domain="com.example"))
        with pytest.raises(ExportError, match=r"custom operators: com\.example\.Polish"):
            check_portable(planted)

    def test_a_model_function_is_refused(self, model: onnx.ModelProto) -> None:
        planted = onnx.ModelProto.FromString(model.SerializeToString())
        planted.opset_import.append(helper.make_opsetid("local", 1))
        body = [helper.make_node("Relu", ["x"], ["y"])]
        opsets = [helper.make_opsetid("", 17)]
        planted.functions.append(helper.make_function("local", "Rectify", ["x"], ["y"], body, opsets))
        with pytest.raises(ExportError, match="the model has functions: Rectify"):
            check_portable(planted)

    def test_another_opset_is_refused(self, model: onnx.ModelProto) -> None:
        planted = onnx.ModelProto.FromString(model.SerializeToString())
        planted.opset_import[0].version = 18
        with pytest.raises(ExportError, match="opset is 18, not 17"):
            check_portable(planted)

    def test_a_tensor_in_another_file_is_refused(self, model: onnx.ModelProto, tmp_path: Path) -> None:
        path = tmp_path / "external.onnx"
        copy = onnx.ModelProto.FromString(model.SerializeToString())
        onnx.save(copy, path, save_as_external_data=True, location="weights", size_threshold=0)
        with pytest.raises(ExportError, match="lies in another file"):
            check_portable(onnx.load(path, load_external_data=False))


def operations(saved_model: Path) -> dict[str, list]:
    """All nodes of a SavedModel, inside its functions too, by operation."""
    message = saved_model_pb2.SavedModel.FromString((saved_model / "saved_model.pb").read_bytes())
    nodes: dict[str, list] = {}
    for meta_graph in message.meta_graphs:
        functions = meta_graph.graph_def.library.function
        for part in (meta_graph.graph_def.node, *(function.node_def for function in functions)):
            for node in part:
                nodes.setdefault(node.op, []).append(node)
    return nodes


class TestSavedModel:
    def test_is_plain_operations(self, artifact: Path) -> None:
        found = operations(artifact / "saved_model" / "1")
        assert "MatMul" in found
        assert not [name for name in found if "Xla" in name or "PyFunc" in name]

    def test_the_other_one_would_be_caught_by_that(self, artifact: Path) -> None:
        assert "XlaCallModule" in operations(artifact / "saved_model_xla" / "1")

    def test_has_the_signatures_decode_and_mix_and_serves_decode(self, artifact: Path, run: Run) -> None:
        signatures = tf.saved_model.load(str(artifact / "saved_model" / "1")).signatures
        assert set(signatures) == {"serving_default", "decode", "mix"}
        inputs = signatures["serving_default"].structured_input_signature[1]
        assert {name: (spec.dtype.name, spec.shape.as_list()) for name, spec in inputs.items()} == {
            "z": ("float32", [None, run.config.model.latent_dim]),
            "label": ("int32", [None]),
        }
        inputs = signatures["mix"].structured_input_signature[1]
        assert inputs["class_weights"].shape.as_list() == [None, 10]

    def test_holds_the_weights_once_for_all_signatures(self, artifact: Path, run: Run) -> None:
        training_alone = {"encoder", "from_image", "pre_latent_proj", "recognizer"}
        leaves = jax.tree.leaves(
            {name: tree for name, tree in run.params["params"].items() if name not in training_alone}
        )
        weights = sum(np.asarray(leaf).nbytes for leaf in leaves)
        assert weights < (artifact / "saved_model" / "1" / "saved_model.pb").stat().st_size < 1.1 * weights

    def test_half_of_two_classes_is_neither(self, artifact: Path, run: Run) -> None:
        mix = tf.saved_model.load(str(artifact / "saved_model" / "1")).signatures["mix"]
        z = np.zeros((3, run.config.model.latent_dim), np.float32)
        weights = np.array([[1, 0], [0, 1], [0.5, 0.5]], np.float32) @ np.eye(2, 10, dtype=np.float32)
        three, eight, between = mix(z=z, class_weights=weights)["image"].numpy()
        assert np.abs(between - three).max() > 1e-3
        assert np.abs(between - eight).max() > 1e-3


class TestStableHlo:
    def test_each_module_is_at_the_pinned_version(self, artifact: Path) -> None:
        # Bytecode of MLIR starts with its magic number, and names what produced it.
        for path in ("stablehlo/decoder.mlirbc", "stablehlo/decoder.jax_export", "saved_model_xla/1/saved_model.pb"):
            content = (artifact / path).read_bytes()
            assert content.count(b"StableHLO_v") == content.count(f"StableHLO_v{STABLEHLO_VERSION}".encode()) == 1
        assert (artifact / "stablehlo" / "decoder.mlirbc").read_bytes().startswith(b"ML\xefR")

    def test_the_exported_function_runs_on_cpu_cuda_and_tpu_with_a_symbolic_batch(self, artifact: Path) -> None:
        exported = jax.export.deserialize((artifact / "stablehlo" / "decoder.jax_export").read_bytes())
        assert exported.platforms == ("cpu", "cuda", "tpu")
        assert [str(aval.shape[0]) for aval in (*exported.in_avals, *exported.out_avals)] == ["batch"] * 3

    def test_the_portable_module_takes_z_and_label_alone(self, artifact: Path) -> None:
        from jaxlib.mlir import ir
        from jaxlib.mlir.dialects import stablehlo

        with ir.Context() as context:
            stablehlo.register_dialect(context)
            portable = (artifact / "stablehlo" / "decoder.mlirbc").read_bytes()
            module = stablehlo.deserialize_portable_artifact(context, portable)
            (main,) = [function for function in module.body if function.name.value == "main"]
            assert [str(kind).split("x")[-1] for kind in main.type.inputs] == ["f32>", "i32>"]

    def test_the_manifest_says_version_and_expiry(self, artifact: Path) -> None:
        manifest = Manifest.parse((artifact / "manifest.json").read_bytes())
        assert manifest.formats["stablehlo"].stablehlo_version == STABLEHLO_VERSION == "1.9.0"
        assert manifest.formats["stablehlo"].expires > manifest.created[:10]
        assert manifest.formats["onnx"].opset == 17


def test_jax2tf_by_itself_would_write_the_installed_version(article_run: Run, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("cvae_export.saved_model_xla.at_pinned_version", lambda module: module)
    SAVED_MODEL_XLA.write(build_decoder(article_run), tmp_path / "xla")
    assert f"StableHLO_v{STABLEHLO_VERSION}".encode() not in (tmp_path / "xla" / "1" / "saved_model.pb").read_bytes()
