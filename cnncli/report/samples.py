"""Draws a sheet of sample images of a data set, one row for each class."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cnncli.report.figures import (
    INK,
    add_axes,
    escaped,
    label_inches,
    new_figure,
    own_style,
    shortened,
    without_frame,
)
from cnncli.types import ByteArray, IntArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NAME = 2.4  # inches of the longest name; a longer one is shortened


@own_style()
def draw_samples(
    images: ByteArray,
    labels: IntArray,
    classes: Sequence[str],
    *,
    rng: np.random.Generator,
    title: str = "",
    count_title: str = "images in training",
    columns: int = 12,
) -> "Figure":
    """Return a figure with random images of each class in a row, with the class's name and its number of images.

    Args:
        images: (N, H, W) or (N, H, W, C), uint8; shown as they are.
        labels: (N,), classes from 0.
        classes: the K names.
        rng: chooses the images.
        title: the name of the set.
        count_title: the heading of the numbers of images.
        columns: images in a row; fewer when no class has as many.
    """
    height, width = images.shape[1:3]
    gap = max(height // 14, 1)
    tile_h, tile_w = height + gap, width + gap
    k = len(classes)
    counts = np.bincount(labels, minlength=k)
    columns = max(min(columns, int(counts.max())), 1)
    sheet = np.full((k * tile_h - gap, columns * tile_w - gap, *images.shape[3:]), 255, np.uint8)
    for row in range(k):
        of_class = np.flatnonzero(labels == row)
        chosen = rng.permutation(of_class)[:columns]
        for column, index in enumerate(chosen):
            top, left = row * tile_h, column * tile_w
            sheet[top : top + height, left : left + width] = images[index]
    tile = min(
        max(60 / k, 0.3), 0.62
    )  # inches; a thousand rows stay below the largest figure that can be drawn
    points = 10.0 if tile > 0.4 else 7.0
    names = [shortened(name, points, _NAME) for name in classes]
    left_margin, right_margin = 0.3 + label_inches(names, points), 0.4 + label_inches([count_title], 9)
    sheet_w, sheet_h = tile * columns, tile * k * tile_h / tile_w
    figure = new_figure(
        left_margin + max(sheet_w, 2.0) + right_margin,
        sheet_h + 0.5,
        title,
        f"{images.shape[2]}x{images.shape[1]} pixels, shown as they are",
    )
    axes = add_axes(figure, left_margin, 0.15, sheet_w, sheet_h)
    axes.imshow(sheet, cmap="gray", vmin=0, vmax=255, interpolation="nearest", aspect="auto")
    middles = np.arange(k) * tile_h + height / 2 - 0.5
    axes.set_yticks(middles, [escaped(name) for name in names], fontsize=points)
    axes.set_xticks([])
    without_frame(axes)
    beside = sheet.shape[1] - 0.5 + 0.15 / tile * tile_w
    for middle, count in zip(middles, counts.tolist(), strict=True):
        axes.text(beside, middle, f"{count:,}", va="center", ha="left", fontsize=min(points, 9), color=INK)
    axes.text(beside, -0.5 - 0.08 / tile * tile_w, count_title, va="bottom", ha="left", fontsize=9, color=INK)
    return figure
