"""A way in which a server can be wrong: over which interfaces, when, and which error it gives."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cvae_sdk import RemoteError

REST, INFERENCE, GRPC = "rest", "inference", "grpc"
HTTP = (REST, INFERENCE)


@dataclass(frozen=True)
class ServerFault:
    """`spoil` answers in place of what is right; then `error` is raised, with `field`, after `tries` requests."""

    name: str
    spoil: Callable[[Any], object]
    error: type[RemoteError]
    field: str
    interfaces: tuple[str, ...] = HTTP
    at: str = "POST"
    """Which requests are answered so: "POST" those for images, "GET" those for metadata, "raw" each connection."""
    tries: int = 1
    deadline: float = 5.0
    """Seconds; few where the fault is that nothing comes."""
    manifest: bool = True
    """Whether a manifest is given, or one is made."""
    binary: bool = True
    """Whether the server has the extension binary_tensor_data."""
