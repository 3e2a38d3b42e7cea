"""Drawing in chunks, side by side: every image once, and an end when something fails."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from cvae_sdk.conditions import Conditions
from cvae_sdk.drawing import CHUNK, draw, draw_batches

CHUNKS, WORKERS, SHAPE = 24, 3, (2, 2, 1)


class Model:
    """Gives each image its first latent as its pixels; at call `fails_at` it raises."""

    def __init__(self, workers: int = WORKERS, fails_at: int = -1) -> None:
        self.manifest, self.workers, self.fails_at = SimpleNamespace(image_shape=SHAPE), workers, fails_at
        self.calls, self.threads, self.lock = 0, set[int](), threading.Lock()

    def run(self, signature, inputs):
        assert signature == "decode"
        with self.lock:
            call, self.calls = self.calls, self.calls + 1
            self.threads.add(threading.get_ident())
        if call == self.fails_at:
            raise RuntimeError("planted")
        if 0 <= self.fails_at < call:
            time.sleep(0.05)  # so that the one that fails has said so before the others ask for more
        images = np.broadcast_to(inputs["z"][:, :1, None, None], (len(inputs["z"]), *SHAPE))
        return {"image": images + inputs["label"][:, None, None, None].astype(np.float32)}

    def side_by_side(self):
        return self, self.workers

    def spread(self, workers, call):
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(call, range(workers)))


class Latents:
    """Latent k is k; and how many threads were in it at once."""

    def __init__(self, fails_at: int = -1) -> None:
        self.fails_at, self.inside, self.most, self.drawn = fails_at, 0, 0, 0

    def __call__(self, start, count):
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.drawn += count
        if start == self.fails_at:
            raise MemoryError("planted")
        z = np.arange(start, start + count, dtype=np.float32)[:, None].repeat(3, axis=1)
        self.inside -= 1
        return z


def labels(count):
    return Conditions((np.arange(count) % 7).astype(np.int32), one=False)


def expected(count):
    return np.arange(count, dtype=np.float32) + np.arange(count) % 7


@pytest.mark.parametrize("workers", [1, WORKERS])
@pytest.mark.parametrize("count", [0, 1, CHUNK, CHUNK + 1, CHUNKS * CHUNK - 5])
def test_every_image_is_drawn_once_and_in_its_place(workers, count):
    latents = Latents()
    images = draw(Model(workers), labels(count), latents, "float32")
    assert images.shape == (count, *SHAPE)
    np.testing.assert_array_equal(images, np.broadcast_to(expected(count)[:, None, None, None], images.shape))
    assert latents.drawn == count


@pytest.mark.parametrize("size", [1, 100, CHUNK, 3 * CHUNK + 1, 10**12])
def test_batches_are_of_the_size_that_is_asked_for_and_each_owns_its_memory(size):
    count = 6 * CHUNK + 3
    batches = draw_batches(Model(), labels(count), Latents(), "float32", size)
    assert [len(batch) for batch in batches] == [min(size, count - start) for start in range(0, count, size)]
    assert all(batch.flags.owndata for batch in batches)
    np.testing.assert_array_equal(np.concatenate(batches)[:, 0, 0, 0], expected(count))


def test_one_thread_at_a_time_draws_latents():
    latents = Latents()
    model = Model()
    draw(model, labels(CHUNKS * CHUNK), latents, "float32")
    assert latents.most == 1
    assert model.calls == CHUNKS


def test_a_backend_that_fails_ends_the_drawing_for_every_thread():
    model = Model(fails_at=4)
    with pytest.raises(RuntimeError, match="planted"):
        draw(model, labels(CHUNKS * CHUNK), Latents(), "float32")
    # Each other thread ends at most the call that it is in, and one that it had taken.
    assert model.calls <= 5 + 2 * (WORKERS - 1)


def test_latents_that_fail_end_the_drawing_for_every_thread():
    model = Model()
    with pytest.raises(MemoryError, match="planted"):
        draw(model, labels(CHUNKS * CHUNK), Latents(fails_at=2 * CHUNK), "float32")
    assert model.calls <= 2
