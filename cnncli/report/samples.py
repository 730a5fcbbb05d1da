"""Draws a sheet of sample images of a data set, one row for each class."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cnncli.report.figures import (
    FAINT,
    escaped,
    label_inches,
    new_figure,
    place_axes,
    save_png,
    without_frame,
)
from cnncli.types import ByteArray, IntArray


def draw_samples(
    images: ByteArray,
    labels: IntArray,
    classes: Sequence[str],
    path: Path,
    *,
    rng: np.random.Generator,
    title: str = "",
    columns: int = 12,
) -> Path:
    """Draw random images of each class in a row, with the name of the class and its number of images.

    Args:
        images: (N, H, W) or (N, H, W, C), uint8.
        labels: (N,), classes from 0.
        classes: the K names.
        path: the PNG to write.
        rng: chooses the images.
        title: the name of the set.
        columns: images in a row; fewer when a class has fewer.

    Raises:
        StorageError: the file cannot be written.
    """
    height, width = images.shape[1:3]
    gap = max(height // 14, 1)
    tile_h, tile_w = height + gap, width + gap
    k = len(classes)
    sheet = np.full((k * tile_h - gap, columns * tile_w - gap, *images.shape[3:]), 255, np.uint8)
    counts = np.bincount(labels, minlength=k)
    for row in range(k):
        of_class = np.flatnonzero(labels == row)
        chosen = rng.permutation(of_class)[:columns]
        for column, index in enumerate(chosen):
            tile = images[index] if images.ndim == 4 else 255 - images[index]  # dark ink on white paper
            top, left = row * tile_h, column * tile_w
            sheet[top : top + height, left : left + width] = tile
    names = [escaped(name) for name in classes]
    left, wide, high = 0.3 + label_inches(names, 10), 0.62 * columns, 0.62 * k * tile_h / tile_w
    figure = new_figure(left + wide + 1.0, high + 0.2 + (0.4 if title else 0), title)
    (axes,) = place_axes(figure, left=left, right=1.0, top=0.1, bottom=0.1)
    axes.imshow(sheet, cmap="gray", vmin=0, vmax=255, interpolation="nearest", aspect="auto")
    middles = np.arange(k) * tile_h + height / 2 - 0.5
    axes.set_yticks(middles, names, fontsize=10)
    axes.set_xticks([])
    without_frame(axes)
    for middle, count in zip(middles, counts.tolist(), strict=True):
        axes.text(
            sheet.shape[1] + gap, middle, f"{count:,} images", va="center", ha="left", fontsize=9, color=FAINT
        )
    return save_png(figure, path)
