"""What serving/triton holds, read by Triton's own protos."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from google.protobuf import text_format

from cvae_export.triton import model_config, triton_name, write_triton
from cvae_sdk import Sampler
from cvae_sdk.manifest import Signature, TensorSpec
from cvae_training import Run

IMAGE = {"image": TensorSpec("float32", ("batch", 4, 5, 3))}
DECODE = Signature({"z": TensorSpec("float32", ("batch", 6)), "label": TensorSpec("int32", ("batch",))}, IMAGE)
MIX = Signature({"z": TensorSpec("float32", ("batch", 6)), "class_weights": TensorSpec("float32", ("batch", 9))}, IMAGE)


@pytest.fixture(scope="module")
def parse(schema: Callable) -> Callable[[str], Any]:
    protos = schema("tritonclient.grpc.model_config_pb2")
    return lambda text: text_format.Parse(text, protos.ModelConfig())


def test_the_configuration_says_what_the_model_takes_and_how_it_is_batched_and_warmed_up(parse, schema) -> None:
    protos = schema("tritonclient.grpc.model_config_pb2")
    z = protos.ModelInput(name="z", data_type=protos.TYPE_FP32, dims=[6])
    label = protos.ModelInput(name="label", data_type=protos.TYPE_INT32, dims=[1], reshape=protos.ModelTensorReshape())
    zeros = {
        "z": protos.ModelWarmup.Input(data_type=protos.TYPE_FP32, dims=[6], zero_data=True),
        "label": protos.ModelWarmup.Input(data_type=protos.TYPE_INT32, dims=[1], zero_data=True),
    }
    assert parse(model_config("mine", DECODE)) == protos.ModelConfig(
        name="mine",
        backend="onnxruntime",
        default_model_filename="model.onnx",
        max_batch_size=4096,
        input=[z, label],
        output=[protos.ModelOutput(name="image", data_type=protos.TYPE_FP32, dims=[4, 5, 3])],
        dynamic_batching=protos.ModelDynamicBatching(preferred_batch_size=[64, 256], max_queue_delay_microseconds=100),
        model_warmup=[
            protos.ModelWarmup(name=f"batch of {size}", batch_size=size, inputs=zeros) for size in (1, 64, 256)
        ],
    )


def test_a_field_that_triton_does_not_have_is_told(parse) -> None:
    with pytest.raises(text_format.ParseError, match='no field named "max_batch"'):
        parse(model_config("mine", DECODE).replace("max_batch_size", "max_batch"))


def test_the_configuration_is_that_of_the_onnx_file_beside_it(parse, artifact: Path, run: Run) -> None:
    folder = artifact / "serving" / "triton" / artifact.name
    config = parse((folder / "config.pbtxt").read_text())
    graph = onnx.load(folder / "1" / "model.onnx").graph
    numbers = {"TYPE_FP32": onnx.TensorProto.FLOAT, "TYPE_INT32": onnx.TensorProto.INT32}
    for configured, found in ((config.input, graph.input), (config.output, graph.output)):
        names = {value.name: value.type.tensor_type for value in found}
        assert [tensor.name for tensor in configured] == list(names)
        for tensor in configured:
            shape = tensor.reshape.shape if tensor.HasField("reshape") else tensor.dims
            assert list(shape) == [axis.dim_value for axis in names[tensor.name].shape.dim[1:]]
            data_type = tensor.DESCRIPTOR.fields_by_name["data_type"].enum_type.values_by_number[tensor.data_type].name
            assert numbers[data_type] == names[tensor.name].elem_type


def test_the_artifact_lists_them_and_verifies(artifact: Path) -> None:
    found = {path.relative_to(artifact).as_posix() for path in (artifact / "serving").rglob("*") if path.is_file()}
    found = {path for path in found if not path.startswith("serving/tensorflow/")}
    stems = [path.stem for path in (artifact / "onnx").iterdir()]
    models = [triton_name(artifact.name, "decode" if stem == "decoder" else stem) for stem in stems]
    assert found == {
        *(f"serving/triton/{model}/{file}" for model in models for file in ("config.pbtxt", "1/model.onnx")),
        "serving/kserve/inferenceservice.yaml",
    }
    sampler = Sampler(artifact)
    assert found <= set(sampler.manifest.files)
    assert sampler.verify().files == len(sampler.manifest.files)
    model = f"serving/triton/{artifact.name}/1/model.onnx"
    assert sampler.manifest.files[model] == sampler.manifest.files["onnx/decoder.onnx"]


def test_each_further_onnx_file_is_a_model_of_its_own(parse, tmp_path: Path) -> None:
    (tmp_path / "onnx").mkdir()
    for name in ("decoder", "mix"):
        (tmp_path / "onnx" / f"{name}.onnx").write_text(name)
    write_triton(tmp_path, "mine", 3, {"decode": DECODE, "mix": MIX, "encode": DECODE})
    repository = tmp_path / "serving" / "triton"
    assert {path.name for path in repository.iterdir()} == {"mine", "mine-mix"}
    assert (repository / "mine-mix" / "3" / "model.onnx").read_text() == "mix"
    config = parse((repository / "mine-mix" / "config.pbtxt").read_text())
    assert config.name == "mine-mix"
    assert {tensor.name: list(tensor.dims) for tensor in config.input} == {"z": [6], "class_weights": [9]}


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("mnist-v1.2_b", "mnist-v1.2_b"),
        ("my model", "my-model"),
        ('a"b\\c/d\n', "a-b-c-d"),
        ("../..", "decoder"),
        ("数字", "decoder"),
        ("", "decoder"),
    ],
)
def test_any_name_makes_one_that_triton_takes(name: str, model: str) -> None:
    assert triton_name(name) == model
    assert triton_name(name, "mix") == f"{model}-mix"
