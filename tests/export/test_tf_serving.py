"""The files for TF Serving, read back with TF Serving's own messages."""

import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import yaml
from google.protobuf import descriptor_pool, message_factory, text_format, wrappers_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.message import Message
from tensorflow_serving.apis import prediction_log_pb2
from tensorflow_serving.config import model_server_config_pb2

from cvae_export import ExportError, export_run
from cvae_export.onnx import ONNX
from cvae_export.saved_model import SAVED_MODEL
from cvae_export.stablehlo import STABLEHLO
from cvae_export.tf_serving import served_name
from cvae_export.warmup import BATCH_SIZES, MAX_RECORDS, WARMUP_NAME, write_warmup
from cvae_sdk import Manifest, Sampler
from cvae_training import Run

FILES = {"batching_params.pbtxt", "compose.yaml", "models.config", "monitoring.config"}


def requests(version_folder: Path) -> list:
    """The PredictRequests of a warm-up file, as TF Serving parses them."""
    records = tf.data.TFRecordDataset(str(version_folder / WARMUP_NAME))
    logs = [prediction_log_pb2.PredictionLog.FromString(record.numpy()) for record in records]
    assert {log.WhichOneof("log_type") for log in logs} == {"predict_log"}
    return [log.predict_log.request for log in logs]


class TestWarmUp:
    def test_asks_each_signature_at_each_batch_size(self, artifact: Path) -> None:
        signatures = tf.saved_model.load(str(artifact / "saved_model" / "1")).signatures
        got = [
            (request.model_spec.signature_name, {tensor.tensor_shape.dim[0].size for tensor in request.inputs.values()})
            for request in requests(artifact / "saved_model" / "1")
        ]
        assert got == [(name, {batch}) for name in sorted(signatures) for batch in BATCH_SIZES]
        assert {"serving_default", "decode", "mix"} <= {name for name, _ in got}
        assert len(got) <= MAX_RECORDS == 1000

    def test_runs_as_tf_serving_would_run_it(self, artifact: Path) -> None:
        signatures = tf.saved_model.load(str(artifact / "saved_model" / "1")).signatures
        for request in requests(artifact / "saved_model" / "1"):
            assert request.model_spec.name == served_name(artifact.name)
            inputs = {name: tf.constant(tf.make_ndarray(tensor)) for name, tensor in request.inputs.items()}
            outputs = signatures[request.model_spec.signature_name](**inputs)
            assert {output.shape[0] for output in outputs.values()} <= set(BATCH_SIZES)

    def test_asks_for_every_class_with_standard_normal_latents(self, artifact: Path) -> None:
        (request,) = [
            request
            for request in requests(artifact / "saved_model" / "1")
            if request.model_spec.signature_name == "decode" and request.inputs["z"].tensor_shape.dim[0].size == 64
        ]
        z, label = (tf.make_ndarray(request.inputs[name]) for name in ("z", "label"))
        assert set(label) == set(range(10))
        assert abs(z.mean()) < 5 / np.sqrt(z.size)
        assert abs(z.std() - 1) < 5 / np.sqrt(2 * z.size)

    def test_holds_no_more_than_its_messages_say(self, artifact: Path) -> None:
        """A field under a wrong number would be kept as unknown, and lost when the message is made anew."""
        for request in requests(artifact / "saved_model" / "1"):
            copy = type(request)()
            copy.model_spec.name = request.model_spec.name
            copy.model_spec.signature_name = request.model_spec.signature_name
            for name, tensor in request.inputs.items():
                copy.inputs[name].CopyFrom(tf.make_tensor_proto(tf.make_ndarray(tensor)))
            assert copy.SerializeToString(deterministic=True) == request.SerializeToString(deterministic=True)

    def test_more_records_than_tf_serving_takes_are_refused(self, artifact: Path, tmp_path: Path, monkeypatch) -> None:
        shutil.copytree(artifact / "saved_model" / "1", tmp_path / "1", ignore=shutil.ignore_patterns("assets.extra"))
        monkeypatch.setattr("cvae_export.warmup.BATCH_SIZES", (1,) * 334)
        with pytest.raises(ExportError, match=r"\d{4} warm-up requests, and TF Serving takes 1000 at most"):
            write_warmup(tmp_path / "1", "model", 10)

    def test_a_signature_that_fails_is_refused(self, tmp_path: Path) -> None:
        @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, "z")])
        def decode(z: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"image": tf.debugging.check_numerics(z / 0, "no image")}

        tf.saved_model.save(tf.Module(), str(tmp_path / "1"), {"serving_default": decode})
        with pytest.raises(ExportError, match=r"the warm-up of serving_default fails: .*no image"):
            write_warmup(tmp_path / "1", "model", 10)

    @pytest.mark.parametrize("shape", [[], [3], [None, None], None])
    def test_a_signature_that_cannot_be_batched_is_refused(self, tmp_path: Path, shape: list | None) -> None:
        @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, "label"), tf.TensorSpec(shape, tf.int32, "seed")])
        def sample(label: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"image": tf.cast(label, tf.float32), "seed": tf.identity(seed)}

        tf.saved_model.save(tf.Module(), str(tmp_path / "1"), {"serving_default": sample})
        with pytest.raises(ExportError, match=r"seed of serving_default has .* its first axis alone must be free"):
            write_warmup(tmp_path / "1", "model", 10)


def message(name: str, fields: dict[str, str], **nested: dict[str, str]) -> Message:
    """A message of TF Serving that its Python package leaves out, with the fields that TF Serving's source gives it.

    session_bundle_config.proto and monitoring_config.proto in the repository tensorflow/serving.
    """
    kinds = {"bool": FieldDescriptorProto.TYPE_BOOL, "string": FieldDescriptorProto.TYPE_STRING}
    file = FileDescriptorProto(name=f"{name}.proto", package="left_out", syntax="proto3")
    file.dependency.append(wrappers_pb2.DESCRIPTOR.name)
    for its_name, its_fields in {**nested, name: fields}.items():
        described = file.message_type.add(name=its_name)
        for number, (field, kind) in enumerate(its_fields.items(), start=1):
            added = described.field.add(name=field, number=number, label=FieldDescriptorProto.LABEL_OPTIONAL)
            if kind in kinds:
                added.type = kinds[kind]
            else:
                added.type, added.type_name = FieldDescriptorProto.TYPE_MESSAGE, kind
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"left_out.{name}"))()


INT64 = ".google.protobuf.Int64Value"


def batching_parameters() -> Message:
    names = ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads")
    return message("BatchingParameters", dict.fromkeys(names, INT64))


class TestSideFiles:
    def test_are_part_of_the_artifact(self, artifact: Path) -> None:
        listed = Manifest.parse((artifact / "manifest.json").read_bytes()).files
        assert {f"serving/tensorflow/{name}" for name in FILES} | {f"saved_model/1/{WARMUP_NAME}"} <= set(listed)
        assert {path.name for path in (artifact / "serving" / "tensorflow").iterdir()} == FILES
        assert [path.name for path in (artifact / "saved_model").iterdir()] == ["1"]

    @pytest.mark.parametrize(
        "path", [f"saved_model/1/{WARMUP_NAME}", *(f"serving/tensorflow/{name}" for name in sorted(FILES))]
    )
    def test_are_verified(self, artifact: Path, tmp_path: Path, path: str) -> None:
        shutil.copytree(artifact, tmp_path / "copy")
        content = (artifact / path).read_bytes()
        (tmp_path / "copy" / path).write_bytes(bytes([content[0] ^ 1]) + content[1:])
        from cvae_sdk import IntegrityError

        with pytest.raises(IntegrityError, match=f"{path} has SHA-256"):
            Sampler(tmp_path / "copy").verify()

    def test_models_config_serves_the_newest_version_of_this_model(self, artifact: Path) -> None:
        config = text_format.Parse(
            (artifact / "serving/tensorflow/models.config").read_text(), model_server_config_pb2.ModelServerConfig()
        )
        (model,) = config.model_config_list.config
        assert model.name == served_name(artifact.name)
        assert model.base_path == f"/models/{model.name}"
        assert model.model_platform == "tensorflow"
        assert not model.HasField("model_version_policy")

    def test_batching_parameters_join_any_number_up_to_4096_without_waiting(self, artifact: Path) -> None:
        text = (artifact / "serving/tensorflow/batching_params.pbtxt").read_text()
        parameters = text_format.Parse(text, batching_parameters())
        assert {field.name: value.value for field, value in parameters.ListFields()} == {
            "max_batch_size": 4096,
            "batch_timeout_micros": 0,
            "num_batch_threads": 4,
            "max_enqueued_batches": 100,
        }

    def test_monitoring_config_gives_prometheus_a_path(self, artifact: Path) -> None:
        config = message(
            "MonitoringConfig",
            {"prometheus_config": ".left_out.PrometheusConfig"},
            PrometheusConfig={"enable": "bool", "path": "string"},
        )
        text_format.Parse((artifact / "serving/tensorflow/monitoring.config").read_text(), config)
        assert config.prometheus_config.enable
        assert config.prometheus_config.path == "/monitoring/prometheus/metrics"

    def test_a_misspelt_field_would_be_found(self) -> None:
        with pytest.raises(text_format.ParseError, match='no field named "max_batch"'):
            text_format.Parse("max_batch { value: 1 }", batching_parameters())

    def test_compose_mounts_what_its_flags_name(self, artifact: Path) -> None:
        folder = artifact / "serving" / "tensorflow"
        service = yaml.safe_load((folder / "compose.yaml").read_text())["services"]["tf-serving"]
        flags = dict(flag.removeprefix("--").split("=") for flag in service["command"])
        models, config = (volume.rsplit(":", 2) for volume in service["volumes"])
        own = models[0].removeprefix("${SERVING_BASE:-").removesuffix("}")
        assert (folder / own).resolve() == (artifact / "saved_model").resolve()
        assert models[1:] == [f"/models/{served_name(artifact.name)}", "ro"]
        assert config == [".", "/config", "ro"]
        for flag in ("model_config_file", "batching_parameters_file", "monitoring_config_file"):
            assert (folder / Path(flags[flag]).relative_to("/config")).is_file()
        assert flags["enable_batching"] == "true"
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_the_card_has_requests_in_row_and_column_format(artifact: Path) -> None:
    lines = [line for line in (artifact / "README.md").read_text().splitlines() if line.startswith("curl -d")]
    bodies = [shlex.split(line)[2] for line in lines]
    assert sum(body.startswith('{"instances":') for body in bodies) == 1
    assert sum(body.startswith('{"inputs":') for body in bodies) == 1
    assert all(f"/v1/models/{served_name(artifact.name)}:predict" in line for line in lines)


@pytest.mark.parametrize(
    ("name", "served"),
    [("mnist", "mnist"), ("My digits: v2/ä", "My-digits--v2--"), ("..", "model"), ("a b", "a-b"), ("''", "--")],
)
def test_any_name_can_be_served(name: str, served: str) -> None:
    assert served_name(name) == served


def test_any_name_makes_files_that_can_be_read(article_run: Run, tmp_path: Path) -> None:
    name = '"quoted": \\ name'
    export_run(article_run, tmp_path / "out", name=name, forms=(STABLEHLO, SAVED_MODEL, ONNX))
    folder = tmp_path / "out" / "serving" / "tensorflow"
    config = text_format.Parse((folder / "models.config").read_text(), model_server_config_pb2.ModelServerConfig())
    assert config.model_config_list.config[0].name == "-quoted-----name"
    (mount, _) = yaml.safe_load((folder / "compose.yaml").read_text())["services"]["tf-serving"]["volumes"]
    assert mount.endswith(":/models/-quoted-----name:ro")


def test_an_artifact_of_another_version_has_its_models_under_that_number(article_run: Run, tmp_path: Path) -> None:
    manifest = export_run(article_run, tmp_path / "out", version=7, forms=(STABLEHLO, SAVED_MODEL, ONNX))
    assert manifest.version == 7
    assert [path.name for path in (tmp_path / "out" / "saved_model").iterdir()] == ["7"]
    assert 'load("saved_model/7")' in (tmp_path / "out" / "README.md").read_text()
    Sampler(tmp_path / "out").verify()


def test_an_artifact_without_a_saved_model_has_nothing_for_tf_serving(article_run: Run, tmp_path: Path) -> None:
    export_run(article_run, tmp_path / "out", forms=(STABLEHLO, ONNX))
    assert not (tmp_path / "out" / "serving" / "tensorflow").exists()
    assert "curl -d" not in (tmp_path / "out" / "README.md").read_text()
