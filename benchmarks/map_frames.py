"""How smooth is the map of 50,000 images? 56 frames a second at 1600 px, 24 to 31 on dense screens (busy machine).

    python -m benchmarks.map_frames [--images 50000] [--seconds 5]

Chromium without a graphics card draws made-up images, in every frame at another zoom and place, or with the pointer at
another place. Shown are frames per second (a screen shows at most 60), what the script needs for a frame, and the size
of the map's data.
"""

from __future__ import annotations

import argparse
import gzip
import json
import logging
import os
import statistics
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from pt4al_backend.simulate.results import environment

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.map_page import clusters, serve_map

OUT = Path(__file__).parent / "results" / "map_frames.json"
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SCREENS: dict[str, Any] = {
    "1600 x 900 px": {"viewport": {"width": 1600, "height": 900}, "device_scale_factor": 1},
    "1600 x 900 px, density 2": {"viewport": {"width": 1600, "height": 900}, "device_scale_factor": 2},
    "390 x 844 px, density 3": {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 3},
}
CLASSES = 30
REPEATS = 3
ACTS = {
    "zooming": "wheel(turn % 100 < 50 ? -30 : 30)",
    "moving": "key(turn % 20 < 10 ? 'ArrowLeft' : 'ArrowRight')",
    "pointing": "point(turn % 200, turn % 37)",
}
"""What happens before each frame."""
PLAY = """async (seconds) => {
  const canvas = document.querySelector('canvas'), box = canvas.getBoundingClientRect();
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  const send = (event) => canvas.dispatchEvent(event);
  const wheel = (deltaY) => send(new WheelEvent('wheel', {deltaY, clientX: x, clientY: y, cancelable: true}));
  const key = (key) => send(new KeyboardEvent('keydown', {key, cancelable: true}));
  const point = (right, down) => send(new PointerEvent('pointermove', {clientX: x + right, clientY: y + down}));
  const next = () => new Promise(requestAnimationFrame);
  const begin = await next();
  let now = begin, turn = 0;
  while (now - begin < 1000 * seconds) {
    ACT;
    turn++;
    now = await next();
  }
  return [turn, (now - begin) / 1000];
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=5)
    options = parser.parse_args()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    results: dict[str, Any] = {
        "command": "python -m benchmarks.map_frames",
        "images": options.images,
        "environment": environment(),
        "load_average": os.getloadavg()[0],
        "screens": {},
    }
    with serve_map(clusters(options.images, CLASSES)) as served, sync_playwright() as playwright:
        results["megabytes"] = round(len(served.body) / 1e6, 2)
        results["megabytes_gzip"] = round(len(gzip.compress(served.body)) / 1e6, 2)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for name, screen in SCREENS.items():
            page = browser.new_context(**screen).new_page()
            page.goto(served.url)
            page.get_by_text("No task is selected").wait_for()
            results["screens"][name] = {act: measure(page, code, options.seconds) for act, code in ACTS.items()}
            print(name, results["screens"][name], flush=True)
            page.close()
        browser.close()
    OUT.write_text(json.dumps(results, indent=1) + "\n")


def measure(page: Page, act: str, seconds: float) -> dict[str, Any]:
    """Of `REPEATS` times so many seconds, the frames per second, and the milliseconds of the page's thread a frame."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    rates, costs = [], []
    for _ in range(REPEATS):
        before = _busy(session)
        frames, passed = page.evaluate(PLAY.replace("ACT", act), seconds)
        rates.append(round(frames / passed, 1))
        costs.append(round(1000 * (_busy(session) - before) / frames, 1))
    return {"frames_per_second": rates, "milliseconds": costs, "median": statistics.median(rates)}


def _busy(session: Any) -> float:
    """Seconds that the page's thread has worked."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")


if __name__ == "__main__":
    main()
