"""A small classifier of real images, by whose features samples are judged, and its cache.

It is trained on a data set's training images alone. The cache is `classifiers/<data set>-<key>.npz` in the user's cache
folder (CVAE_CACHE_DIR overrides): the parameters as .npz, then the 32 bytes of the SHA-256 of the key and the .npz. The
key is a hash of the settings, the version and the training data; a file that does not match is trained again.
"""

import dataclasses
import hashlib
import io
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Array, Float, Int, Int32, PRNGKeyArray, PyTree, UInt8

from cvae_training.data import DataSet, Split

__all__ = [
    "CLASSIFIER_VERSION",
    "Classifier",
    "ClassifierConfig",
    "cache_folder",
    "load_classifier",
    "train_classifier",
]

CLASSIFIER_VERSION = 1
"""Goes up with any change to the network or its training; figures of different versions do not compare."""

_BATCH = 500


@dataclass(frozen=True)
class ClassifierConfig:
    """The classifier's shape and training; its seed has nothing to do with a model's."""

    channels: tuple[int, ...] = (16, 32)
    """Channels of the 3 x 3 convolutions, each of which halves the image's sides."""
    features: int = 64
    """Size of the layer before the logits, in which distances are measured."""
    epochs: int = 12
    batch_size: int = 64
    learning_rate: float = 1e-3
    seed: int = 20161120


@dataclass(frozen=True)
class Classifier:
    """A trained classifier."""

    config: ClassifierConfig
    num_classes: int
    params: PyTree

    @property
    def fingerprint(self) -> str:
        """The start of a hash of the parameters: figures compare only where it is the same."""
        digest = hashlib.sha256()
        for name, array in sorted(_to_arrays(self.params).items()):
            digest.update(f"{name} {array.dtype} {array.shape}\n".encode() + array.tobytes())
        return digest.hexdigest()[:16]

    def __call__(
        self, images: Float[np.ndarray, "n height width channels"] | UInt8[np.ndarray, "n height width channels"]
    ) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, "n features"]]:
        """The predicted labels and the features of images, uint8 or in [0, 1]."""
        parts = [
            _predict(self.config, self.num_classes, self.params, images[start : start + _BATCH])
            for start in range(0, len(images), _BATCH)
        ]
        predicted, features = (np.concatenate(part) for part in zip(*parts, strict=True))
        return predicted, features


class _Network(nn.Module):
    channels: tuple[int, ...]
    features: int
    num_classes: int

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"]
    ) -> tuple[Float[Array, "batch classes"], Float[Array, "batch features"]]:
        for channels in self.channels:
            x = nn.relu(nn.Conv(channels, (3, 3), strides=2)(x))
        features = nn.relu(nn.Dense(self.features)(x.reshape(x.shape[0], -1)))
        return nn.Dense(self.num_classes)(features), features


def train_classifier(config: ClassifierConfig, train: Split, num_classes: int) -> Classifier:
    """Train by Adam (Kingma & Ba 2015) on the cross-entropy; the same config and images give the same parameters."""
    init_key, order_key = jax.random.split(jax.random.key(config.seed))
    params = _init(config, num_classes, train.images.shape[1:], init_key)
    images, labels = jnp.asarray(train.images), jnp.asarray(train.labels)
    state = optax.adam(config.learning_rate).init(params)
    size = min(config.batch_size, len(train))
    for epoch in range(config.epochs):
        order = np.asarray(jax.random.permutation(jax.random.fold_in(order_key, epoch), len(train)))
        for chosen in order[: len(train) // size * size].reshape(-1, size):
            # A step at a time: inside a scan, XLA's convolutions on a CPU use one core.
            params, state = _step(config, num_classes, params, state, images, labels, chosen)
    return Classifier(config, num_classes, jax.tree.map(np.asarray, params))


def load_classifier(
    config: ClassifierConfig, data: DataSet, folder: Path | None = None, notify: Callable[[str], None] = lambda _: None
) -> Classifier:
    """The classifier of a data set from the cache in `folder`, trained and put there if it is not, or damaged.

    `notify` is told, one line at a time, why something takes long or is not kept.
    """
    num_classes = len(data.classes)
    key = _key(config, data)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", data.name)[-40:]
    path = (folder or cache_folder()) / "classifiers" / f"{name}-{key[:16]}.npz"
    try:
        params = _read(path.read_bytes(), key)
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        notify(f"the cached classifier {path} is not used: {error}")
    else:
        return Classifier(config, num_classes, params)
    notify(f"training a classifier on {len(data.train):,} real images of {data.name}, once")
    classifier = train_classifier(config, data.train, num_classes)
    try:
        _write(path, classifier.params, key)
    except OSError as error:
        notify(f"the classifier is not cached: cannot write {path}: {error.strerror}")
    return classifier


def cache_folder() -> Path:
    """The user's cache folder for cvae, which CVAE_CACHE_DIR overrides."""
    if override := os.environ.get("CVAE_CACHE_DIR"):
        return Path(override)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "cvae"


def _network(config: ClassifierConfig, num_classes: int) -> _Network:
    return _Network(config.channels, config.features, num_classes)


def _unit(images: Any) -> Float[Array, "batch height width channels"]:
    return jnp.asarray(images, jnp.float32) / 255 if images.dtype == np.uint8 else jnp.asarray(images)


def _initial_params(
    config: ClassifierConfig, num_classes: int, image_shape: tuple[int, ...], key: PRNGKeyArray
) -> PyTree:
    return _network(config, num_classes).init(key, jnp.zeros((1, *image_shape)))


_init = jax.jit(_initial_params, static_argnums=(0, 1, 2))


def _train_step(
    config: ClassifierConfig,
    num_classes: int,
    params: PyTree,
    state: PyTree,
    images: UInt8[Array, "n height width channels"],
    labels: Int32[Array, " n"],
    chosen: Int[Array, " batch"],
) -> tuple[PyTree, PyTree]:
    def loss(params: PyTree) -> Float[Array, ""]:
        outputs: Any = _network(config, num_classes).apply(params, _unit(images[chosen]))
        logits, _ = outputs
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels[chosen]).mean()

    updates, state = optax.adam(config.learning_rate).update(jax.grad(loss)(params), state, params)
    return optax.apply_updates(params, updates), state


_step = jax.jit(_train_step, static_argnums=(0, 1))


def _predict_batch(config: ClassifierConfig, num_classes: int, params: PyTree, images: Array) -> tuple[Array, Array]:
    outputs: Any = _network(config, num_classes).apply(params, _unit(images))
    logits, features = outputs
    return logits.argmax(axis=-1), features


_predict = jax.jit(_predict_batch, static_argnums=(0, 1))


def _key(config: ClassifierConfig, data: DataSet) -> str:
    digest = hashlib.sha256()
    settings = {"version": CLASSIFIER_VERSION, "config": dataclasses.asdict(config), "data_set": data.name}
    settings |= {"classes": len(data.classes), "images": data.train.images.shape}
    digest.update(json.dumps(settings, sort_keys=True).encode())
    digest.update(np.ascontiguousarray(data.train.images).data)
    digest.update(np.ascontiguousarray(data.train.labels).data)
    return digest.hexdigest()


def _to_arrays(params: PyTree) -> dict[str, np.ndarray]:
    return {name: np.asarray(leaf) for name, leaf in flatten_dict(params, sep="/").items()}


def _write(path: Path, params: PyTree, key: str) -> None:
    """Write beside `path`, then rename: it is there whole or not at all."""
    content = io.BytesIO()
    np.savez(content, **_to_arrays(params))  # pyright: ignore[reportArgumentType] -- the names are arrays' names
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".part", delete=False) as part:
        try:
            part.write(content.getvalue() + _digest(content.getvalue(), key))
            part.close()
            Path(part.name).replace(path)
        except BaseException:
            part.close()
            Path(part.name).unlink(missing_ok=True)
            raise


def _read(content: bytes, key: str) -> PyTree:
    """The parameters in a cache file; ValueError for one that is not whole or not of this key."""
    content, digest = content[:-32], content[-32:]
    if _digest(content, key) != digest:
        raise ValueError("its SHA-256 does not match")
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return unflatten_dict(dict(file), sep="/")


def _digest(content: bytes, key: str) -> bytes:
    return hashlib.sha256(key.encode() + content).digest()
