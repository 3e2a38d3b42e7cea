"""cvae stream: gone on with after anything that stops it, and refused where it would mix two streams."""

import json
import os
import pty
import re
import resource
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest

CVAE = Path(sys.executable).with_name("cvae")
STREAM = ["stream", "7", "3", "--total", "25", "--shard-size", "10", "--seed", "5", "-o", "out"]
SHARDS = [f"images-0000000000{first}.npz" for first in ("00", "10", "20")]


def contents(folder: str | Path) -> dict[str, bytes]:
    root = Path(folder)
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, bytes]:
    """The files of STREAM as .npz, made in one go."""
    folder = tmp_path_factory.mktemp("whole")
    command = [CVAE, *STREAM[:-1], folder / "out", "--format", "npz"]
    subprocess.run(command, check=True, capture_output=True)
    return contents(folder / "out")


# When all is well


@pytest.mark.parametrize(("form", "suffix"), [("png", ""), ("npz", ".npz"), ("webdataset", ".tar")])
def test_a_stream_says_each_shard_and_lists_it(cvae, sampler, form, suffix):
    code, out, err = cvae(*STREAM, "--format", form)
    assert code == 0
    assert re.fullmatch(rb"25 images made in \d+ s \([\d,]+/s\); 25 in 3 shards in out\n", out)
    names = [f"images-{first:012d}{suffix}" for first in (0, 10, 20)]
    counts = [10, 10, 5]
    assert [line.split()[:2] for line in err.splitlines()] == [[n, str(c)] for n, c in zip(names, counts, strict=True)]
    listed = json.loads(Path("out/shards.json").read_bytes())
    assert sorted(path.name for path in Path("out").iterdir()) == [*names, "shards.json"]
    assert listed["complete"] is True
    assert listed["artifact"] == sampler.manifest.digest
    assert (listed["seed"], listed["labels"], listed["total"]) == (5, ["7", "3"], 25)
    assert [(s["name"], s["count"]) for s in listed["shards"]] == list(zip(names, counts, strict=True))


def test_a_stream_s_images_are_the_sampler_s(cvae, sampler):
    assert cvae(*STREAM, "--format", "npz", "--temperature", 0.5, "--first", 3)[0] == 0
    paths = sorted(Path("out").glob("*.npz"))
    images = np.concatenate([np.load(path, allow_pickle=False)["images"] for path in paths])
    labels = [(7, 3)[i % 2] for i in range(3, 28)]
    np.testing.assert_array_equal(images, sampler.sample(labels, seed=5, first=3, temperature=0.5))


def test_without_labels_every_class_takes_its_turn(cvae):
    assert cvae("stream", "--total", 12, "--seed", 1, "-o", "a.npz")[0] == 0
    with np.load("a.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["labels"], [*range(10), 0, 1])


@pytest.mark.parametrize("name", ["a.npz", "a.tar"])
def test_one_file_holds_the_same_as_the_one_shard_of_a_folder(cvae, name):
    rest = ["stream", "7", "--total", 9, "--seed", 5]
    code, out, err = cvae(*rest, "-o", name)
    assert (code, err) == (0, "")
    assert re.fullmatch(rf"9 images made in \d+ s \([\d,]+/s\), saved in {name}\n".encode(), out)
    form = {"a.npz": "npz", "a.tar": "webdataset"}[name]
    assert cvae(*rest, "--format", form, "-o", "out")[0] == 0
    (shard,) = Path("out").glob("images-*")
    assert Path(name).read_bytes() == shard.read_bytes()
    assert {path.name for path in Path().iterdir()} == {name, "out"}


def test_standard_output_gets_an_archive(cvae, tmp_path):
    code, out, err = cvae("stream", "7", "--total", 9, "--seed", 5, "-o", "-")
    assert (code, err) == (0, "")
    (tmp_path / "piped.tar").write_bytes(out)
    with tarfile.open(tmp_path / "piped.tar") as archive:
        assert len(archive.getnames()) == 18
    assert cvae("stream", "7", "--total", 9, "--seed", 5, "-o", "a.tar")[0] == 0
    assert out == Path("a.tar").read_bytes()


def test_a_random_seed_is_told_and_taken_again_when_the_stream_goes_on(cvae):
    command = ["stream", "7", "--total", 20, "--shard-size", 10, "--format", "npz", "-o", "out"]
    seed = re.search(rb", seed (\d+)\n", cvae(*command)[1])[1]
    before = contents("out")
    Path("out/images-000000000010.npz").unlink()
    code, out, _ = cvae(*command)
    assert code == 0
    assert out.endswith(b", seed " + seed + b"\n")
    assert contents("out") == before


# Going on


def test_what_is_whole_is_not_made_again(cvae, whole):
    assert cvae(*STREAM, "--format", "npz")[0] == 0
    before = {path.name: path.stat().st_mtime_ns for path in Path("out").glob("images-*")}
    code, out, err = cvae(*STREAM, "--format", "npz")
    assert (code, out, err) == (0, b"nothing was missing; 25 in 3 shards in out\n", "")
    assert {path.name: path.stat().st_mtime_ns for path in Path("out").glob("images-*")} == before
    assert contents("out") == whole


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "empty"])
def test_a_damaged_shard_alone_is_made_again(cvae, whole, damage):
    assert cvae(*STREAM, "--format", "npz")[0] == 0
    path = Path("out") / SHARDS[1]
    content = path.read_bytes()
    if damage == "flip":
        path.write_bytes(content[:500] + bytes([content[500] ^ 4]) + content[501:])
    elif damage == "remove":
        path.unlink()
    else:
        path.write_bytes(content[:-7] if damage == "truncate" else b"")
    others = {name: (Path("out") / name).stat().st_mtime_ns for name in (SHARDS[0], SHARDS[2])}
    code, _, err = cvae(*STREAM, "--format", "npz")
    assert code == 0
    assert err.splitlines()[0] == f"cvae: {SHARDS[1]} is missing or damaged, and is made again"
    assert len(err.splitlines()) == 2
    assert contents("out") == whole
    assert {name: (Path("out") / name).stat().st_mtime_ns for name in others} == others


def until(what, process: subprocess.Popen, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert process.poll() is None, "it ended too soon"
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.mark.parametrize("form", ["npz", "png", "webdataset"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_stream_that_was_stopped_in_the_middle_goes_on_to_the_same_bytes(tmp_path, form, number):
    def command(out: str) -> list[object]:
        rest = ["--total", "3000", "--shard-size", "200", "--seed", "9", "--format", form, "--threads", "1"]
        return [CVAE, "stream", "7", "3", *rest, "-o", tmp_path / out]

    process = subprocess.Popen(command("cut"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: len(list((tmp_path / "cut").glob("images-*"))) >= 3, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert out == ""
    assert "Traceback" not in err
    assert process.returncode == (-9 if number == signal.SIGKILL else 130)
    there = list((tmp_path / "cut").glob("images-*"))
    assert 3 <= len(there) < 15
    if number == signal.SIGINT:
        listed = json.loads((tmp_path / "cut/shards.json").read_bytes())
        # The signal may come between a shard's last name and its record: that one is made again.
        assert len(there) - 1 <= len(listed["shards"]) <= len(there)
        assert listed["complete"] is False
        assert not [path for path in (tmp_path / "cut").iterdir() if path.name.startswith(".")]
    for out in ("cut", "whole"):
        subprocess.run(command(out), check=True, capture_output=True)
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


# What is refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--seed", "6"], "cvae: out holds a stream of another seed, 5 and not 6: "),
        (["--total", "26"], "cvae: out holds a stream of another total, 25 and not 26: "),
        (["--temperature", "0.5"], "cvae: out holds a stream of another temperature, 1.0 and not 0.5: "),
        (["--truncation", "2"], "cvae: out holds a stream of another truncation, None and not 2.0: "),
        (["--first", "1"], "cvae: out holds a stream of another first, 0 and not 1: "),
        (["--shard-size", "5"], "cvae: out holds a stream of another shard_size, 10 and not 5: "),
        (["--format", "png"], "cvae: out holds a stream of another format, 'npz' and not 'png': "),
        (["--artifact", "fashion-mnist"], "cvae: out holds a stream of another artifact, "),
    ],
)
def test_another_stream_does_not_go_on_and_changes_nothing(cvae, whole, change, message):
    assert cvae(*STREAM, "--format", "npz")[0] == 0
    code, out, err = cvae(*STREAM, "--format", "npz", *change)
    assert (code, out) == (2, b"")
    assert err.startswith(message)
    assert re.fullmatch(r"[^\n]+\n", err)
    assert contents("out") == whole


WRONG = [
    (["stream", "7", "-o", "out"], "cvae stream: the following arguments are required: --total"),
    (["stream", "7", "--total", "9"], "cvae stream: the following arguments are required: -o/--out"),
    (["stream", "ten", "--total", "9", "-o", "out"], "cvae: unknown class 'ten'"),
    (["stream", "--total", "0", "-o", "out"], "cvae: total must be at least 1, got 0"),
    (["stream", "--total", "many", "-o", "out"], "cvae stream: argument --total: invalid int value: 'many'"),
    (["stream", "--total", "9", "--shard-size", "0", "-o", "out"], "cvae: shard_size must be at least 1, got 0"),
    (["stream", "--total", "9", "--first", "-1", "-o", "out"], "cvae: first must be at least 0, got -1"),
    (
        ["stream", "--total", str(10**12), "--shard-size", "1", "-o", "out"],
        "cvae: a folder has at most 1,000,000 shards",
    ),
    (
        ["stream", "--total", "9", "--format", "hdf5", "-o", "out"],
        "cvae stream: argument --format: invalid choice: 'hdf5'",
    ),
    (
        ["stream", "--total", "9", "--format", "png", "-o", "-"],
        "cvae: standard output and single files take npz or webd",
    ),
    (
        ["stream", "--total", "9", "--format", "png", "-o", "a.tar"],
        "cvae: standard output and single files take npz or ",
    ),
    (["stream", "--total", "9", "--format", "npz", "-o", "a.tar"], "cvae: --format npz is not what a.tar is named for"),
    (["stream", "--total", "9", "-o", "missing/a.tar"], "cvae: cannot write missing/a.tar: No such file or directory"),
    (["stream", "--total", "9", "--seed", "-1", "-o", "a.tar"], "cvae: seed must be an integer from 0 to 2^64 - 1"),
    (["stream", "--total", "9", "--truncation", "-1", "-o", "a.tar"], "cvae: truncation"),
    (["stream", "--total", "9", "--artifact", "nothing", "-o", "out"], "cvae: no artifact at nothing: no such folder"),
]


@pytest.mark.parametrize(("arguments", "start"), WRONG, ids=[" ".join(case[0])[:60] for case in WRONG])
def test_a_mistake_exits_2_with_one_line_and_writes_nothing(cvae, tmp_path, arguments, start):
    code, out, err = cvae(*arguments)
    assert (code, out) == (2, b"")
    assert err.startswith(start)
    assert re.fullmatch(r"[^\n]+\n", err)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_never_overwritten(cvae):
    for name in ("a.npz", "a.tar", "file"):
        Path(name).write_bytes(b"mine")
        code, _, err = cvae("stream", "7", "--total", 9, "-o", name)
        assert code == 2
        assert err.startswith(f"cvae: {name} ")
        assert Path(name).read_bytes() == b"mine"


def test_a_folder_of_other_things_is_not_written_to(cvae):
    Path("home").mkdir()
    Path("home/thesis.tex").write_text("")
    code, _, err = cvae("stream", "7", "--total", 9, "-o", "home")
    assert (code, err) == (2, "cvae: home holds thesis.tex and no shards.json: choose a new or an empty folder\n")
    assert [path.name for path in Path("home").iterdir()] == ["thesis.tex"]


def test_a_damaged_shards_json_is_a_line(cvae):
    Path("out").mkdir()
    Path("out/shards.json").write_bytes(b"{")
    code, _, err = cvae(*STREAM)
    assert code == 2
    assert re.fullmatch(r"cvae: out: shards\.json is not that of a stream: [^\n]+\n", err)


def test_two_streams_do_not_write_into_one_folder_at_once(tmp_path):
    command = [CVAE, "stream", "7", "--total", "100000", "--seed", "9", "--format", "npz", "-o", tmp_path / "out"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        until(lambda: list((tmp_path / "out").glob(".images-*")), process)
        second = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        process.kill()
        process.communicate()
    assert second.returncode == 2
    assert second.stderr == f"cvae: another cvae stream writes into {tmp_path / 'out'} now: wait for it\n"


@pytest.mark.parametrize("form", ["png", "npz", "webdataset"])
def test_a_full_disk_is_one_line_and_leaves_whole_shards_alone(tmp_path, form):
    def limit() -> None:  # a file of one shard does not fit: the system says so as it does of a full disk, by an error
        resource.setrlimit(resource.RLIMIT_FSIZE, (300 if form == "png" else 4000,) * 2)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    command = [CVAE, *STREAM[:-1], tmp_path / "out", "--format", form]
    done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=limit)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"cvae: cannot write \S+images-000000000000\S*: File too large\n", done.stderr)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["shards.json"]
    assert json.loads((tmp_path / "out/shards.json").read_bytes())["shards"] == []


@pytest.mark.skipif(os.geteuid() != 0 or not Path("/bin/mount").exists(), reason="only root may mount a small disk")
def test_a_disk_that_fills_up_keeps_the_shards_that_fitted_and_the_stream_goes_on_elsewhere(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["/bin/mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"this system lets nobody mount: {mounted.stderr.decode().strip()}")
    command = [CVAE, "stream", "7", "--total", "2000", "--shard-size", "400", "--seed", "5", "--format", "npz", "-o"]
    try:
        done = subprocess.run([*command, disk / "out"], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert done.stderr.splitlines()[-1].endswith(": No space left on device")
        there = contents(disk / "out")
        assert 1 <= len([name for name in there if name.startswith("images-")]) < 5
        assert all(name == "shards.json" or name.startswith("images-") for name in there)
    finally:
        subprocess.run(["/bin/umount", disk], check=True)
    (tmp_path / "out").mkdir()
    for name, content in there.items():
        (tmp_path / "out" / name).write_bytes(content)
    for out in ("out", "whole"):
        subprocess.run([*command, tmp_path / out], check=True, capture_output=True)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_terminal_shows_a_bar(tmp_path):
    leader, follower = pty.openpty()
    command = [CVAE, "stream", "7", "--total", "3000", "--seed", "1", "-o", tmp_path / "a.npz"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=follower, check=True)
    os.close(follower)
    drawn = os.read(leader, 1 << 16).decode()
    os.close(leader)
    assert done.stdout.startswith(b"3,000 images made in ")
    assert re.search(r"% \|[# ]{24}\| [\d,]+ of 3,000 images, [\d,]+/s, \d+ s left", drawn)
    assert drawn.endswith("\r\x1b[K")
