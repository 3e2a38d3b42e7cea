"""A server with an exported artifact: the conformance server, or the real TF Serving that TF_SERVING_URL names.

For the real one, TF_SERVING_GRPC is its gRPC target and TF_SERVING_BASE the base path it polls, as seen from here;
the model is served under that folder's name. The tests publish versions there and take them away again.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tf_serving_client import Served
from tf_serving_conformance import ConformanceServer

from cvae_export import export_run, publish
from cvae_export.serving_base import next_version
from cvae_training import Run


@pytest.fixture(scope="session")
def served(article_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("serving")
    url = os.environ.get("TF_SERVING_URL")
    base = Path(os.environ["TF_SERVING_BASE"]) if url else folder / "models" / "digits"
    version = next_version(base.parent, base.name)
    artifact = folder / "artifact"
    export_run(article_run, artifact, name=base.name, version=version)
    published = publish(artifact, base.parent, version)
    if url:
        server = Served(url.rstrip("/"), os.environ["TF_SERVING_GRPC"], base, artifact, version)
        server.wait_for({version: "AVAILABLE"})
        yield server
        shutil.rmtree(published)
    else:
        with ConformanceServer(base.name, base) as here:
            yield Served(here.url, here.target, base, artifact, version)


@pytest.fixture
def tell_server(record_property: Any) -> None:
    """`make test` ends with which of the two servers was asked."""
    which = "the real TF Serving" if os.environ.get("TF_SERVING_URL") else "the conformance server, not TF Serving"
    record_property("count", f"TF Serving's client tests asked {which}")
