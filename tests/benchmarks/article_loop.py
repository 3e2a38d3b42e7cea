"""How much sooner training ends than the article's loop as published, on mnist-10k's 8,500 training digits.

    .venv/bin/python tests/benchmarks/article_loop.py TORCH [TURNS]

a   one step inside the loop at batch 16, with the article's settings on both sides, all compiled beforehand; ours with
    its evaluation of the held-out images at each epoch's end
b   time inside the loop until the held-out loss of the article's 10th epoch is reached, all compiled beforehand, ours
    with the flags in SOONEST; and the same with what the loop compiles
c   time of the whole process until its checkpoint is saved, ours `cvae-train` with the flags in SOONEST: without JAX's
    compilation cache, with an empty one, and with one that an earlier run has filled

The two sides take turns, three unless told otherwise; a turn's target is the loss that the article's loop came to in
it, and a run that misses it takes infinitely long. It takes 3 to 6 minutes on 2 cores, alone.

The article's loop needs PyTorch, for its DataLoader, as nothing else here does. TORCH is a folder that has it, and that
only the article's processes see (tensorboardX, where it finds PyTorch, imports it):

    .venv/bin/python -m uv pip install --group benchmark --target TORCH

On Linux that installs the build for GPUs, several GB; a build for CPUs does as well, where there is one.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

HERE = Path(__file__).parent
# The article's layers and loss, with fewer latents, larger batches and a higher rate that falls.
SOONEST = (
    *("--preset", "article", "--epochs", "2", "--latent-dim", "10", "--batch-size", "40"),
    *("--learning-rate", "3e-3", "--schedule", "linear", "--warmup-steps", "60"),
)
WARM_UP = "import jax, flax, optax, orbax.checkpoint, tensorboardX, torch, cvae_training"
INSIDE = "inside"


def with_torch(torch: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(torch)}


def article(folder: Path, torch: Path) -> dict[str, float]:
    """One run of the article's loop: its own figures, and `process`, seconds from its start to its saved parameters."""
    report, start = folder / "article.json", time.time()
    command = [sys.executable, HERE / "article_as_published.py", report]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=with_torch(torch))
    figures = json.loads(report.read_text())
    return figures | {"process": figures["saved_at"] - start}


def ours_inside(target: float) -> dict[str, float]:
    """Our loop in a process of its own; infinite times for a target that was missed."""
    command = [sys.executable, __file__, INSIDE, str(target)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def ours_whole(folder: Path, target: float, cache: Path | None) -> float:
    """Seconds of cvae-train to its checkpoint; infinite if its last held-out loss is above the target."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    if cache is not None:
        environment |= {"JAX_COMPILATION_CACHE_DIR": str(cache), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    start = time.time()
    command = [Path(sys.executable).parent / "cvae-train", *SOONEST, "--out", folder]
    subprocess.run(command, check=True, capture_output=True, env=environment)
    (checkpoint,) = (folder / "checkpoints").iterdir()
    seconds = checkpoint.stat().st_ctime - start  # when it got its name; the report comes after it
    last = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    return seconds if last["held_out"]["loss"] <= target else float("inf")


def inside(target: float) -> None:
    """Print the figures of our loop as JSON: what `ours_inside` starts."""
    from cvae_training import load_data_set, preset
    from cvae_training.command import build_parser, config_from
    from cvae_training.train import count_steps, initial_state, train_in_stretches

    def epochs(config) -> list[tuple[float, float]]:
        """When each epoch has ended, and the held-out loss that it came to."""
        total_steps = config.epochs * steps_of(config)
        state = initial_state(config, data.image_shape, len(data.classes), total_steps)
        start, ends = time.perf_counter(), []
        for _, report in train_in_stretches(config, data, state):
            if report is not None:
                ends.append((time.perf_counter() - start, float(report.held_out.loss)))
        return ends

    def steps_of(config) -> int:
        return count_steps(config, len(data.train))

    def seconds_to_target(ends: list[tuple[float, float]]) -> float:
        return min((seconds for seconds, loss in ends if loss <= target), default=float("inf"))

    published = replace(preset("article"), epochs=4)
    data = load_data_set(published.data)
    options = build_parser().parse_args([*SOONEST, "--out", "unused"])
    soonest = config_from(options, preset(options.preset))
    with_compilation, compiled = epochs(soonest), epochs(soonest)
    ends = epochs(published)
    figures = {
        "step": (ends[-1][0] - ends[0][0]) / (len(ends) - 1) / steps_of(published),
        "loop": seconds_to_target(with_compilation),
        "loop_compiled": seconds_to_target(compiled),
        "held_out": with_compilation[-1][1],
    }
    print(json.dumps(figures))


def row(name: str, unit: float, theirs: list[float], ours: list[float]) -> str:
    """The least, middle and largest of both sides and of their ratios, turn by turn."""
    ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
    cells = [f"{f(v) * k:8.2f}" for v, k in ((theirs, unit), (ours, unit), (ratios, 1)) for f in (min, middle, max)]
    return f"{name:44}" + " |".join("".join(cells[i : i + 3]) for i in (0, 3, 6))


def middle(values: list[float]) -> float:
    return statistics.median(values)


def main() -> None:
    if sys.argv[1:2] == [INSIDE]:
        inside(float(sys.argv[2]))
        return
    turns, torch = [], Path(sys.argv[1])
    subprocess.run(
        [sys.executable, "-c", WARM_UP], check=True, env=with_torch(torch)
    )  # reads the libraries from the disk, for both sides
    with tempfile.TemporaryDirectory() as name:
        for turn in range(int(sys.argv[2]) if len(sys.argv) > 2 else 3):
            folder = Path(name) / str(turn)
            folder.mkdir()
            theirs = article(folder, torch)
            ours = ours_inside(theirs["held_out"])
            for cache, run in ((None, "without cache"), (folder / "cache", "cold"), (folder / "cache", "warm")):
                ours[run] = ours_whole(folder / run, theirs["held_out"], cache)
            print(
                f"turn {turn + 1}: held-out loss {theirs['held_out']:.2f} in {theirs['loop']:.1f} s;"
                f" ours {ours['held_out']:.2f} in {ours['loop']:.1f} s",
                flush=True,
            )
            turns.append((theirs, ours))
    print(f"ours: cvae-train {' '.join(SOONEST)}; for a, --preset article\n")
    print(f"{'':44}{'article':^24} |{'ours':^24} |{'ratio':^24}")
    print(f"{'':44}" + " |".join(f"{'min':>8}{'median':>8}{'max':>8}" for _ in range(3)))
    for label, unit, article_name, our_name in (
        ("a  step at batch 16, ms", 1000, "step", "step"),
        ("b  loop to the article's loss, s", 1, "loop_compiled", "loop_compiled"),
        ("b' the same, with its compilation, s", 1, "loop", "loop"),
        ("c  process to saved checkpoint, s", 1, "process", "without cache"),
        ("c' the same, compilation cache cold, s", 1, "process", "cold"),
        ("c'' the same, compilation cache warm, s", 1, "process", "warm"),
    ):
        print(row(label, unit, [theirs[article_name] for theirs, _ in turns], [ours[our_name] for _, ours in turns]))


if __name__ == "__main__":
    main()
