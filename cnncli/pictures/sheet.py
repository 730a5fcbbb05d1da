"""Finds a sheet of paper that lies on a table, and crops a picture to it."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from cnncli.pictures.components import find_components
from cnncli.pictures.paper import enlarge
from cnncli.pictures.threshold import otsu
from cnncli.types import BoolArray, FloatArray


@dataclass(frozen=True)
class Sheet:
    """A sheet of paper on a table.

    Args:
        box: left, top, right and bottom in pixels of the picture.
        inside: the pixels of the sheet in a small copy of the box.
    """

    box: tuple[int, int, int, int]
    inside: BoolArray


def find_sheet(deviation: FloatArray, scale: float) -> Sheet | None:
    """Return a sheet on a background, or None; a sheet is one large component that nearly fills its box."""
    away = np.abs(deviation)
    found = find_components(away > max(otsu(away / 255) * 255, 20))
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
    return Sheet(box, inside)


def cut_out(picture: Image.Image, sheet: Sheet) -> Image.Image:
    """Crop the picture to a sheet, and paint the rest of the table as the sheet nearby."""
    cut = picture.crop(sheet.box)
    height, width = sheet.inside.shape
    pixels = np.asarray(cut.resize((width, height), Image.Resampling.BOX), np.float32)
    painted = _spread(pixels.reshape(height, width, -1), sheet.inside.astype(np.float32))
    filling = Image.fromarray(np.rint(painted).astype(np.uint8).reshape(pixels.shape))
    table = Image.fromarray(~sheet.inside).convert("L").resize(cut.size, Image.Resampling.BILINEAR)
    table = table.point([0] + [255] * 255)
    cut.paste(filling.resize(cut.size, Image.Resampling.BILINEAR), mask=table)
    return cut


def _spread(pixels: FloatArray, weight: FloatArray) -> FloatArray:
    """Fill the pixels without weight from those nearby, smoothly; pixels is (H, W, C), weight is (H, W)."""
    height, width = weight.shape
    if min(height, width) < 2 or weight.all():
        return pixels
    half = (-(-width // 2), -(-height // 2))

    def shrunk(plane: FloatArray) -> FloatArray:
        return np.asarray(Image.fromarray(plane).resize(half, Image.Resampling.BOX))

    coarse = shrunk(weight)
    sums = np.stack([shrunk(pixels[..., c] * weight) for c in range(pixels.shape[2])], axis=2)
    known = (coarse > 0)[..., None]
    means = np.divide(sums, coarse[..., None], out=np.zeros_like(sums), where=known)
    filled = _spread(means, (coarse > 0).astype(np.float32))
    large = np.stack([enlarge(filled[..., c], weight.shape) for c in range(pixels.shape[2])], axis=2)
    return np.where(weight[..., None] > 0, pixels, large)


def _spanned(mask: BoolArray) -> BoolArray:
    """Return everything between the first and the last pixel of each row."""
    after: BoolArray = np.logical_or.accumulate(mask, axis=1)
    before: BoolArray = np.logical_or.accumulate(mask[:, ::-1], axis=1)[:, ::-1]
    return after & before
