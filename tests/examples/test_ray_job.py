"""examples/ray_job.py on a Ray of this machine: shards that are counted, and a second run that makes nothing."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "examples" / "ray_job.py"


def test_the_job_writes_a_sample_counts_its_classes_and_makes_nothing_twice(tmp_path):
    with tempfile.TemporaryDirectory(
        prefix="b", ignore_cleanup_errors=True
    ) as short:  # Ray's sockets need a short name
        without = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        environment = without | {"RAY_TMPDIR": short, "HOME": str(tmp_path), "RAY_USAGE_STATS_ENABLED": "0"}
        command = [sys.executable, SCRIPT, "--out", tmp_path / "out", "--total", "3000", "--shard-size", "1000"]
        runs = [
            subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
            for _ in range(2)
        ]
    counted = [f"class {k}: 300 images" for k in range(10)]
    for run, kept in zip(runs, (0, 3), strict=True):
        assert run.returncode == 0, run.stderr
        lines = run.stdout.splitlines()
        assert f"3 of 3 shards, {kept} of them from before" in lines
        assert [line for line in lines if line.startswith("class ")] == counted
