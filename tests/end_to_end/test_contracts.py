"""The guards of the house: import contracts, and what a commit must not hold; each one shown to bite."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).parent / "lint-imports", "--no-cache"]
    paths = ":".join(str(folder / name) for name in ("training", "export", "sdk"))
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=folder, env={"PYTHONPATH": paths, "PATH": "/usr/bin"}
    )


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the code, into which a fault can be planted."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for distribution in ("training", "export", "sdk"):
        ignored = shutil.ignore_patterns("datasets", "artifacts", "__pycache__")
        shutil.copytree(ROOT / distribution, tmp_path / distribution, ignore=ignored)
    return tmp_path


def test_the_import_contracts_hold(house: Path) -> None:
    done = lint_imports(house)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("sdk/cvae_sdk/images.py", "import jax", "The SDK needs numpy, onnxruntime and pillow"),
        ("sdk/cvae_sdk/sampler.py", "import cvae_training.data", "The SDK needs numpy, onnxruntime and pillow"),
        ("training/cvae_training/data.py", "import cvae_sdk.errors", "Training knows neither the SDK"),
        ("training/cvae_training/train.py", "import tensorflow", "Training knows neither the SDK"),
        ("training/cvae_training/train.py", "import orbax.checkpoint", "Only checkpoint.py knows Orbax"),
        ("training/cvae_training/data.py", "import pooch", "Only download.py knows pooch"),
        ("training/cvae_training/data.py", "import PIL.Image", "Only own_data.py and png.py know Pillow in training"),
        ("training/cvae_training/train.py", "import tensorboardX", "Only tensorboard_events.py knows tensorboardX"),
        ("sdk/cvae_sdk/sampler.py", "import onnxruntime", "Only the ONNX backend knows ONNX Runtime in the SDK"),
        ("sdk/cvae_sdk/backends/form.py", "import jax", "Only backends/stablehlo.py knows JAX in the SDK"),
        (
            "sdk/cvae_sdk/backends/form.py",
            "import tensorflow",
            "Only backends/saved_model.py knows TensorFlow in the SDK",
        ),
        ("sdk/cvae_sdk/backends/form.py", "import ai_edge_litert", "Only backends/litert.py knows LiteRT in the SDK"),
        ("sdk/cvae_sdk/backends/numpy_backend.py", "import jaxlib", "The SDK needs numpy, onnxruntime and pillow"),
        ("sdk/cvae_sdk/backends/remote.py", "import grpc", "Only tf_serving_grpc.py knows gRPC in the SDK"),
        ("sdk/cvae_sdk/artifact.py", "import model_signing", "Only signing.py knows model-signing"),
        ("sdk/cvae_sdk/shards.py", "import ray", "Only bulk/cluster.py and bulk/dataset.py know Ray"),
        ("sdk/cvae_sdk/shard_formats.py", "import pyarrow", "Only bulk/parquet.py knows Arrow"),
        ("export/cvae_export/parity.py", "import onnx", "Only the onnx files know ONNX"),
        ("export/cvae_export/parity.py", "import tensorflow", "Only the TensorFlow forms know TensorFlow"),
    ],
)
def test_a_forbidden_import_breaks_its_contract(house: Path, file: str, line: str, contract: str) -> None:
    path = house / file
    path.write_text(path.read_text() + f"\n{line}\n")
    done = lint_imports(house)
    assert done.returncode != 0
    assert re.search(rf"{re.escape(contract)}.*BROKEN", done.stdout)


def test_no_lock_or_setting_names_an_address_to_download_from() -> None:
    tools = [f"tools/{path.name}" for path in (ROOT / "tools").iterdir() if path.is_file()]
    assert {"tools/bootstrap.lock", "tools/setup.sh", "tools/torch.sh", "tools/triton.lock"} <= set(tools)
    for name in ("requirements.lock", "pyproject.toml", "Makefile", *tools):
        assert "://" not in (ROOT / name).read_text(), name


def test_every_locked_package_has_hashes() -> None:
    for name in ("requirements.lock", "tools/bootstrap.lock", "tools/torch.lock", "tools/triton.lock"):
        text = (ROOT / name).read_text().replace("\\\n", " ")
        packages = [line for line in text.splitlines() if "==" in line and not line.lstrip().startswith("#")]
        assert packages
        assert all("--hash=sha256:" in line for line in packages), name
