"""Draws a confusion matrix in which a few mistakes are visible next to many right predictions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cnncli.report.figures import (
    INK,
    WRONG,
    add_axes,
    escaped,
    label_inches,
    new_figure,
    own_style,
    percent,
    shortened,
    text_inches,
    without_frame,
)
from cnncli.types import FloatArray, IntArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STEPS = (0.001, 0.003, 0.01, 0.03, 0.1)
"""Where one red ends and the next begins, as a share of the true class: the same in every picture."""

_DEPTHS = np.array([0.0, 0.1, 0.22, 0.38, 0.56, 0.78, 1.0])
"""How much of the full red: without mistakes, up to each step, and above the last one."""

_RED = np.array([0.753, 0.224, 0.169])
_GRAY = 0.9
_MOST_WITH_NUMBERS = 30
"""With more classes than this, the numbers in the cells would be too small to read."""

_NAME = 2.2
"""Inches of the longest name; a longer one is shortened."""


@own_style()
def draw_confusion(
    confusion: IntArray, classes: Sequence[str], *, title: str = "", subtitle: str = ""
) -> "Figure":
    """Return a figure of the matrix: mistakes in red by their share of the true class, right predictions in gray.

    The scale of the red is fixed, so that the pictures of two runs can be compared. The recall of each class is at
    the right edge. A class of which no image is right has a red frame on the diagonal.

    Args:
        confusion: (K, K), a row for each true class, a column for each predicted one.
        classes: the K names.
        title: the run and the images.
        subtitle: more about them.
    """
    k = len(classes)
    side = min(max(4.0, 0.46 * min(k, 20) + 0.12 * max(k - 20, 0)), 24.0)
    cell = side / k
    points = min(9.0 if k <= 12 else 6.0, 0.8 * 72 * cell)
    every = 1 if points >= 3 else int(np.ceil(5 / (72 * cell)))  # name only each so-manieth class of many
    points = max(points, 3.0)
    names = [shortened(name, points, _NAME) for name in classes]
    label = label_inches(names, points)
    turned = label > 0.85 * cell
    left, below, right = (
        0.5 + label,
        0.35 + (label if turned else 0.2),
        0.35 + text_inches("100.00 %", points),
    )
    figure = new_figure(left + side + right, 0.75 + below + side + 0.3, title, subtitle)
    axes = add_axes(figure, left, 0.75 + below, side, side)
    share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    axes.imshow(_shades(share), aspect="auto", interpolation="nearest")
    if k <= 100:
        axes.set_xticks(np.arange(k + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(k + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=1.0 if k <= 30 else 0.5)
    positions = range(0, k, every)
    shown = [escaped(names[position]) for position in positions]
    axes.set_xticks(positions, shown, rotation=90 if turned else 0, fontsize=points)
    axes.set_yticks(positions, shown, fontsize=points)
    axes.set_xlabel("predicted class", color=INK)
    axes.set_ylabel("true class", color=INK)
    without_frame(axes)
    _write_recall(axes, confusion, positions, points)
    if k <= _MOST_WITH_NUMBERS:
        _write_numbers(axes, confusion, share, cell, points)
    _draw_scale(figure, left)
    return figure


def _depth(share: FloatArray) -> FloatArray:
    """Return how much of the full red a share of the true class gets."""
    steps = np.where(share > 0, np.searchsorted(STEPS, share, side="left") + 1, 0)
    depth: FloatArray = _DEPTHS[steps]
    return depth


def _shades(share: FloatArray) -> FloatArray:
    """Return the colors of the cells, (K, K, 3): from white to red, and gray on the diagonal."""
    colors: FloatArray = 1 - _depth(share)[..., None] * (1 - _RED)
    diagonal = np.eye(len(share), dtype=bool)
    colors[diagonal] = np.where(share[diagonal] > 0, _GRAY, 1.0)[:, None]
    return colors


def _write_recall(axes: "Axes", confusion: IntArray, positions: range, points: float) -> None:
    """Write the share of each class that is right beside its row, and frame the classes where it is 0."""
    from matplotlib.patches import Rectangle

    k = len(confusion)
    beside = axes.get_yaxis_transform()
    counts = confusion.sum(axis=1)
    for row in positions:
        recall = percent(confusion[row, row] / counts[row]) if counts[row] else "-"
        axes.text(1, row, f"  {recall}", transform=beside, va="center", fontsize=points, color=INK)
    axes.text(1, -0.5, "  recall", transform=beside, va="bottom", fontsize=max(points, 7), color=INK)
    for row in np.flatnonzero((np.diagonal(confusion) == 0) & (counts > 0)).tolist():
        at = (row - 0.5 + 0.06, row - 0.5 + 0.06)
        width = 1.5 if k <= _MOST_WITH_NUMBERS else 0.7
        axes.add_patch(Rectangle(at, 0.88, 0.88, fill=False, edgecolor=WRONG, linewidth=width))


def _write_numbers(axes: "Axes", confusion: IntArray, share: FloatArray, cell: float, points: float) -> None:
    """Write the counts into the cells, also a 0 on the diagonal."""
    widest = text_inches(f"{confusion.max():,}", points)
    points = min(points, points * 0.8 * cell / widest)
    depth = _depth(share)
    for row, column in np.argwhere((confusion > 0) | np.eye(len(confusion), dtype=bool)).tolist():
        right = row == column
        white = not right and depth[row, column] > 0.7
        axes.text(
            column,
            row,
            f"{confusion[row, column]:,}",
            ha="center",
            va="center",
            fontsize=points,
            color="white" if white else INK,
            fontweight="bold" if right else "normal",
        )


def _draw_scale(figure: "Figure", left: float) -> None:
    """Draw the reds with the share of the true class at each step."""
    axes = add_axes(figure, left, 0.42, 3.0, 0.14)
    axes.imshow((1 - _DEPTHS[None, 1:, None] * (1 - _RED)), aspect="auto", interpolation="nearest")
    axes.set_xticks(np.arange(len(STEPS)) + 0.5, [f"{100 * step:g} %" for step in STEPS], fontsize=7)
    axes.set_yticks([])
    without_frame(axes)
    axes.tick_params(pad=1)
    axes.set_title("mistakes as a share of the true class", fontsize=7, color=INK, loc="left", pad=3)
