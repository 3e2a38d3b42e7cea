"""The seed contract under other versions of NumPy, each in its own environment, and without wider SIMD."""

import hashlib
import json
import os
import subprocess
import sys
import textwrap
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from cvae_sdk import Sampler
from cvae_sdk.latents import standard_normal_latents

ROOT = Path(__file__).parents[2]
# The oldest that there is a wheel of for this Python and that the SDK takes, one between, and one of the newest.
VERSIONS = ["2.0.2" if sys.version_info < (3, 13) else "2.1.3", "2.2.6", "2.4.6"]

PROGRAM = textwrap.dedent("""
    import hashlib, json, sys
    import numpy
    from cvae_sdk import Sampler
    from cvae_sdk.latents import standard_normal_latents

    def digest(array):
        return hashlib.sha256(array.tobytes()).hexdigest()

    plain = standard_normal_latents(1, 2**32 - 5000, 10_000, 24)
    scaled = [standard_normal_latents(2**64 - 1, 7, 999, 10, temperature=0.7, truncation=t) for t in (0.5, 2.0, 5.0)]
    print(json.dumps({
        "numpy": numpy.__version__,
        "latents": digest(plain),
        "scaled": [digest(latents) for latents in scaled],
        "images": digest(Sampler(sys.argv[1]).sample([*range(10)] * 20, seed=5)),
    }))
""")


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()


@pytest.fixture(scope="module")
def expected() -> dict[str, object]:
    """What this process gives."""
    scaled = [standard_normal_latents(2**64 - 1, 7, 999, 10, temperature=0.7, truncation=t) for t in (0.5, 2.0, 5.0)]
    return {
        "latents": digest(standard_normal_latents(1, 2**32 - 5000, 10_000, 24)),
        "scaled": [digest(latents) for latents in scaled],
        "images": digest(Sampler(ROOT / "artifacts" / "mnist").sample([*range(10)] * 20, seed=5)),
    }


def answer(python: Path | str, **environment: str) -> dict[str, object]:
    command = [python, "-c", PROGRAM, ROOT / "artifacts" / "mnist"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "sdk"), **environment}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("numpy", VERSIONS)
def test_a_version_of_numpy_changes_no_bit_of_latents_and_images(
    tmp_path: Path, numpy: str, expected: dict[str, object]
) -> None:
    uv = (sys.executable, "-m", "uv")
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    others = [f"{name}=={version(name)}" for name in ("onnxruntime", "pillow")]
    subprocess.run([*uv, "pip", "install", "--quiet", "--python", python, f"numpy=={numpy}", *others], check=True)
    assert answer(python) == {"numpy": numpy, **expected}


def test_numpy_without_the_processors_wider_instructions_changes_no_bit(expected: dict[str, object]) -> None:
    config = np.show_config(mode="dicts")
    assert isinstance(config, dict)
    found = config["SIMD Extensions"].get("found", [])
    if not found:
        pytest.skip("NumPy uses nothing of this processor beyond its own least")
    got = answer(sys.executable, NPY_DISABLE_CPU_FEATURES=" ".join(found))
    assert got == {"numpy": np.__version__, **expected}


def test_another_stream_of_latents_is_another_digest(expected: dict[str, object]) -> None:
    assert digest(standard_normal_latents(2, 2**32 - 5000, 10_000, 24)) != expected["latents"]
