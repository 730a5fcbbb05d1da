"""Tells ink from paper in a picture of any colour, size and light.

The order: the channel with the most contrast, what is ink and what is paper from the border, the paper's own
brightness divided out, a threshold. All of it works on a copy of moderate size.

Axis letters: H W the working copy, C colour channels.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from PIL import Image, ImageFilter

from cnncli.pictures.components import find_components
from cnncli.types import BoolArray, FloatArray

Invert = Literal["auto", "yes", "no"]

LARGE = 1600
"""A larger picture is shrunk, so that its longer side is this many pixels."""

SMALL = 240
"""A smaller one is enlarged by a whole factor to at least this, so that edges have room."""

_MIN_CONTRAST = 0.05  # of the paper's brightness: fainter than the faintest pencil
_MIN_CLEARNESS = 4.5  # contrast in units of the paper's own unevenness; pure noise has about 2.7, or 3.5


@dataclass(frozen=True)
class Ink:
    """Where the ink is.

    Args:
        strength: 0 on paper to 1 in ink, grey on edges, (H, W), float32.
        mask: where it is above the threshold, (H, W).
        contrast: how much darker ink is than paper, as a part of the paper's brightness.
        left, top: the corner of the working copy in the picture.
        scale: pixels of the picture for one of the working copy.
    """

    strength: FloatArray
    mask: BoolArray
    contrast: float
    left: int
    top: int
    scale: float


def find_ink(picture: Image.Image, invert: Invert = "auto", nested: int = 0) -> Ink | None:
    """Separate ink from paper.

    Args:
        picture: "L" or "RGB".
        invert: "yes" for dark ink on light paper, "no" for bright on dark, "auto" to look.
        nested: how many sheets the picture has been cut out of already.

    Returns:
        The ink, or None where there is nothing but paper.
    """
    channel, dark, sheet = _look(picture, invert)
    if sheet is not None and nested < 2:  # a sheet on a table: look at the sheet alone
        found = find_ink(_cut_out(picture, sheet), invert, nested + 1)
        if found is not None:
            return replace(found, left=found.left + sheet.box[0], top=found.top + sheet.box[1])
    plane = picture if picture.mode == "L" else _plane(picture, channel)
    working, scale = _working_copy(plane)
    grey = np.asarray(working, np.float32)
    return _separate(_flatten(grey if dark else 255 - grey), scale)


@dataclass(frozen=True)
class _Sheet:
    """A sheet on a table: its box in pixels of the picture, and where in the box it is, on a small copy."""

    box: tuple[int, int, int, int]
    inside: BoolArray


def _cut_out(picture: Image.Image, sheet: _Sheet) -> Image.Image:
    """Return a sheet alone, the table around it painted over in the sheet's colour."""
    cut = picture.crop(sheet.box)
    height, width = sheet.inside.shape
    pixels = np.asarray(cut.resize((width, height), Image.Resampling.BOX))
    colour = np.median(pixels[sheet.inside], axis=0)
    table = Image.fromarray(~sheet.inside).convert("L").resize(cut.size, Image.Resampling.BILINEAR)
    table = table.point([0] + [255] * 255)
    cut.paste(int(colour) if colour.ndim == 0 else tuple(int(value) for value in colour), mask=table)
    return cut


def _plane(picture: Image.Image, plane: int) -> Image.Image:
    return picture.convert("L") if plane == 3 else picture.getchannel(plane)


def _working_copy(plane: Image.Image) -> tuple[Image.Image, float]:
    """Return the picture at a moderate size, and how many of its pixels are one of the copy."""
    longer = max(plane.size)
    if longer > LARGE:
        size = [max(1, round(side * LARGE / longer)) for side in plane.size]
        return plane.resize((size[0], size[1]), Image.Resampling.BOX), longer / LARGE
    if longer < SMALL:
        factor = -(-SMALL // longer)
        size = [side * factor for side in plane.size]
        return plane.resize((size[0], size[1]), Image.Resampling.BICUBIC), 1 / factor
    return plane, 1.0


def _look(picture: Image.Image, invert: Invert) -> tuple[int, bool, _Sheet | None]:
    """Decide on a small copy: which channel (3 is grey), whether ink is dark, and where a sheet on a table is.

    The paper is what the border shows, continued to the inside as a smooth surface; what differs from it in the
    inside is ink. The mean would not do: a thick digit or a shadow moves it.
    """
    longer = max(picture.size)
    size = [max(1, round(side * min(1, 256 / longer))) for side in picture.size]
    small = picture.resize((size[0], size[1]), Image.Resampling.BOX)
    stack = np.asarray(small, np.float32).reshape(size[1], size[0], -1)  # (H, W, C)
    if stack.shape[2] == 3:
        stack = np.concatenate([stack, np.asarray(small.convert("L"), np.float32)[..., None]], axis=2)
    deviations = [_deviation(stack[..., c]) for c in range(stack.shape[2])]
    spreads = [float(np.square(deviation).mean()) for deviation in deviations]
    spreads[-1] *= 1.5  # grey has the least noise: another channel must be clearly better
    best = int(np.argmax(spreads))
    deviation = deviations[best]
    noise = 4 * float(np.median(np.abs(deviation))) if size[0] * size[1] > 4 else 0.0
    strong = np.where(np.abs(deviation) > min(noise, 40), deviation, 0)
    dark = bool((np.sign(strong) * strong**2).sum() <= 0)
    sheet = (
        _find_sheet(deviation, longer / max(size)) if invert == "auto" or dark != (invert == "yes") else None
    )
    if invert != "auto":
        dark = invert == "yes"
    return best if stack.shape[2] > 1 else 3, dark, sheet


def _deviation(plane: FloatArray) -> FloatArray:
    """Return how much brighter than the paper each pixel is, (H, W)."""
    ring = np.ones(plane.shape, bool)
    depth = max(1, round(0.04 * min(plane.shape)))
    ring[depth:-depth, depth:-depth] = False
    deviation = plane - _paper_of_border(plane, ring)
    off = np.abs(deviation)
    contrast = float(np.quantile(off, 0.99))
    misfit = ring & (off > 0.15 * contrast)
    if misfit.sum() > 0.25 * ring.sum():
        across = np.abs(np.diff(plane, axis=0))[(misfit[1:] != misfit[:-1]) & ring[1:] & ring[:-1]]
        along = np.abs(np.diff(plane, axis=1))[(misfit[:, 1:] != misfit[:, :-1]) & ring[:, 1:] & ring[:, :-1]]
        jumps = np.concatenate([across, along])
        if jumps.size and jumps.mean() < 0.12 * contrast:
            return plane - _paper_of_medians(plane)  # nothing sharp: shadows fall over the border
    return deviation


def _paper_of_medians(plane: FloatArray) -> FloatArray:
    """Return the median of a wide window around each pixel, (H, W), on a still smaller copy."""
    height, width = plane.shape
    factor = min(1, 64 / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BOX))
    reach = max(1, round(0.15 * max(size)))
    padded = np.pad(small, reach, mode="reflect")  # not "edge", which would make much of a thin frame
    views = np.lib.stride_tricks.sliding_window_view(padded, (2 * reach + 1, 2 * reach + 1))
    medians = np.median(views, axis=(2, 3)).astype(np.float32)
    return np.asarray(Image.fromarray(medians).resize((width, height), Image.Resampling.BILINEAR))


def _paper_of_border(plane: FloatArray, ring: BoolArray) -> FloatArray:
    """Fit a quadratic surface to the border of a plane, leaving out what does not fit; return it (H, W)."""
    height, width = plane.shape
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)  # (H, W, 6)
    inputs, values = terms[ring], plane[ring].astype(np.float64)
    fits = np.abs(values - np.median(values)) <= 40
    for _ in range(4):
        if fits.sum() < 24:
            return np.full_like(plane, np.median(values))
        weights = np.linalg.lstsq(inputs[fits], values[fits], rcond=None)[0]
        misfit = np.abs(values - inputs @ weights)
        fits = misfit <= max(3 * 1.4826 * float(np.median(misfit[fits])), 2)
    surface: FloatArray = (terms @ weights).clip(plane.min(), plane.max()).astype(np.float32)
    return surface


def _find_sheet(deviation: FloatArray, scale: float) -> _Sheet | None:
    """Return the sheet that lies on a background, or None: one large piece that nearly fills its box."""
    away = np.abs(deviation)
    found = find_components(away > max(_otsu(away / 255) * 255, 20))
    if len(found) == 0:
        return None
    largest = int(found.areas.argmax())
    left, top, right, bottom = found.boxes[largest].tolist()
    area = (right - left) * (bottom - top)
    if found.areas[largest] < 0.7 * area or not 0.3 * deviation.size < area < deviation.size:
        return None
    piece = found.mask(np.arange(len(found)) == largest)[top:bottom, left:right]
    # from the first to the last pixel of each row and column, to have what is written in it; less its edge
    inside = np.pad(_spanned(piece) & _spanned(piece.T).T, 2)
    for _ in range(2):
        inner = inside[1:-1, 1:-1] & inside[:-2, 1:-1] & inside[2:, 1:-1]
        inside[1:-1, 1:-1] = inner & inside[1:-1, :-2] & inside[1:-1, 2:]
    inside = inside[2:-2, 2:-2]
    if not inside.any():
        return None
    box = int(left * scale), int(top * scale), int(right * scale), int(bottom * scale)
    return _Sheet(box, inside)


def _spanned(mask: BoolArray) -> BoolArray:
    """Return everything between the first and the last pixel of each row."""
    after: BoolArray = np.logical_or.accumulate(mask, axis=1)
    before: BoolArray = np.logical_or.accumulate(mask[:, ::-1], axis=1)[:, ::-1]
    return after & before


def _flatten(grey: FloatArray) -> FloatArray:
    """Return how much darker than the paper around it each pixel is: 1 − grey / paper, in 0..1, (H, W).

    The paper is a closing on a small copy: the minimum over windows of the maximum over windows, which fills
    every stroke that is narrower than the window and keeps shadows that are wider.
    """
    height, width = grey.shape
    factor = min(1, 96 / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BOX))
    window = max(3, round(0.4 * min(size))) | 1
    paper = _sliding(_sliding(small, window, np.max), window, np.min)
    paper = _smooth(paper)
    whole = np.asarray(Image.fromarray(paper).resize((width, height), Image.Resampling.BILINEAR))
    darker: FloatArray = (1 - grey / np.maximum(whole, 16)).clip(0, 1)
    return darker


def _sliding(plane: FloatArray, window: int, function: "np.ufunc | object") -> FloatArray:
    for axis in (0, 1):
        pad = [(0, 0), (0, 0)]
        pad[axis] = (window // 2, window // 2)
        views = np.lib.stride_tricks.sliding_window_view(np.pad(plane, pad, mode="edge"), window, axis=axis)
        plane = function(views, axis=-1)  # type: ignore[operator]
    return plane


def _smooth(plane: FloatArray) -> FloatArray:
    for axis in (0, 1):
        pad = [(0, 0), (0, 0)]
        pad[axis] = (2, 2)
        views = np.lib.stride_tricks.sliding_window_view(np.pad(plane, pad, mode="edge"), 5, axis=axis)
        plane = views.mean(axis=-1, dtype=np.float32)
    return plane


def _separate(darkness: FloatArray, scale: float) -> Ink | None:
    """Threshold, after as much blurring as the noise asks for."""
    best: tuple[float, FloatArray, float, float, float] | None = None
    for radius in (0, 1, 2, 4):
        blurred = _blur(darkness, radius)
        threshold = _otsu(blurred)
        ink = blurred > threshold
        if not ink.any() or ink.all():
            continue
        paper_level, ink_level = float(np.median(blurred[~ink])), float(blurred[ink].mean())
        uneven = 1.4826 * float(np.median(np.abs(blurred[~ink] - paper_level)))
        contrast = ink_level - paper_level
        clearness = contrast / max(uneven, 1e-3)
        if best is None or clearness > 1.3 * best[0]:
            best = clearness, blurred, threshold, paper_level, contrast
        if clearness > 10:
            break
    if best is None:
        return None
    clearness, blurred, threshold, paper_level, contrast = best
    if contrast < _MIN_CONTRAST or clearness < _MIN_CLEARNESS:
        return None
    strength = ((blurred - paper_level) / contrast - 0.25) * 2  # grey only in the steep part of an edge
    return Ink(strength.clip(0, 1), blurred > threshold, contrast, 0, 0, scale)


def _blur(plane: FloatArray, radius: int) -> FloatArray:
    if radius == 0:
        return plane
    picture = Image.fromarray((plane * 255 + 0.5).astype(np.uint8)).filter(ImageFilter.GaussianBlur(radius))
    return np.asarray(picture, np.float32) / 255


def _otsu(plane: FloatArray) -> float:
    """Return the threshold that separates values in 0..1 into the two classes with the most different means.

    Source: Otsu: A threshold selection method from gray-level histograms (1979).
    """
    counts = np.bincount((plane.ravel() * 255 + 0.5).astype(np.uint8), minlength=256).astype(np.float64)
    below = np.cumsum(counts)
    moment = np.cumsum(counts * np.arange(256))
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (moment / below - (moment[-1] - moment) / above) ** 2
    between[~np.isfinite(between)] = 0
    # where a gap separates the classes all of its places are equally good: take its middle
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))
    return (float(best.mean()) + 0.5) / 255
