"""The model that a server says it has, held against a manifest, or made into one."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from cvae_sdk.errors import ManifestError, MetadataError, one_line
from cvae_sdk.manifest import Manifest
from cvae_sdk.manifest_parts import Signature, TensorSpec

__all__ = ["FUNCTIONS", "ServedModel", "agreed", "numbers_of_row", "to_manifest"]

FUNCTIONS = ("decode", "mix", "encode")
UNKNOWN_CREATION = "1970-01-01T00:00:00Z"
"""No server says when its model was made."""
_MAX_CLASSES = 20_000  # of a manifest


@dataclass(frozen=True)
class ServedModel:
    """Name, version and those of decode, mix and encode that are served; a free axis is "batch" if it is the first."""

    name: str
    version: int
    signatures: Mapping[str, Signature]


def to_manifest(served: ServedModel, server: str) -> Manifest:
    """A manifest of what the server says; its classes are "0", "1", ... Raises MetadataError for too little."""
    z = _tensor(served, server, "decode", "inputs", "z", 2)
    image = _tensor(served, server, "decode", "outputs", "image", 4)
    if "mix" not in served.signatures:
        raise MetadataError(
            f"{server} serves {served.name} without mix, so that its number of classes is not known: give "
            "manifest=, an artifact of the same model",
            field="signatures.mix", expected="a signature", found=sorted(served.signatures),
        )  # fmt: skip
    weights = _tensor(served, server, "mix", "inputs", "class_weights", 2)
    if not 1 <= weights[1] <= _MAX_CLASSES:
        raise _mismatch(served, server, "mix.inputs.class_weights", f"of 1 to {_MAX_CLASSES} classes", weights)
    made = Manifest(
        name=served.name,
        version=max(1, served.version),
        created=UNKNOWN_CREATION,
        classes=tuple(map(str, range(weights[1]))),
        latent_dim=z[1],
        image_shape=(image[1], image[2], image[3]),
        signatures=served.signatures,
        formats={},
        files={},
        training={},
    )
    try:
        return Manifest.parse(made.to_bytes())
    except ManifestError as error:
        raise MetadataError(
            f"{server} serves {served.name}, of which no manifest can be made: {error}",
            field=error.field, expected=error.expected, found=error.found,
        ) from error  # fmt: skip


def agreed(served: ServedModel, manifest: Manifest, server: str) -> Mapping[str, Signature]:
    """The functions that both have, decode among them; MetadataError where they differ.

    A manifest of mix alone, as the shipped artifacts have it, says what decode is all the same.
    """
    known = dict(manifest.signatures)
    if "mix" in known and "decode" not in known:
        mix = known["mix"]
        inputs = {"z": TensorSpec("float32", ("batch", manifest.latent_dim)), "label": TensorSpec("int32", ("batch",))}
        known["decode"] = Signature(inputs, mix.outputs)
    both = {name: known[name] for name in FUNCTIONS if name in served.signatures and name in known}
    if "decode" not in both:
        raise MetadataError(
            f"{server} serves {served.name} without decode, which the manifest has",
            field="signatures.decode", expected=known.get("decode"), found=sorted(served.signatures),
        )  # fmt: skip
    for name, expected in sorted(both.items()):
        found = served.signatures[name]
        for part in ("inputs", "outputs"):
            ours: Mapping[str, TensorSpec] = getattr(expected, part)
            theirs: Mapping[str, TensorSpec] = getattr(found, part)
            for tensor in sorted({*ours, *theirs}):
                if ours.get(tensor) != theirs.get(tensor):
                    raise _mismatch(
                        served, server, f"{name}.{part}.{tensor}", _shown(ours.get(tensor)), _shown(theirs.get(tensor))
                    )
    return both


def numbers_of_row(tensors: Mapping[str, TensorSpec]) -> int:
    """Of one row of the batch, of all the tensors together, 1 or more; a free axis counts as 1."""
    sizes = (
        math.prod(size for size in spec.shape[1:] if isinstance(size, int) and size > 0) for spec in tensors.values()
    )
    return max(1, sum(sizes))


def _tensor(served: ServedModel, server: str, name: str, part: str, tensor: str, rank: int) -> tuple[int, ...]:
    """The shape of a tensor that must be there, its first axis 0 in place of "batch"."""
    signature = served.signatures.get(name)
    spec: TensorSpec | None = None if signature is None else getattr(signature, part).get(tensor)
    shape: tuple[int | str, ...] = () if spec is None else spec.shape
    if len(shape) != rank or shape[:1] != ("batch",) or any(isinstance(size, str) for size in shape[1:]):
        expected = f"float32 [batch{', size' * (rank - 1)}]"
        raise _mismatch(served, server, f"{name}.{part}.{tensor}", expected, _shown(spec))
    return (0, *(size for size in shape[1:] if isinstance(size, int)))


def _mismatch(served: ServedModel, server: str, field: str, expected: object, found: object) -> MetadataError:
    return MetadataError(
        f"{server} serves another model as {served.name}: {field} must be {expected}, got {one_line(found)}",
        field=f"signatures.{field}", expected=expected, found=found,
    )  # fmt: skip


def _shown(spec: TensorSpec | None) -> str:
    return "nothing" if spec is None else f"{spec.dtype} [{', '.join(map(str, spec.shape))}]"
