"""For the tests of the page: a static server, a real browser without a screen, and what Python draws."""

import base64
import http.server
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

ROOT = Path(__file__).parents[3]
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--force-color-profile=srgb"),
]

Driver = webdriver.Chrome


def absent(reason: str) -> None:
    """Skip for a reason that CI must not have."""
    pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


@dataclass
class Server:
    """A static server of one folder: any could take its place, but this can be told to answer otherwise."""

    folder: Path
    headers: dict[str, str] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    port: int = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/"


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    class Handler(http.server.SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def __init__(self, *args: Any) -> None:
            self.extensions_map = {**self.extensions_map, **server.types}
            super().__init__(*args, directory=str(server.folder))

        def do_GET(self) -> None:
            status = server.statuses.get(self.path.removeprefix("/"))
            super().do_GET() if status is None else self.send_error(status)

        def end_headers(self) -> None:
            for name, value in server.headers.items():
                self.send_header(name, value)
            super().end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        served.daemon_threads = True
        thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        server.port = served.server_port
        yield server
        served.shutdown()
        thread.join()


@contextmanager
def open_browser(profile: Path, *flags: str) -> Iterator[Driver]:
    """A Chromium; Debian's packages chromium and chromium-driver bring it."""
    found = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    if not all(found.values()):
        absent("needs the commands chromium and chromedriver (Debian: apt install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = str(found["chromium"])
    downloads = profile / "downloads"
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    for flag in (*FLAGS, *flags, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(found["chromedriver"])))
    driver.set_script_timeout(120)
    try:
        yield driver
    finally:
        driver.quit()


def until(browser: Driver, what: Callable[[], object], seconds: float = 30) -> None:
    WebDriverWait(browser, seconds, poll_frequency=0.05).until(lambda _: what())


def started(browser: Driver) -> object:
    """Whether the page has drawn its first image, or says why it cannot."""
    return browser.execute_script(
        "return performance.getEntriesByName('first-image').length > 0 || !document.getElementById('error')?.hidden"
    )


def visit(browser: Driver, address: str, width: int = 1200, height: int = 900) -> None:
    """Open a page, and wait until it has started or given up."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(address)
    until(browser, lambda: started(browser))


def pixels(browser: Driver, selector: str) -> npt.NDArray[np.uint8]:
    """What a canvas of the page shows: [height, width], red, which must equal the others; nothing until drawn on."""
    width, height, encoded = browser.execute_script(
        "const c = document.querySelector(arguments[0]);"
        "const { data } = c.getContext('2d').getImageData(0, 0, c.width, c.height);"
        "return [c.width, c.height, btoa(Array.from(data, (byte) => String.fromCharCode(byte)).join(''))];",
        selector,
    )
    shown = np.frombuffer(base64.b64decode(encoded), np.uint8).reshape(height, width, 4)
    assert (shown[..., :3] == shown[..., :1]).all()
    return shown[..., 0] if (shown[..., 3] == 255).all() else np.empty((0, 0), np.uint8)


class Reference:
    """The committed model that mixes classes, by ONNX Runtime for Python."""

    def __init__(self, name: str) -> None:
        self._session = onnxruntime.InferenceSession(
            ROOT / "artifacts" / name / "onnx" / "mix.onnx", providers=["CPUExecutionProvider"]
        )

    def levels(self, z: npt.NDArray[np.float32], weights: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
        (image,) = self._session.run(["image"], {"z": z, "class_weights": weights})
        return (np.asarray(image) * np.float32(255) + np.float32(0.5)).astype(np.uint8)[..., 0]


def is_close(found: npt.NDArray[np.uint8], expected: npt.NDArray[np.uint8]) -> bool:
    """One grey level apart at most, which rounding does to a pixel between two; the tests of many say how seldom."""
    return found.shape == expected.shape and int(np.abs(found.astype(int) - expected.astype(int)).max()) <= 1
