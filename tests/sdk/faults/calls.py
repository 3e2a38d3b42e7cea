"""What can be wrong with a call: each argument of each method, and the Sampler that it is made of."""

import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cvae_sdk import (
    ArtifactError,
    ArtifactNotFoundError,
    BackendUnavailableError,
    ClosedError,
    CvaeError,
    InputError,
    OnnxOptions,
    RemoteOptions,
    Sampler,
    TooLargeError,
)
from faults.fault import GOLDEN_ARTIFACT

MNIST = Path(__file__).parents[3] / "artifacts" / "mnist"


@dataclass(frozen=True)
class Opened:
    """What the calls are made of."""

    mnist: Sampler
    """24 latents, 10 classes; decodes, mixes and encodes."""
    plain: Sampler
    """2 latents, 3 classes, an image of [5, 4, 3]; only decodes."""
    closed: Sampler


def opened() -> Opened:
    closed = Sampler(GOLDEN_ARTIFACT)
    closed.close()
    return Opened(Sampler(MNIST), Sampler(GOLDEN_ARTIFACT), closed)


@dataclass(frozen=True)
class CallFault:
    """`act` makes the call, which raises `error` about the argument `field`."""

    name: str
    act: Callable[[Opened], object]
    error: type[CvaeError] = InputError
    field: str | None = None
    says: tuple[str, ...] = ("expected",)
    """The attributes that are filled in beside `field`."""


def call(name: str, field: str | None, act: Callable[[Sampler], Any], error: type[CvaeError] = InputError) -> CallFault:
    """A call of the digits' Sampler."""
    return CallFault(f"call: {name}", lambda o: act(o.mnist), error, field)


def plain(name: str, field: str, act: Callable[[Sampler], Any]) -> CallFault:
    """A call of what the artifact does not have."""
    return CallFault(f"call: {name}", lambda o: act(o.plain), ArtifactError, field, ("expected", "found"))


def closed(name: str, act: Callable[[Sampler], Any]) -> CallFault:
    return CallFault(f"call: after close: {name}", lambda o: act(o.closed), ClosedError, None, ())


def opening(name: str, field: str | None, act: Callable[[], Any], error: type[CvaeError] = InputError) -> CallFault:
    return CallFault(f"call: opening {name}", lambda _: act(), error, field)


class Hostile:
    """What fails even to be printed."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


def nested(depth: int) -> list[Any]:
    deep: list[Any] = []
    for _ in range(depth):
        deep = [deep]
    return deep


def spread(value: object, dtype: type, *shape: int) -> np.ndarray:
    """An array as large as is said, that takes no memory."""
    return np.broadcast_to(np.asarray(value, dtype), shape)


def changed(value: float) -> np.ndarray:
    z = Z.copy()
    z[1, 9] = value
    return z


def ones(n: int, *also: float) -> np.ndarray:
    return np.array([[1.0, *[0.0] * (n - 1)]] * 2) + np.array([also or 0.0])


Z = np.zeros((2, 24), np.float32)
X = np.zeros((2, 28, 28, 1), np.uint8)
BOTH = [0, 1]
HUGE = 10**12

LABELS = (
    call("a label below 0", "label", lambda s: s.sample(-1)),
    call("a label above the last", "label", lambda s: s.sample(10)),
    call("a label of 2^31 - 1", "label", lambda s: s.sample(2**31 - 1)),
    call("a label of 2^64", "label", lambda s: s.sample(2**64)),
    call("a label of more digits than Python prints", "label", lambda s: s.sample(10**5000)),
    call("a label that is a float", "label", lambda s: s.sample(3.0)),
    call("a label that is NaN", "label", lambda s: s.sample(math.nan)),
    call("a label that is a boolean", "label", lambda s: s.sample(True)),
    call("a label that is a boolean of NumPy", "label", lambda s: s.sample(np.True_)),
    call("a label that is None", "label", lambda s: s.sample(None)),
    call("a label that is bytes", "label", lambda s: s.sample(b"7")),
    call("a label that is a complex number", "label", lambda s: s.sample(7j)),
    call("a label that is a set", "label", lambda s: s.sample({7})),
    call("a label that is a generator", "label", lambda s: s.sample(i for i in (1, 2))),
    call("a label that cannot be printed", "label", lambda s: s.sample(Hostile())),
    call("a name that is no class", "label", lambda s: s.sample("seven")),
    call("a name with a space around it", "label", lambda s: s.sample(" 7")),
    call("an empty name", "label", lambda s: s.sample("")),
    call("a name of a million letters", "label", lambda s: s.sample("x" * 10**6)),
    call("a name of half a character", "label", lambda s: s.sample("\ud800")),
    call("a name of several lines", "label", lambda s: s.sample("7\n8")),
    call("a bad label in a list", "label", lambda s: s.sample([1, 10])),
    call("a float in a list", "label", lambda s: s.sample([1, 2.0])),
    call("a list of floats", "label", lambda s: s.sample([0.1] * 10)),
    call("a boolean in a list", "label", lambda s: s.sample([1, True])),
    call("None in a list", "label", lambda s: s.sample([1, None])),
    call("a list in a list", "label", lambda s: s.sample([[1]])),
    call("a list of lists without end", "label", lambda s: s.sample(nested(20_000))),
    call("an array in a list", "label", lambda s: s.sample([np.zeros((100, 100))])),
    call("an array of one label and no axis", "label", lambda s: s.sample(np.array(7))),
    call("an array of two axes", "label", lambda s: s.sample(np.ones((2, 2), int))),
    call("an array with a negative label", "label", lambda s: s.sample(np.array([1, -1]))),
    call("an array with 2^64 - 1", "label", lambda s: s.sample(np.array([1, 2**64 - 1], np.uint64))),
    call("an array of booleans", "label", lambda s: s.sample(np.array([True]))),
    call("an array of complex numbers", "label", lambda s: s.sample(np.zeros(2, complex))),
    call("an array of dates", "label", lambda s: s.sample(np.array(["2026-11-26"], "M8[D]"))),
    call("an array of objects", "label", lambda s: s.sample(np.array([{}, []], object))),
    call("an array of records", "label", lambda s: s.sample(np.zeros(2, [("a", int)]))),
    call("an array of unknown names", "label", lambda s: s.sample(np.array(["7", "x"]))),
    call("an array of masked labels", "labels", lambda s: s.sample(np.ma.array([1, 2], mask=[0, 1]))),
    call("a range beyond the last label", "label", lambda s: s.sample(range(2**70))),
    call("more labels than memory has room for", "labels", lambda s: s.sample(spread(0, np.int64, HUGE)), TooLargeError),
)  # fmt: skip

WEIGHTS = (
    call("weights of another number of classes", "class_weights", lambda s: s.sample(np.full(9, 1 / 9))),
    call("weights of three axes", "class_weights", lambda s: s.sample(np.zeros((1, 1, 10)))),
    call("a weight below 0", "class_weights", lambda s: s.sample({1: 1.5, 2: -0.5})),
    call("a weight that is NaN", "class_weights", lambda s: s.sample(np.full(10, np.nan))),
    call("a weight that is infinite", "class_weights", lambda s: s.sample(np.full(10, np.inf))),
    call("weights whose sum no float holds", "class_weights", lambda s: s.sample(np.full(10, 1e308))),
    call("weights of sum 0", "class_weights", lambda s: s.sample(np.zeros(10))),
    call("weights of sum 1.01", "class_weights", lambda s: s.sample(ones(10, 0.001))),
    call("no weights", "class_weights", lambda s: s.sample({})),
    call("a mapping to text", "class_weights", lambda s: s.sample({3: "1"})),
    call("a mapping to a boolean", "class_weights", lambda s: s.sample({3: True})),
    call("a mapping to NaN", "class_weights", lambda s: s.sample({3: math.nan})),
    call("a mapping to infinity", "class_weights", lambda s: s.sample({3: math.inf})),
    call("a mapping to a number that no float holds", "class_weights", lambda s: s.sample({3: 10**400})),
    call("a mapping of one class twice", "class_weights", lambda s: s.sample({3: 0.5, "3": 0.5})),
    call("a mapping of no class", "label", lambda s: s.sample({"x": 1.0})),
    call("a mapping of a tuple", "label", lambda s: s.sample({(1, 2): 1.0})),
    call("masked weights", "labels", lambda s: s.sample(np.ma.array(np.eye(10)[:1], mask=True))),
    call("more weights than memory has room for", "labels", lambda s: s.sample(spread(0.1, np.float32, HUGE, 10)), TooLargeError),
    plain("weights of a model that cannot mix", "signatures", lambda s: s.sample({0: 0.5, 1: 0.5})),
    plain("a stream of mixes of a model that cannot mix", "signatures", lambda s: s.stream(np.eye(3), 5)),
    plain("a morph of a model that cannot mix", "signatures", lambda s: s.morph([0, 1])),
    plain("a way between classes of a model that cannot mix", "signatures", lambda s: s.interpolate(0, 1)),
    plain("an animation of a model that cannot mix", "signatures", lambda s: s.gif()),
    plain("mix of a model that cannot mix", "signatures", lambda s: s.mix(np.zeros((2, 2), np.float32), np.eye(3)[:2])),
)  # fmt: skip

NUMBERS = (
    call("n below 0", "n", lambda s: s.sample(7, -1)),
    call("n that is a float", "n", lambda s: s.sample(7, 2.0)),
    call("n that is a boolean", "n", lambda s: s.sample(7, True)),
    call("n that is text", "n", lambda s: s.sample(7, "2")),
    call("n of an array", "n", lambda s: s.sample(7, np.array([2]))),
    CallFault("call: n beside a list", lambda o: o.mnist.sample([1, 2], 2), InputError, "n", ("found",)),
    call("n that memory has no room for", "n", lambda s: s.sample(7, HUGE), TooLargeError),
    call("n that fits as greys, not as floats", "n", lambda s: s.sample(7, greys_that_fit(), output="float32"), TooLargeError),
    call("n of 2^64", "n", lambda s: s.sample(7, 2**64), TooLargeError),
    call("n of more digits than Python prints", "n", lambda s: s.sample(7, 10**5000), TooLargeError),
    call("a seed below 0", "seed", lambda s: s.sample(7, seed=-1)),
    call("a seed of 2^64", "seed", lambda s: s.sample(7, seed=2**64)),
    call("a seed that is a float", "seed", lambda s: s.sample(7, seed=1.0)),
    call("a seed that is a boolean", "seed", lambda s: s.sample(7, seed=False)),
    call("a seed that is text", "seed", lambda s: s.sample(7, seed="0")),
    call("a seed that is a generator of NumPy", "seed", lambda s: s.sample(7, seed=np.random.default_rng(0))),
    call("first below 0", "first", lambda s: s.sample(7, first=-1)),
    call("first whose images end after 2^64", "first", lambda s: s.sample(7, 2, first=2**64 - 1)),
    call("first that is a float", "first", lambda s: s.sample(7, first=0.0)),
    call("a temperature below 0", "temperature", lambda s: s.sample(7, temperature=-0.1)),
    call("a temperature above 100", "temperature", lambda s: s.sample(7, temperature=100.1)),
    call("a temperature of NaN", "temperature", lambda s: s.sample(7, temperature=math.nan)),
    call("a temperature without end", "temperature", lambda s: s.sample(7, temperature=math.inf)),
    call("a temperature that no float holds", "temperature", lambda s: s.sample(7, temperature=10**400)),
    call("a temperature that is a boolean", "temperature", lambda s: s.sample(7, temperature=True)),
    call("a temperature that is text", "temperature", lambda s: s.sample(7, temperature="1")),
    call("a temperature that is None", "temperature", lambda s: s.sample(7, temperature=None)),
    call("a temperature for each", "temperature", lambda s: s.sample(7, temperature=np.ones(1))),
    call("a truncation of 0", "truncation", lambda s: s.sample(7, truncation=0)),
    call("a truncation below 0", "truncation", lambda s: s.sample(7, truncation=-1.0)),
    call("a truncation of NaN", "truncation", lambda s: s.sample(7, truncation=math.nan)),
    call("a truncation without end", "truncation", lambda s: s.sample(7, truncation=math.inf)),
    call("a truncation that is text", "truncation", lambda s: s.sample(7, truncation="2")),
    call("an output that there is not", "output", lambda s: s.sample(7, output="jpeg")),
    call("an output in capitals", "output", lambda s: s.sample(7, output="PNG")),
    call("an output that is a dtype", "output", lambda s: s.sample(7, output=np.uint8)),
    call("an output that is a list", "output", lambda s: s.sample(7, output=["png"])),
    call("an output that is an array", "output", lambda s: s.sample(7, output=np.array(["uint8"]))),
    call("an output that is None", "output", lambda s: s.sample(7, output=None)),
)  # fmt: skip


def greys_that_fit() -> int:
    """So many images that memory has room for their greys twice, and not for their floats."""
    from cvae_sdk.memory import available_bytes

    return (available_bytes() or 1 << 40) // (28 * 28 * 2)


STREAMS = (
    call("a stream of a total below 0", "total", lambda s: s.stream(7, -1)),
    call("a stream of a total that is a float", "total", lambda s: s.stream(7, 1e6)),
    call("a stream of more images than a seed has", "total", lambda s: s.stream(7, 2**64 + 1)),
    call("a stream of a million digits of images", "total", lambda s: s.stream(7, 10**5000)),
    call("a stream of batches of 0", "batch_size", lambda s: s.stream(7, 9, 0)),
    call("a stream of batches that are None", "batch_size", lambda s: s.stream(7, 9, None)),
    call("a stream of batches that memory has no room for", "batch_size", lambda s: s.stream(7, HUGE, HUGE), TooLargeError),
    call("a stream of no labels", "labels", lambda s: s.stream([], 9)),
    call("a stream of more labels than memory has room for", "label", lambda s: s.stream(spread(0, np.int64, HUGE), 9), TooLargeError),
    call("a stream of more weights than memory has room for", "class_weights", lambda s: s.stream(spread(0.1, np.float32, HUGE, 10), 9), TooLargeError),
    call("a stream that ends after 2^64", "first", lambda s: s.stream(7, 9, first=2**64 - 8)),
    call("a stream of a bad label", "label", lambda s: s.stream([1, 10], 9)),
    call("a stream of a bad output", "output", lambda s: s.stream(7, 9, output="gif")),
    call("a stream of a bad seed", "seed", lambda s: s.stream(7, 9, seed=-1)),
    call("an asynchronous stream of a bad total", "total", lambda s: s.astream(7, -1)),
)  # fmt: skip

PICTURES = (
    call("a way from a list", "start", lambda s: s.interpolate([1, 2], 3)),
    call("a way to a list", "end", lambda s: s.interpolate(1, [3])),
    call("a way from no class", "label", lambda s: s.interpolate(10, 3)),
    call("a way of no steps", "steps", lambda s: s.interpolate(1, 3, 0)),
    call("a way of more steps than memory has room for", "steps", lambda s: s.interpolate(1, 3, HUGE), TooLargeError),
    call("a way of a bad seed", "seed", lambda s: s.interpolate(1, 3, seed=1.5)),
    call("a way of a bad output", "output", lambda s: s.interpolate(1, 3, output="grid")),
    call("a morph of one label", "labels", lambda s: s.morph(7)),
    call("a morph of no labels", "labels", lambda s: s.morph([])),
    call("a morph of no steps", "steps", lambda s: s.morph([1, 2], 0)),
    call("a morph of more steps than memory has room for", "steps", lambda s: s.morph([1, 2], HUGE), TooLargeError),
    call("neighbors of a list", "label", lambda s: s.neighbors([7])),
    call("neighbors below 0", "n", lambda s: s.neighbors(7, -1)),
    call("more neighbors than memory has room for", "n", lambda s: s.neighbors(7, HUGE), TooLargeError),
    call("neighbors at a distance below 0", "distance", lambda s: s.neighbors(7, distance=-0.1)),
    call("neighbors beyond a full turn", "distance", lambda s: s.neighbors(7, distance=6.3)),
    call("neighbors at NaN", "distance", lambda s: s.neighbors(7, distance=math.nan)),
    call("a sheet of no labels", "labels", lambda s: s.grid([])),
    call("a sheet of no images", "n", lambda s: s.grid(n=0)),
    call("a sheet of no scale", "scale", lambda s: s.grid(scale=0)),
    call("a sheet of a scale that is a float", "scale", lambda s: s.grid(scale=1.5)),
    call("a sheet of too large a scale", "scale", lambda s: s.grid(scale=10**9), TooLargeError),
    call("a sheet of more pixels than a picture has", "scale", lambda s: s.grid(n=10**6), TooLargeError),
    call("a sheet of more images than memory has room for", "n", lambda s: s.grid(n=HUGE), TooLargeError),
    call("a sheet of a bad temperature", "temperature", lambda s: s.grid(temperature=-1)),
    call("an animation of one label", "labels", lambda s: s.gif([7])),
    call("an animation too short to see", "duration", lambda s: s.gif(duration=9)),
    call("an animation longer than GIF counts", "duration", lambda s: s.gif(duration=655_351)),
    call("an animation of no scale", "scale", lambda s: s.gif(scale=0)),
    call("an animation of too large a scale", "scale", lambda s: s.gif(scale=1000), TooLargeError),
    call("an animation of too many steps", "scale", lambda s: s.gif(steps=10**5), TooLargeError),
    call("an animation of no steps", "steps", lambda s: s.gif(steps=0)),
)  # fmt: skip

ARRAYS = (
    call("latents that are a list", "z", lambda s: s.decode(Z.tolist(), BOTH)),
    call("latents that are None", "z", lambda s: s.decode(None, BOTH)),
    call("latents of float64", "z", lambda s: s.decode(Z.astype(float), BOTH)),
    call("latents of the other byte order", "z", lambda s: s.decode(Z.astype(">f4"), BOTH)),
    call("latents of another dimension", "z", lambda s: s.decode(Z[:, :9], BOTH)),
    call("latents of one axis", "z", lambda s: s.decode(Z[0], BOTH)),
    call("latents that are NaN", "z", lambda s: s.decode(changed(np.nan), BOTH)),
    call("latents that are infinite", "z", lambda s: s.decode(changed(-np.inf), BOTH)),
    call("latents beyond a million", "z", lambda s: s.decode(changed(1.1e6), BOTH)),
    call("masked latents", "z", lambda s: s.decode(np.ma.array(Z, mask=True), BOTH)),
    call("latents of more images than memory has room for", "z", lambda s: s.decode(spread(0, np.float32, HUGE, 24), BOTH), TooLargeError),
    call("a label less than latents", "label", lambda s: s.decode(Z, [0])),
    call("a label more than latents", "label", lambda s: s.decode(Z, [0, 1, 2])),
    call("one label for all latents", "label", lambda s: s.decode(Z, 7)),
    call("a bad label beside latents", "label", lambda s: s.decode(Z, [0, 10])),
    call("labels beside latents without number", "label", lambda s: s.decode(Z, spread(0, np.int32, HUGE))),
    call("mixes beside latents without number", "class_weights", lambda s: s.mix(Z, spread(0.1, np.float32, HUGE, 10))),
    call("mixes that are None", "class_weights", lambda s: s.mix(Z, None)),
    call("mixes of different lengths", "class_weights", lambda s: s.mix(Z, [[1.0], [0.5, 0.5]])),
    call("mixes of integers", "class_weights", lambda s: s.mix(Z, np.eye(10, dtype=int)[:2])),
    call("mixes of objects", "class_weights", lambda s: s.mix(Z, np.full((2, 10), None))),
    call("mixes of one axis", "class_weights", lambda s: s.mix(Z, np.eye(10)[0])),
    call("mixes of another number of classes", "class_weights", lambda s: s.mix(Z, ones(9))),
    call("a mix less than latents", "class_weights", lambda s: s.mix(Z, ones(10)[:1])),
    call("mixes of sum 2", "class_weights", lambda s: s.mix(Z, 2 * ones(10))),
    call("masked mixes", "class_weights", lambda s: s.mix(Z, np.ma.array(ones(10), mask=True))),
    plain("images of a model that has no encoder", "signatures", lambda s: s.encode(X, 0)),
    plain("a reconstruction by a model that has no encoder", "signatures", lambda s: s.reconstruct(X, 0)),
    call("images that are a list", "images", lambda s: s.encode(X.tolist(), BOTH)),
    call("images of integers", "images", lambda s: s.encode(X.astype(int), BOTH)),
    call("images of another size", "images", lambda s: s.encode(X[:, :27], BOTH)),
    call("images of three channels", "images", lambda s: s.encode(np.repeat(X, 3, axis=3), BOTH)),
    call("images in [0, 255] as floats", "images", lambda s: s.encode(X.astype(float) + 255, BOTH)),
    call("images that no float32 holds", "images", lambda s: s.encode(np.full((2, 28, 28, 1), 1e300), BOTH)),
    call("images below 0", "images", lambda s: s.encode(X.astype(np.float32) - 0.1, BOTH)),
    call("images that are NaN", "images", lambda s: s.encode(X.astype(np.float32) + np.nan, BOTH)),
    call("masked images", "images", lambda s: s.encode(np.ma.array(X, mask=True), BOTH)),
    call("more images than memory has room for", "images", lambda s: s.encode(spread(0, np.uint8, HUGE, 28, 28, 1), BOTH), TooLargeError),
    call("a label less than images", "labels", lambda s: s.encode(X, [0])),
    call("mixes beside images", "labels", lambda s: s.encode(X, ones(10))),
    call("a bad label beside images", "label", lambda s: s.reconstruct(X, 10)),
    call("a reconstruction as another output", "output", lambda s: s.reconstruct(X, 0, output="jpeg")),
)  # fmt: skip

LIFE = (
    closed("sample", lambda s: s.sample(0)),
    closed("stream", lambda s: list(s.stream(0, 5))),
    closed("decode", lambda s: s.decode(np.zeros((1, 2), np.float32), [0])),
    closed("mix", lambda s: s.mix(np.zeros((1, 2), np.float32), np.eye(3)[:1])),
    closed("encode", lambda s: s.encode(np.zeros((1, 5, 4, 3)), 0)),
    closed("grid", lambda s: s.grid()),
    closed("verify", lambda s: s.verify()),
    closed("pickle", pickle.dumps),
    opening("a number", "artifact", lambda: Sampler(7)),
    opening("bytes", "artifact", lambda: Sampler(b"mnist")),
    opening("an empty text", "artifact", lambda: Sampler("")),
    opening("a list", "artifact", lambda: Sampler(["mnist"])),
    opening("a name that is not shipped", None, lambda: Sampler("mnits"), ArtifactNotFoundError),
    opening("a path with a zero", None, lambda: Sampler("a\0b"), ArtifactNotFoundError),
    opening("a path longer than any", None, lambda: Sampler("x" * 10_000), ArtifactNotFoundError),
    opening("an address of another scheme", "url", lambda: Sampler("ftp://127.0.0.1/mnist")),
    opening("a backend that there is not", "backend", lambda: Sampler(backend="tensorrt")),
    opening("a backend that is a class", "backend", lambda: Sampler(backend=OnnxOptions)),
    opening("a backend that is None of a folder", "backend", lambda: Sampler(backend=RemoteOptions())),
    opening("a backend of a folder for an address", "backend", lambda: Sampler("grpc://127.0.0.1:1/x", backend="onnx")),
    opening("a manifest that is a number", "manifest", lambda: Sampler("grpc://127.0.0.1:1/x", manifest=7)),
    CallFault("call: opening a manifest beside a folder", lambda _: Sampler(manifest="mnist"), InputError, "manifest", ("found",)),
    opening("no threads", "threads", lambda: OnnxOptions(threads=0)),
    opening("threads below 0", "threads", lambda: OnnxOptions(threads=-1)),
    opening("threads that are text", "threads", lambda: OnnxOptions(threads="2")),
    opening("threads that are a boolean", "threads", lambda: OnnxOptions(threads=True)),
    opening("more threads than any machine's", "threads", lambda: OnnxOptions(threads=10**6)),
    opening("no providers", "providers", lambda: OnnxOptions(providers=())),
    opening("providers that are a text", "providers", lambda: OnnxOptions(providers="CPUExecutionProvider")),
    opening("a provider that is a number", "providers", lambda: OnnxOptions(providers=(7,))),
    opening("a provider that is not here", "providers", lambda: Sampler(backend=OnnxOptions(providers=("NoExecutionProvider",))), BackendUnavailableError),
    opening("session settings that are a list", "session", lambda: OnnxOptions(session=["a"])),
    opening("a session setting that is a number", "session", lambda: OnnxOptions(session={"a": 1})),
    opening("a deadline of 0", "deadline", lambda: RemoteOptions(deadline=0)),
    opening("four tries", "tries", lambda: RemoteOptions(tries=4)),
    opening("a budget above 1", "retry_budget", lambda: RemoteOptions(retry_budget=1.1)),
    opening("requests of no images", "max_batch", lambda: RemoteOptions(max_batch=0)),
)  # fmt: skip

FAULTS: tuple[CallFault, ...] = (*LABELS, *WEIGHTS, *NUMBERS, *STREAMS, *PICTURES, *ARRAYS, *LIFE)
