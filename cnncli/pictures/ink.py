"""Separates ink from paper in a picture of any color, size and lighting.

The steps, on a copy of moderate size: choose the channel with the most contrast, find out whether ink is dark or
bright (polarity), divide by the brightness of the paper, and apply a threshold.

Axis letters: H W the working copy, C color channels.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from PIL import Image, ImageFilter

from cnncli.pictures.components import Components, find_components
from cnncli.pictures.paper import darkness_of, deviations_from_paper, median_from_zero, polarity_of
from cnncli.pictures.sheet import Sheet, cut_out, find_sheet
from cnncli.pictures.threshold import otsu
from cnncli.types import BoolArray, FloatArray

Invert = Literal["auto", "yes", "no"]

LARGE = 1600
"""A picture with a longer side than this is shrunk to it, in pixels; one of a table with small cells is shrunk less."""

SMALL = 240
"""A picture with a shorter longer side than this is enlarged by a whole factor, to resolve its edges."""

_SAMPLE = 4_000_000  # of more pixels only every second one per row and column is looked at, for medians

_WINDOWS = (0.4, 0.2, 0.1)  # of the shorter side: windows in which the brightest pixel is paper
_SHADOW = 0.03  # of the ink: a shadow has more
_STEEP = 0.6  # of the contrast: the brightness at the edge of a stroke changes by more
_KEPT = 0.6  # of the ink of a wider window is ink in a narrower one, too
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
        found = find_ink(cut_out(picture, sheet), invert, longest, nested + 1)
        if found is not None:
            return replace(found, left=found.left + sheet.box[0], top=found.top + sheet.box[1])
    plane = picture if picture.mode == "L" else _plane(picture, channel)
    working, scale = _working_copy(plane, longest)
    grey = np.asarray(working, np.float32)
    return _separate_from_shadows(grey if dark else 255 - grey, scale)


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


def _look(picture: Image.Image, invert: Invert) -> tuple[int, bool, Sheet | None]:
    """Choose the channel (3 is gray) and the polarity (is ink dark?) on a small copy, and find a sheet on a table.

    Pixels that differ from the paper are ink. If the border is uneven, two estimates of the paper decide on the
    polarity together. The mean brightness would not work, because thick digits and shadows change it.
    """
    longer = max(picture.size)
    size = [max(1, round(side * min(1, 256 / longer))) for side in picture.size]
    small = picture.resize((size[0], size[1]), Image.Resampling.BOX)
    stack = np.asarray(small, np.float32).reshape(size[1], size[0], -1)  # (H, W, C)
    if stack.shape[2] == 3:
        stack = np.concatenate([stack, np.asarray(small.convert("L"), np.float32)[..., None]], axis=2)
    deviations = [deviations_from_paper(stack[..., c]) for c in range(stack.shape[2])]
    spreads = [float(np.square(deviation).mean()) for deviation, _ in deviations]
    spreads[-1] *= 1.5  # gray has the least noise, so a color channel must be clearly better
    best = int(np.argmax(spreads))
    deviation, other = deviations[best]
    balance = polarity_of(deviation)
    if other is not None:
        balance += polarity_of(other)
    dark = balance <= 0
    sheet = (
        find_sheet(deviation, longer / max(size)) if invert == "auto" or dark != (invert == "yes") else None
    )
    if invert != "auto":
        dark = invert == "yes"
    return best if stack.shape[2] > 1 else 3, dark, sheet


def _separate_from_shadows(grey: FloatArray, scale: float) -> Ink | None:
    """Separate ink from paper, with a smaller window for the brightness of the paper as long as there are shadows.

    The edges of ink are steep, those of shadows are not.
    """
    chosen: Ink | None = None
    strokes: BoolArray | None = None
    for share in _WINDOWS:
        ink = _separate(darkness_of(grey, share), scale)
        if ink is None:
            break
        # a window that is narrower than a stroke takes the middle of the stroke for paper
        if strokes is not None and (strokes & ink.mask).sum() < _KEPT * strokes.sum():
            break
        pieces, shadows, others = _find_shadows(ink)
        if not shadows.any():
            return ink
        chosen, strokes = replace(ink, mask=ink.mask & ~pieces.mask(shadows)), pieces.mask(others)
    return chosen if chosen is not None and chosen.mask.any() else None


def _find_shadows(ink: Ink) -> tuple[Components, BoolArray, BoolArray]:
    """Return the pieces of the ink, which of them are shadows, and which other ones are large, (K,) each.

    A shadow touches the border of the picture, and its edges are soft.
    """
    pieces = find_components(ink.mask)
    height, width = ink.mask.shape
    reach = round(max(2, 0.006 * max(height, width), 1.5 / ink.scale))
    around = np.arange(-reach, reach + 1)
    soft = np.zeros(len(pieces), bool)
    left, top, right, bottom = pieces.boxes.T
    outer = (left == 0) | (top == 0) | (right == width) | (bottom == height)
    large = pieces.areas > _SHADOW * pieces.areas.sum()
    for piece in np.flatnonzero(large & outer):
        runs = np.flatnonzero(pieces.labels == piece)
        runs = runs[:: -(-len(runs) // 100)]
        columns = np.stack([pieces.starts[runs], pieces.ends[runs] - 1], axis=1).ravel()
        rows = np.repeat(pieces.rows[runs], 2)
        edge = (columns > 0) & (columns < width - 1)
        if not edge.any():
            continue
        rows = (rows[edge, None, None] + around[:, None]).clip(0, height - 1)
        columns = (columns[edge, None, None] + around).clip(0, width - 1)
        darkness, inside = ink.darkness[rows, columns], ink.mask[rows, columns]  # (N, windows)
        step = np.quantile(darkness[inside], 0.8) - np.quantile(darkness[~inside], 0.2)
        soft[piece] = step < _STEEP
    return pieces, soft, large & ~soft


def _separate(darkness: FloatArray, scale: float) -> Ink | None:
    """Apply a threshold after the blur that separates ink from noise best."""
    best: tuple[float, FloatArray, float, float, float] | None = None
    step = 1 + darkness.size // _SAMPLE
    for radius in (0, 1, 2, 4):
        blurred = _blur(darkness, radius)
        threshold = otsu(blurred)
        ink = blurred > threshold
        if not ink.any() or ink.all():
            continue
        some = blurred[::step, ::step]
        paper = some[some <= threshold]
        paper_level, ink_level = median_from_zero(paper), float(blurred[ink].mean())
        uneven = 1.4826 * median_from_zero(np.abs(paper - paper_level))
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
