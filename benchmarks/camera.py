"""Makes pictures of sheets as scanners and phones take them: light, shadow, perspective, blur, noise, JPEG."""

from __future__ import annotations

import io

import numpy as np
from handwriting import Colour, Sheet
from PIL import Image, ImageChops, ImageFilter

from cnncli.types import ByteArray

WHITE = (255, 255, 255)
PAPERS: tuple[Colour, ...] = (
    (250, 250, 248),
    (246, 244, 236),
    (250, 243, 215),
    (238, 240, 245),
    (226, 214, 190),
    (252, 240, 160),
    (232, 236, 228),
)
PRINTS: tuple[Colour, ...] = (
    (150, 175, 215),
    (170, 170, 175),
    (120, 190, 190),
    (200, 150, 160),
    (110, 115, 130),
)
TABLES: tuple[Colour, ...] = ((120, 82, 50), (70, 48, 34), (52, 54, 58), (95, 100, 104), (60, 75, 95))


def scan(
    sheet: Sheet,
    rng: np.random.Generator,
    *,
    printed: Colour = (60, 60, 60),
    rotation: float = 0.0,
    inverted: bool = False,
) -> bytes:
    """Return a clean scan as PNG or JPEG: white paper, hardly any noise.

    Args:
        sheet: what is scanned.
        rng: decides about noise and format.
        printed: the color of rules.
        rotation: the largest rotation, in degrees.
        inverted: bright ink on dark ground.
    """
    picture = lay_on_paper(sheet, WHITE, printed)
    angle = rng.uniform(-rotation, rotation)
    if angle:
        picture = picture.rotate(angle, Image.Resampling.BICUBIC, expand=True, fillcolor=WHITE)
    picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.7)))
    if inverted:
        picture = ImageChops.invert(picture)
    if rng.random() < 0.3:
        picture = picture.convert("L")
    if rng.random() < 0.5 and picture.width * picture.height < 3e6:
        return encode(picture, None)
    return encode(add_noise(picture, rng, rng.uniform(0, 2)), int(rng.integers(75, 96)))


def photograph(
    sheet: Sheet,
    rng: np.random.Generator,
    size: float,
    *,
    printed: Colour | None = None,
    table: bool = False,
    harm: float = 1.0,
) -> bytes:
    """Return a photo of a sheet as JPEG.

    Args:
        sheet: what is photographed.
        rng: decides about everything.
        size: height of a digit in pixels, which blur must not exceed.
        printed: the color of rules; None for any.
        table: the edge of the sheet is visible, and the table under it.
        harm: how strong blur, shadow, noise and perspective may be, from 0 to 1.
    """
    paper = PAPERS[rng.integers(len(PAPERS))]
    rules = printed or PRINTS[rng.integers(len(PRINTS))]
    picture = add_texture(lay_on_paper(sheet, paper, rules), rng, rng.uniform(0.5, 4))
    ink = np.asarray(sheet.ink)
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    box = (float(columns[0]), float(rows[0]), float(columns[-1]), float(rows[-1]))
    outside = paper
    if table:
        picture, shift, outside = lay_on_table(picture, rng)
        box = (box[0] + shift[0], box[1] + shift[1], box[2] + shift[0], box[3] + shift[1])
    # without a table, the camera is so close that the edges of the sheet are outside of the picture
    picture = tilt(picture, box, rng, harm, outside, 0.0 if table else 0.18)
    picture = ImageChops.multiply(picture, light(picture.size, rng, harm))
    # a stroke is about a tenth as thick as the digit is high
    blur = rng.uniform(0.15, 0.45 * harm + 0.15) * size / 10
    blur = min(max(0.4, blur), 0.004 * max(picture.size))
    picture = picture.filter(ImageFilter.GaussianBlur(blur))
    return encode(add_noise(picture, rng, rng.uniform(1, 2 + 6 * harm)), int(rng.integers(40, 96)))


def lay_on_paper(sheet: Sheet, paper: Colour, printed: Colour) -> Image.Image:
    """Return the sheet in color, with the ink over the print."""
    picture = Image.new("RGB", sheet.ink.shape[::-1], paper)
    picture.paste(printed, mask=Image.fromarray(sheet.printed))
    picture.paste(sheet.pen, mask=Image.fromarray(sheet.ink))
    return picture


def add_texture(picture: Image.Image, rng: np.random.Generator, strength: float) -> Image.Image:
    """Return a picture whose brightness varies a little, as that of the fibers of paper does."""
    fine = rng.standard_normal((picture.height // 3 + 1, picture.width // 3 + 1), np.float32) * strength
    field = Image.fromarray(np.clip(128 + fine, 0, 255).astype(np.uint8)).resize(
        picture.size, Image.Resampling.BILINEAR
    )
    return ImageChops.add(picture, Image.merge("RGB", (field,) * 3), 1, -128)


def add_noise(picture: Image.Image, rng: np.random.Generator, deviation: float) -> Image.Image:
    """Return a picture with normal noise, of `deviation` in values of 0 to 255."""
    bands = len(picture.getbands())
    shape = (min(picture.height, 1024), min(picture.width, 1024), bands)
    # the noise of a large picture repeats itself at a distance that no window of the program sees
    noise = 128 + deviation * rng.standard_normal(shape, np.float32)
    tile = np.clip(np.rint(noise), 0, 255).astype(np.uint8)
    times = (-(-picture.height // shape[0]), -(-picture.width // shape[1]), 1)
    whole = np.tile(tile, times)[: picture.height, : picture.width]
    return ImageChops.add(picture, Image.fromarray(whole[:, :, 0] if bands == 1 else whole), 1, -128)


def lay_on_table(
    picture: Image.Image, rng: np.random.Generator
) -> tuple[Image.Image, tuple[int, int], Colour]:
    """Return the sheet on a table with a grain, the place of its corner, and the color of the table."""
    colour = TABLES[rng.integers(len(TABLES))]
    width, height = (round(side * rng.uniform(1.08, 1.4)) for side in picture.size)
    streaks = rng.standard_normal((max(2, height // 6), 6), np.float32) * rng.uniform(2, 9)
    grain = Image.fromarray(np.clip(128 + streaks, 0, 255).astype(np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    table = ImageChops.add(
        Image.new("RGB", (width, height), colour), Image.merge("RGB", (grain,) * 3), 1, -128
    )
    left, top = (
        round(rng.uniform(0.1, 0.9) * (outer - inner))
        for outer, inner in zip(table.size, picture.size, strict=True)
    )
    shade = Image.new("L", table.size, 255)
    edge = max(2, min(picture.size) // 150)
    shade.paste(130, (left, top, left + picture.width + edge, top + picture.height + edge))
    shade = shade.filter(ImageFilter.GaussianBlur(edge))
    table = ImageChops.multiply(table, Image.merge("RGB", (shade,) * 3))
    table.paste(picture, (left, top))
    return table, (left, top), colour


def tilt(
    picture: Image.Image,
    box: tuple[float, float, float, float],
    rng: np.random.Generator,
    harm: float,
    outside: Colour,
    nearer: float,
) -> Image.Image:
    """Return the picture rotated by a few degrees and in perspective, so that all of a box remains visible.

    Args:
        picture: what the camera sees from above.
        box: left, top, right and bottom.
        rng: decides about everything.
        harm: how strong both are, from 0 to 1.
        outside: the color around the picture.
        nearer: by which part the picture is larger than seen from above, if the box remains visible.
    """
    width, height = picture.size
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], float)
    angle, shifts = rng.uniform(-6, 6) * harm, rng.uniform(-0.05, 0.05, (4, 2)) * harm
    inside = np.array([(box[0], box[1]), (box[2], box[1]), (box[2], box[3]), (box[0], box[3])])
    for _ in range(8):
        turn = np.radians(angle)
        rotation = np.array([(np.cos(turn), np.sin(turn)), (-np.sin(turn), np.cos(turn))])
        center = corners.mean(axis=0)
        places = (1 + nearer) * (corners - center) @ rotation + center + shifts * (width, height)
        seen = _project(_homography(corners, places), inside)
        if (seen > 0.02 * min(width, height)).all() and (seen < np.array(picture.size) - 0.02 * height).all():
            break
        angle, shifts, nearer = 0.7 * angle, 0.7 * shifts, 0.7 * nearer
    # Pillow asks where each pixel of the result comes from
    back = _homography(places, corners).ravel()[:8]
    return picture.transform(
        picture.size,
        Image.Transform.PERSPECTIVE,
        tuple(back),
        Image.Resampling.BICUBIC,
        fillcolor=outside,
    )


def light(size: tuple[int, int], rng: np.random.Generator, harm: float) -> Image.Image:
    """Return the light on each pixel: uneven, of some color, perhaps with the shadow of a hand or a phone."""
    rows, columns = np.mgrid[0:1:120j, 0:1:160j]
    direction = rng.uniform(0, 2 * np.pi)
    across = np.cos(direction) * (columns - 0.5) + np.sin(direction) * (rows - 0.5)
    field = 1 - rng.uniform(0.05, 0.45) * harm * (across + 0.7) / 1.4
    field -= 0.15 * harm * rng.random() * ((rows - 0.5) ** 2 + (columns - 0.5) ** 2)
    if rng.random() < 0.6 * harm:
        other = rng.uniform(0, 2 * np.pi)
        bend = 0.06 * np.sin(rng.uniform(3, 9) * (rows + columns))
        along = (
            np.cos(other) * (columns - 0.5) + np.sin(other) * (rows - 0.5) + bend - rng.uniform(-0.25, 0.25)
        )
        field *= 1 - rng.uniform(0.12, 0.45) / (1 + np.exp(-along / rng.uniform(0.01, 0.12)))
    field *= rng.uniform(0.7, 1.0)
    tint = np.array([1, rng.uniform(0.93, 1), rng.uniform(0.8, 1)])
    if rng.random() < 0.3:
        tint = tint[::-1]
    pixels: ByteArray = np.rint(255 * np.clip(field[:, :, None] * tint, 0, 1)).astype(np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


def encode(picture: Image.Image, quality: int | None) -> bytes:
    """Return a JPEG of a quality, or a PNG."""
    stream = io.BytesIO()
    if quality is None:
        picture.save(stream, "PNG", compress_level=1)
    else:
        picture.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def _homography(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the 3x3 matrix of the perspective that moves four points (4, 2) to four others."""
    rows, right = [], []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [(x, y, 1, 0, 0, 0, -u * x, -u * y), (0, 0, 0, x, y, 1, -v * x, -v * y)]
        right += [u, v]
    return np.append(np.linalg.solve(np.array(rows), np.array(right)), 1).reshape(3, 3)


def _project(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return points (N, 2) after a perspective."""
    moved = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    projected: np.ndarray = moved[:, :2] / moved[:, 2:]
    return projected
