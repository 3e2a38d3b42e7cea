"""The addresses of the preview: what each takes and gives.

GET  /v1/info        what the artifact is, and these addresses
GET  /v1/sample.png  label (again for more), n, seed, first, temperature, truncation, columns, scale
POST /v1/sample      the same in JSON, with "labels" and "output": "png" or "json"
GET  /v1/grid.png    label (all by default), n in a row, seed, temperature, truncation, scale
GET  /v1/morph.gif   label (two or more, all by default), steps, seed, scale, duration in milliseconds
GET  /v1/latents     n, seed, first, temperature, truncation -> z in JSON
POST /v1/decode      z, label or class_weights, "output": "png" or "json", columns, scale

Seeds are random unless given; the one that was taken stands in the header X-Seed.
"""

import io
import json
import math
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from cvae_sdk.images import tile
from cvae_sdk.latents import standard_normal_latents
from cvae_sdk.preview.parameters import MOST_IMAGES, Parameters, RequestError
from cvae_sdk.sampler import Sampler

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["ENDPOINTS", "Endpoint", "Reply", "Subject"]

_GAP = 2  # pixels between the images of a sheet
_MOST_PIXELS = 1 << 24
_MOST_SEED = 2**64 - 1
_NOISE = ("seed", "temperature", "truncation")


@dataclass(frozen=True)
class Reply:
    """What is sent back."""

    media_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Subject:
    """What is shown: a Sampler, and the artifact that it was opened as, None for the default."""

    sampler: Sampler
    opened_as: str | None


@dataclass(frozen=True)
class Endpoint:
    """An address: its method, the parameters that it knows, and what it answers."""

    method: str
    known: tuple[str, ...]
    answer: Callable[[Subject, Parameters], Reply]


def _info(subject: Subject, _: Parameters) -> Reply:
    sampler = subject.sampler
    manifest = sampler.manifest
    return _json(
        {
            "name": manifest.name,
            "opened_as": subject.opened_as,
            "version": manifest.version,
            "digest": manifest.digest,
            "classes": sampler.classes,
            "latent_dim": sampler.latent_dim,
            "image_shape": sampler.image_shape,
            "most_images": MOST_IMAGES,
            "endpoints": {
                path: {"method": endpoint.method, "parameters": endpoint.known} for path, endpoint in ENDPOINTS.items()
            },
        }
    )


def _sample_png(subject: Subject, given: Parameters) -> Reply:
    return _sample(subject.sampler, given, "label", "png")


def _sample_json(subject: Subject, given: Parameters) -> Reply:
    return _sample(subject.sampler, given, "labels", given.choice("output", ("png", "json")))


def _sample(sampler: Sampler, given: Parameters, name: str, output: str) -> Reply:
    labels = given.labels(name, sampler.classes)
    each = given.integer("n", 1, 1, MOST_IMAGES)
    _check_count(len(labels) * each, "n")
    columns, scale = _layout(sampler, given, len(labels) * each)
    seed = _seed(given)
    images = cast(
        "npt.NDArray[np.uint8]",
        sampler.sample(np.repeat(labels, each, axis=0), seed=seed, first=_first(given), **_shape_of_noise(given)),
    )
    if output == "json":
        return _json({"seed": seed, "dtype": "uint8", "shape": images.shape, "images": images.tolist()}, seed)
    return _png(tile(images, columns, _GAP, scale), seed)


def _grid_png(subject: Subject, given: Parameters) -> Reply:
    sampler = subject.sampler
    labels = given.labels("label", sampler.classes, sampler.classes)
    n = given.integer("n", 10, 1, MOST_IMAGES)
    _check_count(len(labels) * n, "n")
    scale = _scale(sampler, given, len(labels) * n)
    seed = _seed(given)
    return _png(sampler.grid(labels, n, seed=seed, scale=scale, **_shape_of_noise(given)), seed)


def _morph_gif(subject: Subject, given: Parameters) -> Reply:
    sampler = subject.sampler
    labels = given.labels("label", sampler.classes, sampler.classes)
    if len(labels) < 2:
        raise RequestError(400, "InputError", f"label must be there twice or more, got {len(labels)}", "label")
    steps = given.integer("steps", 8, 1, 64)
    _check_count(len(labels) * steps, "steps")
    scale = _scale(sampler, given, len(labels) * steps)
    seed = _seed(given)
    duration = given.integer("duration", 80, 20, 5000)
    animation = sampler.gif(labels, steps, seed=seed, scale=scale, duration=duration)
    return Reply("image/gif", animation, {"X-Seed": str(seed)})


def _latents(subject: Subject, given: Parameters) -> Reply:
    sampler = subject.sampler
    n, seed = given.integer("n", 1, 1, MOST_IMAGES), _seed(given)
    z = standard_normal_latents(seed, _first(given), n, sampler.latent_dim, **_shape_of_noise(given))
    return _json({"seed": seed, "z": z.tolist()}, seed)


def _decode(subject: Subject, given: Parameters) -> Reply:
    sampler = subject.sampler
    z = given.matrix("z", sampler.latent_dim)
    output = given.choice("output", ("png", "json"))
    if given.has("label") == given.has("class_weights"):
        raise RequestError(400, "InputError", "give either label or class_weights", "label")
    columns, scale = _layout(sampler, given, len(z))
    if given.has("label"):
        labels = given.labels("label", sampler.classes)
        labels = np.repeat(labels, len(z), axis=0) if len(labels) == 1 else labels
        name = "label"
    else:
        labels = given.matrix("class_weights", len(sampler.classes))
        name = "class_weights"
    if len(labels) != len(z):
        raise RequestError(400, "InputError", f"{name} must have {len(z)} rows, as z has, got {len(labels)}", name)
    images = sampler.decode(z, labels) if labels.ndim == 1 else sampler.mix(z, labels)
    if output == "json":
        return _json({"dtype": "float32", "shape": images.shape, "images": images.tolist()})
    return _png(tile((images * np.float32(255) + np.float32(0.5)).astype(np.uint8), columns, _GAP, scale))


_LAYOUT = ("columns", "scale")

ENDPOINTS: Mapping[str, Endpoint] = {
    "/v1/info": Endpoint("GET", (), _info),
    "/v1/sample.png": Endpoint("GET", ("label", "n", "first", *_NOISE, *_LAYOUT), _sample_png),
    "/v1/sample": Endpoint("POST", ("labels", "n", "first", "output", *_NOISE, *_LAYOUT), _sample_json),
    "/v1/grid.png": Endpoint("GET", ("label", "n", *_NOISE, "scale"), _grid_png),
    "/v1/morph.gif": Endpoint("GET", ("label", "steps", "seed", "scale", "duration"), _morph_gif),
    "/v1/latents": Endpoint("GET", ("n", "first", *_NOISE), _latents),
    "/v1/decode": Endpoint("POST", ("z", "label", "class_weights", "output", *_LAYOUT), _decode),
}


def _seed(given: Parameters) -> int:
    return given.integer("seed", secrets.randbits(53), 0, _MOST_SEED)  # 53 bits, which JavaScript keeps


def _first(given: Parameters) -> int:
    return given.integer("first", 0, 0, 2**63)


def _shape_of_noise(given: Parameters) -> dict[str, Any]:
    return {
        "temperature": given.number("temperature", 1.0, 0, 10),
        "truncation": given.number("truncation", None, 1e-3, 10),
    }


def _check_count(count: int, name: str) -> None:
    if count > MOST_IMAGES:
        raise RequestError(400, "InputError", f"a request takes at most {MOST_IMAGES} images, got {count}", name)


def _layout(sampler: Sampler, given: Parameters, count: int) -> tuple[int, int]:
    columns = given.integer("columns", math.isqrt(count - 1) + 1, 1, MOST_IMAGES)
    return min(columns, count), _scale(sampler, given, count)


def _scale(sampler: Sampler, given: Parameters, count: int) -> int:
    scale = given.integer("scale", 1, 1, 64)
    height, width, _ = sampler.image_shape
    pixels = count * (height + _GAP) * (width + _GAP) * scale**2
    if pixels > _MOST_PIXELS:
        message = f"a picture has at most {_MOST_PIXELS:,} pixels, got {pixels:,}: ask for fewer images or scale less"
        raise RequestError(400, "InputError", message, "scale")
    return scale


def _png(picture: "Image", seed: int | None = None) -> Reply:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return Reply("image/png", buffer.getvalue(), {} if seed is None else {"X-Seed": str(seed)})


def _json(values: Mapping[str, object], seed: int | None = None) -> Reply:
    body = json.dumps(values, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return Reply("application/json", body, {} if seed is None else {"X-Seed": str(seed)})
