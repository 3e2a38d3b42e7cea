"""The SDK as an app's developer gets it: a wheel in an environment with nothing but its three dependencies."""

import json
import subprocess
import sys
import tarfile
import textwrap
import zipfile
from collections.abc import Callable
from email.parser import Parser
from pathlib import Path

import pytest

from cvae_sdk import Sampler

ROOT = Path(__file__).parents[2]


def run(*arguments: object, cwd: Path | None = None) -> str:
    done = subprocess.run(list(map(str, arguments)), capture_output=True, text=True, check=False, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the SDK's source distribution, and the wheel that is built from that alone."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", folder, cwd=ROOT / "sdk")
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "source", filter="data")
    (source,) = (folder / "source").iterdir()
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=source)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a new environment into which only the wheel was installed."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    uv = (sys.executable, "-m", "uv")
    run(*uv, "venv", "--python", sys.executable, folder)
    install = (*uv, "pip", "install", "--python", folder / "bin" / "python", "-c", ROOT / "requirements.lock", wheel)
    # What `make` has downloaded is enough, unless its cache was cleaned.
    if subprocess.run([*map(str, install), "--offline"], capture_output=True, check=False).returncode != 0:
        run(*install)
    return folder / "bin" / "python"


def test_the_wheel_needs_numpy_onnxruntime_and_pillow_no_more(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
        metadata = Parser().parsestr(archive.read(name).decode())
    needed = [text for text in metadata.get_all("Requires-Dist", []) if "extra ==" not in text]
    assert [text.split(">")[0] for text in needed] == ["numpy", "onnxruntime", "pillow"]


def test_the_wheel_holds_the_package_and_the_onnx_parts_of_both_artifacts_alone(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
    assert {name for name in names if not name.endswith(".py")} == {
        "cvae_sdk/py.typed",
        *(f"cvae_sdk/preview/{file}" for file in ("icon.svg", "page.css", "page.html", "page.js")),
        *(
            f"cvae_sdk/artifacts/{name}/{file}"
            for name in ("mnist", "fashion-mnist")
            for file in ("manifest.json", "golden.npz", "onnx/mix.onnx")
        ),
    }
    assert all(name.startswith("cvae_sdk/") for name in names)


def test_the_wheel_is_below_4_mib_with_both_artifacts(wheel: Path) -> None:
    assert wheel.stat().st_size < 4 << 20


def test_what_a_sampler_loads_of_the_wheel_is_at_most_100_kb_without_the_artifacts(
    wheel: Path, python: Path, tmp_path: Path, tell_count: Callable[[int, int, str], None]
) -> None:
    # The command, the preview and the backends of servers are more than that again, loaded by who asks for them.
    program = """
        import json, sys
        from cvae_sdk import Sampler
        Sampler().sample([3, 1, 4], seed=9)
        print(json.dumps([module.__file__ for name, module in sys.modules.items() if name.startswith("cvae_sdk")]))
    """
    loaded = json.loads(run(python, "-c", textwrap.dedent(program), cwd=tmp_path))
    names = {"cvae_sdk" + path.rpartition("/cvae_sdk")[2] for path in loaded}
    with zipfile.ZipFile(wheel) as archive:
        code = [entry for entry in archive.infolist() if not entry.filename.startswith("cvae_sdk/artifacts/")]
        of_sampler = [entry for entry in code if entry.filename in names]
    whole, sampler = (sum(entry.compress_size for entry in entries) for entries in (code, of_sampler))
    assert len(of_sampler) == len(names)
    tell_count(sampler, 100_000, f"bytes are what a Sampler loads of the wheel's {whole} of packed code")
    assert sampler <= 100_000


def test_the_wheel_samples_where_no_jax_or_tensorflow_can_be_imported(python: Path, tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import importlib.util, json
        from cvae_sdk import Sampler
        sampler = Sampler()
        heavy = ["jax", "flax", "tensorflow", "torch", "onnx", "cvae_training", "cvae_export"]
        print(json.dumps({
            "images": sampler.sample([3, 1, 4, 1, 5], seed=9).ravel().tolist(),
            "verified": sampler.verify().goldens,
            "importable": [name for name in heavy if importlib.util.find_spec(name)],
        }))
    """)
    answer = json.loads(run(python, "-c", program, cwd=tmp_path))
    assert answer["importable"] == []
    assert answer["verified"] == 20
    # The seed contract: another process, another environment, the same bytes.
    assert answer["images"] == Sampler().sample([3, 1, 4, 1, 5], seed=9).ravel().tolist()


def test_the_wheels_command_draws_a_picture(python: Path, tmp_path: Path) -> None:
    run(python.parent / "cvae", "sample", "7", "-n", "16", "-o", "sevens.png", cwd=tmp_path)
    assert (tmp_path / "sevens.png").read_bytes().startswith(b"\x89PNG")
    assert "verified 2 files" in run(python.parent / "cvae", "verify", cwd=tmp_path)
