import importlib
import pkgutil
import subprocess
import sys

import pytest

import cvae_training

# The export stack and the SDK, which training must not need: whoever trains has none of it installed.
FORBIDDEN = {"tensorflow", "tf2onnx", "onnx", "onnxruntime", "cvae_export", "cvae_sdk"}


def modules_after(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in result.stdout.split()}


def test_the_package_has_these_public_names() -> None:
    assert cvae_training.__all__ == [
        "PRESETS",
        "BoundModel",
        "CheckpointWarning",
        "Config",
        "Cvae",
        "DamagedCheckpointError",
        "DataError",
        "DataSet",
        "FeedForward",
        "InputError",
        "OutputWarning",
        "Run",
        "RunError",
        "Split",
        "StoppedError",
        "TrainState",
        "TrainingError",
        "build_model",
        "create_run",
        "data_set_names",
        "load",
        "load_data_set",
        "load_run",
        "preset",
        "resume_run",
        "train",
    ]


@pytest.mark.parametrize(
    "name",
    ["cvae_training", *(f"cvae_training.{module.name}" for module in pkgutil.iter_modules(cvae_training.__path__))],
)
def test_every_public_name_exists(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__all__
    assert all(hasattr(module, public) for public in module.__all__)


def test_every_error_is_a_training_error() -> None:
    for error in (cvae_training.InputError, cvae_training.DataError, cvae_training.RunError):
        assert issubclass(error, cvae_training.TrainingError)
    assert issubclass(cvae_training.InputError, ValueError)


def test_training_imports_no_export_library_and_no_sdk() -> None:
    loaded = modules_after(
        "import cvae_training.command; from cvae_training import checkpoint; checkpoint._checkpointer()"
    )
    assert {"cvae_training", "jax", "orbax"} <= loaded
    assert not loaded & FORBIDDEN


def test_a_forbidden_import_would_be_seen() -> None:
    assert modules_after("import onnxruntime") & FORBIDDEN
