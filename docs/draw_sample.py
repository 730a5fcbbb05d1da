"""Draws docs/digits.jpg, the sample picture of the README: a number in blue ink on paper, with a shadow."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from cnncli.data.synthetic.strokes import STROKE_VARIANTS, control_points, spline

NUMBER = "30754"
HEIGHT, ADVANCE, FINE = (
    120,
    105,
    3,
)  # pixels of a digit, from one digit to the next, and of a pixel while drawing
INK = (38, 52, 120)


def draw() -> Image.Image:
    """Return the picture."""
    rng = np.random.default_rng(7)
    width, height = ADVANCE * len(NUMBER) + 120, HEIGHT + 130
    ink = Image.new("L", (width * FINE, height * FINE))
    pen = ImageDraw.Draw(ink)
    for position, digit in enumerate(NUMBER):
        variant = STROKE_VARIANTS[int(digit)][0]
        control = control_points(variant) + rng.normal(0, 1.5, (len(control_points(variant)), 2))
        left, top = 70 + ADVANCE * position, 60 + rng.normal(0, 5)
        x, y = (spline(variant, 400) @ control * HEIGHT / 100 + [left, top]).T
        x = x - (y - top - HEIGHT / 2) * 0.15  # slanted
        radius = 5.0 + 0.6 * np.sin(np.linspace(0, 5, len(x)) + position)
        for column, row, size in zip(FINE * x, FINE * y, FINE * radius, strict=True):
            pen.ellipse([column - size, row - size, column + size, row + size], fill=255)
    strength = ink.resize((width, height), Image.Resampling.LANCZOS).filter(ImageFilter.GaussianBlur(0.8))
    across, down = np.linspace(0, 1, width), np.linspace(0, 1, height)[:, None]
    shade = 0.78 + 0.22 * np.clip(1.3 - across * 0.6 - down * 0.5, 0, 1)
    grain = rng.normal(0, 2.5, (height, width))
    paper = np.array([246, 243, 234]) * shade[..., None] + grain[..., None]
    share = np.asarray(strength)[..., None] / 255 * 0.92
    picture = paper * (1 - share) + np.array(INK) * share
    return Image.fromarray(picture.clip(0, 255).astype(np.uint8))


def main() -> None:
    """Save the picture beside this file."""
    draw().save(Path(__file__).parent / "digits.jpg", quality=88)


if __name__ == "__main__":
    main()
