"""Draws the charts of a report as SVG, whose colors are the page's own: they follow its dark and its light mode."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from cnncli.report.accuracy_scale import accuracy_axis, to_error_scale
from cnncli.report.mistakes import Mistake
from cnncli.training.calibration import ReliabilityBin
from cnncli.types import FloatArray, IntArray
from cnncli.web.report.plane import Projection, middles

LOG_LOSS_FROM = 100
"""A loss that falls by more than this factor gets a log axis."""

FEW = 10
"""A share of fewer answers than this says little."""

MARKED = 400
"""Mistakes on the map that can be pointed at, the most confident first."""


@dataclass(frozen=True)
class Frame:
    """The area of a chart in its picture, in units of the picture."""

    width: int = 460
    height: int = 300
    left: int = 58
    right: int = 14
    top: int = 16
    bottom: int = 44

    def x(self, share: float) -> float:
        """Return a place between the left edge (0) and the right one (1)."""
        return self.left + share * (self.width - self.left - self.right)

    def y(self, share: float) -> float:
        """Return a place between the lower edge (0) and the upper one (1)."""
        return self.height - self.bottom - share * (self.height - self.top - self.bottom)


def loss_chart(rows: Sequence[Mapping[str, Any]], best_epoch: int | None) -> Markup:
    """Return the losses of the epochs as a chart.

    Args:
        rows: as in metrics.csv.
        best_epoch: is marked; None for no mark.
    """
    lines = _lines(rows, "loss", 1.0)
    values = _finite(lines)
    positive = values[values > 0]
    if len(positive) and positive.max() > LOG_LOSS_FROM * positive.min():
        low, high = math.log10(positive.min()), math.log10(positive.max())
        heights = {name: np.log10(np.maximum(line, positive.min())) for name, line in lines.items()}
        ticks = {10.0**power: float(power) for power in range(math.floor(low), math.ceil(high) + 1)}
        return _curves(rows, heights, (low, high), ticks, "cross-entropy loss, log scale", best_epoch, lines)
    top = 1.08 * float(positive.max()) if len(positive) else 1.0
    ticks = {tick: tick for tick in _even_ticks(0.0, top)}
    return _curves(rows, lines, (0.0, top), ticks, "cross-entropy loss", best_epoch, lines)


def accuracy_chart(rows: Sequence[Mapping[str, Any]], best_epoch: int | None) -> Markup:
    """Return the accuracies of the epochs as a chart; good ones have a log scale of the error.

    Args:
        rows: as in metrics.csv.
        best_epoch: is marked; None for no mark.
    """
    lines = _lines(rows, "accuracy", 100.0)
    axis = accuracy_axis(_finite(lines))
    if not axis.of_error:
        ticks = {tick: tick for tick in _even_ticks(axis.bottom, axis.top)}
        return _curves(rows, lines, (axis.bottom, axis.top), ticks, "accuracy, %", best_epoch, lines, "%")
    heights = {name: to_error_scale(line) for name, line in lines.items()}
    low, high = to_error_scale(np.array([axis.bottom, axis.top])).tolist()
    at = {tick: float(to_error_scale(np.array([tick]))[0]) for tick in axis.ticks or ()}
    return _curves(
        rows, heights, (low, high), at, "accuracy, %, log scale of the error", best_epoch, lines, "%"
    )


def calibration_chart(bins: Sequence[ReliabilityBin]) -> Markup:
    """Return a reliability diagram: how many answers are right, among those of about the same probability.

    Args:
        bins: from `calibration.reliability`.
    """
    f = Frame(width=380, height=360)
    width = 1 / max(len(bins), 1)
    parts = [
        _axes(f, {tick: tick for tick in (0, 0.2, 0.4, 0.6, 0.8, 1.0)}, (0.0, 1.0), "share that is right")
    ]
    for tick in (0, 0.2, 0.4, 0.6, 0.8, 1.0):
        parts.append(_text(f.x(tick), f.height - f.bottom + 16, f"{tick:g}", "middle"))
    parts.append(_text(f.x(0.5), f.height - 6, "probability of the answer", "middle"))
    for low, mean, right, count in bins:
        if not count:
            continue
        words = f"{count:,} answers of {100 * low:.0f} to {100 * (low + width):.0f} %: {100 * right:.1f} % are right"
        parts.append(
            Markup(
                '<rect class="bar{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>'
            ).format(
                " few" if count < FEW else "",
                _n(f.x(low) + 1),
                _n(f.y(right)),
                _n(f.x(low + width) - f.x(low) - 2),
                _n(f.y(0) - f.y(right)),
                words,
            )
        )
        parts.append(
            Markup('<line class="mean" x1="{0}" x2="{1}" y1="{2}" y2="{2}"/>').format(
                _n(f.x(low) + 1), _n(f.x(low + width) - 1), _n(f.y(mean))
            )
        )
    diagonal = (_n(each) for each in (f.x(0), f.y(0), f.x(1), f.y(1)))
    parts.append(Markup('<line class="ideal" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(*diagonal))
    return _svg(f, "Reliability diagram", "The table below has the same numbers.", parts)


def map_chart(
    projection: Projection, labels: IntArray, classes: Sequence[str], mistakes: Sequence[Mistake]
) -> Markup:
    """Return the images as points on a plane, colored by class, with the mistakes as rings.

    Args:
        projection: of all N images.
        labels: (N,).
        classes: the K names; the name of each stands at the median of its points.
        mistakes: the most confident first.
    """
    f = Frame(width=680, height=520, left=12, right=12, top=12, bottom=12)
    points = projection.points
    low, high = points.min(axis=0), points.max(axis=0)
    span = np.where(high > low, high - low, 1.0)

    def place(at: FloatArray) -> FloatArray:
        share = 0.02 + 0.96 * (at - low) / span
        return np.stack(
            [f.x(0) + share[..., 0] * (f.x(1) - f.x(0)), f.y(0) + share[..., 1] * (f.y(1) - f.y(0))], -1
        )

    placed = place(points)
    parts = []
    for label in range(len(classes)):
        mine = np.rint(placed[labels == label]).astype(int)
        if len(mine):
            # many images share a point of the picture: each point is drawn once
            dots = "".join(f"M{x} {y}h0" for x, y in np.unique(mine, axis=0).tolist())
            parts.append(Markup('<path class="dots c{}" d="{}"/>').format(label % 10, dots))
    for each in mistakes[:MARKED]:
        x, y = placed[each.index]
        words = f"{classes[each.label]}, taken for {classes[each.predicted]} ({100 * each.confidence:.1f} %)"
        parts.append(
            Markup(
                '<a href="#m{0}-{1}"><circle class="ring" cx="{2}" cy="{3}" r="4"><title>{4}</title></circle></a>'
            ).format(each.label, each.predicted, _n(x), _n(y), words)
        )
    for label, at in enumerate(place(middles(points, labels, len(classes)))):
        if np.isfinite(at).all() and len(classes) <= 30:
            # first as a halo, so that the points behind it do not hide the name
            for kind in ("name halo", "name"):
                parts.append(_text(float(at[0]), float(at[1]) + 5, classes[label][:16], "middle", kind))
    words = f"{len(points):,} images. The rings are mistakes; each leads to the pictures of its kind."
    return _svg(f, "The images on a plane", words, parts, has_links=True)


def _curves(
    rows: Sequence[Mapping[str, Any]],
    heights: Mapping[str, FloatArray],
    ends: tuple[float, float],
    ticks: Mapping[float, float],
    title: str,
    best_epoch: int | None,
    values: Mapping[str, FloatArray],
    unit: str = "",
) -> Markup:
    f = Frame()
    epochs = [int(row["epoch"]) for row in rows]
    first, last = (epochs[0] - 0.5, epochs[0] + 0.5) if len(epochs) == 1 else (epochs[0], epochs[-1])
    low, high = ends

    def at(epoch: float, height: float) -> tuple[float, float]:
        share = (height - low) / (high - low) if high > low else 0.5
        return f.x((epoch - first) / (last - first)), f.y(min(max(share, 0.0), 1.0))

    parts = [_axes(f, ticks, ends, title)]
    for tick in _whole_ticks(epochs[0], epochs[-1]):
        parts.append(_text(at(tick, low)[0], f.height - f.bottom + 16, str(tick), "middle"))
    parts.append(_text(f.x(0.5), f.height - 6, "epoch", "middle"))
    if best_epoch in epochs:
        kept_at = _n(at(best_epoch, low)[0])
        parts.append(
            Markup('<line class="best" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>').format(
                kept_at, _n(f.y(0)), _n(f.y(1))
            )
        )
    for name, line in heights.items():
        drawn = [at(e, h) for e, h in zip(epochs, line.tolist(), strict=True) if math.isfinite(h)]
        path = " ".join(f"{_n(x)},{_n(y)}" for x, y in drawn)
        parts.append(Markup('<polyline class="line {}" points="{}"/>').format(name, path))
        for epoch, h, value in zip(epochs, line.tolist(), values[name].tolist(), strict=True):
            if math.isfinite(h) and len(epochs) <= 60:
                x, y = at(epoch, h)
                words = f"epoch {epoch}, {name}: {value:.4g}{' ' + unit if unit else ''}"
                ring = " kept" if epoch == best_epoch and name == "validation" else ""
                parts.append(
                    Markup(
                        '<circle class="dot {}{}" cx="{}" cy="{}" r="{}"><title>{}</title></circle>'
                    ).format(name, ring, _n(x), _n(y), 5 if ring else 2.5, words)
                )
    ends_in = ", ".join(f"{name} ends at {line[-1]:.4g} {unit}".strip() for name, line in values.items())
    return _svg(f, title, f"{len(epochs)} epochs: {ends_in}.", parts)


def _lines(rows: Sequence[Mapping[str, Any]], quantity: str, factor: float) -> dict[str, FloatArray]:
    """Return training and validation as arrays, without what was not measured."""
    lines: dict[str, FloatArray] = {}
    for split, name in (("train", "training"), ("val", "validation")):
        values = [row.get(f"{split}_{quantity}") for row in rows]
        if values and all(value is not None for value in values):
            lines[name] = np.array(values, float) * factor
    return lines


def _finite(lines: Mapping[str, FloatArray]) -> FloatArray:
    values: FloatArray = np.concatenate([*lines.values(), np.empty(0)])
    return values[np.isfinite(values)]


def _even_ticks(low: float, high: float) -> list[float]:
    """Return about five round numbers between two others.

    Example:
        >>> _even_ticks(0.0, 1.08)
        [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    step = (high - low) / 5
    size = 10 ** math.floor(math.log10(step))
    step = next(each * size for each in (1, 2, 5, 10) if each * size >= step * 0.9)
    return [round(step * k, 10) for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _whole_ticks(first: int, last: int) -> list[int]:
    """Return at most eight epochs with even distances, the first one among them.

    Example:
        >>> _whole_ticks(1, 15)
        [1, 3, 5, 7, 9, 11, 13, 15]
    """
    return list(range(first, last + 1, max(-(-(last - first + 1) // 8), 1)))


def _axes(f: Frame, ticks: Mapping[float, float], ends: tuple[float, float], title: str) -> Markup:
    """Return the lines, the labels and the title of the vertical axis."""
    low, high = ends
    parts = []
    for label, height in ticks.items():
        share = (height - low) / (high - low) if high > low else 0.5
        if -0.001 <= share <= 1.001:
            y = f.y(share)
            parts.append(
                Markup('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
                    f.left, f.width - f.right, _n(y), _n(y)
                )
            )
            parts.append(_text(f.left - 6, y + 4, f"{label:.4g}", "end"))
    middle = f.y(0.5)
    parts.append(
        Markup('<text x="13" y="{0}" text-anchor="middle" transform="rotate(-90 13 {0})">{1}</text>').format(
            _n(middle), title
        )
    )
    return Markup("").join(parts)


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> Markup:
    shown = Markup(' class="{}"').format(kind) if kind else ""
    return Markup('<text x="{}" y="{}" text-anchor="{}"{}>{}</text>').format(
        _n(x), _n(y), anchor, shown, text
    )


def _svg(
    f: Frame, title: str, description: str, parts: Iterable[Markup], *, has_links: bool = False
) -> Markup:
    role = "group" if has_links else "img"
    return Markup('<svg viewBox="0 0 {} {}" role="{}" aria-label="{}. {}">{}</svg>').format(
        f.width, f.height, role, title, description, Markup("").join(parts)
    )


def _n(value: float) -> str:
    """Return a coordinate with as few digits as are seen."""
    return f"{float(value):.1f}".removesuffix(".0")
