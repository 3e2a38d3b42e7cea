"""Pages of the two committed artifacts, and what serves and opens them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from web_browser import ROOT, Driver, Server, absent, open_browser, serving

from cvae_export.web_page import write_web_page

PACKAGE = ROOT / ".web" / "node_modules" / "onnxruntime-web"


@pytest.fixture(scope="session")
def package() -> Path:
    """The npm package onnxruntime-web, which `make test` has brought."""
    if not PACKAGE.is_dir():
        told = ROOT / ".web" / "absent"
        absent(told.read_text().strip() if told.is_file() else "there is no .web: make .web/.ready brings it")
    return PACKAGE


@pytest.fixture(scope="session")
def pages(package: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page of each committed artifact; not to be changed."""
    folder = tmp_path_factory.mktemp("pages")
    for name in ("mnist", "fashion-mnist"):
        write_web_page(ROOT / "artifacts" / name, folder / name, package)
    return {name: folder / name for name in ("mnist", "fashion-mnist")}


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Serves a folder until the test ends."""
    with ExitStack() as stack:
        yield lambda folder, **how: stack.enter_context(serving(Server(folder, **how)))


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    with open_browser(tmp_path_factory.mktemp("profile"), "--disable-gpu") as driver:
        yield driver
