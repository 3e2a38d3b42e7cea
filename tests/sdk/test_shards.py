"""Shards: planned from the spec alone, the same bytes whoever makes them, and read back by others' readers."""

import hashlib
import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cvae_sdk import CvaeError, InputError, Sampler
from cvae_sdk import shards as shards_module
from cvae_sdk.shard_formats import SHARD_FORMATS
from cvae_sdk.shard_manifest import ShardManifest, open_folder
from cvae_sdk.shards import Shard, StreamSpec, is_whole, plan_shards, write_shard

FORMATS = list(SHARD_FORMATS)
MIXES = ("3", {"3": 0.5, "8": 0.5})


@pytest.fixture(scope="module")
def mixer(mnist) -> Sampler:
    return Sampler(mnist)


def spec_of(sampler: Sampler, form: str, **changes: object) -> StreamSpec:
    values = {"artifact": sampler.manifest.digest, "seed": 5, "labels": ("7", "3"), "total": 25, "format": form}
    return StreamSpec(**{**values, "shard_size": 10, **changes})  # type: ignore[arg-type]


def contents(path: Path) -> dict[str, bytes]:
    """The bytes of a file, or of each file of a folder."""
    return {p.name: p.read_bytes() for p in sorted(path.iterdir())} if path.is_dir() else {path.name: path.read_bytes()}


def images_of(path: Path) -> np.ndarray:
    """The images of a shard, by readers that are not under test."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            return file["images"]
    if path.suffix == ".tar":
        with tarfile.open(path) as archive:
            files = [archive.extractfile(m).read() for m in archive if m.name.endswith(".png")]  # type: ignore[union-attr]
    elif path.suffix == ".parquet":
        files = [image["bytes"] for image in pq.read_table(path)["image"].to_pylist()]
    else:
        files = [p.read_bytes() for p in sorted(path.glob("*.png"))]
    return np.stack([np.asarray(Image.open(io.BytesIO(content)))[..., None] for content in files])


# The plan


@settings(deadline=None)
@given(st.integers(0, 2**40), st.integers(1, 10_000), st.integers(1, 500), st.sampled_from(FORMATS))
def test_a_plan_has_every_image_once_and_in_order(first, total, size, form):
    spec = StreamSpec("digest", 0, ("7",), total, form, size, first)
    planned = plan_shards(spec)
    at = first
    for shard in planned:
        assert shard.first == at
        assert 1 <= shard.count <= size
        at += shard.count
    assert at == first + total
    assert all(shard.count == size for shard in planned[:-1])
    names = [shard.name for shard in planned]
    assert len(set(names)) == len(names)
    assert names == sorted(names)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"total": 0}, "total must be at least 1, got 0"),
        ({"shard_size": 0}, "shard_size must be at least 1, got 0"),
        ({"first": -1}, "first must be at least 0, got -1"),
        ({"first": 2**64 - 1, "total": 2}, "first and total must sum to 2^64 at most"),
        ({"total": 10**12, "shard_size": 1}, "a folder has at most 1,000,000 shards, got 1,000,000,000,000"),
        ({"labels": ()}, "labels must have one entry or more"),
        ({"format": "hdf5"}, "format must be one of png, npz, parquet, webdataset, got hdf5"),
    ],
)
def test_a_spec_that_cannot_be_is_an_input_error_that_names_its_field(sampler, changes, message):
    with pytest.raises(InputError) as caught:
        spec_of(sampler, changes.pop("format", "npz"), **changes)
    assert str(caught.value).startswith(message)
    assert caught.value.field is not None
    assert caught.value.field in str(caught.value)


# A shard


@pytest.mark.parametrize("form", FORMATS)
def test_a_shard_holds_the_sampler_s_images(sampler, tmp_path, form):
    spec = spec_of(sampler, form, first=3, temperature=0.7, truncation=2.0)
    expected = sampler.sample([(7, 3)[i % 2] for i in range(3, 28)],
                              seed=5, first=3, temperature=0.7, truncation=2.0)  # fmt: skip
    got = []
    for shard in plan_shards(spec):
        write_shard(sampler, spec, shard, tmp_path)
        got.append(images_of(tmp_path / shard.name))
    np.testing.assert_array_equal(np.concatenate(got), expected)


@pytest.mark.parametrize("form", FORMATS)
def test_a_shard_s_bytes_do_not_depend_on_the_batch_size(sampler, tmp_path, monkeypatch, form):
    spec = spec_of(sampler, form, total=23, shard_size=23)
    (shard,) = plan_shards(spec)
    seen = []
    for batch in (1, 7, 1024):
        monkeypatch.setattr(shards_module, "_BATCH", batch)
        folder = tmp_path / str(batch)
        folder.mkdir()
        record = write_shard(sampler, spec, shard, folder)
        seen.append((record, contents(folder / shard.name)))
    assert seen[0] == seen[1] == seen[2]


@pytest.mark.parametrize("form", FORMATS)
def test_a_stream_cut_in_two_by_first_is_the_same_shards(sampler, tmp_path, form):
    whole = spec_of(sampler, form, total=20)
    parts = [spec_of(sampler, form, total=10), spec_of(sampler, form, total=10, first=10)]
    planned = [plan_shards(whole), [shard for part in parts for shard in plan_shards(part)]]
    assert planned[0] == planned[1]
    for name, specs in (("whole", [whole, whole]), ("parts", parts)):
        (tmp_path / name).mkdir()
        for spec, shard in zip(specs, planned[0], strict=True):
            write_shard(sampler, spec, shard, tmp_path / name)
    for shard in planned[0]:
        assert contents(tmp_path / "whole" / shard.name) == contents(tmp_path / "parts" / shard.name)


def test_a_record_is_of_the_bytes_on_disk(sampler, tmp_path):
    for form in ("npz", "webdataset"):
        spec = spec_of(sampler, form)
        record = write_shard(sampler, spec, plan_shards(spec)[2], tmp_path)
        content = (tmp_path / record.name).read_bytes()
        assert (record.first, record.count) == (20, 5)
        assert (record.sha256, record.bytes) == (hashlib.sha256(content).hexdigest(), len(content))


def test_a_folder_s_record_is_of_what_sha256sum_prints(sampler, tmp_path):
    spec = spec_of(sampler, "png")
    record = write_shard(sampler, spec, plan_shards(spec)[1], tmp_path)
    files = contents(tmp_path / record.name)
    printed = "".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))
    assert record.sha256 == hashlib.sha256(printed.encode()).hexdigest()
    assert record.bytes == sum(map(len, files.values()))


def test_a_webdataset_shard_is_ustar_with_a_class_for_each_image(sampler, tmp_path):
    spec = spec_of(sampler, "webdataset")
    record = write_shard(sampler, spec, plan_shards(spec)[1], tmp_path)
    assert (tmp_path / record.name).read_bytes()[257:265] == b"ustar\x0000"
    with tarfile.open(tmp_path / record.name) as archive:
        members = archive.getmembers()
        assert [m.name for m in members] == [f"{i:012d}.{kind}" for i in range(10, 20) for kind in ("png", "cls")]
        for m in members:
            assert (m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode, m.type) == (
                0,
                0,
                0,
                "",
                "",
                0o644,
                tarfile.REGTYPE,
            )
        classes = [archive.extractfile(m).read() for m in members[1::2]]  # type: ignore[union-attr]
    assert classes == [(b"7", b"3")[i % 2] for i in range(10, 20)]


def test_a_mix_s_weights_stand_beside_its_images(mixer, tmp_path):
    expected = np.zeros((2, 10), np.float32)
    expected[0, 3] = 1
    expected[1, [3, 8]] = 0.5
    for form in FORMATS:
        spec = spec_of(mixer, form, labels=MIXES, total=2, shard_size=2)
        write_shard(mixer, spec, plan_shards(spec)[0], tmp_path)
    with tarfile.open(tmp_path / "images-000000000000.tar") as archive:
        member = archive.extractfile("000000000001.json")
        assert member is not None
        assert json.load(member) == {"class_weights": expected[1].tolist()}
        assert "000000000001.cls" not in archive.getnames()
    with np.load(tmp_path / "images-000000000000.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["class_weights"], expected)
        np.testing.assert_array_equal(file["images"], mixer.sample(expected, seed=5))
    rows = (tmp_path / "images-000000000000" / "labels.csv").read_text().splitlines()
    assert rows[0] == "file," + ",".join(f"weight_{k}" for k in range(10))
    assert rows[2] == "000000000001.png,0.0,0.0,0.0,0.5,0.0,0.0,0.0,0.0,0.5,0.0"


def test_npz_and_png_name_every_image_s_index_and_label(sampler, tmp_path):
    for form in ("npz", "png"):
        spec = spec_of(sampler, form)
        write_shard(sampler, spec, plan_shards(spec)[1], tmp_path)
    with np.load(tmp_path / "images-000000000010.npz", allow_pickle=False) as file:
        assert set(file) == {"images", "labels", "index"}
        np.testing.assert_array_equal(file["index"], np.arange(10, 20))
        np.testing.assert_array_equal(file["labels"], [7, 3] * 5)
    with zipfile.ZipFile(tmp_path / "images-000000000010.npz") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    table = (tmp_path / "images-000000000010" / "labels.csv").read_text()
    assert table == "file,label\n" + "".join(f"{i:012d}.png,{(7, 3)[i % 2]}\n" for i in range(10, 20))


@pytest.mark.parametrize("form", FORMATS)
def test_nothing_is_left_of_a_shard_that_fails_midway(sampler, tmp_path, form):
    spec = spec_of(sampler, form)

    def fail(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shard(sampler, spec, plan_shards(spec)[0], tmp_path, fail)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_one_line(sampler, tmp_path):
    spec = spec_of(sampler, "npz")
    with pytest.raises(CvaeError, match=r"^cannot write .*missing.*: No such file or directory$"):
        write_shard(sampler, spec, plan_shards(spec)[0], tmp_path / "missing")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "replace"])
def test_damage_is_seen_and_mended(sampler, tmp_path, form, damage):
    spec = spec_of(sampler, form)
    shard = plan_shards(spec)[0]
    record = write_shard(sampler, spec, shard, tmp_path)
    path = tmp_path / shard.name
    before = contents(path)
    assert is_whole(record, tmp_path)
    file = path / "000000000004.png" if form == "png" else path
    content = file.read_bytes()
    if damage == "flip":
        file.write_bytes(content[:99] + bytes([content[99] ^ 1]) + content[100:])
    elif damage == "truncate":
        file.write_bytes(content[:-1])
    else:
        file.unlink()
        if damage == "replace":
            file.mkdir() if form != "png" else file.symlink_to("nowhere")
    assert not is_whole(record, tmp_path)
    assert write_shard(sampler, spec, shard, tmp_path) == record
    assert is_whole(record, tmp_path)
    assert contents(path) == before


def test_a_stranger_s_file_in_a_folder_of_pngs_is_not_removed(sampler, tmp_path):
    spec = spec_of(sampler, "png")
    shard = plan_shards(spec)[0]
    record = write_shard(sampler, spec, shard, tmp_path)
    (tmp_path / shard.name / "notes.txt").write_text("mine")
    assert is_whole(record, tmp_path)
    (tmp_path / shard.name / "labels.csv").unlink()
    with pytest.raises(
        CvaeError, match=r"is to be made again but holds notes\.txt, which is not of this stream: move it away"
    ):
        write_shard(sampler, spec, shard, tmp_path)
    assert (tmp_path / shard.name / "notes.txt").read_text() == "mine"


# shards.json


def test_a_manifest_is_read_as_it_was_written(mixer, tmp_path):
    spec = spec_of(mixer, "npz", labels=MIXES, truncation=2.5, temperature=0.1, first=7)
    records = tuple(write_shard(mixer, spec, shard, tmp_path) for shard in plan_shards(spec))
    manifest = ShardManifest(spec, records)
    manifest.write(tmp_path)
    read = ShardManifest.parse((tmp_path / "shards.json").read_bytes())
    assert read == manifest
    assert read.complete
    assert not ShardManifest(spec, records[:2]).complete
    assert ShardManifest(spec, records[::-1]).to_bytes() == manifest.to_bytes()
    values = json.loads((tmp_path / "shards.json").read_bytes())
    assert (values["artifact"], values["seed"], values["truncation"]) == (mixer.manifest.digest, 5, 2.5)
    assert [shard["first"] for shard in values["shards"]] == [7, 17, 27]


@pytest.mark.parametrize(
    "edit",
    [
        lambda v: v.update(schema_version=2),
        lambda v: v.pop("seed"),
        lambda v: v.update(total=0),
        lambda v: v.update(total="many"),
        lambda v: v.update(labels=3),
        lambda v: v.update(shards=3),
        lambda v: v["shards"].append({"name": "../../etc/passwd", "first": 0, "count": 1, "sha256": "", "bytes": 1}),
        lambda v: v["shards"].append(
            {"name": "images-000000000001.npz", "first": 1, "count": 10, "sha256": "", "bytes": 1}
        ),
    ],
)
def test_a_manifest_of_something_else_is_one_line(sampler, edit):
    values = json.loads(ShardManifest(spec_of(sampler, "npz")).to_bytes())
    edit(values)
    with pytest.raises(CvaeError, match=r"^shards\.json (is not that of a stream: |has schema_version 2, not 1)"):
        ShardManifest.parse(json.dumps(values).encode())


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_bytes_that_are_no_manifest_are_one_line(content):
    with pytest.raises(CvaeError, match=r"^shards\.json is not that of a stream"):
        ShardManifest.parse(content)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"artifact": "another"}, "artifact"),
        ({"seed": 6}, "seed"),
        ({"labels": ("3",)}, "labels"),
        ({"total": 26}, "total"),
        ({"shard_size": 5}, "shard_size"),
        ({"first": 1}, "first"),
        ({"temperature": 0.5}, "temperature"),
        ({"truncation": 1.0}, "truncation"),
    ],
)
def test_another_stream_in_a_folder_is_refused_by_the_name_of_what_differs(sampler, tmp_path, change, field):
    open_folder(tmp_path / "out", spec_of(sampler, "npz"))
    before = contents(tmp_path / "out")
    with pytest.raises(InputError, match=f"holds a stream of another {field}, ") as caught:
        open_folder(tmp_path / "out", spec_of(sampler, "npz", **change))
    assert caught.value.field == field
    assert contents(tmp_path / "out") == before


def test_another_format_is_refused(sampler, tmp_path):
    open_folder(tmp_path, spec_of(sampler, "npz"))
    with pytest.raises(InputError, match="holds a stream of another format, 'npz' and not 'png'"):
        open_folder(tmp_path, spec_of(sampler, "png"))


def test_a_folder_of_other_things_is_refused(sampler, tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(InputError, match=r"holds thesis\.tex and no shards\.json: choose a new or an empty folder"):
        open_folder(tmp_path, spec_of(sampler, "npz"))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_shard_is_of_its_place():
    assert plan_shards(StreamSpec("d", 0, ("7",), 15, "webdataset", 10, 5)) == [
        Shard("images-000000000005.tar", 5, 10),
        Shard("images-000000000015.tar", 15, 5),
    ]
