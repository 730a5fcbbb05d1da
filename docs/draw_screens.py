"""Makes the pictures of the README: the training screen, a photo read digit by digit, a report, the page to draw on.

    pip install '.[browser]' pyte
    python docs/draw_screens.py

It needs Chromium, and trains the built-in digits for a few epochs.
"""

import argparse
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import threading
from io import BytesIO
from pathlib import Path

import matplotlib.patches
import numpy as np
import pyte
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from rich.console import Console
from rich.text import Text

from cnncli import load_model, predict_pictures
from cnncli.report.figures import add_axes, new_figure, own_style, save_png

DOCS = Path(__file__).parent
COLUMNS, LINES = 80, 32

TRAIN = ("train", "--config", "synthetic.yaml", "--epochs", "5", "--name", "digits")

WIDTH = 800
"""The width of the screen as SVG, in units of its text."""

SVG = """{width} {height}
<style>{styles}</style>
<rect width="{width}" height="{height}" rx="8" fill="#16191d"/>
{backgrounds}
<g transform="translate(14, 10)" font-size="{char_height}" font-family="{unique_id}">{matrix}</g>
"""
"""The form in which rich writes a screen; its own form asks the network for a font."""


def record(arguments: tuple[str, ...], folder: Path, until: tuple[str, ...]) -> pyte.Screen:
    """Run the program in a terminal and return what is on its screen when it first shows all of some texts."""
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(folder)
        os.environ |= {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(LINES)}
        os.execv(sys.executable, [sys.executable, "-m", "cnncli", *arguments])
    kept = None
    while True:
        try:
            ready, _, _ = select.select([terminal], [], [], 0.2)
            content = os.read(terminal, 65536) if ready else b""
        except OSError:
            break  # the program has ended
        stream.feed(content)
        shown = "\n".join(screen.display)
        if kept is None and all(text in shown for text in until):
            kept = [dict(screen.buffer[row]) for row in range(LINES)]
    os.waitpid(process, 0)
    if kept is None:
        raise RuntimeError(f"{until} was never on the screen:\n" + "\n".join(screen.display))
    for row, cells in enumerate(kept):
        screen.buffer[row].clear()
        screen.buffer[row].update(cells)
    return screen


def to_svg(screen: pyte.Screen, command: str) -> str:
    """Return a screen as SVG, under the command that was typed."""
    lines = [Text.assemble(("$ ", "bold green"), (command, "bold"))]
    for row in range(LINES):
        line = Text()
        for column in range(COLUMNS):
            cell = screen.buffer[row][column]
            fore = cell.fg if cell.fg != "default" else ""
            color = f"#{fore}" if re.fullmatch("[0-9a-f]{6}", fore) else fore.replace("bright", "bright_")
            style = " ".join(filter(None, ["bold" if cell.bold else "", color.replace("brown", "yellow")]))
            line.append(cell.data, style)
        line.rstrip()
        lines.append(line)
    while lines and not lines[-1].plain:
        lines.pop()
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"), force_terminal=True)
    for line in lines:
        console.print(line, no_wrap=True, overflow="crop")
    drawn = console.export_svg(title="", code_format=SVG, unique_id="screen")
    size, _, content = drawn.partition("\n")
    content = content.replace(
        'font-family="screen"', 'font-family="ui-monospace, Menlo, Consolas, monospace"'
    )
    width, height = map(float, size.split())
    scale = WIDTH / width
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {round(height * scale)}">\n'
        f'<g transform="scale({scale:.4f})">{content}</g></svg>\n'
    )


@own_style()
def draw_reading(photo: Path, path: Path) -> None:
    """Draw a photo with its digits in boxes, and below each what the network saw and answered."""
    (found,) = predict_pictures([photo], load_model("bundled"))
    with Image.open(photo) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    height, width = pixels.shape[:2]
    inches = 6.4
    scale = inches / width
    size, gap = 0.8, 0.5
    figure = new_figure(inches, height * scale + size + gap)
    axes = add_axes(figure, 0, size + gap, inches, height * scale)
    axes.imshow(pixels, extent=(0, width, height, 0))
    axes.set_axis_off()
    for digit in found.digits:
        left, top, right, bottom = digit.box
        box = matplotlib.patches.Rectangle(
            (left, top), right - left, bottom - top, fill=False, ec="#c0392b", lw=1.4
        )
        axes.add_patch(box)
        middle = (left + right) / 2 * scale
        small = add_axes(figure, middle - size / 2, gap - 0.08, size, size)
        small.imshow(digit.pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        small.set_axis_off()
        words = f"{digit.label}  ({100 * digit.probability:.1f} %)"
        figure.text(middle / inches, 0.16 / figure.get_figheight(), words, ha="center", fontsize=9)
    save_png(figure, path)
    with Image.open(path) as picture:
        save_small(picture.convert("RGB"), path)


def save_small(picture: Image.Image, path: Path) -> None:
    """Save a picture as PNG with few colors."""
    picture.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(
        path, optimize=True
    )


def shoot(page: Page, path: Path, height: int, width: int = 720) -> None:
    """Save the upper part of a page as a PNG with few colors, so that it is small."""
    size = page.viewport_size or {"width": 1000, "height": 800}
    shot = page.screenshot(clip={"x": 0, "y": 0, "width": size["width"], "height": height})
    image = Image.open(BytesIO(shot)).convert("RGB")
    image = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
    save_small(image, path)


def draw_a_three(page: Page) -> None:
    """Draw a 3 with the mouse."""
    box = page.locator("canvas").first.bounding_box()
    assert box is not None
    turn = np.linspace(-2.6, 1.6, 40)
    upper = np.stack([0.5 + 0.17 * np.cos(turn), 0.34 + 0.15 * np.sin(turn)])
    turn = np.linspace(-1.5, 2.6, 40)
    lower = np.stack([0.5 + 0.2 * np.cos(turn), 0.67 + 0.18 * np.sin(turn)])
    path = np.concatenate([upper, lower], axis=1).T * [box["width"], box["height"]] + [box["x"], box["y"]]
    page.mouse.move(*path[0])
    page.mouse.down()
    for x, y in path:
        page.mouse.move(x, y)
    page.mouse.up()
    page.wait_for_timeout(1500)


def main() -> None:
    """Make all pictures, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="training, reading, report, page; all by default")
    names = parser.parse_args().names or ["training", "reading", "report", "page"]
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where)
        shutil.copy(DOCS.parent / "configs/synthetic.yaml", folder)
        if {"training", "report"} & {*names}:
            screen = record(TRAIN, folder, ("4/5 ETA", "batches", "/85 ETA"))
            if "training" in names:
                (DOCS / "training.svg").write_text(
                    to_svg(screen, " ".join(["cnn", *TRAIN])), encoding="utf-8"
                )
        if "reading" in names:
            draw_reading(DOCS / "digits.jpg", DOCS / "reading.png")
        if not {"report", "page"} & {*names}:
            return
        with sync_playwright() as started:
            program = shutil.which("chromium") or shutil.which("google-chrome")
            browser = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
            if "report" in names:
                subprocess.run([sys.executable, "-m", "cnncli", "report", "digits"], cwd=folder, check=True)
                page = browser.new_page(viewport={"width": 1000, "height": 2000})
                page.goto((folder / "runs/digits/report.html").as_uri())
                shoot(page, DOCS / "report.png", 1900)
            if "page" in names:
                command = [sys.executable, "-m", "cnncli", "draw", "bundled", "--no-open", "--port", "8247"]
                server = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
                assert server.stdout is not None
                address = next(line for line in server.stdout if line.startswith("http")).strip()
                threading.Thread(target=server.stdout.read, daemon=True).start()
                page = browser.new_page(viewport={"width": 1100, "height": 1100})
                page.goto(address)
                draw_a_three(page)
                shoot(page, DOCS / "draw-page.png", 1010)
                server.terminate()
                server.wait()
            browser.close()


if __name__ == "__main__":
    main()
