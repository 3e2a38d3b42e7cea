"""Models that a runtime refuses, and outputs that are not what the manifest says."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest
from jax import export

from cvae_export.decoder import build_decoder
from cvae_export.forms import get_forms
from cvae_sdk.artifact import Artifact
from cvae_sdk.backends import open_backend
from cvae_sdk.backends.functions import Arrays, FunctionsBackend
from cvae_sdk.backends.options import LitertOptions, RemoteOptions, SavedModelOptions, StablehloOptions
from cvae_sdk.errors import ArtifactError, BackendError, BackendUnavailableError, FileHashError, ModelError
from cvae_sdk.manifest import Format
from cvae_training import Config, Run
from cvae_training.config import ModelConfig

IMAGE = (6, 5, 1)
NETWORK = Config(model=ModelConfig(latent_dim=5, encoder_dimensions=(9, 7), decoder_dimensions=(8, 6)))
GOLDEN = Path(__file__).parents[2] / "golden" / "artifact-2026-11-23"


@dataclasses.dataclass(frozen=True)
class Changed(Artifact):
    """An artifact some of whose files have other bytes, as if they had been listed so."""

    change: Callable[[str, bytes], bytes] = lambda _, content: content

    def read(self, path: str, *, most: int | None = None) -> bytes:
        return self.change(path, super().read(path, most=most))


def changed(artifact: Artifact, suffixes: tuple[str, ...], content: bytes) -> Changed:
    return Changed(artifact.folder, artifact.manifest, lambda path, old: content if path.endswith(suffixes) else old)


def with_format(artifact: Artifact, name: str, **values: object) -> Artifact:
    form: Format = dataclasses.replace(artifact.manifest.formats[name], **values)
    formats = {**artifact.manifest.formats, name: form}
    return dataclasses.replace(artifact, manifest=dataclasses.replace(artifact.manifest, formats=formats))


@pytest.fixture
def inputs(mlp: Artifact) -> dict[str, np.ndarray]:
    z = np.random.default_rng(4).standard_normal((3, mlp.manifest.latent_dim), dtype=np.float32)
    return {"z": z, "label": np.array([0, 2, 1], np.int32)}


def test_where_jax_refuses_its_own_file_the_portable_artifact_is_run(
    mlp: Artifact, inputs: dict[str, np.ndarray]
) -> None:
    expected = open_backend(mlp, StablehloOptions()).run("decode", inputs)["image"]
    portable = open_backend(changed(mlp, (".jax_export",), b"of another JAX"), StablehloOptions())
    np.testing.assert_array_equal(portable.run("decode", inputs)["image"], expected)
    image = np.zeros((2, *mlp.manifest.image_shape), np.float32)
    assert portable.run("encode", {"image": image, "label": inputs["label"][:2]})["logvar"].shape == (2, 5)


def test_where_the_module_of_jaxs_own_file_cannot_be_compiled_the_portable_artifact_is_run(
    mlp: Artifact, inputs: dict[str, np.ndarray]
) -> None:
    def spoil(path: str, content: bytes) -> bytes:
        if not path.endswith(".jax_export"):
            return content
        exported = export.deserialize(bytearray(content))
        return bytes(dataclasses.replace(exported, mlir_module_serialized=b"of another StableHLO").serialize())

    expected = open_backend(mlp, StablehloOptions()).run("decode", inputs)["image"]
    portable = open_backend(Changed(mlp.folder, mlp.manifest, spoil), StablehloOptions())
    np.testing.assert_array_equal(portable.run("decode", inputs)["image"], expected)


def test_where_jax_refuses_both_the_error_tells_versions_and_until_when_they_were_promised(mlp: Artifact) -> None:
    form = mlp.manifest.formats["stablehlo"]
    written_by = f"jax {form.written_by['jax']}, jaxlib {form.written_by['jaxlib']}"
    with pytest.raises(BackendError) as caught:
        open_backend(changed(mlp, (".jax_export", ".mlirbc"), b"of another JAX"), StablehloOptions())
    text = str(caught.value)
    assert text.startswith(
        f"JAX {jax.__version__} reads none of the files of decode, written by {written_by}, "
        f"promised to be read until {form.expires}: stablehlo/decoder.jax_export: "
    )
    assert "; stablehlo/decoder.mlirbc: " in text
    assert text.endswith(": install that JAX, or export the artifact again")
    assert "\n" not in text
    assert caught.value.file == "stablehlo/decoder.jax_export"
    assert (caught.value.expected, caught.value.found) == (written_by, f"jax {jax.__version__}")


def test_a_signature_that_jax_refuses_later_is_an_error_of_its_call(
    mlp: Artifact, inputs: dict[str, np.ndarray]
) -> None:
    backend = open_backend(changed(mlp, ("mix.jax_export", "mix.mlirbc"), b"of another JAX"), StablehloOptions())
    backend.run("decode", inputs)
    with pytest.raises(BackendError, match="reads none of the files of mix"):
        backend.run("mix", {"z": inputs["z"], "class_weights": np.eye(3, dtype=np.float32)})


def test_a_platform_that_jax_has_not_is_unavailable(mlp: Artifact) -> None:
    with pytest.raises(BackendUnavailableError, match=r"^JAX has no abacus here: ") as caught:
        open_backend(mlp, StablehloOptions(platform="abacus"))
    assert (caught.value.field, caught.value.expected, caught.value.found) == ("platform", "abacus", "cpu")


def test_files_that_no_signature_claims_are_an_error(mlp: Artifact) -> None:
    with pytest.raises(ArtifactError, match=r"formats\.stablehlo does not say which file has which signature"):
        open_backend(with_format(mlp, "stablehlo", files=None), StablehloOptions())


def test_a_saved_model_that_tensorflow_refuses_is_a_backend_error(mlp: Artifact) -> None:
    with pytest.raises(BackendError, match=r"^TensorFlow refuses saved_model: ") as caught:
        open_backend(changed(mlp, ("saved_model.pb",), b"no protobuf \xff"), SavedModelOptions())
    assert caught.value.file == "saved_model"
    assert "\n" not in str(caught.value)


def test_a_saved_model_of_two_versions_is_refused(mlp: Artifact) -> None:
    files = dict(mlp.manifest.files)
    files["saved_model/2/saved_model.pb"] = files["saved_model/1/saved_model.pb"]
    artifact = dataclasses.replace(mlp, manifest=dataclasses.replace(mlp.manifest, files=files))
    with pytest.raises(ArtifactError, match=r"^saved_model must hold one version of a SavedModel, found 1, 2$"):
        open_backend(artifact, SavedModelOptions())


@pytest.mark.parametrize(
    ("name", "options", "path"),
    [("saved_model", SavedModelOptions(), "saved_model"), ("litert", LitertOptions(), "litert/decoder.tflite")],
)
def test_a_signature_that_is_listed_and_not_there_is_a_model_error(
    mlp: Artifact,
    name: str,
    options: SavedModelOptions | LitertOptions,
    path: str,
    make_run: Callable[[Config, tuple[int, int, int]], Run],
    tmp_path: Path,
) -> None:
    if name == "saved_model":  # the earlier version's has no encode
        artifact = with_format(Artifact.open(GOLDEN), name, signatures=("decode", "encode"))
    else:
        decoder = build_decoder(make_run(NETWORK, IMAGE))
        functions = {name: decoder.functions[name] for name in ("decode", "mix")}
        file = tmp_path / "litert" / "decoder.tflite"
        get_forms(["litert"])[0].write(dataclasses.replace(decoder, functions=functions), file)
        artifact = changed(mlp, (".tflite",), file.read_bytes())
    with pytest.raises(
        ModelError, match=f"^{path} has no signature encode, which the manifest lists: it has "
    ) as caught:
        open_backend(artifact, options)
    assert (caught.value.file, caught.value.expected) == (path, "encode")
    assert caught.value.field == f"formats.{name}.signatures"


def test_a_model_that_litert_refuses_is_a_backend_error(mlp: Artifact) -> None:
    with pytest.raises(BackendError, match=r"^LiteRT refuses litert/decoder.tflite: ") as caught:
        open_backend(changed(mlp, (".tflite",), b"no flatbuffer"), LitertOptions())
    assert caught.value.file == "litert/decoder.tflite"


@pytest.mark.parametrize("options", [SavedModelOptions(), StablehloOptions(), LitertOptions()])
def test_bytes_that_are_not_those_listed_are_refused_before_they_are_loaded(
    mlp: Artifact, options: SavedModelOptions | StablehloOptions | LitertOptions
) -> None:
    record = next(iter(mlp.manifest.files.values()))
    files = {path: dataclasses.replace(each, sha256=record.sha256) for path, each in mlp.manifest.files.items()}
    artifact = dataclasses.replace(mlp, manifest=dataclasses.replace(mlp.manifest, files=files))
    with pytest.raises(FileHashError):
        open_backend(artifact, options)


def test_a_server_is_no_backend_of_a_folder(mlp: Artifact) -> None:
    with pytest.raises(BackendUnavailableError, match="RemoteOptions is not for an artifact in a folder"):
        open_backend(mlp, RemoteOptions())


def backend_giving(mlp: Artifact, outputs: Callable[[Arrays], Arrays]) -> FunctionsBackend:
    return FunctionsBackend("a runtime", mlp.manifest, {"mix": outputs})


@pytest.mark.parametrize(
    ("output", "found"),
    [
        (np.zeros((3, 6, 5, 1)), "('float64', (3, 6, 5, 1))"),
        (np.zeros((2, 6, 5, 1), np.float32), "('float32', (2, 6, 5, 1))"),
        (np.zeros((3, 30), np.float32), "('float32', (3, 30))"),
        (None, "None"),
    ],
)
def test_an_output_that_is_not_what_the_manifest_says_is_an_error(
    mlp: Artifact, inputs: dict[str, np.ndarray], output: np.ndarray | None, found: str
) -> None:
    backend = backend_giving(mlp, lambda _: {} if output is None else {"image": output})
    with pytest.raises(BackendError) as caught:
        backend.run("decode", inputs)
    assert str(caught.value) == f"the model gave image as {found}, not float32 [3, 6, 5, 1]"
    assert caught.value.field == "image"
    assert caught.value.expected == ("float32", (3, 6, 5, 1))


def test_a_runtime_without_decode_mixes_the_one_hot(mlp: Artifact, inputs: dict[str, np.ndarray]) -> None:
    given: list[Arrays] = []

    def mix(arrays: Arrays) -> Arrays:
        given.append(arrays)
        return {"image": np.zeros((3, *IMAGE), np.float32)}

    backend = backend_giving(mlp, mix)
    assert backend.signatures == {"decode", "mix"}
    backend.run("decode", inputs)
    assert given[0].keys() == {"z", "class_weights"}
    assert given[0]["class_weights"].dtype == np.float32
    np.testing.assert_array_equal(given[0]["class_weights"], [[1, 0, 0], [0, 0, 1], [0, 1, 0]])


def test_what_a_runtime_raises_is_a_backend_error_of_one_line(mlp: Artifact, inputs: dict[str, np.ndarray]) -> None:
    def fail(_: Arrays) -> Arrays:
        raise RuntimeError("out of\x1b luck\nand more")

    with pytest.raises(BackendError, match=r"^a runtime failed: out of\\x1b luck$"):
        backend_giving(mlp, fail).run("decode", inputs)


def test_an_output_that_the_runtime_keeps_is_copied(mlp: Artifact, inputs: dict[str, np.ndarray]) -> None:
    kept = np.zeros((4, *IMAGE), np.float32)
    read_only = np.zeros((3, *IMAGE), np.float32)
    read_only.flags.writeable = False
    for output in (kept[:3], read_only, np.zeros((3, *IMAGE[::-1]), np.float32).transpose(0, 3, 2, 1)):
        image = backend_giving(mlp, lambda _, output=output: {"image": output}).run("decode", inputs)["image"]
        assert not np.shares_memory(image, output)
        assert image.flags.c_contiguous
        assert image.flags.writeable
    own = np.zeros((3, 30), np.float32)
    image = backend_giving(mlp, lambda _: {"image": own.reshape(3, *IMAGE)}).run("decode", inputs)["image"]
    assert np.shares_memory(image, own)
