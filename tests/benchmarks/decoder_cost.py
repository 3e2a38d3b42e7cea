"""What decoders cost beside the first one: ONNX Runtime, 64 images at a time, on one thread, in turns.

cvae-train --preset article --out runs/article && cvae-export runs/article --out artifacts/article --forms onnx
python tests/benchmarks/decoder_cost.py artifacts/article artifacts/mnist artifacts/fashion-mnist
"""

import statistics
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from cvae_sdk import Sampler

BATCH, ROUNDS, CALLS = 64, 31, 20


def measure(folders: list[Path]) -> None:
    """Print a row for each artifact: parameters, sizes, milliseconds and how many times the first one's."""
    sessions, feeds = [], []
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # threads of one session wait spinning, and would slow the next session's
    for folder in folders:
        model = (folder / "onnx" / "decoder.onnx").read_bytes()
        sessions.append(onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"]))
        z = np.random.default_rng(0).standard_normal((BATCH, Sampler(folder).latent_dim), dtype=np.float32)
        feeds.append({"z": z, "label": np.arange(BATCH, dtype=np.int32) % 10})
    times: list[list[float]] = [[] for _ in folders]
    for _ in range(ROUNDS):
        for each, session, feed in zip(times, sessions, feeds, strict=True):
            start = time.perf_counter()
            for _ in range(CALLS):
                session.run(["image"], feed)
            each.append((time.perf_counter() - start) / CALLS)
    print("artifact         parameters      bytes     packed      ms  times  least   most")
    for folder, each in zip(folders, times, strict=True):
        content = (folder / "onnx" / "decoder.onnx").read_bytes()
        parameters = sum(np.prod(tensor.dims) for tensor in onnx.load_from_string(content).graph.initializer)
        ratios = sorted(mine / first for mine, first in zip(each, times[0], strict=True))
        print(
            f"{folder.name:16} {int(parameters):10,} {len(content):10,} {len(zlib.compress(content, 9)):10,} "
            f"{1000 * statistics.median(each):7.3f} {statistics.median(ratios):6.2f} {ratios[0]:6.2f} {ratios[-1]:6.2f}"
        )


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    measure([Path(argument) for argument in sys.argv[1:]])
