"""A stream gives the images of `sample` in batches, in memory that does not grow."""

import asyncio
import threading
import time
import tracemalloc
from itertools import islice

import numpy as np
import pytest

from cvae_sdk import ClosedError, Sampler
from cvae_sdk.drawing import draw_batches


@pytest.mark.parametrize(
    ("total", "batch_size"),
    [(1, 1), (10, 3), (1500, 1), (1500, 64), (1500, 1500), (9000, 4096), (9000, 5000), (60_000, 700), (5, 10**12)],
)
def test_a_stream_is_what_sample_gives_cut_into_batches(sampler, total, batch_size):
    labels = [3, 1, 4]
    batches = list(sampler.stream(labels, total, batch_size, seed=6))
    assert [len(batch) for batch in batches] == [
        min(batch_size, total - start) for start in range(0, total, batch_size)
    ]
    expected = sampler.sample(np.resize(labels, total), seed=6)
    np.testing.assert_array_equal(np.concatenate(batches), expected)


@pytest.mark.parametrize("output", ["uint8", "float32", "pil", "png"])
def test_every_output_can_be_streamed(sampler, output):
    batches = list(sampler.stream({3: 0.5, 8: 0.5}, 5, 2, seed=1, temperature=0.8, truncation=2, output=output))
    expected = sampler.sample({3: 0.5, 8: 0.5}, 5, seed=1, temperature=0.8, truncation=2, output=output)
    streamed = [image for batch in batches for image in batch]
    assert [np.asarray(image).tobytes() for image in streamed] == [np.asarray(image).tobytes() for image in expected]


def test_labels_go_by_the_absolute_index_so_that_a_cut_stream_is_the_same(sampler):
    whole = np.concatenate(list(sampler.stream([3, 1, 4], 50, 8, seed=2)))
    parts = [np.concatenate(list(sampler.stream([3, 1, 4], 25, 7, seed=2, first=first))) for first in (0, 25)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_a_stream_of_no_images_is_empty(sampler):
    assert list(sampler.stream(7, 0)) == list(sampler.stream([], 0)) == []


def test_a_stream_draws_only_what_is_asked_for_of_a_seed_s_2_to_the_64_images(sampler):
    batches = list(islice(sampler.stream(7, 2**64, 100, seed=3), 2))
    np.testing.assert_array_equal(np.concatenate(batches), sampler.sample(7, 200, seed=3))


def test_few_images_are_drawn_for_the_first_batch_and_more_at_once_for_later_ones(sampler, monkeypatch):
    drawn = []

    def recorded(model, conditions, latents, output, size):
        drawn.append(len(conditions))
        return draw_batches(model, conditions, latents, output, size)

    monkeypatch.setattr("cvae_sdk.sampler.draw_batches", recorded)
    assert sum(len(batch) for batch in sampler.stream(7, 60_000, 100, seed=3)) == 60_000
    assert drawn[0] == 500
    assert max(drawn) == 16_300
    assert sum(drawn) == 60_000


def test_a_batch_is_the_caller_s_own(sampler):
    first, second = islice(sampler.stream(7, 300, 100, seed=3), 2)
    first[...] = 0
    np.testing.assert_array_equal(second, sampler.sample(7, 100, seed=3, first=100))
    assert first.base is None
    assert first.flags.owndata


def peak_of(sampler: Sampler, total: int, keep: bool = False) -> int:
    tracemalloc.start()
    stream = sampler.stream(range(10), total, 1000, seed=0)
    kept = list(stream) if keep else sum(len(batch) for batch in stream)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    del kept
    return peak


def test_a_stream_of_four_times_as_many_images_takes_no_more_memory(sampler):
    peak_of(sampler, 8000)
    few, many = peak_of(sampler, 40_000), peak_of(sampler, 160_000)
    # Runs differ by which chunks are alive at the same time: 1 MB. Four times as many images are 94 MB more.
    assert many <= few + (4 << 20)


def test_the_same_measure_sees_images_that_are_kept(sampler):
    assert peak_of(sampler, 32_000, keep=True) > peak_of(sampler, 8000, keep=True) + (16 << 20)


def test_a_stream_whose_sampler_is_closed_ends_with_a_clear_error(golden_artifact):
    sampler = Sampler(golden_artifact)
    stream = sampler.stream(0, 10**6, 4096)
    next(stream)
    sampler.close()
    with pytest.raises(ClosedError, match="the Sampler was closed: open another"):
        list(stream)


# asyncio


def test_asample_and_astream_give_what_sample_and_stream_give(sampler):
    async def run():
        images = await sampler.asample([3, 1], seed=5, output="float32")
        return images, [batch async for batch in sampler.astream([3, 1], 250, 100, seed=5)]

    images, batches = asyncio.run(run())
    np.testing.assert_array_equal(images, sampler.sample([3, 1], seed=5, output="float32"))
    assert [len(batch) for batch in batches] == [100, 100, 50]
    np.testing.assert_array_equal(np.concatenate(batches), sampler.sample(np.resize([3, 1], 250), seed=5))


def test_many_calls_at_once_give_what_each_gives_alone(sampler):
    async def run():
        return await asyncio.gather(*(sampler.asample(seed % 10, 20, seed=seed) for seed in range(40)))

    for seed, images in enumerate(asyncio.run(run())):
        np.testing.assert_array_equal(images, sampler.sample(seed % 10, 20, seed=seed))


def test_the_event_loop_goes_on_while_images_are_drawn(sampler):
    async def ticks(done: asyncio.Event) -> int:
        count = 0
        while not done.is_set():
            await asyncio.sleep(0.001)
            count += 1
        return count

    async def run():
        done = asyncio.Event()
        ticking = asyncio.create_task(ticks(done))
        await sampler.asample(7, 20_000)
        async for _ in sampler.astream(7, 20_000, 1000):
            pass
        done.set()
        return await ticking

    # 40,000 images take 1 second or more here, in which a blocked loop would tick a few times.
    assert asyncio.run(run()) > 50


def test_a_stream_that_is_broken_off_leaves_no_thread_and_can_be_followed_by_another(sampler):
    async def run():
        stream = sampler.astream(7, 10**9, 100, seed=1)
        async for _ in stream:
            break
        await stream.aclose()
        return await sampler.asample(7, 2, seed=1)

    np.testing.assert_array_equal(asyncio.run(run()), sampler.sample(7, 2, seed=1))


def test_a_cancelled_stream_ends_soon_and_the_sampler_goes_on(sampler):
    async def consume():
        async for _ in sampler.astream(7, 10**12, 1000, seed=1):
            await asyncio.sleep(0)

    async def run():
        task = asyncio.create_task(consume())
        await asyncio.sleep(0.2)
        task.cancel()
        start = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.monotonic() - start

    assert asyncio.run(run()) < 5  # one stride of 4,096 images at most is drawn to its end: 0.2 seconds
    sampler.sample(7)


def test_a_cancelled_call_drops_what_it_draws(sampler):
    async def run():
        task = asyncio.create_task(sampler.asample(7, 3000))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert not [each for each in threading.enumerate() if each.name.startswith("asyncio")]


async def _rest(stream):
    """Its end alone."""
    async for _ in stream:
        pass
    yield None


def test_an_error_within_an_asynchronous_stream_is_told(golden_artifact):
    async def run():
        sampler = Sampler(golden_artifact)
        stream = sampler.astream(0, 10**6, 4096)
        await anext(stream)
        sampler.close()
        with pytest.raises(ClosedError):
            await anext(_rest(stream))

    asyncio.run(run())
