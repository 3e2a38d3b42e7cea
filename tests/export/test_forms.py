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
from cvae_sdk.manifest import TensorSpec
from cvae_training import Run

FREE_IMAGE = ["free", 28, 28, 1]


@pytest.fixture(scope="session")
def model(artifact: Path) -> onnx.ModelProto:
    return onnx.load(artifact / "onnx" / "decoder.onnx", load_external_data=False)


class TestOnnx:
    def test_each_signature_is_one_file_of_standard_operators_at_opset_17(self, artifact: Path) -> None:
        assert {path.name for path in (artifact / "onnx").iterdir()} == {"decoder.onnx", "mix.onnx", "encode.onnx"}
        for path in (artifact / "onnx").iterdir():
            model = onnx.load(path, load_external_data=False)
            assert {opset.domain: opset.version for opset in model.opset_import}[""] == 17
            assert {node.domain for node in model.graph.node} == {""}
            assert not model.functions
            assert not any(tensor.external_data for tensor in model.graph.initializer)

    @pytest.mark.parametrize("name", ["decoder", "mix", "encode"])
    def test_has_named_inputs_and_outputs_with_a_free_batch(self, artifact: Path, run: Run, name: str) -> None:
        model = onnx.load(artifact / "onnx" / f"{name}.onnx")
        latents, image = ("TensorProto.FLOAT", ["free", run.config.model.latent_dim]), ("TensorProto.FLOAT", FREE_IMAGE)
        label, weights = ("TensorProto.INT32", ["free"]), ("TensorProto.FLOAT", ["free", 10])

        def described(value: onnx.ValueInfoProto) -> tuple[str, list[int | str]]:
            tensor = value.type.tensor_type
            return helper.tensor_dtype_to_string(tensor.elem_type), [
                dim.dim_value or "free" for dim in tensor.shape.dim
            ]

        got = {value.name: described(value) for value in (*model.graph.input, *model.graph.output)}
        assert (
            got
            == {
                "decoder": {"z": latents, "label": label, "image": image},
                "mix": {"z": latents, "class_weights": weights, "image": image},
                # The encoder takes the label though no prior is learned that needs it.
                "encode": {"image": image, "label": label, "mean": latents, "logvar": latents},
            }[name]
        )

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

    def test_has_all_signatures_and_serves_decode(self, artifact: Path, run: Run) -> None:
        signatures = tf.saved_model.load(str(artifact / "saved_model" / "1")).signatures
        assert set(signatures) == {"serving_default", "decode", "mix", "encode", "png_bytes", "sample"}
        inputs = signatures["serving_default"].structured_input_signature[1]
        assert {name: (spec.dtype.name, spec.shape.as_list()) for name, spec in inputs.items()} == {
            "z": ("float32", [None, run.config.model.latent_dim]),
            "label": ("int32", [None]),
        }
        inputs = signatures["mix"].structured_input_signature[1]
        assert inputs["class_weights"].shape.as_list() == [None, 10]

    @pytest.mark.parametrize("form", ["saved_model", "saved_model_xla"])
    def test_its_signatures_are_those_of_the_manifest(self, artifact: Path, form: str) -> None:
        """As a server sees them: the names by which it is asked, dtypes and shapes."""
        message = saved_model_pb2.SavedModel.FromString((artifact / form / "1" / "saved_model.pb").read_bytes())
        (meta_graph,) = message.meta_graphs
        manifest = Manifest.parse((artifact / "manifest.json").read_bytes())

        def described(tensors) -> dict[str, TensorSpec]:
            return {
                name: TensorSpec(
                    tf.dtypes.as_dtype(info.dtype).name,
                    tuple("batch" if dim.size == -1 else dim.size for dim in info.tensor_shape.dim),
                )
                for name, info in tensors.items()
            }

        for name in manifest.formats[form].signatures:
            signature = meta_graph.signature_def[name]
            assert described(signature.inputs) == manifest.signatures[name].inputs, name
            assert described(signature.outputs) == manifest.signatures[name].outputs, name
            assert signature.method_name == "tensorflow/serving/predict"

    def test_holds_the_weights_once_for_all_signatures(self, artifact: Path, run: Run) -> None:
        leaves = jax.tree.leaves({name: tree for name, tree in run.params["params"].items() if name != "recognizer"})
        weights = sum(np.asarray(leaf).nbytes for leaf in leaves)
        # The operations of five signatures and of a prior's layers take 258 kB more; a second copy would take 1.3 MB.
        assert weights < (artifact / "saved_model" / "1" / "saved_model.pb").stat().st_size < weights + 400_000

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
        files = [
            f"stablehlo/{name}.{kind}" for name in ("decoder", "mix", "encode") for kind in ("mlirbc", "jax_export")
        ]
        for path in (*files, "saved_model_xla/1/saved_model.pb"):
            content = (artifact / path).read_bytes()
            modules = 3 if path.startswith("saved_model") else 1
            assert content.count(b"StableHLO_v") == content.count(f"StableHLO_v{STABLEHLO_VERSION}".encode()) == modules
        assert (artifact / "stablehlo" / "decoder.mlirbc").read_bytes().startswith(b"ML\xefR")

    @pytest.mark.parametrize(("name", "tensors"), [("decoder", 3), ("mix", 3), ("encode", 4)])
    def test_a_function_runs_on_cpu_cuda_and_tpu_with_a_symbolic_batch(
        self, artifact: Path, name: str, tensors: int
    ) -> None:
        exported = jax.export.deserialize((artifact / "stablehlo" / f"{name}.jax_export").read_bytes())
        assert exported.platforms == ("cpu", "cuda", "tpu")
        assert [str(aval.shape[0]) for aval in (*exported.in_avals, *exported.out_avals)] == ["batch"] * tensors

    def test_a_single_output_is_an_array_and_two_are_a_tuple(self, artifact: Path, run: Run) -> None:
        folder = artifact / "stablehlo"
        decode, encode = (
            jax.export.deserialize((folder / f"{name}.jax_export").read_bytes()).call for name in ("decoder", "encode")
        )
        label = np.zeros(2, np.int32)
        image = decode(np.zeros((2, run.config.model.latent_dim), np.float32), label)
        mean, logvar = encode(image, label)
        assert mean.shape == logvar.shape == (2, run.config.model.latent_dim)

    @pytest.mark.parametrize(
        ("name", "inputs", "outputs"),
        [
            ("decoder", ["f32>", "i32>"], 1),
            ("mix", ["f32>", "f32>"], 1),
            ("encode", ["f32>", "i32>"], 2),
        ],
    )
    def test_a_portable_module_takes_its_signatures_inputs_alone(
        self, artifact: Path, name: str, inputs: list[str], outputs: int
    ) -> None:
        from jaxlib.mlir import ir
        from jaxlib.mlir.dialects import stablehlo

        with ir.Context() as context:
            stablehlo.register_dialect(context)
            portable = (artifact / "stablehlo" / f"{name}.mlirbc").read_bytes()
            module = stablehlo.deserialize_portable_artifact(context, portable)
            (main,) = [function for function in module.body if function.name.value == "main"]
            assert [str(kind).split("x")[-1] for kind in main.type.inputs] == inputs
            assert len(main.type.results) == outputs

    def test_the_manifest_says_version_and_expiry(self, artifact: Path) -> None:
        manifest = Manifest.parse((artifact / "manifest.json").read_bytes())
        assert manifest.formats["stablehlo"].stablehlo_version == STABLEHLO_VERSION == "1.9.0"
        assert manifest.formats["stablehlo"].expires > manifest.created[:10]
        assert manifest.formats["onnx"].opset == 17


def test_jax2tf_by_itself_would_write_the_installed_version(article_run: Run, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("cvae_export.saved_model_xla.at_pinned_version", lambda module: module)
    SAVED_MODEL_XLA.write(build_decoder(article_run), tmp_path / "xla")
    assert f"StableHLO_v{STABLEHLO_VERSION}".encode() not in (tmp_path / "xla" / "1" / "saved_model.pb").read_bytes()
