"""Draws what is inside a network in the terminal: filters, patches, maps, and where it looked."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from rich.cells import cell_len
from rich.text import Text

from cnncli.cli.drawing import FULL, has_colors, in_rows, middle_cut, picture, side_by_side, thumbnail
from cnncli.cli.line_breaks import break_lines
from cnncli.inside import Filters, LayerOutput, Patches, filter_pictures, patch_tile
from cnncli.report.inside import AGAINST, with_heat
from cnncli.training.explained import patches_title, unit_names
from cnncli.types import ByteArray, FloatArray

if TYPE_CHECKING:
    from rich.console import Console

    from cnncli.training.look import Sample

TILE = 12
"""The width of a patch in characters."""

MAP = 14
"""The width of a map in characters, if it is not smaller itself."""

MOST_LINES = 96
"""About the most lines that all patches take."""

MOST_FILTERS, MOST_CHOSEN = 3, 16
"""The most filters of a later layer whose patches are drawn: of each, and of one that was asked for."""

MOST_ROWS, MOST_ROWS_CHOSEN = 2, 16
"""The most rows of filters, and of maps of a layer that was asked for."""

LEAST_HEAT = 24
"""The least width of a picture with heat over it, in characters."""

STRIP = 64
"""The most numbers of a vector in one line."""

MOST_NAME = 10
"""The most characters of the name of a class beside its patches."""

BEYOND = 64
"""The gray of what lies beyond the border of a patch."""


def filter_lines(filters: Filters, console: "Console", width: int) -> list[Text]:
    """Return the filters of the first layer as pictures, as many as fit into two rows."""
    count, channels, KH, KW = filters.weights.shape
    scale = max(1, min(3, 6 // KW))
    enlarged = filter_pictures(filters.weights).repeat(scale, axis=1).repeat(scale, axis=2)
    tiles = [thumbnail(tile, min(FULL, width)) for tile in enlarged[: width * MOST_ROWS]]
    shown = min(max((width + 2) // (tiles[0].shape[1] + 2), 1) * MOST_ROWS, count)
    kind = "filter" if count == 1 else "filters"
    size = f"{KH}x{KW}" + (" in color" if channels == 3 else "")
    lines = [
        Text(f"{filters.layer}: {count:,} {kind} of {size}{_first(shown, count)}; gray is 0", style="bold")
    ]
    blocks = [[*picture(tile, console), Text()] for tile in tiles[:shown]]
    return lines + in_rows(blocks, width)


def patch_lines(
    found: Sequence[Patches],
    sample: "Sample",
    names: Sequence[str],
    console: "Console",
    width: int,
    *,
    chosen: bool = False,
) -> list[Text]:
    """Return the most exciting patches of the first filters of each layer, one line of patches for each filter.

    Args:
        found: of each layer.
        sample: the images that they are parts of.
        names: the classes, which the units of the last layer stand for.
        console: where they will be printed.
        width: of a line, in characters.
        chosen: whether these layers were asked for, so that more filters of each are shown.
    """
    lines: list[Text] = []
    for patches in found:
        count = len(patches.values)
        tile_w = min(patches.window[1], TILE, max(width - 8, 4))
        tile_h = -(-patches.window[0] * tile_w // patches.window[1])
        each = (tile_h + 1) // 2 + 1
        rows = min(max(MOST_LINES // (len(found) * each), 1), MOST_CHOSEN if chosen else MOST_FILTERS, count)
        labels = [middle_cut(name, MOST_NAME, "~") for name in unit_names(patches, names)[:rows]]
        label = max(map(cell_len, labels))
        columns = max((width - label - 1) // (tile_w + 1), 1)
        title = f"{patches_title(patches, names)}{_first(rows, count)}"
        lines += heading(Text(title, style="bold"), width)
        for filter_index in range(rows):
            tiles = [
                picture(
                    thumbnail(patch_tile(sample.images[image], patches, filter_index, rank, BEYOND), tile_w),
                    console,
                )
                for rank, image in enumerate(patches.images[filter_index, :columns].tolist())
                if image >= 0
            ]
            name = Text(" " * (label - cell_len(labels[filter_index])) + labels[filter_index])
            if patches.silent[filter_index]:
                lines.append(Text.assemble(name, (" never passes its ReLU", "dim")))
                continue
            lines += [*side_by_side([[name], *tiles], 1), Text()]
    return lines


def map_lines(
    output: LayerOutput,
    classes: Sequence[str] | None,
    console: "Console",
    width: int,
    *,
    chosen: bool = False,
) -> list[Text]:
    """Return one layer's output for one image: a heading with its range, and its first maps on one scale.

    Args:
        output: of the layer, (1, ...).
        classes: the names of its numbers if it is the last layer, else None.
        console: where they will be printed.
        width: of the console, in characters.
        chosen: whether this layer was asked for, so that more than one row of maps is shown.
    """
    values = output.values[0]
    shape = "x".join(map(str, values.shape))
    title = Text(output.name, style="bold")
    if output.kind == "dropout":
        return heading(title.append(": changes nothing outside training", style="not bold"), width)
    if output.kind == "flatten":
        return heading(title.append(f": the same {values.size:,} numbers in a row", style="not bold"), width)
    low, high = float(values.min()), float(values.max())
    span = f"{low:.3g} to {high:.3g}"
    if values.ndim == 1:
        text = f": {values.size:,} numbers, {span}"
        if classes is not None:
            order = np.argsort(-values, kind="stable")[:3].tolist()
            best = ", ".join(f"{classes[k]}: {values[k]:.2f}" for k in order)
            text = f": {values.size:,} logits, {span}; the largest {best}"
        title.append(text, style="not bold")
        per_line = min(STRIP, width)
        strip = signed_picture(values[np.newaxis], float(np.abs(values).max()), has_colors(console))
        rows = [strip[:, at : at + per_line].repeat(2, axis=0) for at in range(0, values.size, per_line)][:4]
        return [*heading(title, width), *(line for row in rows for line in picture(row, console))]
    scale = max(1, MAP // values.shape[2])
    tile = min(values.shape[2] * scale, max(MAP, scale), width)
    rows_of_maps = MOST_ROWS_CHOSEN if chosen else 1
    shown = min(max((width + 2) // (tile + 2), 1) * rows_of_maps, len(values))
    count = "1 map" if len(values) == 1 else f"{len(values):,} maps"
    title.append(
        f": {count} of {shape.split('x', 1)[1]}, {span}{_first(shown, len(values))}", style="not bold"
    )
    largest = float(np.abs(values).max())
    blocks = []
    for each in values[:shown]:
        pixels = signed_picture(each, largest, has_colors(console))
        blocks.append(picture(thumbnail(pixels.repeat(scale, axis=0).repeat(scale, axis=1), tile), console))
    return [*heading(title, width), *in_rows([[*block, *[Text()] * chosen] for block in blocks], width)]


def signed_picture(values: FloatArray, largest: float, in_color: bool) -> ByteArray:
    """Return values as a picture on a scale up to `largest`: positive ones are white, negative ones blue, 0 is black.

    Without colors only the positive ones are seen.

    Args:
        values: (H, W).
        largest: what has the full color.
        in_color: whether blue can be told from white.

    Returns:
        (H, W) or (H, W, 3), uint8.
    """
    share = np.nan_to_num(values / largest if largest else values * 0)
    positive, negative = np.clip(share, 0, 1), np.clip(-share, 0, 1)
    if not in_color or not negative.any():
        gray: ByteArray = np.rint(255 * positive).astype(np.uint8)
        # three channels are drawn in levels where there are no colors
        return gray if in_color else np.repeat(gray[..., np.newaxis], 3, axis=2)
    mixed = positive[..., np.newaxis] * 255 + negative[..., np.newaxis] * np.array(AGAINST)
    return np.asarray(np.rint(mixed), np.uint8)


def looked_lines(
    seen: ByteArray, heats: Sequence[tuple[str, FloatArray]], console: "Console", width: int
) -> list[Text]:
    """Return the picture that the network saw with each kind of heat over it, and its name below.

    Without colors, only what speaks for the class is seen, and not the picture.

    Args:
        seen: (H, W) or (H, W, 3), uint8.
        heats: a name and an array (H, W) of each.
        console: where they will be printed.
        width: of the console, in characters.
    """
    in_one_row = (width - 2 * (len(heats) - 1)) // len(heats)
    tile = min(FULL, width) if in_one_row < LEAST_HEAT else min(FULL, in_one_row)
    blocks = []
    for name, heat in heats:
        if has_colors(console):
            pixels = with_heat(seen, heat)
        else:
            pixels = signed_picture(heat, float(np.abs(heat).max(initial=0.0)), False)
        drawn = picture(thumbnail(pixels, tile), console)
        blocks.append([*drawn, Text(name), Text()])
    return in_rows(blocks, width)


def heading(text: Text, width: int) -> list[Text]:
    """Return a line above pictures, broken between words where it is wider than the console."""
    return list(break_lines(text, width, 2).split("\n"))


def _first(shown: int, count: int) -> str:
    """Return ", the first 3" if there are more, else nothing."""
    return f"; the first {shown}" if shown < count else ""
