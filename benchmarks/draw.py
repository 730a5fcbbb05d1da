"""How long does `cnn draw` take to answer a stroke, in the browser and without one?

python benchmarks/draw.py [--strokes 200]

Digits are drawn stroke by stroke with the mouse, in Chromium if playwright and Chromium are there. A time reaches from
the end of the stroke to the answer on the page: the drawing is sent, prepared, classified, and the answer is shown with
what the network saw. The maps of all layers come after it, and have times of their own, from the end of the stroke too.
Without a browser the same strokes are sent over HTTP. The times are also given as multiples of what the network itself
takes for one image, measured in between.
"""

from __future__ import annotations

import argparse
import http.client
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from arena import save
from threadpoolctl import threadpool_limits

from cnncli.data.synthetic.strokes import STROKE_VARIANTS, StrokeVariant, control_points, spline
from cnncli.training.model import Model, load_model

SIZE = 336
"""Pixels of a side of the page's drawing."""

PEN = 26
POINTS = 12

WATCH = """() => {
  const times = {answer: [], maps: []};
  const take = (entries) => entries.forEach((entry) => times[entry.name]?.push(entry.duration));
  const observer = new PerformanceObserver((list) => take(list.getEntries()));
  observer.observe({type: 'measure'});
  // Return the times of the answer that is on its way; or forget all times once no answer is on its way.
  window.nextAnswer = (isWanted) => new Promise((done) => {
    const look = () => {
      take(observer.takeRecords());
      if (cnnPage.isAsking() || (isWanted && times.maps.length === 0)) setTimeout(look, 5);
      else done([times.answer.splice(0)[0], times.maps.splice(0)[0]]);
    };
    look();
  });
}"""
"""Runs in the page. Playwright's own way to wait looks at every picture of the screen, and so makes it draw more."""

Stroke = list[tuple[float, float]]


class Digit(NamedTuple):
    """A digit to be drawn: its class, and its strokes as places in the unit square."""

    label: str
    strokes: list[Stroke]


def choose_digits(strokes: int, seed: int = 1) -> list[Digit]:
    """Return digits of all classes and hands, shifted and slanted at random, with so many strokes in all."""
    rng = np.random.default_rng(seed)
    chosen: list[Digit] = []
    missing = strokes
    while missing > 0:
        label = len(chosen) % 10
        variants = STROKE_VARIANTS[label]
        shares = np.array([variant.share for variant in variants])
        variant = variants[rng.choice(len(variants), p=shares / shares.sum())]
        scale, slant = rng.uniform(0.45, 0.7) / 100, rng.uniform(-0.2, 0.2)
        left, top = rng.uniform(0.2, 0.35), rng.uniform(0.1, 0.25)
        digit = Digit(str(label), [])
        for text in variant.strokes.split(";")[:missing]:
            one = StrokeVariant(1, text)
            x, y = (spline(one, POINTS) @ control_points(one)).T
            places = zip(left + scale * (x - slant * (y - 50)), top + scale * y, strict=True)
            digit.strokes.append([(float(a), float(b)) for a, b in places])
        missing -= len(digit.strokes)
        chosen.append(digit)
    return chosen


class Forward:
    """Measures the network alone, a few passes at a time."""

    def __init__(self, model: Model) -> None:
        self._network = model.network
        self._x = np.random.default_rng(0).random((1, *model.network.input_shape), np.float32)
        self.times: list[float] = []

    def measure(self, passes: int = 5) -> None:
        """Add some times, in milliseconds."""
        for _ in range(passes):
            start = time.perf_counter()
            self._network.forward(self._x)
            self.times.append(1000 * (time.perf_counter() - start))


@contextmanager
def serving() -> Iterator[str]:
    """Run `cnn draw` as a user does, and return the address."""
    command = [sys.executable, "-m", "cnncli", "draw", "bundled", "--no-open", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


def over_http(address: str, digits: Sequence[Digit], forward: Forward) -> list[float]:
    """Return the time of each answer over HTTP, in milliseconds."""
    from PIL import Image, ImageDraw

    connection = http.client.HTTPConnection(address.removeprefix("http://").rstrip("/"))
    times = []
    for digit in digits:
        paper = Image.new("L", (SIZE, SIZE), 255)
        pen = ImageDraw.Draw(paper)
        for stroke in digit.strokes:
            pen.line([(SIZE * x, SIZE * y) for x, y in stroke], fill=0, width=PEN, joint="curve")
            body = f"P5 {SIZE} {SIZE} 255\n".encode() + paper.tobytes()
            start = time.perf_counter()
            connection.request("POST", "/answer", body, {"Content-Type": "image/x-portable-graymap"})
            connection.getresponse().read()
            times.append(1000 * (time.perf_counter() - start))
        forward.measure()
    return times


def in_browser(
    address: str, digits: Sequence[Digit], forward: Forward
) -> tuple[list[tuple[float, float]], int] | None:
    """Return the times of each answer to a whole stroke and of its maps, and how many digits were read right.

    None without Chromium.
    """
    program = shutil.which("chromium") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        program = None
    if program is None:
        print("without Chromium and playwright only the server is measured", file=sys.stderr)
        return None
    times, right = [], 0
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(address)
        page.evaluate(WATCH)
        box = page.locator("#paper").bounding_box()
        assert box is not None
        for digit in digits:
            for stroke in digit.strokes:
                places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
                page.mouse.move(*places[0])
                page.mouse.down()
                for place in places[1:]:
                    page.mouse.move(*place)
                # the answer to the stroke as it is now is the one that counts
                page.evaluate("() => nextAnswer(false)")
                page.mouse.up()
                answer, maps = page.evaluate("() => nextAnswer(true)")
                times.append((answer, maps))
            right += page.locator("#reading").text_content() == digit.label
            page.locator("#clear").click()
            forward.measure()
        browser.close()
    return times, right


def summary(times: Sequence[float], forward: float) -> dict[str, Any]:
    """Return the figures of one way to ask."""
    median, p95 = statistics.median(times), float(np.quantile(times, 0.95))
    return {
        "strokes": len(times),
        "median_ms": round(median, 1),
        "p95_ms": round(p95, 1),
        "median_in_forwards": round(median / forward, 1),
        "p95_in_forwards": round(p95 / forward, 1),
    }


def main() -> None:
    """Measure, print, and write results/draw.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--strokes", type=int, default=200)
    parser.add_argument("--no-save", action="store_true", help="do not write benchmarks/results/")
    options = parser.parse_args()
    digits = choose_digits(options.strokes)
    forward = Forward(load_model("bundled"))
    # the server has one thread, too
    with threadpool_limits(1, "blas"), serving() as address:
        sent = over_http(address, digits, forward)
        drawn = in_browser(address, digits, forward)
    alone = statistics.median(forward.times)
    result: dict[str, Any] = {"model": "bundled", "forward_ms": round(alone, 2), "http": summary(sent, alone)}
    if drawn is not None:
        times, right = drawn
        answers, maps = zip(*times, strict=True)
        result["browser"] = summary(answers, alone) | {"digits": len(digits), "read_right": right}
        result["maps"] = summary(maps, alone)
    for name in ("http", "browser", "maps"):
        if name in result:
            print(f"{name:8s}", "  ".join(f"{key} {value}" for key, value in result[name].items()))
    print(f"the network alone takes {alone:.2f} ms for one image")
    if not options.no_save:
        save("draw", result)


if __name__ == "__main__":
    main()
