"""Shards made on a Ray: the same bytes whatever dies, and nothing made twice."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from cvae_sdk import Sampler
from cvae_sdk.artifact import locate
from cvae_sdk.errors import ArtifactError, CvaeError, InputError

ROOT = Path(__file__).parents[2]
CVAE = Path(sys.executable).with_name("cvae")


def pixels(row: dict) -> np.ndarray:
    import io

    return np.asarray(Image.open(io.BytesIO(row["image"]["bytes"])))


def test_a_shard_s_rows_are_the_sampler_s_images(undisturbed: Path):
    labels = [i % 10 for i in range(5_000)]
    expected = Sampler().sample(labels, seed=7)[..., 0]
    rows = [row for path in sorted(undisturbed.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    assert [row["index"] for row in rows] == list(range(5_000))
    assert [row["label"] for row in rows] == labels
    np.testing.assert_array_equal(np.stack([pixels(row) for row in rows]), expected)


def test_two_workers_make_the_bytes_that_one_makes(ray, run, hashes, undisturbed: Path, tmp_path: Path):
    pids = set()
    two = run(tmp_path / "two", lambda done: pids.add(done.last and done.last.pid))
    assert hashes(tmp_path / "two") == hashes(undisturbed)
    assert two.made == 10
    assert len(pids - {None, os.getpid()}) >= 2


def test_a_folder_s_artifact_gives_the_bytes_of_its_shipped_copy(ray, run, hashes, undisturbed: Path, tmp_path: Path):
    """It travels to the workers as its files; they open it where they cannot see this folder's name."""
    shutil.copytree(locate("mnist"), tmp_path / "copy")
    run(tmp_path / "out", artifact=tmp_path / "copy")
    assert hashes(tmp_path / "out") == hashes(undisturbed)


def test_workers_killed_in_the_middle_of_shards_change_no_byte(ray, run, hashes, undisturbed, tmp_path, tell_count):
    aims: list[int] = []
    timers: list[threading.Timer] = []

    def kill_soon(done):
        pid = done.last and done.last.pid
        if pid and pid not in aims and len(aims) < 4:  # once each, so that it is there to be killed
            aims.append(pid)
            timers.append(threading.Timer(0.01, os.kill, [pid, signal.SIGKILL]))  # a shard takes it longer than that
            timers[-1].start()

    disturbed = run(tmp_path / "out", kill_soon)
    assert hashes(tmp_path / "out") == hashes(undisturbed)
    assert disturbed.made >= 10 - len(aims)  # one may have been killed between its shard and its answer
    for timer in timers:
        timer.join()
    tell_count(len(aims), 4, "workers killed with kill -9 left the hashes of 10 shards as they are")


def test_a_killed_driver_s_run_is_continued_and_no_shard_made_twice(ray, run, hashes, tmp_path):
    out, options = tmp_path / "out", {"total": 40_000, "shard_size": 500}
    run(tmp_path / "undisturbed", **options)
    arguments = ["--total", "40000", "--seed", "7", "--shard-size", "500", "--workers", "1", "--out", out]
    with tempfile.TemporaryDirectory(prefix="b", ignore_cleanup_errors=True) as short:  # for Ray's sockets
        environment = os.environ | {"TMPDIR": short}
        driver = subprocess.Popen([CVAE, "bulk", *arguments], stdout=-3, stderr=-3, env=environment)
        deadline = time.monotonic() + 120
        while len(list(out.glob("*.parquet"))) < 5:
            assert driver.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        driver.kill()
        driver.wait()
        time.sleep(1)  # Ray's own processes end when they find that it has gone
    there = {path.name: path.stat().st_ino for path in out.glob("*.parquet")}
    assert 5 <= len(there) < 80
    assert run(out, **options).done.kept_shards == len(there)
    assert hashes(out) == hashes(tmp_path / "undisturbed")
    assert {name: (out / name).stat().st_ino for name in there} == there


def test_only_damaged_and_missing_shards_are_made_again(ray, run, hashes, undisturbed, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(undisturbed, out)
    flipped, truncated, missing = sorted(out.glob("*.parquet"))[2:5]
    content = bytearray(flipped.read_bytes())
    content[1000] ^= 1
    flipped.write_bytes(content)
    os.truncate(truncated, 1000)
    missing.unlink()
    before = {path.name: path.stat().st_ino for path in out.glob("*.parquet")}
    assert run(out).made == 3
    assert hashes(out) == hashes(undisturbed)
    after = {path.name: path.stat().st_ino for path in out.glob("*.parquet")}
    assert {name for name in after if after[name] != before.get(name)} == {flipped.name, truncated.name, missing.name}


def test_a_whole_stream_is_made_of_nothing_new(ray, run, hashes, undisturbed, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(undisturbed, out)
    assert run(out).made == 0
    assert hashes(out) == hashes(undisturbed)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 8}, "holds a stream of another seed, 7 and not 8"),
        ({"labels": [3]}, "holds a stream of another labels"),
        ({"artifact": "fashion-mnist"}, "holds a stream of another artifact"),
        ({"temperature": 0.5}, "holds a stream of another temperature, 1.0 and not 0.5"),
        ({"format": "npz"}, "holds a stream of another format, 'parquet' and not 'npz'"),
        ({"total": 5_001}, "holds a stream of another total, 5000 and not 5001"),
    ],
)
def test_another_stream_than_the_folder_s_is_refused_by_what_differs(run, hashes, undisturbed, options, message):
    before = hashes(undisturbed)
    with pytest.raises(InputError, match=message):
        run(undisturbed, **options)
    assert hashes(undisturbed) == before


@pytest.mark.parametrize("form", ["webdataset", "npz"])
def test_the_other_formats_are_the_same_bytes_for_one_worker_and_two(ray, run, hashes, form, tmp_path):
    options = {"artifact": ROOT / "artifacts" / "mnist", "labels": [7, "3:1,8:1"], "total": 1_000, "shard_size": 400}
    for workers in (1, 2):
        run(tmp_path / str(workers), format=form, workers=workers, **options)
    assert len(list((tmp_path / "1").iterdir())) == 4
    assert hashes(tmp_path / "1") == hashes(tmp_path / "2")


def test_a_worker_that_does_not_see_the_folder_is_an_error_in_one_line(ray, run, tmp_path, monkeypatch):
    """As if the driver's folder were another machine's: what it writes there is not what the worker reads."""
    monkeypatch.setattr("cvae_sdk.bulk.writer.Workplace", _elsewhere)
    with pytest.raises(CvaeError, match=r"the worker on .* does not see what the driver wrote into .*/elsewhere: give"):
        run(tmp_path / "out")


def _elsewhere(folder: str, *rest: object):
    from cvae_sdk.bulk.maker import Workplace

    return Workplace(str(Path(folder).with_name("elsewhere")), *rest)


def test_a_worker_with_another_artifact_of_that_name_is_an_error(ray, run, tmp_path, monkeypatch):
    from cvae_sdk.bulk.packed import PackedArtifact

    real = PackedArtifact.of(None)
    other = PackedArtifact("fashion-mnist", {}, real.digest, real.classes)
    monkeypatch.setattr(PackedArtifact, "open", lambda self, *rest: Sampler())  # the driver's own look at it
    monkeypatch.setattr("cvae_sdk.bulk.writer.PackedArtifact.of", lambda artifact: other)
    with pytest.raises(ArtifactError, match="the artifact fashion-mnist here is not the driver's: install the same"):
        run(tmp_path / "out")
