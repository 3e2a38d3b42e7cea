"""Which versions of each runtime read an artifact: the oldest ones go into cvae_export/oldest_runtimes.py.

    .venv/bin/python tests/benchmarks/oldest_runtimes.py ARTIFACT [--only onnxruntime jax] [--keep FOLDER]

For each version of a runtime it makes an environment (with uv, from the usual registry), opens there each form that the
runtime is for, runs the artifact's recorded latents through `decode`, and compares with the recorded images.
A version reads a form if no pixel is off by more than the form's own tolerance in the manifest.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from cvae_sdk.manifest import MANIFEST_NAME, Manifest

VERSIONS = {
    "onnxruntime": ("1.15.0", "1.16.3", "1.17.0", "1.18.0", "1.20.0", "1.23.0"),
    "tensorflow-cpu": ("2.12.0", "2.14.0", "2.16.1", "2.17.0", "2.18.0", "2.19.0", "2.20.0"),
    "jax": ("0.4.30", "0.4.34", "0.4.36", "0.5.3", "0.6.2", "0.7.2", "0.8.0", "0.8.1", "0.8.2", "0.8.3", "0.9.2"),
    "ai-edge-litert": ("1.0.1", "1.1.0", "1.2.0", "1.4.0", "2.0.2", "2.1.0"),
}
# What was built against NumPy 1, or leaves its newest compatible companions unsaid.
COMPANIONS = {
    "onnxruntime": {"1.15.0": ["numpy<2"], "1.16.3": ["numpy<2"], "1.17.0": ["numpy<2"], "1.18.0": ["numpy<2"]},
    "tensorflow-cpu": {version: ["numpy<2"] for version in ("2.12.0", "2.14.0", "2.16.1", "2.17.0")},
    "jax": {version: [f"jaxlib=={version}", "absl-py", "flatbuffers"] for version in VERSIONS["jax"]},
    "ai-edge-litert": {},
}
PRELUDE = """
import json, sys
import numpy as np
folder, paths = sys.argv[1], json.loads(sys.argv[2])
goldens = np.load(folder + "/golden.npz")
z, label, image = (goldens[name] for name in ("z", "label", "image"))
def tell(form, open_and_run):
    try:
        error = float(np.abs(np.asarray(open_and_run(folder + "/" + paths[form])) - image).max())
        print(json.dumps([form, error, ""]))
    except Exception as problem:
        print(json.dumps([form, None, f"{type(problem).__name__}: {problem}"]))
"""
PROBES = {
    "onnxruntime": """
import os
import onnxruntime
def run(path):
    path = path + "/decoder.onnx" if os.path.isdir(path) else path
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["image"], {"z": z, "label": label})[0]
for form in paths:
    if form.startswith("onnx"):
        tell(form, run)
""",
    "tensorflow-cpu": """
import tensorflow as tf
def run(path):
    decode = tf.saved_model.load(path + "/1").signatures["decode"]
    return decode(z=tf.constant(z), label=tf.constant(label))["image"].numpy()
for form in paths:
    if form.startswith("saved_model"):
        tell(form, run)
""",
    "jax": """
from jax import export
def run(path):
    return export.deserialize(bytearray(open(path + "/decoder.jax_export", "rb").read())).call(z, label)
if "stablehlo" in paths:
    tell("stablehlo", run)
""",
    "ai-edge-litert": """
from ai_edge_litert.interpreter import Interpreter
def run(path):
    decode = Interpreter(path).get_signature_runner("decode")
    return decode(z=z, label=label)["image"]
if "litert" in paths:
    tell("litert", run)
""",
}


def environment(folder: Path, library: str, version: str) -> Path | None:
    """The interpreter of an environment that has this version, or None where it cannot be installed."""
    home = folder / f"{library}-{version}"
    uv = [sys.executable, "-m", "uv"]
    if not home.is_dir():
        subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, str(home)], check=True)
    python = home / "bin" / "python"
    packages = [f"{library}=={version}", "numpy", *COMPANIONS[library].get(version, [])]
    # setuptools: what TensorFlow before 2.16 imports without saying so.
    done = subprocess.run(
        [*uv, "pip", "install", "--quiet", "--python", str(python), *packages, "setuptools<80"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        print(f"{library} {version} cannot be installed: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return None
    return python


def probe(python: Path, library: str, artifact: Path, manifest: Manifest) -> list[tuple[str, float | None, str]]:
    """For each form that the library is for: its name, its largest error or None, and what went wrong."""
    paths = {name: form.path for name, form in manifest.formats.items() if "decode" in form.signatures}
    done = subprocess.run(
        [str(python), "-c", PRELUDE + PROBES[library], str(artifact), json.dumps(paths)],
        capture_output=True,
        text=True,
        check=False,
        env={"TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu", "PATH": "/usr/bin:/bin"},
    )
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    if not found:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return [("(none)", None, last)]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--only", nargs="+", choices=sorted(VERSIONS), default=sorted(VERSIONS))
    parser.add_argument("--keep", type=Path, help="a folder for the environments, used again by the next call")
    options = parser.parse_args()
    artifact = options.artifact.resolve()
    manifest = Manifest.parse((artifact / MANIFEST_NAME).read_bytes())
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        print("| runtime | form | largest error | reads it |\n| --- | --- | --- | --- |", flush=True)
        for library in options.only:
            for version in VERSIONS[library]:
                python = environment(folder, library, version)
                for form, error, problem in probe(python, library, artifact, manifest) if python else ():
                    tolerance = manifest.formats[form].parity.tolerance if form in manifest.formats else 0
                    reads = error is not None and error <= tolerance
                    shown = "-" if error is None else f"{error:.1e}"
                    why = "" if reads else f": {' '.join(problem.split())[:100]}"
                    print(f"| {library} {version} | {form} | {shown} | {'yes' if reads else 'no'}{why} |", flush=True)


if __name__ == "__main__":
    main()
