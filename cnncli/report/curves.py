"""Draws the loss and the accuracy of a training run over its epochs."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnncli.report.accuracy_scale import accuracy_axis, from_error_scale, to_error_scale
from cnncli.report.figures import FAINT, INK, TRAIN, VALIDATION, add_axes, new_figure, own_style, quiet_axes
from cnncli.types import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKERS_UP_TO = 30
"""With more epochs than this, a marker on each would hide the lines."""

_LOG_LOSS_FROM = 100
"""A loss that falls by more than this factor gets a log axis."""


@own_style()
def draw_curves(
    rows: Sequence[Mapping[str, Any]], *, title: str = "", subtitle: str = "", best_epoch: int | None = None
) -> "Figure":
    """Return a figure of the rows of a metrics.csv, loss and accuracy side by side, with the best epoch marked.

    Where the accuracy reaches 90 %, its axis has a log scale of the error: the distance from 99.0 to 99.5 % is the
    same as from 98 to 99 %, because both halve the number of mistakes. Below, the axis is linear. The loss has a log
    axis where it spans decades.

    Args:
        rows: dicts with epoch, train_loss, train_accuracy, val_loss, val_accuracy (None without validation).
        title: the name of the run.
        subtitle: what was trained, and the test result.
        best_epoch: the epoch whose weights are kept; None for no mark.

    Raises:
        ValueError: there are no rows.
    """
    if not rows:
        raise ValueError("there are no epochs to draw")
    figure = new_figure(9.6, 4.0, title, subtitle)
    loss = add_axes(figure, 0.95, 0.55, 3.7, 2.8)
    accuracy = add_axes(figure, 5.7, 0.55, 3.7, 2.8)
    shown = _draw_panel(loss, rows, "loss", best_epoch)
    _scale_loss(loss, shown)
    shown = _draw_panel(accuracy, rows, "accuracy", best_epoch)
    _scale_accuracy(accuracy, shown)
    handles, labels = loss.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="center",
        bbox_to_anchor=(0.5, 3.83 / figure.get_figheight()),
        ncols=2,
        frameon=False,
        fontsize=9.5,
    )
    return figure


def _draw_panel(
    axes: "Axes", rows: Sequence[Mapping[str, Any]], quantity: str, best_epoch: int | None
) -> FloatArray:
    """Draw training and validation, and return all values that are drawn; an accuracy is in percent."""
    from matplotlib.ticker import MaxNLocator

    epochs = [row["epoch"] for row in rows]
    marker, size = ("o", 7.0 if len(rows) == 1 else 3.5) if len(rows) <= _MARKERS_UP_TO else ("", 0.0)
    drawn = []
    for split, label, color in (("train", "training", TRAIN), ("val", "validation", VALIDATION)):
        values = [row.get(f"{split}_{quantity}") for row in rows]
        if any(value is None for value in values):
            continue
        y = np.array(values, float) * (100 if quantity == "accuracy" else 1)
        y[~np.isfinite(y)] = np.nan
        drawn.append(y)
        axes.plot(
            epochs, y, color=color, marker=marker, markersize=size, linewidth=1.6, label=label, clip_on=False
        )
        if best_epoch is not None and best_epoch in epochs and split == "val":
            best = y[epochs.index(best_epoch)]
            axes.axvline(best_epoch, color=FAINT, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
            axes.plot([best_epoch], [best], "o", ms=11, mfc="none", mec=color, clip_on=False)
            figure = f"{best:.2f} %" if quantity == "accuracy" else _short(best)
            axes.set_title(f"best epoch {best_epoch}: {figure}", loc="right", fontsize=10, color=color)
    axes.set_xlabel("epoch", color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
    if len(epochs) == 1:
        axes.set_xlim(epochs[0] - 0.5, epochs[0] + 0.5)
        axes.set_xticks(epochs)
    axes.grid(axis="y", color=FAINT, alpha=0.3, linewidth=0.6)
    quiet_axes(axes)
    shown: FloatArray = np.concatenate(drawn)
    return shown[np.isfinite(shown)]


def _scale_loss(axes: "Axes", values: FloatArray) -> None:
    """Choose a log axis for a loss that spans decades, else a linear one from 0."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    positive = values[values > 0]
    if len(positive) and positive.max() > _LOG_LOSS_FROM * positive.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(numticks=8))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylabel("cross-entropy loss (log scale)", color=INK)
    else:
        axes.set_ylim(bottom=0, top=1.08 * positive.max() if len(positive) else 1.0)
        axes.set_ylabel("cross-entropy loss", color=INK)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, position: _short(value)))


def _short(value: float) -> str:
    """Return 0.25 as '0.25' and 250,000,000 as '2.5e8'."""
    return f"{value:.4g}".replace("e+0", "e").replace("e-0", "e-").replace("e+", "e")


def _scale_accuracy(axes: "Axes", values: FloatArray) -> None:
    """Choose a log scale of the error for a good accuracy, else a linear one; ticks are at round percentages."""
    axis = accuracy_axis(values)
    if axis.of_error:
        axes.set_yscale("function", functions=(to_error_scale, from_error_scale))
    axes.set_ylim(axis.bottom, axis.top)
    if axis.ticks is not None:
        axes.set_yticks(axis.ticks, [f"{tick:.4g}" for tick in axis.ticks])
    axes.set_ylabel("accuracy, % (log scale of the error)" if axis.of_error else "accuracy, %", color=INK)
