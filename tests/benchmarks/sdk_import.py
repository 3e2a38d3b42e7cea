"""What the SDK adds to `import numpy, onnxruntime`, and what its wheel brings.

    .venv/bin/python tests/benchmarks/sdk_import.py [--runs 31]

New processes of the environment that holds the SDK's wheel and its dependencies alone, each timing inside itself
`import numpy, onnxruntime` and then `import cvae_sdk`; its modules are compiled, and one run before warms the disk.
`backends.onnx`, which the first Sampler imports, is told beside it. The wheel is built here; its size without artifacts
is its own less what its artifacts take in it.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import zipfile
from email.parser import Parser
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from sampler_start import wheel_environment

PROGRAM = """
import time
start = time.perf_counter()
import numpy, onnxruntime
bare, busy = time.perf_counter(), time.process_time()
import cvae_sdk
done, worked = time.perf_counter(), time.process_time()
import cvae_sdk.backends.onnx
with_backend = time.perf_counter()
import json, sys
heavy = sorted({"PIL", "asyncio", "concurrent.futures", "ssl", "http.client", "pathlib"} & set(sys.modules))
print(json.dumps({"bare": bare - start, "own": done - bare, "cpu": worked - busy,
                  "with_backend": with_backend - bare, "heavy": heavy}))
"""
TARGET_MS, TARGET_BYTES, TARGET_DEPENDENCIES = 30, 100_000, 3


def once(python: Path) -> dict:
    done = subprocess.run([python, "-c", PROGRAM], check=True, cwd="/", capture_output=True, text=True)
    return json.loads(done.stdout)


def tell(name: str, seconds: list[float], target: str) -> None:
    ms = [1e3 * each for each in seconds]
    print(f"{name:44} median {statistics.median(ms):6.1f} ms, least {min(ms):6.1f}, most {max(ms):6.1f}   ({target})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=31)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        python = wheel_environment(Path(folder))
        once(python)
        found = [once(python) for _ in range(runs)]
        (wheel,) = Path(folder).glob("*.whl")
        size, (names, metadata) = wheel.stat().st_size, content(wheel)
    tell("import numpy, onnxruntime", [each["bare"] for each in found], "not ours")
    tell("import cvae_sdk, after these", [each["own"] for each in found], f"target {TARGET_MS} or less")
    tell("the same in time of the processor", [each["cpu"] for each in found], "beside it")
    tell("the same and the ONNX backend", [each["with_backend"] for each in found], "beside it")
    print(f"loaded by then of what takes long to load: {', '.join(found[0]['heavy']) or 'nothing'}")
    artifacts = sum(names[name] for name in names if "/artifacts/" in name)
    print(f"wheel {size:,} bytes, without artifacts {size - artifacts:,} (target {TARGET_BYTES:,} or less)")
    print(f"{len(metadata)} dependencies: {', '.join(metadata)} (target {TARGET_DEPENDENCIES})")


def content(wheel: Path) -> tuple[dict[str, int], list[str]]:
    """Bytes that each file takes in the wheel, and what the wheel needs where no extra is asked for."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
        metadata = Parser().parsestr(archive.read(name).decode())
        names = {entry.filename: entry.compress_size for entry in archive.infolist()}
    return names, [text for text in metadata.get_all("Requires-Dist", []) if "extra ==" not in text]


if __name__ == "__main__":
    main()
