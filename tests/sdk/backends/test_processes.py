"""What a backend does to its process: imports, what it prints, what it leaves behind, and what a fork does to it."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from cvae_sdk.artifact import Artifact

HEAVY = {
    "onnx": {"onnxruntime"},
    "numpy": set[str](),
    "stablehlo": {"jax", "jaxlib"},
    "saved_model": {"tensorflow"},
    "litert": {"ai_edge_litert"},
}
BROUGHT = {"saved_model": {"jax", "jaxlib"}}  # by TensorFlow, which imports JAX where there is one
OPEN = """
import json, os, sys
import numpy as np
from cvae_sdk.artifact import Artifact
from cvae_sdk.backends import open_backend
from cvae_sdk.backends.options import BACKENDS

artifact, name = Artifact.open(sys.argv[1]), sys.argv[2]
backend = open_backend(artifact, BACKENDS[name]())
z = np.ones((3, artifact.manifest.latent_dim), np.float32)
inputs = {"z": z, "label": np.zeros(3, np.int32)}
image = backend.run("decode", inputs)["image"]
assert image.shape == (3, *artifact.manifest.image_shape)
"""


def run_python(code: str, artifact: Artifact, name: str, **environment: str) -> subprocess.CompletedProcess[str]:
    unset = ("TF_CPP_MIN_LOG_LEVEL", "PYTHONWARNINGS", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME", "CI")
    rest = {key: value for key, value in os.environ.items() if key not in unset}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(artifact.folder), name],
        capture_output=True, text=True, check=False, timeout=300, env=rest | environment,
    )  # fmt: skip


@pytest.mark.parametrize("name", HEAVY)
def test_a_backend_imports_its_own_library_alone_prints_nothing_and_leaves_no_file(
    mlp: Artifact, name: str, tmp_path: Path
) -> None:
    code = (
        OPEN + f"from pathlib import Path; Path({str(tmp_path / 'modules')!r}).write_text(json.dumps([*sys.modules]))"
    )
    done = run_python(code, mlp, name, TMPDIR=str(tmp_path), HOME=str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    modules = {module.split(".")[0] for module in json.loads((tmp_path / "modules").read_text())}
    heavy = modules & {each for names in HEAVY.values() for each in names}
    assert heavy - BROUGHT.get(name, set()) == HEAVY[name]
    kept = {".keras"} if name == "saved_model" else set[str]()  # Keras's settings, which TensorFlow brings
    assert {path.name for path in tmp_path.iterdir()} - kept == {"modules"}  # nothing temporary, no telemetry


TELEMETRY = """
import os, sys, types
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec

class Recorder(Loader, MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        return ModuleSpec(name, self) if name == "onnxruntime" else None

    def exec_module(self, module):
        print(os.environ.get("ORT_DISABLE_TELEMETRY"))

sys.meta_path.insert(0, Recorder())
import cvae_sdk.backends.onnx
print(os.environ.get("ORT_DISABLE_TELEMETRY"))
"""


@pytest.mark.parametrize(("given", "seen"), [({}, "1 None"), ({"ORT_DISABLE_TELEMETRY": "0"}, "0 0")])
def test_onnxruntime_is_imported_with_its_telemetry_off_unless_the_user_says(
    mlp: Artifact, given: dict[str, str], seen: str
) -> None:
    done = run_python(TELEMETRY, mlp, "onnx", **given)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, seen.split(), "")


def test_numpy_needs_no_onnxruntime(mlp: Artifact) -> None:
    block = "import sys\nsys.modules['onnxruntime'] = None\nimport cvae_sdk\n"
    done = run_python(block + OPEN, mlp, "numpy")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("name", "module", "message"),
    [
        ("stablehlo", "jax", "this backend needs JAX, which is not installed: pip install 'cvae-sdk[stablehlo]'"),
        ("stablehlo", "jaxlib", "this backend needs JAX, which cannot be imported ("),
        (
            "saved_model", "tensorflow",
            "this backend needs TensorFlow, which is not installed: pip install 'cvae-sdk[saved-model]'",
        ),
        (
            "litert", "ai_edge_litert",
            "this backend needs LiteRT, which is not installed: pip install 'cvae-sdk[litert]'",
        ),
        ("onnx", "onnxruntime", "this backend needs ONNX Runtime, which is not installed: pip install onnxruntime"),
    ],
)  # fmt: skip
def test_a_library_that_is_missing_is_an_error_that_says_how_to_get_it(
    mlp: Artifact, name: str, module: str, message: str
) -> None:
    block = f"""
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == {module!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocked())
from cvae_sdk.errors import BackendUnavailableError
try:
    exec({OPEN!r})
except BackendUnavailableError as error:
    print(error)
    print(error.field, error.expected, error.found)
"""
    done = run_python(block, mlp, name)
    assert (done.returncode, done.stderr) == (0, "")
    text, fields = done.stdout.splitlines()
    assert text.startswith(message)
    expected = {"stablehlo": "jax", "saved_model": "tensorflow", "litert": "ai_edge_litert", "onnx": "onnxruntime"}[
        name
    ]
    assert fields == f"backend {expected} None"


QUIET = """
import os, sys
from cvae_sdk.backends.quiet import quiet_native_libraries
lines = [
    b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\\n",
    b"I0000 00:00:1795693036.080088   27666 port.cc:153] oneDNN custom operations are on.\\n",
    b"2026-11-26 11:22:33.123456: I tensorflow/core/util/port.cc:113] oneDNN\\n",
    b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\\n",
]
try:
    with quiet_native_libraries():
        os.write(2, b"".join(lines))
        print("kept: of Python", file=sys.stderr)
        os.write(2, b"kept: of a library\\nINFO: of another program\\n")
        with quiet_native_libraries():
            os.write(2, lines[3] + b"kept: inside\\n")
        raise SystemExit(4)
finally:
    os.write(2, b"after\\n")
"""


def test_only_what_native_libraries_tell_is_held_back(mlp: Artifact) -> None:
    done = run_python(QUIET, mlp, "")
    kept = ["kept: of Python", "kept: of a library", "INFO: of another program", "kept: inside", "after"]
    assert (done.returncode, done.stderr.splitlines()) == (4, kept)


def test_a_process_without_a_terminal_can_open_a_backend(mlp: Artifact) -> None:
    done = run_python("import os\nos.close(2)\n" + OPEN, mlp, "litert")
    assert (done.returncode, done.stdout) == (0, "")


def test_a_saved_model_is_loaded_from_a_private_folder(mlp: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    from cvae_sdk.backends import saved_model

    seen: list[Path] = []
    load = saved_model._tf.saved_model.load

    def watched(folder: str) -> object:
        seen.append(Path(folder).parents[1])
        assert Path(tempfile.gettempdir()) == seen[0].parent
        assert seen[0].stat().st_mode & 0o777 == 0o700
        for path in (path for path in seen[0].rglob("*") if path.is_file()):
            listed = path.relative_to(seen[0]).as_posix()
            assert path.read_bytes() == mlp.read(listed)
        return load(folder)

    monkeypatch.setattr(saved_model._tf.saved_model, "load", watched)
    saved_model.open_saved_model(mlp)
    assert len(seen) == 1
    assert not seen[0].exists()
