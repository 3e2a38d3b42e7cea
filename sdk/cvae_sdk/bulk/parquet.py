"""Shards as Parquet, the table that datasets libraries read without being told anything.

    index   int64                       the image's number in the whole sample
    label   int64, or class_weights     list<float32> where classes are mixed
    image   struct<bytes, path>         a PNG, and no path

A struct of `bytes` and `path` is how Hugging Face Datasets keeps an image, and the schema's `huggingface` entry says
so: its `load_dataset("parquet", ...)` gives pictures and, of a label of 64 bits, the class's name. To Ray Data, Polars,
DuckDB and Spark it is a struct with a binary field. The PNGs are stored, not deflated, and Zstandard takes them by the
row group: less disk than with deflated PNGs, in less time.

The same images are the same bytes with one version of pyarrow, whose name stands in the file's footer.
"""

import json
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow  # pyright: ignore[reportMissingTypeStubs]
import pyarrow.parquet  # pyright: ignore[reportMissingTypeStubs]

from cvae_sdk.bulk.stored_png import stored_pngs
from cvae_sdk.shard_formats import Batch

__all__ = ["write_parquet"]

pa: Any = pyarrow  # it comes without types
pq: Any = pyarrow.parquet  # pyright: ignore[reportUnknownMemberType]

_ROW_GROUP = 8192
"""Images; what a reader must hold at a time."""
_MOST_BYTES = 2**30
"""Of a column's pieces, whose offsets are of 32 bits."""


def write_parquet(file: BinaryIO, batches: Iterator[Batch]) -> None:
    """Write batches, one or more, as one file, of which no more than a row group is held in memory.

    Raises what `file` raises, and InputError for images of more than 4 channels.
    """
    held = [next(batches)]
    schema = _schema(held[0])
    with pq.ParquetWriter(
        file,
        schema,
        version="2.6",
        compression="zstd",
        compression_level=1,
        use_dictionary=False,
        write_statistics=["index", "label"],
    ) as writer:
        for batch in batches:
            if sum(len(one.images) for one in held) >= _ROW_GROUP:
                _write_group(writer, schema, held)
                held = []
            held.append(batch)
        _write_group(writer, schema, held)


def _write_group(writer: Any, schema: Any, held: list[Batch]) -> None:
    table = pa.Table.from_batches([_rows(schema, part) for batch in held for part in _parts(batch)])
    writer.write_table(table, row_group_size=len(table))


def _parts(batch: Batch) -> Iterator[Batch]:
    """The batch, cut where it is too large for a column's piece."""
    step = max(1, _MOST_BYTES // batch.images[0].size)
    for start in range(0, len(batch.images), step):
        part = slice(start, start + step)
        yield Batch(batch.first + start, batch.images[part], batch.labels[part], batch.classes)


def _schema(batch: Batch) -> Any:
    image = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])
    features: dict[str, dict[str, Any]] = {"index": {"dtype": "int64", "_type": "Value"}}
    if batch.labels.ndim == 2:
        label = pa.field("class_weights", pa.list_(pa.float32()))
        features["class_weights"] = {"feature": {"dtype": "float32", "_type": "Value"}, "_type": "Sequence"}
    else:
        label = pa.field("label", pa.int64())
        features["label"] = {"names": list(batch.classes), "_type": "ClassLabel"}
    features["image"] = {"_type": "Image"}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.schema([pa.field("index", pa.int64()), label, pa.field("image", image)], metadata)


def _rows(schema: Any, batch: Batch) -> Any:
    """Columns that share NumPy's memory; `pyarrow.array` would first import pandas, which takes a second or two."""
    files = stored_pngs(batch.images)
    count, labels = len(files), batch.labels
    image = pa.StructArray.from_arrays(
        [_equal_parts(pa.binary(), files), pa.nulls(count, pa.string())], fields=list(schema.field("image").type)
    )
    each = _column(pa.int64(), labels) if labels.ndim == 1 else _equal_parts(schema.field(1).type, labels)
    index = _column(pa.int64(), np.arange(batch.first, batch.first + count))
    return pa.RecordBatch.from_arrays([index, each, image], schema=schema)


def _column(kind: Any, values: npt.NDArray[np.generic]) -> Any:
    flat = np.ascontiguousarray(values.reshape(-1), kind.to_pandas_dtype())
    return pa.Array.from_buffers(kind, len(flat), [None, pa.py_buffer(flat)])


def _equal_parts(kind: Any, rows: npt.NDArray[np.generic]) -> Any:
    """A binary or a list for each row, all of one length."""
    ends = pa.py_buffer(np.arange(0, rows.size + 1, rows.shape[1], dtype=np.int32))
    if pa.types.is_binary(kind):
        return pa.Array.from_buffers(kind, len(rows), [None, ends, pa.py_buffer(np.ascontiguousarray(rows))])
    return pa.Array.from_buffers(kind, len(rows), [None, ends], children=[_column(kind.value_type, rows)])
