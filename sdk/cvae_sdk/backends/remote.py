"""A model at a server, asked over a network: TF Serving by REST and gRPC, and the Open Inference Protocol.

One call has one deadline, for all the requests that it is split into and all their tries; so have the calls of one
drawing together. Rows are asked for in their order, and each answer is checked before it is copied to its place.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from cvae_sdk.backends import Arrays, Backend
from cvae_sdk.backends.address import Address, read_address
from cvae_sdk.backends.answered_tensors import check_tensor
from cvae_sdk.backends.deadline import Deadline
from cvae_sdk.backends.http_connections import HttpConnections
from cvae_sdk.backends.model_server import CLOSED, ModelServer
from cvae_sdk.backends.open_inference import OpenInference
from cvae_sdk.backends.options import RemoteOptions
from cvae_sdk.backends.retries import Retries
from cvae_sdk.backends.served_model import agreed, to_manifest
from cvae_sdk.backends.tf_serving_rest import TfServingRest
from cvae_sdk.backends.tls import client_context
from cvae_sdk.errors import BackendError, ClosedError, RemoteError
from cvae_sdk.manifest import Manifest
from cvae_sdk.manifest_parts import Signature

__all__ = ["RemoteBackend", "open_remote"]


def open_remote(url: str, options: RemoteOptions, manifest: Manifest | None = None) -> tuple["RemoteBackend", Manifest]:
    """The model at a server's address, and the manifest given, or one made of what the server says.

    Raises InputError for an address of no known form and for files of options that cannot be used, MetadataError for
    another model than the manifest's, RemoteError for a server that does not answer as it should, and
    BackendUnavailableError where gRPC is not installed.
    """
    address = read_address(url)
    server = _open(address, options)
    try:
        served = server.describe(Deadline.after(options.deadline, address.server))
        agreed_manifest = to_manifest(served, address.server) if manifest is None else manifest
        functions = agreed(served, agreed_manifest, address.server)
    except BaseException:
        server.close()
        raise
    return RemoteBackend(address.server, server, options, functions), agreed_manifest


class RemoteBackend:
    """A served model; see Backend."""

    def __init__(
        self, name: str, server: ModelServer, options: RemoteOptions, functions: Mapping[str, Signature]
    ) -> None:
        self._name, self._server, self._options = name, server, options
        self._functions = functions
        self._closed = False

    @property
    def signatures(self) -> frozenset[str]:
        """Those of decode, mix and encode that it can run."""
        return frozenset(self._functions)

    def run(self, signature: str, inputs: Arrays) -> Arrays:
        """The exported function of that name; see Backend. Raises ClosedError and RemoteError."""
        return self.run_until(Deadline.after(self._options.deadline, self._name), signature, inputs)

    def run_until(self, deadline: Deadline, signature: str, inputs: Arrays) -> Arrays:
        """`run`, with a deadline that other calls may have too."""
        if self._closed:
            raise ClosedError(CLOSED)
        if signature not in self._functions:
            raise BackendError(
                f"{self._name} does not serve {signature}, only {', '.join(sorted(self._functions))}",
                field="signature", expected=sorted(self._functions), found=signature,
            )  # fmt: skip
        function = self._functions[signature]
        batch = len(next(iter(inputs.values())))
        most = min(self._options.max_batch, self._server.most_rows(function))
        rows_of = {name: tuple(map(int, spec.shape[1:])) for name, spec in function.outputs.items()}
        outputs: dict[str, npt.NDArray[np.float32]] = {
            name: np.empty((batch, *row), np.float32) for name, row in rows_of.items()
        }
        for start in range(0, batch, most):
            rows = slice(start, min(start + most, batch))
            part = {name: array[rows] for name, array in inputs.items()}
            shapes = {name: output[rows].shape for name, output in outputs.items()}
            try:
                deadline.left()
                answer = self._server.ask(signature, part, shapes, deadline)
            except RemoteError as error:
                if self._closed:
                    raise ClosedError(CLOSED) from error
                raise
            for name, output in outputs.items():
                output[rows] = check_tensor(name, answer[name], self._name)
        return outputs

    def side_by_side(self) -> tuple[Backend, int]:
        """Itself with one deadline for all that is run there; one at a time."""
        return _Drawing(self, Deadline.after(self._options.deadline, self._name)), 1

    def close(self) -> None:
        """Give back connections; nothing may be run after that."""
        self._closed = True
        self._server.close()


class _Drawing:
    """A backend for calls that have one deadline, together."""

    def __init__(self, backend: RemoteBackend, deadline: Deadline) -> None:
        self._backend, self._deadline = backend, deadline

    @property
    def signatures(self) -> frozenset[str]:
        return self._backend.signatures

    def run(self, signature: str, inputs: Arrays) -> Arrays:
        return self._backend.run_until(self._deadline, signature, inputs)

    def side_by_side(self) -> tuple[Backend, int]:
        return self, 1

    def close(self) -> None:
        self._backend.close()


def _open(address: Address, options: RemoteOptions) -> ModelServer:
    context = client_context(options, secure=address.secure)
    retries = Retries(options.tries, options.retry_budget)
    if address.interface == "tf_serving_grpc":
        from cvae_sdk.backends.tf_serving_grpc import TfServingGrpc

        return TfServingGrpc(address, options, retries)
    connections = HttpConnections(address.host, address.port, address.server, context, options.headers)
    interface = TfServingRest if address.interface == "tf_serving_rest" else OpenInference
    return interface(address, connections, retries)
