"""Draws the loss and the accuracy of a training run over its epochs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnncli.report.figures import FAINT, INK, TRAIN, VALIDATION, new_figure, place_axes, quiet_axes, save_png
from cnncli.types import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PERCENT_TICKS = (0, 50, 80, 90, 95, 98, 99, 99.5, 99.8, 99.9, 99.95, 100)


def draw_curves(
    rows: Sequence[Mapping[str, Any]], path: Path, *, title: str = "", best_epoch: int | None = None
) -> Path:
    """Draw the rows of a metrics.csv as two panels and mark the best epoch.

    The accuracy axis has a log scale of the error: the distance from 99.0 to 99.5 % is the same as from 98 to 99 %,
    because both halve the number of mistakes.

    Args:
        rows: dicts with epoch, train_loss, train_accuracy, val_loss, val_accuracy (None without validation).
        path: the PNG to write.
        title: the name of the run.
        best_epoch: the epoch whose weights are kept; None for no mark.

    Raises:
        ValueError: there are no rows.
        StorageError: the file cannot be written.
    """
    if not rows:
        raise ValueError("there are no epochs to draw")
    figure = new_figure(9.5, 4.2, title)
    loss, accuracy = place_axes(figure, left=0.55, right=0.2, top=0.35, bottom=0.55, columns=2)
    _draw_panel(loss, rows, "loss", 1.0, best_epoch)
    loss.set_ylim(bottom=0)
    loss.legend(frameon=False, fontsize=9, loc="upper right")
    _draw_panel(accuracy, rows, "accuracy", 100.0, best_epoch)
    _use_error_scale(accuracy)
    return save_png(figure, path)


def _draw_panel(
    axes: "Axes", rows: Sequence[Mapping[str, Any]], quantity: str, scale: float, best_epoch: int | None
) -> None:
    from matplotlib.ticker import MaxNLocator

    epochs = [row["epoch"] for row in rows]
    dot = "o" if len(rows) <= 30 else None
    heading = "cross-entropy loss" if quantity == "loss" else "accuracy, % (log scale)"
    for split, label, colour in (("train", "training", TRAIN), ("val", "validation", VALIDATION)):
        values = [row.get(f"{split}_{quantity}") for row in rows]
        scaled = [value * scale for value in values if value is not None]
        if len(scaled) < len(rows):
            continue
        axes.plot(epochs, scaled, color=colour, marker=dot, markersize=3.5, linewidth=1.6, label=label)
        if best_epoch is not None and best_epoch in epochs and split == "val":
            best = scaled[epochs.index(best_epoch)]
            axes.axvline(best_epoch, color=FAINT, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
            axes.plot([best_epoch], [best], "o", markersize=9, markerfacecolor="none", markeredgecolor=colour)
            figure = f"{best:.2f} %" if quantity == "accuracy" else f"{best:.4f}"
            axes.set_title(f"best epoch {best_epoch}: {figure}", loc="right", fontsize=10, color=colour)
    axes.set_title(heading, loc="left", fontsize=10, color=INK)
    axes.set_xlabel("epoch", color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if len(epochs) == 1:
        axes.set_xlim(epochs[0] - 0.5, epochs[0] + 0.5)
    axes.grid(axis="y", color=FAINT, alpha=0.3, linewidth=0.6)
    quiet_axes(axes)


def _use_error_scale(axes: "Axes") -> None:
    """Scale a percent axis by -log(error), with ticks at round percentages."""
    from matplotlib.ticker import MaxNLocator

    low, high = axes.dataLim.intervaly
    low, high = float(_to_error_scale(np.array(low))), float(_to_error_scale(np.array(high)))
    room = max(0.06 * (high - low), 0.02)
    bottom, top = _from_error_scale(np.array([low - room, high + room])).tolist()
    axes.set_yscale("function", functions=(_to_error_scale, _from_error_scale))
    axes.set_ylim(max(bottom, 0.0), min(top, 100.0))
    bottom, top = axes.get_ylim()
    ticks = [tick for tick in _PERCENT_TICKS if bottom <= tick <= top]
    if len(ticks) < 3:
        ticks = [tick for tick in MaxNLocator(5).tick_values(bottom, top) if bottom <= tick <= top]
    axes.set_yticks(ticks, [f"{tick:.4g}" for tick in ticks])


def _to_error_scale(percent: FloatArray) -> FloatArray:
    height: FloatArray = -np.log(np.maximum(100.02 - percent, 0.02))  # 0.02 keeps 100 % at a finite height
    return height


def _from_error_scale(height: FloatArray) -> FloatArray:
    percent: FloatArray = 100.02 - np.exp(-height)
    return percent
