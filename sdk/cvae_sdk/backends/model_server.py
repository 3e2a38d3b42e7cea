"""What each of the interfaces gives to the backend that asks it."""

from typing import Protocol

from cvae_sdk.backends import Arrays
from cvae_sdk.backends.answered_tensors import Shapes
from cvae_sdk.backends.deadline import Deadline
from cvae_sdk.backends.served_model import ServedModel
from cvae_sdk.manifest_parts import Signature

__all__ = ["CLOSED", "ModelServer"]

CLOSED = "the Sampler was closed: open another"


class ModelServer(Protocol):
    """One model at one server. Safe to use from several threads at once; each method raises RemoteError."""

    def describe(self, deadline: Deadline) -> ServedModel:
        """What the server says of its model."""
        ...

    def most_rows(self, signature: Signature) -> int:
        """Of one request, so that neither it nor its answer is larger than the interface can carry."""
        ...

    def ask(self, function: str, inputs: Arrays, shapes: Shapes, deadline: Deadline) -> Arrays:
        """One request: the outputs of `shapes`, float32 and of these shapes; what is in them is not yet checked."""
        ...

    def close(self) -> None:
        """Give back connections."""
        ...
