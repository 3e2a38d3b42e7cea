"""From nothing to a first image: a new process with the SDK against one with bare ONNX Runtime.

    .venv/bin/python tests/benchmarks/sampler_start.py

Both run in a new environment that holds the SDK's wheel and its dependencies alone, in turn, 21 times each after one
warm-up. The bare one imports numpy and onnxruntime, opens the same ONNX file and runs it once.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
RUNS = 21
SDK = "from cvae_sdk import Sampler; Sampler().sample(7)"
BARE = """
import numpy as np, onnxruntime
session = onnxruntime.InferenceSession({model!r}, providers=["CPUExecutionProvider"])
z = np.zeros((1, session.get_inputs()[[i.name for i in session.get_inputs()].index("z")].shape[1]), np.float32)
session.run(["image"], {{"z": z, "class_weights": np.eye(10, dtype=np.float32)[7:8]}})
"""


def wheel_environment(folder: Path) -> Path:
    """The interpreter of a new environment with the SDK's wheel, its modules compiled."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        check=True,
        cwd=ROOT / "sdk",
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    uv, python = [sys.executable, "-m", "uv"], folder / "venv" / "bin" / "python"
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, folder / "venv"], check=True)
    install = [*uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python]
    subprocess.run([*install, "-c", ROOT / "requirements.lock", wheel], check=True)
    return python


def seconds(python: Path, program: str) -> float:
    start = time.perf_counter()
    subprocess.run([python, "-c", program], check=True, cwd="/")
    return time.perf_counter() - start


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        python = wheel_environment(Path(folder))
        (model,) = Path(folder).glob("venv/lib/*/site-packages/cvae_sdk/artifacts/mnist/onnx/mix.onnx")
        bare = BARE.format(model=str(model))
        for program in (SDK, bare):
            seconds(python, program)
        pairs = [(seconds(python, SDK), seconds(python, bare)) for _ in range(RUNS)]
    for name, values in zip(("sdk", "bare"), zip(*pairs, strict=True), strict=True):
        print(f"{name:5} min {min(values):.3f} s, median {statistics.median(values):.3f} s, max {max(values):.3f} s")
    ratios = [sdk / bare for sdk, bare in pairs]
    print(f"ratio min {min(ratios):.3f}, median {statistics.median(ratios):.3f}, max {max(ratios):.3f}")


if __name__ == "__main__":
    main()
