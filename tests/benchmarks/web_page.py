"""How soon the page draws its first image, and how many a second while a latent is dragged, in a headless Chromium:

    .venv/bin/python tests/benchmarks/web_page.py [--turns 5]

Each turn is a new browser with an empty cache, the artifacts in turns. "first image" is from the start of the
navigation to the first image on its canvas, by the page's own clock; "dragged" is images drawn a second while a
latent's slider moves with every frame of the screen, over 3 seconds.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "export" / "web"))

from web_browser import ROOT, Server, open_browser, serving, visit

from cvae_export.web_page import write_web_page

DRAG = """
const done = arguments[0];
const slider = document.getElementById("latent-0");
let drawn = 0;
document.getElementById("image").addEventListener("drawn", () => { drawn += 1; });
const started = performance.now();
requestAnimationFrame(function step(now) {
  const seconds = (now - started) / 1000;
  if (seconds > 3) return done(drawn / seconds);
  slider.value = 3 * Math.sin(4 * seconds);
  slider.dispatchEvent(new Event("input", { bubbles: true }));
  requestAnimationFrame(step);
});
"""
FIRST = "return performance.getEntriesByName('first-image')[0].startTime"


def measure(page: Path) -> tuple[float, float, str]:
    """Milliseconds to the first image, images a second while dragged, and what it ran on."""
    with (
        tempfile.TemporaryDirectory() as profile,
        serving(Server(page)) as server,
        open_browser(Path(profile), "--disable-gpu") as browser,
    ):
        visit(browser, server.address)
        runtime = browser.execute_script("return document.getElementById('runtime').textContent")
        first = browser.execute_script(FIRST)
        time.sleep(1)  # what is beside the image is drawn by then
        return first, browser.execute_async_script(DRAG), runtime


def main() -> None:
    """Print a row for each artifact."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5)
    turns = parser.parse_args().turns
    names = ("mnist", "fashion-mnist")
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            package = ROOT / ".web" / "node_modules" / "onnxruntime-web"
            write_web_page(ROOT / "artifacts" / name, Path(folder) / name, package)
        found = {name: [] for name in names}
        for _ in range(turns):
            for name in names:
                found[name].append(measure(Path(folder) / name))
    print("| artifact | first image, ms: minimum, median, maximum | images a second while dragged | by |")
    print("| --- | --- | --- | --- |")
    for name, rows in found.items():
        columns = [
            ", ".join(f"{figure(row[i] for row in rows):.0f}" for figure in (min, statistics.median, max))
            for i in (0, 1)
        ]
        print(f"| {name} | {columns[0]} | {columns[1]} | {rows[0][2]} |")


if __name__ == "__main__":
    main()
