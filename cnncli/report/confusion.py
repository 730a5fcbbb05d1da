"""Draws a confusion matrix in which a few mistakes are visible next to many right answers."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cnncli.report.figures import INK, escaped, label_inches, new_figure, place_axes, save_png, without_frame
from cnncli.types import ByteArray, FloatArray, IntArray

_RED = (0.753, 0.224, 0.169)
_MOST_WITH_NUMBERS = 30
"""With more classes than this, the numbers in the cells would be too small to read."""


def draw_confusion(confusion: IntArray, classes: Sequence[str], path: Path, *, title: str = "") -> Path:
    """Draw the matrix, mistakes in red by their share of the true class, right answers in gray.

    Args:
        confusion: (K, K), a row for each true class, a column for each predicted one.
        classes: the K names.
        path: the PNG to write.
        title: the run and the images.

    Raises:
        StorageError: the file cannot be written.
    """
    k = len(classes)
    share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    mistakes = share * (1 - np.eye(k))
    worst = float(mistakes.max())
    names = [escaped(name) for name in classes]
    points = 9.0 if k <= 12 else 6.0
    label = label_inches(names, points)
    turned = label > 0.4
    side = max(4.0, 0.46 * min(k, 20) + 0.12 * max(k - 20, 0))
    left, bottom = 0.55 + label, 0.35 + (label if turned else 0.2)
    figure = new_figure(side + left + 0.2, side + bottom + 0.2 + (0.4 if title else 0), title)
    (axes,) = place_axes(figure, left=left, right=0.2, top=0.2, bottom=bottom)
    axes.imshow(
        _shade(mistakes, worst), extent=(-0.5, k - 0.5, k - 0.5, -0.5), aspect="auto", interpolation="nearest"
    )
    if k <= _MOST_WITH_NUMBERS:
        for row, column in np.argwhere(confusion).tolist():
            axes.text(
                column,
                row,
                str(confusion[row, column]),
                ha="center",
                va="center",
                fontsize=points,
                color="white" if mistakes[row, column] > 0.6 * worst else INK,
                fontweight="bold" if row == column else "normal",
            )
    axes.set_xticks(range(k), names, rotation=90 if turned else 0, fontsize=points)
    axes.set_yticks(range(k), names, fontsize=points)
    note = f"    (darkest red: {worst:.2%} of the true class)" if worst else ""
    axes.set_xlabel(f"predicted class{note}", color=INK)
    axes.set_ylabel("true class", color=INK)
    without_frame(axes)
    return save_png(figure, path)


def _shade(mistakes: FloatArray, worst: float) -> ByteArray:
    """Return the cells as an RGB picture, (K * cell, K * cell, 3), where a cell is that many pixels wide."""
    k = len(mistakes)
    depth = mistakes / worst if worst else mistakes
    colours = 1 - depth[..., None] * (1 - np.array(_RED))  # (K, K, 3), from white to red
    colours[np.eye(k, dtype=bool)] = 0.9
    cell = 24 if k <= 20 else 8  # pixels; the last one is a white border
    cells: ByteArray = np.rint(255 * colours).astype(np.uint8).repeat(cell, axis=0).repeat(cell, axis=1)
    cells[cell - 1 :: cell] = 255
    cells[:, cell - 1 :: cell] = 255
    return cells
