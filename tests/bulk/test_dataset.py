"""cvae_sdk.bulk.dataset: the rows of a Ray Dataset are the Sampler's images."""

import numpy as np
import pytest

from cvae_sdk import Sampler
from cvae_sdk.bulk import dataset
from cvae_sdk.errors import ArtifactError, InputError

# Ray Data warns of its own deprecated settings wherever it copies all of its settings.
pytestmark = pytest.mark.filterwarnings("ignore:`(use_|target_)\\w+` is deprecated")


def rows_of(images) -> dict[str, np.ndarray]:
    """All rows by index."""
    batches = list(images.iter_batches(batch_size=700, batch_format="numpy"))
    whole = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    order = np.argsort(whole["index"])
    return {name: column[order] for name, column in whole.items()}


def test_the_rows_are_the_sampler_s_images(ray):
    rows = rows_of(dataset("mnist", "uniform", 2_500, 7, workers=2))
    assert {name: column.dtype for name, column in rows.items()} == {
        "index": "int64",
        "label": "int64",
        "image": "uint8",
    }
    labels = [i % 10 for i in range(2_500)]
    assert rows["index"].tolist() == list(range(2_500))
    assert rows["label"].tolist() == labels
    np.testing.assert_array_equal(rows["image"], Sampler().sample(labels, seed=7))


def test_a_part_of_a_stream_is_that_part(ray):
    rows = rows_of(dataset("mnist", [3, "8"], 1_000, 7, first=1_500, workers=1))
    assert rows["index"].tolist() == list(range(1_500, 2_500))
    assert rows["label"].tolist() == [(3, 8)[i % 2] for i in range(1_500, 2_500)]
    whole = Sampler().sample([(3, 8)[i % 2] for i in range(2_500)], seed=7)
    np.testing.assert_array_equal(rows["image"], whole[1_500:])


def test_what_cannot_be_is_an_error_where_it_is_asked_for(ray):
    with pytest.raises(InputError, match="unknown class 'eleven'"):
        dataset("mnist", ["eleven"], 10, 0)
    with pytest.raises(InputError, match="total must be at least 1, got 0"):
        dataset("mnist", "uniform", 0, 0)
    with pytest.raises(ArtifactError, match="no artifact at nowhere"):
        dataset("nowhere", "uniform", 10, 0)
