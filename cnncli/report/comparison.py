"""Draws the curves of several training runs over each other."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnncli.report.accuracy_scale import accuracy_axis, from_error_scale, to_error_scale
from cnncli.report.figures import (
    INK,
    add_axes,
    escaped,
    label_inches,
    new_figure,
    own_style,
    quiet_axes,
    shortened,
)
from cnncli.types import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#e69f00",
    "#5f5f5f",
    "#8c564b",
)
"""Colors that also people with a color vision deficiency tell apart, the first six by Okabe and Ito (2008)."""

STYLES = ("-", "--", ":", "-.")
"""After all colors comes the next style of line."""

MOST_NAMED = 24
"""With more runs than this there is no legend, because it would be longer than the picture."""

_LOG_FROM = 100


@own_style()
def draw_comparison(curves: Mapping[str, Sequence[Mapping[str, Any]]], *, title: str = "") -> "Figure":
    """Return a figure with the validation loss and accuracy of several runs over their epochs.

    A run without validation is drawn with what it reached on the training images, and its name says so. The axes are
    those of the picture of a single run: a log scale of the error where the accuracy reaches 90 %.

    Args:
        curves: the rows of the metrics.csv of each run, by its name.
        title: of the picture.

    Raises:
        ValueError: no run has rows.
    """
    curves = {name: rows for name, rows in curves.items() if rows}
    if not curves:
        raise ValueError("there are no epochs to draw")
    splits = {
        name: "val" if rows[0].get("val_loss") is not None else "train" for name, rows in curves.items()
    }
    labels = [
        shortened(name + ("" if split == "val" else " (training)"), 9, 2.4) for name, split in splits.items()
    ]
    named = len(curves) <= MOST_NAMED
    beside = label_inches(labels, 9) + 0.7 if named else 0.2
    figure = new_figure(9.3 + beside, 3.6, title)
    loss, accuracy = add_axes(figure, 0.95, 0.55, 3.7, 2.9), add_axes(figure, 5.5, 0.55, 3.7, 2.9)
    _panel(loss, curves, splits, "loss")
    _panel(accuracy, curves, splits, "accuracy")
    if named:
        legend = figure.legend(
            loss.get_lines(),
            [escaped(label) for label in labels],
            loc="upper left",
            bbox_to_anchor=(9.3 / (9.3 + beside), 3.5 / figure.get_figheight()),
            frameon=False,
            fontsize=9,
            borderaxespad=0,
            labelspacing=0.35,
        )
        for text in legend.get_texts():
            text.set_color(INK)
    return figure


def _panel(
    axes: "Axes",
    curves: Mapping[str, Sequence[Mapping[str, Any]]],
    splits: Mapping[str, str],
    quantity: str,
) -> None:
    from matplotlib.ticker import MaxNLocator

    drawn = []
    for number, (name, rows) in enumerate(curves.items()):
        y = np.array([row[f"{splits[name]}_{quantity}"] for row in rows], float)
        y = y * 100 if quantity == "accuracy" else y
        y[~np.isfinite(y)] = np.nan
        drawn.append(y)
        axes.plot(
            [row["epoch"] for row in rows],
            y,
            color=COLORS[number % len(COLORS)],
            linestyle=STYLES[number // len(COLORS) % len(STYLES)],
            marker="o" if len(rows) == 1 else "",
            markersize=4,
            linewidth=1.5,
            clip_on=False,
        )
    values: FloatArray = np.concatenate(drawn)
    values = values[np.isfinite(values)]
    if quantity == "accuracy":
        scale = accuracy_axis(values)
        if scale.of_error:
            axes.set_yscale("function", functions=(to_error_scale, from_error_scale))
        axes.set_ylim(scale.bottom, scale.top)
        if scale.ticks is not None:
            axes.set_yticks(scale.ticks, [f"{tick:.4g}" for tick in scale.ticks])
        unit = "accuracy, % (log scale of the error)" if scale.of_error else "accuracy, %"
    elif len(values) and values.min() > 0 and values.max() > _LOG_FROM * values.min():
        axes.set_yscale("log")
        unit = "cross-entropy loss (log scale)"
    else:
        axes.set_ylim(bottom=0, top=1.08 * values.max() if len(values) else 1.0)
        unit = "cross-entropy loss"
    axes.set_ylabel(
        f"validation {unit}" if set(splits.values()) == {"val"} else unit, color=INK, fontsize=9.5
    )
    axes.set_xlabel("epoch", color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
    axes.grid(axis="y", color="#9aa5b1", alpha=0.3, linewidth=0.6)
    quiet_axes(axes)
