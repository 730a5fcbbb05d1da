"""Draws the pictures of docs/inside.md: runs the commands of that page that save one, and makes their files small."""

import os
import re
import shlex
import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from typer.testing import CliRunner

from cnncli.cli.app import app

DOCS = Path(__file__).parent
GRAYS, COLORS = 16, 128
WIDTH = 1000  # pixels


def commands() -> dict[str, list[str]]:
    """Return the arguments of each command of the page that saves a picture, by the name of its file."""
    page = (DOCS / "inside.md").read_text(encoding="utf-8")
    lines = re.findall(r"^cnn (.*--save .*)$", page, re.MULTILINE)
    return {words[words.index("--save") + 1]: words for words in map(shlex.split, lines)}


def small(picture: Image.Image) -> Image.Image:
    """Return a picture at the width of a page, with few colors, or few grays if there are no colors in it."""
    height = round(picture.height * WIDTH / picture.width)
    resized = picture.convert("RGB").resize((WIDTH, height), Image.Resampling.BOX)
    pixels = np.asarray(resized).astype(int)
    if (np.ptp(pixels, axis=2) > 32).mean() < 0.001:
        return resized.convert("L").quantize(GRAYS, dither=Image.Dither.NONE)
    # an octree keeps rare colors, which the median of a cut loses
    return resized.quantize(COLORS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)


def main() -> None:
    """Save each picture beside this file, as inside-NAME."""
    start = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "docs").mkdir()
        shutil.copy(DOCS / "digits.jpg", Path(folder) / "docs")
        os.chdir(folder)  # there is no data set in it, so the digits are drawn
        try:
            for name, arguments in commands().items():
                done = CliRunner().invoke(app, arguments, prog_name="cnn")
                if done.exit_code:
                    raise SystemExit(f"cnn {shlex.join(arguments)}\n{done.stderr}")
                with Image.open(name) as picture:
                    small(picture).save(DOCS / f"inside-{name}", optimize=True)
        finally:
            os.chdir(start)


if __name__ == "__main__":
    main()
