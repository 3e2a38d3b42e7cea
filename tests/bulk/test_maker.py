"""A worker's own part, without Ray: what it keeps, what it makes, and what it says when it cannot."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from cvae_sdk.artifact import locate
from cvae_sdk.backends.options import NumpyOptions, OnnxOptions
from cvae_sdk.bulk.maker import MAKING, RECORDS, TOKEN, Maker, Workplace
from cvae_sdk.bulk.packed import PackedArtifact, one_thread
from cvae_sdk.errors import CvaeError, InputError
from cvae_sdk.shards import StreamSpec, plan_shards

ZERO = np.zeros(1, np.int32)


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    (tmp_path / RECORDS).mkdir()
    (tmp_path / TOKEN).write_text("the driver's")
    packed = PackedArtifact.of(None)
    spec = StreamSpec(packed.digest, 0, ("3", "8"), 20, "parquet", 10)
    return Workplace(str(tmp_path), "the driver's", packed, one_thread("onnx"), spec)


def test_a_shard_is_made_once_and_then_kept(place):
    shard, other = plan_shards(place.spec)
    maker = Maker(place)
    first = maker.make(shard)
    assert (first.anew, first.record.count, first.pid) == (True, 10, os.getpid())
    again = Maker(place).make(shard)
    assert (again.anew, again.record) == (False, first.record)
    assert maker.make(other).anew


def test_a_full_disk_is_one_line_and_leaves_neither_a_shard_nor_a_part_of_one(place, tmp_path, monkeypatch):
    maker, (shard, _) = Maker(place), plan_shards(place.spec)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CvaeError, match=r"^cannot write .*images-000000000000\.parquet: No space left on device$"):
        maker.make(shard)
    assert sorted(path.name for path in tmp_path.iterdir()) == [TOKEN, MAKING, RECORDS]
    assert not list((tmp_path / MAKING).iterdir())
    monkeypatch.undo()
    assert maker.make(shard).anew


def test_a_shard_that_comes_out_as_other_bytes_than_before_is_an_error_and_does_not_take_its_place(place, tmp_path):
    maker, (shard, _) = Maker(place), plan_shards(place.spec)
    path = tmp_path / shard.name
    record = maker.make(shard).record
    recorded = tmp_path / RECORDS / f"{shard.name}.json"
    recorded.write_text(recorded.read_text().replace(record.sha256, "0" * 64))
    path.write_bytes(b"damaged")
    with pytest.raises(CvaeError, match=f"comes out with SHA-256 {record.sha256}, and was {'0' * 64}: another version"):
        maker.make(shard)
    assert path.read_bytes() == b"damaged"


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"name": 1}', '{"name": "x", "first": 0, "count": 1}'])
def test_a_record_that_is_damaged_is_as_none(place, tmp_path, damage):
    maker, (shard, _) = Maker(place), plan_shards(place.spec)
    maker.make(shard)
    (tmp_path / RECORDS / f"{shard.name}.json").write_text(damage)
    assert maker.make(shard).anew


def test_a_folder_without_the_driver_s_token_is_not_shared(place, tmp_path, monkeypatch):
    monkeypatch.setattr("cvae_sdk.bulk.maker._SECONDS_TO_BE_SEEN", 0.0)
    for text in ("another driver's", None):
        (tmp_path / TOKEN).write_text(text) if text else (tmp_path / TOKEN).unlink()
        with pytest.raises(CvaeError, match="give a folder of a file system that all of them share"):
            Maker(place)


def test_an_artifact_s_folder_is_packed_whole_and_opens_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    shipped = PackedArtifact.of("mnist")
    packed = PackedArtifact.of(locate("mnist"))
    assert (shipped.name, packed.name, packed.digest) == ("mnist", None, shipped.digest)
    assert set(packed.files) == {
        path.relative_to(locate("mnist")).as_posix() for path in locate("mnist").rglob("*") if path.is_file()
    }
    sampler = packed.open(OnnxOptions(threads=1), ZERO)
    assert not list(tmp_path.iterdir())
    images = next(iter(sampler.stream([3], 2, seed=1)))
    assert images.tobytes() == next(iter(shipped.open(OnnxOptions(threads=1), ZERO).stream([3], 2, seed=1))).tobytes()


def test_a_server_s_address_is_no_artifact_to_send_to_workers():
    with pytest.raises(InputError, match="needs an artifact's own files, got the address 'grpc://host:1/m': give its"):
        PackedArtifact.of("grpc://host:1/m")


def test_a_worker_s_runtime_keeps_to_one_thread():
    assert one_thread("onnx") == OnnxOptions(threads=1)
    assert one_thread(OnnxOptions(threads=3)) == OnnxOptions(threads=3)
    assert one_thread(NumpyOptions()) == NumpyOptions()
    with pytest.raises(InputError, match="unknown backend 'abacus': there are onnx, numpy"):
        one_thread("abacus")
