"""Separates ink from paper in a picture of any color, size and lighting.

The steps, on a copy of moderate size: choose the channel with the most contrast, find out whether ink is dark or
bright (polarity), divide by the brightness of the paper, and apply a threshold.

Axis letters: H W the working copy, C color channels.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from PIL import Image, ImageFilter

from cnncli.pictures.components import find_components
from cnncli.types import BoolArray, FloatArray

Invert = Literal["auto", "yes", "no"]

LARGE = 1600
"""A picture with a longer side than this is shrunk to it, in pixels; one of a table with small cells is shrunk less."""

SMALL = 240
"""A picture with a shorter longer side than this is enlarged by a whole factor, to resolve its edges."""

_SAMPLE = 4_000_000  # of more pixels only every second one per row and column is looked at, for medians

_MIN_CONTRAST = 0.05  # relative to the brightness of the paper; the faintest pencil has more
_FAINT = 0.5  # of the darkness of the ink: fainter ink is none
_NOISE = 4.5  # deviations within the paper: what is less dark is noise
_MIN_CONTRAST_TO_NOISE = 4.5  # contrast divided by the deviation within the paper; pure noise has 2.7 to 3.5


@dataclass(frozen=True)
class Ink:
    """The ink in the working copy of a picture.

    Args:
        darkness: 0 for paper to 1 for the mean of the ink, (H, W), float32; more and less for other ink and noise.
        mask: true above the threshold, (H, W).
        contrast: how much darker the ink is than the paper, relative to the brightness of the paper.
        noise: the darkness up to which a pixel may be paper.
        left, top: the top left corner of the working copy in the picture, in pixels of the picture.
        scale: the size of a pixel of the working copy in pixels of the picture.
    """

    darkness: FloatArray
    mask: BoolArray
    contrast: float
    noise: float
    left: int
    top: int
    scale: float

    def strength(self, box: tuple[int, int, int, int]) -> FloatArray:
        """Return 0 for paper to 1 for ink in a box, (h, w); below 1 only in the steep part of an edge."""
        left, top, right, bottom = box
        strength: FloatArray = ((self.darkness[top:bottom, left:right] - 0.25) * 2).clip(0, 1)
        return strength


def find_ink(
    picture: Image.Image, invert: Invert = "auto", longest: int = LARGE, nested: int = 0
) -> Ink | None:
    """Separate ink from paper.

    Args:
        picture: a picture of mode "L" or "RGB".
        invert: "yes" for dark ink on light paper, "no" for bright ink on dark paper, "auto" to find out.
        longest: a picture with a longer side than this is shrunk to it, in pixels.
        nested: how many times the picture has been cropped to a sheet already.

    Returns:
        The ink, or None if there is only paper.
    """
    channel, dark, sheet = _look(picture, invert)
    if sheet is not None and nested < 2:  # a sheet on a table: crop to the sheet
        found = find_ink(_cut_out(picture, sheet), invert, longest, nested + 1)
        if found is not None:
            return replace(found, left=found.left + sheet.box[0], top=found.top + sheet.box[1])
    plane = picture if picture.mode == "L" else _plane(picture, channel)
    working, scale = _working_copy(plane, longest)
    grey = np.asarray(working, np.float32)
    return _separate(_flatten(grey if dark else 255 - grey), scale)


@dataclass(frozen=True)
class _Sheet:
    """A sheet of paper on a table.

    Args:
        box: left, top, right and bottom in pixels of the picture.
        inside: the pixels of the sheet in a small copy of the box.
    """

    box: tuple[int, int, int, int]
    inside: BoolArray


def _cut_out(picture: Image.Image, sheet: _Sheet) -> Image.Image:
    """Crop the picture to a sheet and paint the rest of the table in the color of the sheet."""
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


def _working_copy(plane: Image.Image, longest: int) -> tuple[Image.Image, float]:
    """Return a copy of moderate size, and the size of its pixels in pixels of the picture."""
    longer = max(plane.size)
    if longer > longest:
        size = [max(1, round(side * longest / longer)) for side in plane.size]
        # BOX would leave out whole columns at many sizes
        return plane.resize((size[0], size[1]), Image.Resampling.HAMMING), longer / longest
    if longer < SMALL:
        factor = -(-SMALL // longer)
        size = [side * factor for side in plane.size]
        return plane.resize((size[0], size[1]), Image.Resampling.BICUBIC), 1 / factor
    return plane, 1.0


def _look(picture: Image.Image, invert: Invert) -> tuple[int, bool, _Sheet | None]:
    """Choose the channel (3 is gray) and the polarity (is ink dark?) on a small copy, and find a sheet on a table.

    The brightness of the paper is that of the border, extrapolated to the inside as a smooth surface. Pixels that
    differ from it are ink. The mean brightness would not work, because thick digits and shadows change it.
    """
    longer = max(picture.size)
    size = [max(1, round(side * min(1, 256 / longer))) for side in picture.size]
    small = picture.resize((size[0], size[1]), Image.Resampling.BOX)
    stack = np.asarray(small, np.float32).reshape(size[1], size[0], -1)  # (H, W, C)
    if stack.shape[2] == 3:
        stack = np.concatenate([stack, np.asarray(small.convert("L"), np.float32)[..., None]], axis=2)
    deviations = [_deviation(stack[..., c]) for c in range(stack.shape[2])]
    spreads = [float(np.square(deviation).mean()) for deviation in deviations]
    spreads[-1] *= 1.5  # gray has the least noise, so a color channel must be clearly better
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
    """Return how much brighter each pixel is than the paper, (H, W)."""
    ring = np.ones(plane.shape, bool)
    depth = max(1, round(0.04 * min(plane.shape)))
    ring[depth:-depth, depth:-depth] = False
    deviation = plane - _paper_of_border(plane, ring)
    off = np.abs(deviation)
    contrast = float(np.quantile(off, 0.99))
    outlying = ring & (off > 0.15 * contrast)
    if outlying.sum() > 0.25 * ring.sum():
        across = np.abs(np.diff(plane, axis=0))[(outlying[1:] != outlying[:-1]) & ring[1:] & ring[:-1]]
        along = np.abs(np.diff(plane, axis=1))[
            (outlying[:, 1:] != outlying[:, :-1]) & ring[:, 1:] & ring[:, :-1]
        ]
        jumps = np.concatenate([across, along])
        if jumps.size and jumps.mean() < 0.12 * contrast:
            return plane - _paper_of_medians(plane)  # no sharp edges: there are shadows on the border
    return deviation


def _paper_of_medians(plane: FloatArray) -> FloatArray:
    """Return the median in a wide window around each pixel, computed on a smaller copy, (H, W)."""
    small = _shrink(plane, 64)
    reach = max(1, round(0.15 * max(small.shape)))
    padded = np.pad(small, reach, mode="reflect")  # "edge" would widen a thin frame
    views = np.lib.stride_tricks.sliding_window_view(padded, (2 * reach + 1, 2 * reach + 1))
    return _enlarge(np.median(views, axis=(2, 3)).astype(np.float32), plane.shape)


def _paper_of_border(plane: FloatArray, ring: BoolArray) -> FloatArray:
    """Fit a quadratic surface to the border of a plane without its outliers; return the surface (H, W)."""
    height, width = plane.shape
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)  # (H, W, 6)
    inputs, values = terms[ring], plane[ring].astype(np.float64)
    fits = np.abs(values - np.median(values)) <= 40
    for _ in range(4):
        if fits.sum() < 24:
            return np.full_like(plane, np.median(values))
        weights = np.linalg.lstsq(inputs[fits], values[fits], rcond=None)[0]
        residual = np.abs(values - inputs @ weights)
        fits = residual <= max(3 * 1.4826 * float(np.median(residual[fits])), 2)
    surface: FloatArray = (terms @ weights).clip(plane.min(), plane.max()).astype(np.float32)
    return surface


def _find_sheet(deviation: FloatArray, scale: float) -> _Sheet | None:
    """Return a sheet on a background, or None; a sheet is one large component that nearly fills its box."""
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
    # everything between the first and last pixel of each row and column, to include the writing; without the edge
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
    """Return how much darker each pixel is than the paper around it: 1 − grey / paper, in 0..1, (H, W).

    The brightness of the paper comes from a morphological closing of a small copy: a maximum over windows, then a
    minimum. It fills strokes that are narrower than the window and keeps shadows that are wider.
    """
    small = _shrink(grey, 96)
    window = max(3, round(0.4 * min(small.shape))) | 1
    closed = _sliding(_sliding(small, window, np.max), window, np.min)
    paper = _enlarge(_sliding(closed, 5, np.mean).clip(16), grey.shape)
    darker = np.divide(grey, paper)  # large arrays: one at a time
    del paper
    np.subtract(1, darker, out=darker)
    return np.clip(darker, 0, 1, out=darker)


def _shrink(plane: FloatArray, longest: int) -> FloatArray:
    """Shrink a plane so that its longer side is at most `longest` pixels."""
    height, width = plane.shape
    factor = min(1, longest / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BOX))


def _enlarge(plane: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """Enlarge a plane to (height, width)."""
    height, width = shape
    return np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BILINEAR))


def _sliding(plane: FloatArray, window: int, function: Callable[..., FloatArray]) -> FloatArray:
    """Apply a function to a window around each pixel, first along columns, then along rows."""
    for axis in (0, 1):
        pad = [(0, 0), (0, 0)]
        pad[axis] = (window // 2, window // 2)
        views = np.lib.stride_tricks.sliding_window_view(np.pad(plane, pad, mode="edge"), window, axis=axis)
        plane = function(views, axis=-1)
    return plane


def _separate(darkness: FloatArray, scale: float) -> Ink | None:
    """Apply a threshold after the blur that separates ink from noise best."""
    best: tuple[float, FloatArray, float, float, float] | None = None
    step = 1 + darkness.size // _SAMPLE
    for radius in (0, 1, 2, 4):
        blurred = _blur(darkness, radius)
        threshold = _otsu(blurred)
        ink = blurred > threshold
        if not ink.any() or ink.all():
            continue
        some = blurred[::step, ::step]
        paper = some[some <= threshold]
        paper_level, ink_level = float(np.median(paper)), float(blurred[ink].mean())
        uneven = 1.4826 * float(np.median(np.abs(paper - paper_level)))
        contrast = ink_level - paper_level
        contrast_to_noise = contrast / max(uneven, 1e-3)
        if best is None or contrast_to_noise > 1.3 * best[0]:
            best = contrast_to_noise, blurred, threshold, paper_level, contrast
        if contrast_to_noise > 10:
            break
    if best is None:
        return None
    contrast_to_noise, blurred, threshold, paper_level, contrast = best
    if contrast < _MIN_CONTRAST or contrast_to_noise < _MIN_CONTRAST_TO_NOISE:
        return None
    darkness = (blurred - paper_level) / contrast
    noise = _NOISE / contrast_to_noise
    return Ink(darkness, darkness > min(max(noise, _FAINT), 0.5), contrast, noise, 0, 0, scale)


def _blur(plane: FloatArray, radius: int) -> FloatArray:
    if radius == 0:
        return plane
    picture = Image.fromarray((plane * 255 + 0.5).astype(np.uint8)).filter(ImageFilter.GaussianBlur(radius))
    return np.asarray(picture, np.float32) / 255


def _otsu(plane: FloatArray) -> float:
    """Return the threshold that splits values in 0..1 into the two classes with the largest between-class variance.

    Source: Otsu: A threshold selection method from gray-level histograms (1979).
    """
    counts = np.bincount((plane.ravel() * 255 + 0.5).astype(np.uint8), minlength=256).astype(np.float64)
    below = np.cumsum(counts)
    moment = np.cumsum(counts * np.arange(256))
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (moment / below - (moment[-1] - moment) / above) ** 2
    between[~np.isfinite(between)] = 0
    # if there is a gap between the classes, all thresholds in it are equally good: take the middle
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))
    return (float(best.mean()) + 0.5) / 255
