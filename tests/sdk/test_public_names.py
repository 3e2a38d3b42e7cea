"""What a user may import, and what importing it costs."""

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest

import cvae_sdk

NAMES = [
    "SCHEMA_VERSION",
    "ArtifactError",
    "ArtifactNotFoundError",
    "BackendError",
    "BackendUnavailableError",
    "ClosedError",
    "CvaeError",
    "DeadlineError",
    "FileHashError",
    "FileSizeError",
    "ForkedError",
    "GoldenError",
    "InputError",
    "IntegrityError",
    "LitertOptions",
    "Manifest",
    "ManifestError",
    "MetadataError",
    "MissingFileError",
    "ModelError",
    "NotRegularFileError",
    "NumpyOptions",
    "OnnxOptions",
    "OverloadedError",
    "ProtocolError",
    "RefusedError",
    "RemoteError",
    "RemoteOptions",
    "Sampler",
    "SavedModelOptions",
    "SchemaVersionError",
    "ServerFailedError",
    "SignatureError",
    "StablehloOptions",
    "TooLargeError",
    "UnlistedFileError",
    "UnreachableError",
    "UnreadableFileError",
    "Verification",
]
HEAVY = [
    "PIL",
    "cvae_export",
    "cvae_training",
    "flax",
    "jax",
    "matplotlib",
    "model_signing",
    "onnx",
    "pandas",
    "scipy",
    "tensorflow",
    "torch",
]

SLOW = {"asyncio", "email", "http", "ipaddress", "pathlib", "ssl", "tempfile", "urllib"}
"""Of Python's own library, each a millisecond or more."""


def modules_after(code: str) -> set[str]:
    code += "\nimport json, sys; print(json.dumps(list(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    return {name.split(".")[0] for name in json.loads(result.stdout)}


def test_the_public_names_are_these():
    assert cvae_sdk.__all__ == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_there(name):
    assert hasattr(cvae_sdk, name)


@pytest.mark.parametrize(
    "name",
    [
        "artifact",
        "bounded_json",
        "command",
        "errors",
        "goldens",
        "images",
        "json_fields",
        "labels",
        "latents",
        "listed_paths",
        "manifest",
        "manifest_checks",
        "manifest_parts",
        "onnx_model",
        "onnx_operators",
        "onnx_tensor",
        "protobuf",
        "regular_files",
        "safetensors",
        "sampler",
        "signing",
    ],
)
def test_a_module_s_public_names_are_there(name):
    module = importlib.import_module(f"cvae_sdk.{name}")
    assert sorted(set(module.__all__)) == sorted(module.__all__)
    assert all(hasattr(module, public) for public in module.__all__)


def test_every_exception_of_the_sdk_is_public():
    errors = vars(importlib.import_module("cvae_sdk.errors"))
    raised = {name for name, value in errors.items() if isinstance(value, type) and issubclass(value, Exception)}
    assert "CvaeError" in raised
    assert raised <= set(cvae_sdk.__all__)


def test_the_package_says_that_it_is_typed():
    assert (Path(cvae_sdk.__file__).parent / "py.typed").is_file()


def test_the_version_is_the_distribution_s():
    assert cvae_sdk.__version__ == importlib.metadata.version("cvae-sdk")


def test_the_distribution_needs_numpy_onnxruntime_and_pillow_and_no_more():
    needs = importlib.metadata.requires("cvae-sdk") or []
    always = [need for need in needs if "extra ==" not in need]
    assert sorted(need.split(">")[0] for need in always) == ["numpy", "onnxruntime", "pillow"]


def test_the_extra_signing_brings_model_signing():
    needs = importlib.metadata.requires("cvae-sdk") or []
    assert any(need.startswith("model-signing") and "extra == 'signing'" in need.replace('"', "'") for need in needs)


def test_sampling_imports_neither_pillow_nor_any_heavy_library():
    loaded = modules_after("from cvae_sdk import Sampler; Sampler().sample(7); Sampler().verify()")
    assert {"cvae_sdk", "numpy", "onnxruntime"} <= loaded
    assert loaded.isdisjoint(HEAVY)


def test_the_look_at_the_loaded_modules_would_see_one():
    assert not modules_after("import cvae_sdk.images").isdisjoint(HEAVY)


def test_sampling_imports_of_python_s_own_library_nothing_slow_that_it_has_no_use_for():
    bare = modules_after("import numpy, onnxruntime")
    loaded = modules_after("import numpy, onnxruntime; from cvae_sdk import Sampler; Sampler().sample(7)")
    assert (loaded - bare).isdisjoint(SLOW)
    assert "pathlib" in modules_after("from cvae_sdk.artifact import locate; locate(None)")


def test_an_artifact_is_read_without_numpy_as_where_the_wheel_is_built():
    """build_hook.py imports the reader past the package's own __init__."""
    code = """
import sys, types
package = types.ModuleType("cvae_sdk")
package.__path__ = [{path!r}]
sys.modules |= {{"cvae_sdk": package, "numpy": None, "onnxruntime": None}}
from cvae_sdk.artifact import Artifact
artifact = Artifact.open({artifact!r})
print(len(artifact.read("onnx/decoder.onnx")))
"""
    folder = Path(__file__).parents[2] / "artifacts" / "mnist"
    code = code.format(path=str(Path(cvae_sdk.__file__).parent), artifact=str(folder))
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(result.stdout) == (folder / "onnx/decoder.onnx").stat().st_size
