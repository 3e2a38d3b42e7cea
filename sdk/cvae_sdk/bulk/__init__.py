"""Millions of labelled images on a cluster of Ray: `pip install 'cvae-sdk[ray]'`.

    write_shards("digits", "uniform", 1_000_000, seed=0)         Parquet, WebDataset or npz shards, and shards.json
    dataset("mnist", "uniform", 1_000_000, seed=0)               a ray.data.Dataset of {index, label, image}

Image i depends on nothing but the artifact, the seed, i, its label, the temperature and the truncation, so all machines
of all clusters, with however many workers, make the same images.
"""

from cvae_sdk.bulk.dataset import dataset
from cvae_sdk.bulk.writer import Done, write_shards

__all__ = ["Done", "dataset", "write_shards"]
