"""Draws the most confident mistakes of a network: they show its weaknesses, and wrong labels in the data."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnncli.report.figures import FAINT, INK, RIGHT, WRONG, escaped, new_figure, place_axes, save_png
from cnncli.types import ByteArray, FloatArray, IntArray


@dataclass(frozen=True)
class Mistake:
    """One wrong answer.

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
    """Return the wrong answers with the highest confidence, the most confident first.

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


def draw_mistakes(
    mistakes: Sequence[Mistake],
    images: ByteArray,
    classes: Sequence[str],
    path: Path,
    *,
    title: str = "",
    columns: int = 8,
) -> Path:
    """Draw a gallery: each image with the predicted class, the true class, and the probability of both.

    Args:
        mistakes: from `find_mistakes`; may be empty, and then the picture says so.
        images: (N, H, W) or (N, H, W, C), uint8, the set that the indices refer to.
        classes: the K names.
        path: the PNG to write.
        title: the run and the images.
        columns: the maximum number of images in a row.

    Raises:
        StorageError: the file cannot be written.
    """
    columns = min(columns, max(len(mistakes), 4))
    rows = max(-(-len(mistakes) // columns), 1)
    height, width = images.shape[1:3]
    tile_h, tile_w = 1.35 * height, 1.25 * width  # an image and the space for its captions, in pixels
    figure = new_figure(1.35 * columns, 1.5 * rows * height / width + 0.5, title)
    if not mistakes:
        figure.text(0.5, 0.4, "no mistakes", ha="center", va="center", fontsize=14, color=INK)
        return save_png(figure, path)
    (axes,) = place_axes(figure, left=0, right=0, top=0.05, bottom=0.05)
    axes.set_axis_off()
    for number, mistake in enumerate(mistakes):
        row, column = divmod(number, columns)
        middle, top = (column + 0.5) * tile_w, row * tile_h + 0.15 * height
        axes.imshow(
            images[mistake.index],
            extent=(middle - width / 2, middle + width / 2, top + height, top),
            cmap="gray_r",
            vmin=0,
            vmax=255,
            interpolation="nearest",
        )
        answer, label = escaped(classes[mistake.predicted]), escaped(classes[mistake.label])
        captions = (
            (top, f"{answer}  {mistake.confidence:.1%}", 9, WRONG, "bottom"),
            (top + 1.07 * height, f"true: {label}  {mistake.label_probability:.1%}", 8, RIGHT, "center"),
            (top + 0.92 * height, f"#{mistake.index}", 5.5, FAINT, "center"),
        )
        for y, text, points, colour, va in captions:
            x, ha = (middle, "center") if points > 6 else (middle + width / 2, "right")
            axes.text(x, y, text, fontsize=points, color=colour, ha=ha, va=va)
    axes.set_xlim(0, columns * tile_w)
    axes.set_ylim(rows * tile_h + 0.1 * height, 0)
    axes.set_aspect("auto")
    return save_png(figure, path)
