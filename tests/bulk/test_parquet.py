"""Parquet shards: what stands in them, and that their bytes depend on nothing else."""

import io
import json
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cvae_sdk.bulk.parquet import write_parquet
from cvae_sdk.bulk.stored_png import stored_pngs
from cvae_sdk.errors import InputError
from cvae_sdk.shard_formats import Batch

CLASSES = ("null", "één")


def random_images(count: int, height: int = 5, width: int = 7, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, height, width, channels), np.uint8)


def cut(images: np.ndarray, labels: np.ndarray, size: int, first: int = 0) -> Iterator[Batch]:
    for start in range(0, len(images), size):
        part = slice(start, start + size)
        yield Batch(first + start, images[part], labels[part], CLASSES)


def written(batches: Iterator[Batch]) -> bytes:
    file = io.BytesIO()
    write_parquet(file, batches)
    return file.getvalue()


@given(st.integers(1, 3), st.integers(1, 40), st.integers(1, 40), st.integers(1, 4))
@settings(deadline=None, max_examples=60)
def test_a_stored_png_is_what_pillow_reads_back(count, height, width, channels):
    images = random_images(count, height, width, channels)
    for file, image in zip(stored_pngs(images), images, strict=True):
        with Image.open(io.BytesIO(file.tobytes())) as picture:
            picture.load()  # checks the sums of every chunk
            assert picture.format == "PNG"
            np.testing.assert_array_equal(np.asarray(picture).reshape(image.shape), image)


def test_a_png_larger_than_one_stored_block_is_read_back_too():
    images = random_images(2, 200, 180, 3)
    for file, image in zip(stored_pngs(images), images, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(file.tobytes()))), image)


def test_five_channels_are_no_png():
    with pytest.raises(InputError, match="a PNG has 1 to 4 channels, these images have 5: use the format npz"):
        stored_pngs(random_images(1, channels=5))


def test_rows_have_index_label_and_a_png():
    images, labels = random_images(30), np.arange(30, dtype=np.int32) % 2
    table = pq.read_table(io.BytesIO(written(cut(images, labels, 8, first=2**40))))
    assert table["index"].to_pylist() == list(range(2**40, 2**40 + 30))
    assert table["label"].to_pylist() == labels.tolist()
    assert table["image"].type == pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    for row, image in zip(table["image"].to_pylist(), images, strict=True):
        assert row["path"] is None
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(row["bytes"]))), image[..., 0])


def test_mixes_have_their_class_weights():
    weights = np.random.default_rng(0).random((6, 2), np.float32)
    table = pq.read_table(io.BytesIO(written(cut(random_images(6), weights, 4))))
    assert table.column_names == ["index", "class_weights", "image"]
    np.testing.assert_array_equal(np.array(table["class_weights"].to_pylist(), np.float32), weights)


def test_the_schema_tells_hugging_face_datasets_of_the_image_and_the_classes_names():
    """Features.from_arrow_schema reads this entry; it takes a feature where its own Arrow type is the column's."""
    table = pq.read_table(io.BytesIO(written(cut(random_images(2), np.array([0, 1], np.int32), 2))))
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert features == {
        "index": {"dtype": "int64", "_type": "Value"},
        "label": {"names": ["null", "één"], "_type": "ClassLabel"},
        "image": {"_type": "Image"},
    }
    assert table.schema.field("label").type == pa.int64()


def test_the_same_images_are_the_same_bytes_and_a_pixel_more_is_others():
    images, labels = random_images(20), np.zeros(20, np.int32)
    one = written(cut(images, labels, 8))
    assert one == written(cut(images, labels, 8))
    images[3, 2, 1] ^= 1
    assert one != written(cut(images, labels, 8))


def test_a_row_group_holds_8192_images_so_that_memory_does_not_grow_with_the_shard():
    batches = cut(random_images(20_000, 2, 2), np.zeros(20_000, np.int32), 1024)
    parts = pq.ParquetFile(io.BytesIO(written(batches)))
    assert [parts.metadata.row_group(i).num_rows for i in range(parts.num_row_groups)] == [8192, 8192, 3616]


def test_images_too_large_for_one_column_s_piece_are_cut(monkeypatch):
    monkeypatch.setattr("cvae_sdk.bulk.parquet._MOST_BYTES", 100)
    images = random_images(9)
    table = pq.read_table(io.BytesIO(written(cut(images, np.zeros(9, np.int32), 9))))
    assert table["image"].num_chunks >= 1
    assert table["index"].to_pylist() == list(range(9))
