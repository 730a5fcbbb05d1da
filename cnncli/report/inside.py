"""Draws what is inside a network: its filters with what excites them, and where it looked in a picture.

H W a picture, M maps of a layer, h w their size.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cnncli.report.figures import (
    FAINT,
    INK,
    RIGHT,
    add_axes,
    escaped,
    new_figure,
    own_style,
    shortened,
    text_inches,
)
from cnncli.types import ByteArray, FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH = 10.4  # inches
_EDGE = 0.3
_LINE = 0.2  # inches of a line of text with room around it
_POINTS, _SMALL_POINTS = 9.0, 7.0

_MOST_FIRST = 64  # filters of the first layer
_TILES_IN_A_ROW, _BLOCKS_IN_A_ROW = 16, 8
_STRIP = 64  # numbers of a vector in a row

MOST_FILTERS = 16
"""The most filters of a later layer that are drawn."""

MOST_MAPS = 32
"""The most maps of a layer that are drawn."""

SIGNED = "RdBu_r"
"""The colors of values with a sign: red is positive, blue negative."""


HEAT = (255.0, 140.0, 0.0)
"""The color of what speaks for a class, red, green and blue."""

AGAINST = (70.0, 130.0, 255.0)
"""The color of what speaks against it, and of negative values on black."""


class PatchRow(NamedTuple):
    """The patches of the filters of one layer.

    Attributes:
        heading: the layer, and what each filter sees.
        filters: of each filter its patches, each (h, w) or (h, w, 3), uint8, all of one size.
        of: how many filters the layer has.
    """

    heading: str
    filters: Sequence[Sequence[ByteArray]]
    of: int


class LayerMaps(NamedTuple):
    """The output of one layer for one picture.

    Attributes:
        heading: the layer, the shape of its output, and its range.
        values: (M, h, w), or (n,) of a vector; None for a layer that changes no number.
    """

    heading: str
    values: FloatArray | None


@own_style()
def draw_insides(
    filters: ByteArray | None, filters_heading: str, rows: Sequence[PatchRow], title: str
) -> "Figure":
    """Return a figure of the filters of the first layer, and of the patches that excite those of each later one.

    Args:
        filters: (F, h, w) or (F, h, w, 3), uint8; None if there are none.
        filters_heading: what they are.
        rows: of each later layer.
        title: of the figure.
    """
    wide = _WIDTH - 2 * _EDGE
    parts: list[tuple[str, ByteArray, float]] = []  # a heading, a mosaic, and its height in inches
    if filters is not None:
        shown = filters[:_MOST_FIRST]
        columns = min(len(shown), _TILES_IN_A_ROW)
        mosaic = _mosaic([[tile] for tile in shown], columns, 1)
        parts.append(
            (_with_count(filters_heading, len(shown), len(filters)), mosaic, columns / _TILES_IN_A_ROW * wide)
        )
    for row in rows:
        blocks = [list(tiles) for tiles in row.filters[:MOST_FILTERS] if len(tiles)]
        if not blocks:
            continue
        columns = min(len(blocks), _BLOCKS_IN_A_ROW)
        mosaic = _mosaic(blocks, columns, 3)
        heading = _with_count(row.heading, len(row.filters[:MOST_FILTERS]), row.of)
        parts.append((heading, mosaic, columns / _BLOCKS_IN_A_ROW * wide))
    heights = [inches * mosaic.shape[0] / mosaic.shape[1] for _, mosaic, inches in parts]
    total = sum(heights) + len(parts) * (_LINE + 0.2) + _EDGE
    how = "Below the first layer: the parts of the data that excite each filter most; gray beyond the border."
    figure = new_figure(_WIDTH, total, title, how)
    bottom = total
    for (heading, mosaic, inches), height in zip(parts, heights, strict=True):
        bottom -= _LINE + height
        axes = add_axes(figure, _EDGE, bottom, inches, height)
        axes.imshow(mosaic, cmap="gray", vmin=0, vmax=255, interpolation="nearest", aspect="auto")
        axes.set_axis_off()
        _heading(axes, heading, inches=wide)
        bottom -= 0.2
    return figure


@own_style()
def draw_look(
    seen: ByteArray,
    probabilities: Sequence[tuple[str, float]],
    heats: Sequence[tuple[str, FloatArray]],
    layers: Sequence[LayerMaps],
    title: str,
    subtitle: str = "",
) -> "Figure":
    """Return a figure of one picture: what was seen, the answer, where it was looked, and the maps of every layer.

    Args:
        seen: (H, W) or (H, W, 3), uint8.
        probabilities: the best classes with their probabilities.
        heats: a name and an array (H, W) for each way to say where it was looked.
        layers: in order.
        title: of the figure.
        subtitle: how to read it.
    """
    wide = _WIDTH - 2 * _EDGE
    side = (wide - (1 + len(heats)) * 0.25) / (2 + len(heats))
    height = min(side * seen.shape[0] / seen.shape[1], 2.5 * side)
    above = height + 2 * _LINE + 0.1
    drawn = [_layer_pictures(layer) for layer in layers]
    heights = [
        0.0 if mosaic is None else wide * part * mosaic.shape[0] / mosaic.shape[1] for mosaic, part in drawn
    ]
    total = above + sum(heights) + len(layers) * (_LINE + 0.08) + _EDGE
    figure = new_figure(_WIDTH, total, title, subtitle)
    bottom = total - _LINE - height
    left = _EDGE
    axes = add_axes(figure, left, bottom, side, height)
    _show(axes, seen, "what the network saw")
    left += side + 0.25
    _bars(add_axes(figure, left + 0.2 * side, bottom, 0.8 * side, height), probabilities)
    for name, heat in heats:
        left += side + 0.25
        axes = add_axes(figure, left, bottom, side, height)
        _show(axes, with_heat(seen, heat), name)
    bottom = total - above
    for layer, (mosaic, part), inches in zip(layers, drawn, heights, strict=True):
        bottom -= _LINE + inches
        axes = add_axes(figure, _EDGE, bottom, wide * part, max(inches, 0.01))
        if layer.values is not None and layer.values.ndim == 1:
            _thin_frame(axes)
        else:
            axes.set_axis_off()
        if mosaic is not None:
            signed = float(np.nanmin(mosaic)) < 0
            largest = float(np.nanmax(np.abs(mosaic))) or 1.0
            axes.imshow(
                mosaic,
                cmap=SIGNED if signed else "gray",
                vmin=-largest if signed else 0,
                vmax=largest,
                interpolation="nearest",
                aspect="auto",
            )
        _heading(axes, layer.heading, inches=wide)
        bottom -= 0.08
    return figure


def with_heat(seen: ByteArray, heat: FloatArray) -> ByteArray:
    """Return a picture with heat over it: orange is for a class, blue against it.

    The strongest hundredth of what is not 0 has the full color, so that no single pixel makes the others pale.

    Args:
        seen: (H, W) or (H, W, 3), uint8.
        heat: (H, W).

    Returns:
        (H, W, 3), uint8.

    Example:
        >>> with_heat(np.array([[0, 255]], np.uint8), np.array([[2.0, 0.0]])).tolist()
        [[[255, 140, 0], [128, 128, 128]]]
    """
    heat = np.nan_to_num(heat.astype(np.float64), posinf=0.0, neginf=0.0)
    strengths = np.abs(heat[heat != 0])
    share = (heat / np.percentile(strengths, 99) if strengths.size else heat).clip(-1, 1)[..., np.newaxis]
    gray = seen if seen.ndim == 2 else seen @ np.array([0.299, 0.587, 0.114])
    below = 0.5 * gray[..., np.newaxis].astype(np.float64)
    mixed = below * (1 - np.abs(share)) + np.clip(share, 0, 1) * HEAT + np.clip(-share, 0, 1) * AGAINST
    return np.asarray(np.rint(mixed.clip(0, 255)), np.uint8)


def _heading(axes: "Axes", text: str, inches: float) -> None:
    text = escaped(shortened(text, _POINTS, inches))
    axes.set_title(text, loc="left", fontsize=_POINTS, color=INK, pad=3)


def _show(axes: "Axes", pixels: ByteArray, name: str) -> None:
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    _thin_frame(axes)
    axes.set_xlabel(escaped(name), fontsize=_SMALL_POINTS, color=INK, labelpad=3)


def _thin_frame(axes: "Axes") -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(FAINT)
        spine.set_linewidth(0.5)


def _bars(axes: "Axes", probabilities: Sequence[tuple[str, float]]) -> None:
    """Draw the best classes as bars, the best at the top."""
    places = np.arange(len(probabilities))
    colors = [RIGHT, *[FAINT] * (len(probabilities) - 1)]
    axes.barh(places, [p for _, p in probabilities], color=colors, height=0.6)
    axes.set_xlim(0, 1)
    axes.set_ylim(max(len(probabilities), 3) - 0.4, -0.6)
    inches = axes.get_position().width * _WIDTH
    names = [escaped(shortened(name, _POINTS, 0.4 * inches)) for name, _ in probabilities]
    axes.set_yticks(places, names, fontsize=_POINTS)
    axes.set_xticks([])
    axes.tick_params(length=0, colors=INK)
    for spine in axes.spines.values():
        spine.set_visible(False)
    for place, (_, p) in zip(places.tolist(), probabilities, strict=True):
        text = f"{100 * p:.1f} %"
        inside = p * inches > text_inches(text, _SMALL_POINTS) + 0.1
        axes.text(
            p - 0.03 if inside else p + 0.03,
            place,
            text,
            ha="right" if inside else "left",
            va="center",
            fontsize=_SMALL_POINTS,
            color="white" if inside else INK,
        )


def _with_count(heading: str, shown: int, count: int) -> str:
    return heading if shown == count else f"{heading}; the first {shown}"


def _mosaic(blocks: Sequence[Sequence[ByteArray]], columns: int, within: int) -> Any:
    """Return blocks of tiles as one picture: `columns` blocks in a row, each with `within` tiles in a row."""
    h, w = blocks[0][0].shape[:2]
    colored = blocks[0][0].ndim == 3
    scale = max(1, 24 // w)
    h, w = h * scale, w * scale
    gap, between = max(w // 12, 1), max(w // 12, 1) if within == 1 else max(w // 3, 2)
    deep = -(-max(map(len, blocks)) // within)
    block_h, block_w = deep * (h + gap) - gap, within * (w + gap) - gap
    rows = -(-len(blocks) // columns)
    shape = (rows * (block_h + between) - between, columns * (block_w + between) - between)
    canvas = np.full((*shape, 3) if colored else shape, 255, np.uint8)
    for number, tiles in enumerate(blocks):
        top, left = (number // columns) * (block_h + between), (number % columns) * (block_w + between)
        for place, tile in enumerate(tiles):
            y, x = top + place // within * (h + gap), left + place % within * (w + gap)
            canvas[y : y + h, x : x + w] = tile.repeat(scale, axis=0).repeat(scale, axis=1)
    return canvas


def _layer_pictures(layer: LayerMaps) -> tuple[Any, float]:
    """Return the maps of a layer as one array with gaps that are no numbers, and the share of the width it takes."""
    values = layer.values
    if values is None:
        return None, 1.0
    values = np.nan_to_num(values.astype(np.float64))
    if values.ndim == 1:
        columns = min(len(values), _STRIP)
        rows = -(-min(len(values), 4 * _STRIP) // columns)
        padded = np.full(rows * columns, np.nan)
        padded[: min(len(values), rows * columns)] = values[: rows * columns]
        return padded.reshape(rows, columns), columns / _STRIP
    shown = values[:MOST_MAPS]
    columns = min(len(shown), _TILES_IN_A_ROW)
    h, w = shown.shape[1:]
    scale = max(1, 24 // w)
    gap = max(w * scale // 14, 1)
    h, w = h * scale, w * scale
    rows = -(-len(shown) // columns)
    canvas = np.full((rows * (h + gap) - gap, columns * (w + gap) - gap), np.nan)
    for number, each in enumerate(shown):
        y, x = number // columns * (h + gap), number % columns * (w + gap)
        canvas[y : y + h, x : x + w] = each.repeat(scale, axis=0).repeat(scale, axis=1)
    return canvas, columns / _TILES_IN_A_ROW
