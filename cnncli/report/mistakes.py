"""Draws the most confident mistakes of a network: they show its weaknesses, and wrong labels in the data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cnncli.report.figures import (
    FAINT,
    INK,
    RIGHT,
    WRONG,
    add_axes,
    escaped,
    joined,
    label_inches,
    new_figure,
    own_style,
    percent,
    shortened,
)
from cnncli.types import ByteArray, FloatArray, IntArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEGEND = "In brackets: the probability of that class. {place} The images are shown as they are."

_WIDTH = 10.4  # inches of a full row
_IMAGE = 1.2  # inches of the longer side
_POINTS = 9.0
_SMALL_POINTS = 7.0
_LINE = 0.165  # inches from one line of a caption to the next


@dataclass(frozen=True)
class Mistake:
    """One wrong prediction.

    Attributes:
        index: the position of the image in the set.
        label: the true class.
        predicted: the predicted class.
        confidence: the probability of the predicted class.
        label_probability: the probability of the true class.
    """

    index: int
    label: int
    predicted: int
    confidence: float
    label_probability: float


def find_mistakes(probabilities: FloatArray, labels: IntArray, count: int = 24) -> list[Mistake]:
    """Return the wrong predictions with the highest confidence, the most confident first.

    Args:
        probabilities: (N, K).
        labels: (N,), the true classes.
        count: how many at most.

    Example:
        >>> find_mistakes(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([1, 1]))[0].confidence
        0.9
    """
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    most_confident = wrong[np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")][:count]
    return [
        Mistake(
            index=int(i),
            label=int(labels[i]),
            predicted=int(predicted[i]),
            confidence=float(probabilities[i, predicted[i]]),
            label_probability=float(probabilities[i, labels[i]]),
        )
        for i in most_confident
    ]


@own_style()
def draw_mistakes(
    mistakes: Sequence[Mistake],
    images: ByteArray,
    classes: Sequence[str],
    *,
    files: Sequence[str] = (),
    title: str = "",
) -> "Figure":
    """Return a gallery: above each image what it was taken for, below it what it is, and its file or position.

    Args:
        mistakes: from `find_mistakes`; may be empty, and then the picture says so.
        images: (N, H, W) or (N, H, W, C), uint8, the set that the indices refer to; shown as they are.
        classes: the K names.
        files: the name of the file of each image; without any, its position in the set is shown.
        title: the run and the images.
    """
    from matplotlib.patches import Rectangle

    if not mistakes:
        figure = new_figure(6.0, 0.8, title)
        figure.text(0.5, 0.3, "no mistakes", ha="center", va="center", fontsize=14, color=INK)
        return figure
    pieces = [
        (
            ["taken for", classes[each.predicted], f"({percent(each.confidence, 1)})"],
            ["is", classes[each.label], f"({percent(each.label_probability, 1)})"],
        )
        for each in mistakes
    ]
    # A tile is as wide as the longest caption, within bounds; longer captions are wrapped, longer names shortened.
    longest = label_inches([" ".join(caption) for both in pieces for caption in both], _POINTS)
    tile_w = min(max(longest, _IMAGE) + 0.25, 2.5)
    columns = max(min(int(_WIDTH / tile_w), len(mistakes)), 1)
    rows = -(-len(mistakes) // columns)
    captions = [tuple(_lines(caption, tile_w - 0.25) for caption in both) for both in pieces]
    above, below = (max(both[place].count("\n") + 1 for both in captions) * _LINE for place in (0, 1))
    height, width = (_IMAGE * size / max(images.shape[1:3]) for size in images.shape[1:3])
    tile_h = above + height + below + _LINE + 0.4
    total_w, total_h = max(columns * tile_w, 6.0), rows * tile_h
    place = "Below: the file." if files else "#: the position in the set."
    figure = new_figure(total_w, total_h, title, LEGEND.format(place=place))
    axes = add_axes(figure, 0, 0, total_w, total_h)
    axes.set_axis_off()
    indent = (total_w - columns * tile_w) / 2
    for number, (mistake, (answer, label)) in enumerate(zip(mistakes, captions, strict=True)):
        row, column = divmod(number, columns)
        middle, top = indent + (column + 0.5) * tile_w, row * tile_h + above + 0.05
        left, bottom = middle - width / 2, top + height
        axes.imshow(
            images[mistake.index],
            extent=(left, left + width, bottom, top),
            cmap="gray",
            vmin=0,
            vmax=255,
            interpolation="nearest",
        )
        axes.add_patch(Rectangle((left, top), width, height, fill=False, edgecolor=FAINT, linewidth=0.5))
        axes.text(middle, top - 0.05, answer, ha="center", va="bottom", fontsize=_POINTS, color=WRONG)
        axes.text(middle, bottom + 0.05, label, ha="center", va="top", fontsize=_POINTS, color=RIGHT)
        under = bottom + 0.05 + _LINE * (label.count("\n") + 1)
        where = f"#{mistake.index}"
        if files:
            where = escaped(shortened(files[mistake.index], _SMALL_POINTS, tile_w - 0.1))
        axes.text(middle, under, where, ha="center", va="top", fontsize=_SMALL_POINTS, color=INK)
    axes.set_xlim(0, total_w)
    axes.set_ylim(total_h, 0)
    axes.set_aspect("auto")
    return figure


def _lines(caption: Sequence[str], inches: float) -> str:
    """Return what comes before a name, the name and what comes after it, in as many lines as needed."""
    before, name, after = caption
    pieces = [before, shortened(name, _POINTS, inches), after]
    return escaped("\n".join(joined(pieces, _POINTS, inches, len(pieces))))
