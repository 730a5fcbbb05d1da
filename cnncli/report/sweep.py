"""Draws what a sweep has found: how much each key matters, and all trials as lines across their values."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnncli.config.yaml_writer import inline
from cnncli.report.accuracy_scale import accuracy_axis, to_error_scale
from cnncli.report.figures import (
    FAINT,
    INK,
    VALIDATION,
    add_axes,
    escaped,
    label_inches,
    new_figure,
    own_style,
    quiet_axes,
    shortened,
    without_frame,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GAP = 1.5
"""Inches between two axes of the parallel coordinates, at least."""


@own_style()
def draw_importance(shares: Mapping[str, float | None], *, title: str = "") -> "Figure":
    """Return bars: the share of the variance of the validation accuracy that each key explains alone.

    Args:
        shares: by key, from 0 to 1; None where too few trials can tell.
        title: of the picture.
    """
    names = [shortened(key, 9.5, 3.2) for key in shares]
    left = label_inches(names, 9.5) + 0.3
    height = 0.34 * len(names) + 0.15
    subtitle = "share of the variance of the validation accuracy that a key explains alone"
    figure = new_figure(left + 5.2, height + 0.55, title, subtitle)
    axes = add_axes(figure, left, 0.5, 4.4, height)
    values = [share or 0.0 for share in shares.values()]
    positions = np.arange(len(names))
    axes.barh(positions, [100 * value for value in values], color=VALIDATION, height=0.6)
    for position, share in zip(positions.tolist(), shares.values(), strict=True):
        text = "too few trials to tell" if share is None else f"{100 * share:.0f} %"
        axes.text(100 * (share or 0.0) + 1.5, position, text, va="center", fontsize=9, color=INK)
    axes.set_yticks(positions, [escaped(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(0, 100)
    axes.set_xlabel("%", color=INK)
    quiet_axes(axes)
    axes.tick_params(axis="y", length=0, labelsize=9.5)
    return figure


@own_style()
def draw_parallel(
    trials: Sequence[tuple[Mapping[str, Any], float]],
    keys: Sequence[str],
    *,
    even_keys: Collection[str] = (),
    log_keys: Collection[str] = (),
    title: str = "",
) -> "Figure":
    """Return parallel coordinates: each trial is a line through its values, colored by its validation accuracy.

    The best trials are drawn last and thickest. Where the best reaches 90 %, the axis of the accuracy and the
    colors have a log scale of the error. Values that are no numbers are spread evenly.

    Args:
        trials: the values and the validation accuracy of each.
        keys: the order of the axes; the accuracy is the last one.
        even_keys: those whose values are spread evenly, also if they are numbers.
        log_keys: those with a log axis.
        title: of the picture.

    Raises:
        ValueError: there are no trials.
    """
    if not trials:
        raise ValueError("there are no trials to draw")
    from matplotlib import colormaps

    columns = [
        _Column(key, [values.get(key) for values, _ in trials], key in log_keys, even=key in even_keys)
        for key in keys
    ]
    accuracies = [100 * accuracy for _, accuracy in trials]
    columns.append(_accuracy_column(accuracies))
    names = [shortened(column.name, 9.5, 2.6) for column in columns]
    gaps = [max(label_inches(column.labels, 8.5) + 0.5, _GAP) for column in columns[1:]]
    # a name is centered above its axis, so that two neighbors need half of both
    for at, gap in enumerate(gaps):
        gaps[at] = max(gap, (label_inches([names[at]], 9.5) + label_inches([names[at + 1]], 9.5)) / 2 + 0.25)
    left = max(label_inches(columns[0].labels, 8.5) + 0.35, label_inches(names[:1], 9.5) / 2 + 0.2)
    right = label_inches(names[-1:], 9.5) / 2 + 0.25
    width = left + sum(gaps) + right
    figure = new_figure(width, 3.9, title, "each line is a trial; the brighter, the better by validation")
    axes = add_axes(figure, left, 0.25, sum(gaps), 3.2)
    x = np.concatenate([[0.0], np.cumsum(gaps)]) / sum(gaps)
    colors, goodness, high = colormaps["viridis"], columns[-1].heights, max(accuracies)
    for at in sorted(range(len(trials)), key=lambda at: accuracies[at]):
        share = goodness[at] if min(accuracies) < high else 1.0
        best = accuracies[at] == high
        axes.plot(
            x,
            [column.heights[at] for column in columns],
            color=colors(0.95 * share),
            linewidth=2.4 if best else 1.1,
            alpha=1.0 if best else 0.75,
            clip_on=False,
        )
    for position, column, name in zip(x.tolist(), columns, names, strict=True):
        _draw_axis(axes, position, column, name)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xticks([])
    axes.set_yticks([])
    without_frame(axes)
    return figure


def _accuracy_column(accuracies: Sequence[float]) -> "_Column":
    """Return the axis of the accuracies, with a log scale of the error where the last few percent matter."""
    name = "validation accuracy, %"
    scale = accuracy_axis(np.array(accuracies))
    column = _Column(name, accuracies, False, even=False)
    if not scale.of_error or min(accuracies) == max(accuracies):
        return column
    heights = to_error_scale(np.array(accuracies))
    low, high = float(heights.min()), float(heights.max())
    column.heights = ((heights - low) / (high - low)).tolist()
    inside = [tick for tick in scale.ticks or () if min(accuracies) <= tick <= max(accuracies)]
    column.ticks = ((to_error_scale(np.array(inside, float)) - low) / (high - low)).tolist()
    column.labels = [f"{tick:.4g}" for tick in inside]
    return column


def _draw_axis(axes: "Axes", x: float, column: "_Column", name: str) -> None:
    axes.plot([x, x], [0, 1], color=FAINT, linewidth=1.0, zorder=0, clip_on=False)
    axes.annotate(
        escaped(name), (x, 1), (0, 10), textcoords="offset points", ha="center", fontsize=9.5, color=INK
    )
    for height, label in zip(column.ticks, column.labels, strict=True):
        axes.annotate(
            escaped(label),
            (x, height),
            (-5, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=8.5,
            color=INK,
            bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.8},
        )


class _Column:
    """One axis: where each trial crosses it, and its labels.

    Args:
        name: the key.
        values: of each trial.
        log: whether the axis is logarithmic.
        even: whether the values are spread evenly.
    """

    def __init__(self, name: str, values: Sequence[Any], log: bool, *, even: bool) -> None:
        self.name = name
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        different = sorted(set(values)) if numbers else list(dict.fromkeys(map(_short, values)))
        if not numbers or even:
            self._categories(list(values) if numbers else list(map(_short, values)), different)
        else:
            self._scale([float(value) for value in values], log)

    def _categories(self, values: Sequence[Any], different: Sequence[Any]) -> None:
        step = 1 / max(len(different) - 1, 1)
        place = {value: at * step if len(different) > 1 else 0.5 for at, value in enumerate(different)}
        self.heights = [place[value] for value in values]
        every = max(math.ceil(len(different) / 12), 1)
        shown = list(different)[::every]
        self.ticks = [place[value] for value in shown]
        self.labels = [_short(value) for value in shown]

    def _scale(self, values: Sequence[float], log: bool) -> None:
        from matplotlib.ticker import LogLocator, MaxNLocator

        low, high = min(values), max(values)
        log = log and low > 0
        if log and high / low >= 100:
            ticks = LogLocator(numticks=6).tick_values(low, high)
        else:
            ticks = MaxNLocator(nbins=5).tick_values(low, high)

        def height(value: float) -> float:
            if high == low:
                return 0.5
            if log:
                return math.log(value / low) / math.log(high / low)
            return (value - low) / (high - low)

        inside = [float(tick) for tick in ticks if low <= tick <= high and (tick > 0 or not log)]
        self.heights = [height(value) for value in values]
        self.ticks = [height(tick) for tick in inside]
        self.labels = [f"{tick:.4g}" for tick in inside]


def _short(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else inline(value)
    return text if len(text) <= 22 else f"{text[:19]}..."
