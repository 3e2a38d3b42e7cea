"""A job for a Ray cluster: a labelled sample of digits as Parquet shards, and how many rows of each class they have.

    python ray_job.py --out digits --total 100000                                         on this machine
    ray job submit --address http://HEAD:8265 --working-dir . -- \\
        python ray_job.py --out /shared/digits --total 100000000                          on a cluster

The same job again goes on where it was stopped. Needs `pip install 'cvae-sdk[ray]'`, on every machine.
"""

import argparse
from collections import Counter

import ray
import ray.data

from cvae_sdk.bulk import Done, write_shards


def main() -> None:
    """Make what is missing, and read it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, help="a folder that all machines see")
    parser.add_argument("--total", type=int, default=100_000, help="how many images [100000]")
    parser.add_argument("--shard-size", type=int, default=16_384, help="images of a shard [16384]")
    parser.add_argument("--seed", type=int, default=0, help="the same seed, the same images [0]")
    options = parser.parse_args()

    ray.init(log_to_driver=False)  # the cluster that runs this job, or a Ray of this machine

    def report(done: Done) -> None:
        print(f"{done.shards} of {done.total_shards} shards, {done.kept_shards} of them from before", flush=True)

    write_shards(options.out, "uniform", options.total, seed=options.seed, shard_size=options.shard_size, report=report)

    # The folder and not a list of its files, which Ray 2.60 reads in threads that fail at random without aiohttp.
    rows = ray.data.read_parquet(options.out, columns=["label"], file_extensions=["parquet"])
    counts: Counter[int] = Counter()
    for batch in rows.iter_batches(batch_format="numpy"):
        counts.update(batch["label"].tolist())
    for label, count in sorted(counts.items()):
        print(f"class {label}: {count} images")


if __name__ == "__main__":
    main()
