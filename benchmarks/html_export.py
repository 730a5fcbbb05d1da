"""How fast, how large and how right is the page of `cnn export --to html`, in Chromium?

    python benchmarks/html_export.py RUN --data-dir data

RUN is a run of mnist.yaml that was trained on MNIST. 200 test images are enlarged until they look like drawn digits.
The page answers them one after the other, in turns with NumPy and with `cnn predict`, which get the same drawing. The
test images themselves go through the network of both variants of the page. It needs playwright and Chromium.
"""

from __future__ import annotations

import argparse
import base64
import shutil
import statistics
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from arena import save
from PIL import Image

import cnncli
from cnncli.batches.batches import to_input
from cnncli.export.html.write import write
from cnncli.export.subject import ExportOptions, Subject
from cnncli.training.members import answers_of
from cnncli.training.model import Model

DRAWINGS = 200
SIDE = 336  # pixels of the drawing on the page
CHUNK = 500

ANSWER = """async ([text, side]) => {
  const ink = new Float32Array(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))).map((v) => v / 255);
  const began = performance.now();
  const answer = await cnnBackend.answerDrawing(ink, side, side);
  const milliseconds = performance.now() - began;
  return {milliseconds, text: answer.text, pixels: Array.from(answer.seen.pixels), p: answer.top[0][1]};
}"""

CLASSIFY = """async ([text, size]) => {
  window.built ??= await cnnNetwork.build(JSON.parse(document.getElementById('model').textContent));
  const pixels = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const found = [];
  const began = performance.now();
  for (let start = 0; start < pixels.length; start += size) {
    found.push(...cnnNetwork.classify(window.built, pixels.subarray(start, start + size)).probabilities);
  }
  return {milliseconds: performance.now() - began, found};
}"""


def main() -> None:
    """Measure, print, and write results/html_export.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="a run of mnist.yaml")
    parser.add_argument("--data-dir", default="data", help="the folder with the data sets")
    parser.add_argument("--no-save", action="store_true", help="do not write benchmarks/results/")
    options = parser.parse_args()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sys.exit("playwright is not installed: pip install 'cnncli[browser]'")
    program = shutil.which("chromium") or sys.exit("no Chromium is on the PATH")
    model = cnncli.load_model(options.run)
    test = cnncli.load_dataset("mnist", data_dir=options.data_dir).test
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        pages, sizes = {}, {}
        for dtype in ("float32", "int8"):
            path = Path(folder, f"{dtype}.html")
            path.write_bytes(write(Subject(model, dtype, ExportOptions(dtype=dtype)))[".html"])
            sizes[dtype] = path.stat().st_size
            pages[dtype] = browser.new_page()
            pages[dtype].goto(path.as_uri())
        result = {
            "chromium": browser.version,
            "parameters": model.network.get_num_parameters(),
            "bytes": sizes,
            "answers": measure_answers(browser, pages["float32"], model, test.images),
            "test_images": measure_accuracy(pages, model, test.images, test.labels),
        }
    show(result)
    if not options.no_save:
        save("html_export", result)


def enlarge(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return an image of MNIST as a drawing of random size and place, (SIDE, SIDE), 255 for ink."""
    size = int(rng.integers(120, 300))
    large = np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC), np.float32)
    ink = np.zeros((SIDE, SIDE), np.float32)
    top, left = rng.integers(0, SIDE - size, 2)
    ink[top : top + size, left : left + size] = ((large / 255 - 0.5) * 8 + 0.5).clip(0, 1)
    return (255 * ink + 0.5).astype(np.uint8)


def cpu_seconds(browser: Any) -> float:
    """Return the CPU time that all processes with a page have used, which says more than a clock on a busy machine."""
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    return sum(each["cpuTime"] for each in processes if each["type"] == "renderer")


def measure_answers(browser: Any, page: Any, model: Model, images: np.ndarray) -> dict[str, Any]:
    """Return the milliseconds of answers to drawings, and how far they are from those of `cnn predict`."""
    rng = np.random.default_rng(0)
    drawings = [enlarge(image, rng) for image in images[:DRAWINGS]]
    times: dict[str, list[float]] = {"page": [], "numpy": [], "predict": []}
    pixels, probabilities, texts = [], [], 0
    first = used = 0.0
    for number, ink in enumerate([drawings[0], *drawings]):
        found = page.evaluate(ANSWER, [as_text(ink), SIDE])
        buffer = BytesIO()
        Image.fromarray(255 - ink).save(buffer, "PNG")
        began = time.perf_counter()
        (read,) = cnncli.predict_pictures([("drawing", buffer.getvalue())], model, invert="yes")
        predict = 1000 * (time.perf_counter() - began)
        largest = max(
            read.digits, key=lambda digit: (digit.box[2] - digit.box[0]) * (digit.box[3] - digit.box[1])
        )
        x = to_input(largest.pixels[None], model.normalize)
        began = time.perf_counter()
        model.network.forward(x)
        numpy = 1000 * (time.perf_counter() - began)
        if number == 0:
            # everything is compiled and in the caches afterwards
            first, used = found["milliseconds"], cpu_seconds(browser)
            continue
        for name, value in (("page", found["milliseconds"]), ("numpy", numpy), ("predict", predict)):
            times[name].append(value)
        pixels.append(int(np.abs(np.array(found["pixels"]) - largest.pixels.ravel().astype(int)).max()))
        probabilities.append(abs(found["p"] - largest.probability))
        texts += found["text"] == read.text
    used = cpu_seconds(browser) - used
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {
        "drawings": DRAWINGS,
        "first_ms": round(first, 1),
        "least_ms": round(min(times["page"]), 1),
        "median_ms": round(medians["page"], 1),
        "p95_ms": round(float(np.quantile(times["page"], 0.95)), 1),
        "mean_cpu_ms": round(1000 * used / DRAWINGS, 1),
        "ratio_to_numpy_forward": round(medians["page"] / medians["numpy"], 2),
        "ratio_to_predict": round(medians["page"] / medians["predict"], 2),
        "equal_texts": texts,
        "largest_pixel_difference": max(pixels),
        "largest_probability_difference": float(f"{max(probabilities):.2g}"),
    }


def measure_accuracy(
    pages: dict[str, Any], model: Model, images: np.ndarray, labels: np.ndarray
) -> dict[str, Any]:
    """Return how many test images each variant gets right, and how far its probabilities are from NumPy's."""
    expected = np.concatenate(
        [answers_of([model], images[start : start + CHUNK])[0] for start in range(0, len(images), CHUNK)]
    )
    result = {"images": len(images), "numpy_percent": percent(expected, labels)}
    for dtype, page in pages.items():
        parts, milliseconds = [], 0.0
        for start in range(0, len(images), CHUNK):
            done = page.evaluate(CLASSIFY, [as_text(images[start : start + CHUNK]), images[0].size])
            parts.append(np.array(done["found"]).reshape(-1, expected.shape[1]))
            milliseconds += done["milliseconds"]
        found = np.concatenate(parts)
        result[dtype] = {
            "percent": percent(found, labels),
            "answers_as_numpy": int((found.argmax(axis=1) == expected.argmax(axis=1)).sum()),
            "largest_probability_difference": float(f"{np.abs(found - expected).max():.2g}"),
            "classify_ms": round(milliseconds / len(images), 2),
        }
    return result


def percent(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return how many of 100 answers are right."""
    return round(100 * float((probabilities.argmax(axis=1) == labels).mean()), 2)


def as_text(array: np.ndarray) -> str:
    """Return the bytes of an array as base64."""
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")


def show(result: dict[str, Any]) -> None:
    """Print all figures."""
    for section in ("bytes", "answers", "test_images"):
        print(section)
        for name, value in result[section].items():
            print(f"  {name:34s} {value}")


if __name__ == "__main__":
    main()
