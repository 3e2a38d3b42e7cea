"""The server: one model's versions, over REST and gRPC, on free ports of the loopback."""

import threading
from pathlib import Path

from tf_serving_conformance.rest import rest_server
from tf_serving_conformance.rpc import rpc_server
from tf_serving_conformance.versions import Versions

__all__ = ["ConformanceServer"]


class ConformanceServer:
    """While it is entered, `url` and `target` serve the newest version in `base_path` under the name `name`."""

    def __init__(self, name: str, base_path: Path, poll_seconds: float = 0.1) -> None:
        self._versions = Versions(name, base_path, poll_seconds)
        self._rest = rest_server(self._versions)
        self._rpc, port = rpc_server(self._versions)
        self._thread = threading.Thread(target=self._rest.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._rest.server_address[1]}"
        self.target = f"127.0.0.1:{port}"

    def __enter__(self) -> "ConformanceServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._rest.shutdown()
        self._rest.server_close()
        self._thread.join()
        self._rpc.stop(grace=None).wait()
        self._versions.stop()
