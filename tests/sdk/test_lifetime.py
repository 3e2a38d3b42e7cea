"""A Sampler in many threads, closed, forked, and in another process: it works or says why not, and never hangs."""

import copy
import hashlib
import multiprocessing
import os
import pickle
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cvae_sdk import ArtifactError, ClosedError, CvaeError, OnnxOptions, Sampler

SECONDS = 60
"""A child that is not done by then hangs: it needs less than 2."""


def run(program: str, *arguments: object) -> str:
    """What a new process prints; it fails if it takes too long, or warns."""
    # From Python 3.12 on, a fork beside threads is warned of: that it works is what is tested.
    forking = "ignore:This process:DeprecationWarning"
    command = [sys.executable, "-W", forking, "-c", textwrap.dedent(program), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.strip()


# threads


def test_16_threads_of_300_calls_get_the_very_bytes_that_one_gets(golden_artifact, tell_count):
    sampler, calls = Sampler(golden_artifact), 16 * 300
    sizes = (1, 2, 7, 64, 600)  # the last in two chunks, side by side
    arguments = [(i % 3, sizes[i % len(sizes)], i) for i in range(calls)]

    def draw(call: tuple[int, int, int]) -> int:
        return hash(sampler.sample(call[0], call[1], seed=call[2]).tobytes())

    serial = [draw(call) for call in arguments]
    with ThreadPoolExecutor(16) as pool:
        shared = list(pool.map(draw, arguments, chunksize=1))
    same = sum(a == b for a, b in zip(serial, shared, strict=True))
    assert same == calls
    tell_count(same, calls, "calls of 16 threads on one Sampler bit-identical to serial ones")


def test_threads_that_do_different_things_do_not_disturb_each_other(sampler):
    z = np.ones((3, 24), np.float32)
    kinds = (
        lambda: sampler.sample([3, 1], seed=1),
        lambda: sampler.decode(z, [0, 1, 2]),
        lambda: sampler.mix(z, np.eye(10)[:3]),
        lambda: np.concatenate(list(sampler.stream(7, 1500, 700, seed=2))),
        lambda: sampler.morph([1, 2], 3, seed=3),
        lambda: np.asarray(sampler.grid([3], 4, seed=4)),
    )
    serial = [kind().tobytes() for kind in kinds]
    with ThreadPoolExecutor(16) as pool:
        shared = list(pool.map(lambda i: kinds[i % 6]().tobytes(), range(96)))
    assert shared == serial * 16


# close


def test_a_closed_sampler_says_so_and_still_what_it_was(golden_artifact):
    with Sampler(golden_artifact) as sampler:
        assert sampler.sample(0).shape == (1, 5, 4, 3)
    sampler.close()
    assert sampler.classes == ("circle", "square", "größer")
    assert sampler.manifest.latent_dim == 2
    for call in (lambda: sampler.sample(0), lambda: sampler.sample(0, 2000), lambda: pickle.dumps(sampler)):
        with pytest.raises(ClosedError, match="the Sampler was closed: open another"):
            call()


def test_a_sampler_that_is_closed_under_way_gives_right_images_or_says_so(golden_artifact):
    expected = Sampler(golden_artifact).sample(1, 3000, seed=0).tobytes()

    def draw(sampler: Sampler, others: list[bytes | type]) -> None:
        try:
            while True:
                others.append(sampler.sample(1, 3000, seed=0).tobytes())
        except Exception as error:
            others.append(type(error))

    for _ in range(20):
        sampler, found = Sampler(golden_artifact), []
        threads = [threading.Thread(target=draw, args=(sampler, found)) for _ in range(4)]
        for thread in threads:
            thread.start()
        while len(found) < 3:
            pass
        sampler.close()
        for thread in threads:
            thread.join(SECONDS)
            assert not thread.is_alive()
        assert set(found) == {expected, ClosedError}


def test_a_closed_sampler_leaves_no_threads(golden_artifact):
    sampler = Sampler(golden_artifact)
    before = threading.active_count()
    sampler.sample(0, 3000)
    sampler.close()
    assert threading.active_count() <= before


# fork

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")

FORK = """
    import os, sys
    import numpy as np
    from cvae_sdk import CvaeError, Sampler

    sampler = Sampler(sys.argv[1])
    expected = sampler.sample(1, 3000, seed=0).tobytes()  # its threads exist from now on
    {before}
    child = os.fork()
    if child == 0:
        {within}
    _, status = os.waitpid(child, 0)
    assert sampler.sample(1, 3000, seed=0).tobytes() == expected
    print(os.waitstatus_to_exitcode(status))
"""


def fork(artifact: object, within: str, before: str = "") -> str:
    return run(FORK.format(within=within, before=before), artifact)


@needs_fork
@pytest.mark.parametrize("end", ["os._exit(7 if same else 1)", "sys.exit(7 if same else 1)"])
def test_a_forked_child_draws_the_same_images_and_ends(golden_artifact, end):
    assert fork(golden_artifact, f"same = sampler.sample(1, 3000, seed=0).tobytes() == expected; {end}") == "7"


@needs_fork
def test_a_forked_child_that_draws_nothing_ends_too(golden_artifact):
    assert fork(golden_artifact, "sys.exit(0)") == "0"
    assert fork(golden_artifact, "sampler.close(); del sampler; sys.exit(3)") == "3"


@needs_fork
def test_a_child_forked_while_a_thread_draws_is_not_stuck(golden_artifact):
    before = (
        "import threading; threading.Thread("
        "target=lambda: [sampler.sample(1, 3000, seed=0) for _ in range(20)], daemon=True).start()"
    )
    within = "sys.exit(0 if sampler.sample(1, 3000, seed=0).tobytes() == expected else 1)"
    assert fork(golden_artifact, within, before) == "0"


@needs_fork
def test_a_forked_child_whose_artifact_has_gone_says_so(tmp_path, golden_artifact):
    """It must open the artifact anew, and tells that it cannot."""
    import shutil

    folder = tmp_path / "artifact"
    shutil.copytree(golden_artifact, folder)
    within = "\n        ".join(
        (
            "try: sampler.sample(1)",
            "except CvaeError as error: os._exit(5 if 'onnx' in str(error) else 6)",
            "os._exit(1)",
        )
    )
    program = FORK.format(before="import shutil; shutil.rmtree(sys.argv[1])", within=within)
    assert run(program, folder) == "5"


@needs_fork
def test_a_pool_of_forked_processes_draws_the_same_images(golden_artifact):
    program = """
        import multiprocessing, sys
        from cvae_sdk import Sampler

        def draw(first):
            return sampler.sample(1, 10, seed=0, first=first).tobytes()

        sampler = Sampler(sys.argv[1])
        with multiprocessing.get_context("fork").Pool(2) as pool:
            parts = pool.map(draw, range(0, 100, 10))
        assert b"".join(parts) == sampler.sample(1, 100, seed=0).tobytes()
        print("same")
    """
    assert run(program, golden_artifact) == "same"


# pickle and copy


def images_of(sampler: Sampler) -> bytes:
    """For another process."""
    return sampler.sample([0, 1], seed=3).tobytes()


def test_a_pickled_sampler_is_the_same_in_another_process(golden_artifact, tmp_path):
    path = tmp_path / "sampler.pickle"
    path.write_bytes(pickle.dumps(Sampler(golden_artifact, backend=OnnxOptions(threads=1))))
    program = """
        import hashlib, pickle, sys
        sampler = pickle.load(open(sys.argv[1], "rb"))
        print(hashlib.sha256(sampler.sample([0, 1], seed=3).tobytes()).hexdigest())
        sampler.close()
    """
    expected = hashlib.sha256(images_of(Sampler(golden_artifact))).hexdigest()
    # Warnings are not errors there; an open file that is left to the collector says nothing.
    assert run(program, path) == expected


def test_a_deep_copy_is_a_sampler_of_its_own_and_a_shallow_one_the_same(golden_artifact):
    sampler = Sampler(golden_artifact)
    expected = images_of(sampler)
    shallow, deep = copy.copy(sampler), copy.deepcopy(sampler)
    deep.close()
    assert images_of(sampler) == expected
    with pytest.raises(ClosedError):
        images_of(deep)
    assert images_of(shallow) == expected


def test_a_pickled_sampler_is_refused_where_its_artifact_is_another(artifact, resign):
    pickled = pickle.dumps(Sampler(artifact))
    resign(lambda values: values.update(version=values["version"] + 1))
    with pytest.raises(ArtifactError, match="is another than the one that was opened before"):
        pickle.loads(pickled)  # noqa: S301


def test_a_relative_place_is_found_from_another_folder(golden_artifact, tmp_path, monkeypatch):
    monkeypatch.chdir(golden_artifact.parent)
    pickled, expected = pickle.dumps(Sampler(golden_artifact.name)), images_of(Sampler(golden_artifact))
    monkeypatch.chdir(tmp_path)
    assert images_of(pickle.loads(pickled)) == expected  # noqa: S301


@pytest.mark.parametrize("start", ["spawn", "forkserver"])
def test_a_process_that_is_given_a_sampler_draws_the_same(golden_artifact, start):
    if start not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {start}")
    program = f"""
        import multiprocessing, sys
        from operator import methodcaller
        from cvae_sdk import Sampler

        if __name__ == "__main__":
            sampler = Sampler(sys.argv[1])
            with multiprocessing.get_context("{start}").Pool(1) as pool:
                images = pool.apply_async(methodcaller("sample", 1, seed=0), (sampler,)).get(50)
            assert (images == sampler.sample(1, seed=0)).all()
            print("same")
    """
    assert run(program, golden_artifact) == "same"


def test_every_error_of_the_sdk_can_be_pickled():
    for error in (ClosedError("closed"), CvaeError("x", file="f", field="g", expected=1, found=2)):
        again = pickle.loads(pickle.dumps(error))  # noqa: S301
        assert (type(again), str(again), again.field, again.found) == (
            type(error),
            str(error),
            error.field,
            error.found,
        )
