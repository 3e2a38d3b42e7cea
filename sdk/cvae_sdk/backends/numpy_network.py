"""What a file of weights says of its network beside the parameters' names and shapes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from cvae_sdk.bounded_json import parse_json
from cvae_sdk.errors import ModelError, named, one_line
from cvae_sdk.manifest import Manifest

__all__ = ["Network"]

_MOST_LAYERS = 1024
_MOST_HALVINGS = 6  # as training takes; each doubles the sides of what is computed
_FIELD = "__metadata__.network"


@dataclass(frozen=True)
class Network:
    """The kind of network, as training knows it."""

    activation: str
    """relu or silu, after each hidden layer."""
    classes: int
    convolutions: int
    """Halvings of the image's sides, each with a convolution; 0 for dense layers alone."""
    dense_layers: int
    """Of the decoder, those between the projection and the image."""
    flow_layers: int
    """Of the learned prior; 0 for none."""
    image_shape: tuple[int, int, int]
    last_activation: bool
    """Whether an activation follows the last dense layer too."""
    likelihood: str
    """l2, bernoulli, gaussian or logistic: what decoded values mean."""

    @classmethod
    def parse(cls, metadata: Mapping[str, str], file: str, manifest: Manifest) -> "Network":
        """The network of a file's metadata; ModelError for one that is not known, or not the manifest's.

        A field more than is known here is refused: what it says might change what the parameters mean.
        """
        try:
            values: object = parse_json(metadata["network"].encode(), unique=True)
        except (KeyError, ValueError) as error:
            raise _wrong(file, _FIELD, "JSON that says what network it is", metadata.get("network")) from error
        if not isinstance(values, dict) or sorted(cast("dict[str, Any]", values)) != sorted(_FIELDS):
            raise _wrong(file, _FIELD, f"an object of {', '.join(_FIELDS)}", cast("object", values))
        fields = cast("dict[str, Any]", values)
        for name, (holds, expected) in _FIELDS.items():
            if not holds(fields[name]):
                raise _wrong(file, f"{_FIELD}.{name}", expected, fields[name])
        shape: Any = tuple(fields.pop("image_shape"))
        network = cls(**fields, image_shape=shape)
        if not network.convolutions and not network.dense_layers:
            raise _wrong(file, f"{_FIELD}.dense_layers", "at least 1 where there are no convolutions", 0)
        for name, known in (("classes", len(manifest.classes)), ("image_shape", manifest.image_shape)):
            if getattr(network, name) != known:
                raise _wrong(file, f"{_FIELD}.{name}", f"the manifest's {known}", getattr(network, name))
        return network


def _integer(value: object, least: int = 0, most: int = _MOST_LAYERS) -> bool:
    return type(value) is int and least <= value <= most


def _one_of(*names: str) -> tuple[Callable[[object], bool], str]:
    return lambda value: value in names, f"one of {', '.join(names)}"


def _is_shape(value: object) -> bool:
    sizes = cast("list[object]", value) if isinstance(value, list) else []
    return len(sizes) == 3 and all(_integer(size, 1, 1 << 20) for size in sizes)


_LAYERS = (_integer, f"an integer from 0 to {_MOST_LAYERS}")
_FIELDS: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "activation": _one_of("relu", "silu"),
    "classes": (lambda value: _integer(value, 1, 1 << 20), "an integer of at least 1"),
    "convolutions": (lambda value: _integer(value, 0, _MOST_HALVINGS), f"an integer from 0 to {_MOST_HALVINGS}"),
    "dense_layers": _LAYERS,
    "flow_layers": _LAYERS,
    "image_shape": (_is_shape, "height, width and channels"),
    "last_activation": (lambda value: isinstance(value, bool), "true or false"),
    "likelihood": _one_of("l2", "bernoulli", "gaussian", "logistic"),
}


def _wrong(file: str, field: str, expected: str, found: object) -> ModelError:
    shown = "nothing" if found is None else one_line(found)
    return ModelError(
        f"{file}: {named(field)} must be {expected}, got {shown}: not a network that this SDK knows",
        file=file, field=field, expected=expected, found=found,
    )  # fmt: skip
