"""Makes the table of a network's layers that `train` and `inspect` print, and the same as JSON."""

from typing import TYPE_CHECKING, Any

from cnncli.cli.console import table

if TYPE_CHECKING:
    from rich.table import Table

    from cnncli.nn.network import Network
    from cnncli.nn.summary import LayerRow
    from cnncli.types import Shape


_LESS_IMPORTANT = ("share>", "memory>", "receptive field>", "multiply-adds>")
_GAP = 3  # between two columns of a table


def layer_table(network: "Network", *, details: bool = False, width: int = 200) -> "Table":
    """Return a row for each layer: its output, its parameters and their share, its multiply-adds.

    Args:
        network: whose layers to list.
        details: add the memory of each output and the receptive field.
        width: columns of the terminal; on a narrow one the less important columns are left out.
    """
    from cnncli.nn.summary import summarize, totals

    rows = summarize(network)
    sums = totals(rows)
    cells: dict[str, list[str]] = {
        "layer": ["input", *(row.name for row in rows), "total"],
        "output shape": [
            shape_text(network.input_shape),
            *(shape_text(row.output_shape) for row in rows),
            "",
        ],
        "parameters>": [
            "",
            *(f"{row.parameters:,}" if row.parameters else "" for row in rows),
            f"{sums.parameters:,}",
        ],
        "share>": [
            "",
            *(f"{100 * row.share:.1f} %" if row.parameters else "" for row in rows),
            "100.0 %" if sums.parameters else "",
        ],
        "multiply-adds>": [
            "",
            *(f"{row.multiply_adds:,}" if row.multiply_adds else "" for row in rows),
            f"{sums.multiply_adds:,}",
        ],
        "memory>": ["", *(memory(row.activation_bytes) for row in rows), memory(sums.activation_bytes)],
        "receptive field>": ["", *(_field(row) for row in rows), ""],
    }
    sizes = {title: max(map(len, [title.rstrip(">"), *column])) for title, column in cells.items()}
    shown = list(cells) if details else list(cells)[:5]
    for title in _LESS_IMPORTANT:
        if sum(sizes[each] + _GAP for each in shown) - _GAP > width and title in shown:
            shown.remove(title)
    made = table(*shown)
    *lines, last = zip(*(cells[title] for title in shown), strict=True)
    for number, line in enumerate(lines):
        made.add_row(*line, style="dim" if number == 0 else None)
    made.add_section()
    made.add_row(*last, style="bold")
    return made


def layers_json(network: "Network") -> dict[str, Any]:
    """Return the rows of the table as plain numbers and lists."""
    from cnncli.nn.summary import summarize, totals

    rows = summarize(network)
    sums = totals(rows)
    return {
        "layers": [
            {
                "name": row.name,
                "type": row.kind,
                "output_shape": row.output_shape,
                "parameters": row.parameters,
                "multiply_adds": row.multiply_adds,
                "activation_bytes": row.activation_bytes,
                "receptive_field": row.receptive_field,
            }
            for row in rows
        ],
        "input_shape": network.input_shape,
        "parameters": sums.parameters,
        "multiply_adds": sums.multiply_adds,
        "activation_bytes": sums.activation_bytes,
    }


def shape_text(shape: "Shape") -> str:
    """Return (32, 14, 14) as '32, 14, 14'.

    Example:
        >>> shape_text((3136,))
        '3,136'
    """
    return f"{shape[0]:,}" if len(shape) == 1 else ", ".join(str(size) for size in shape)


def memory(size: float) -> str:
    """Return a number of bytes with a fitting unit.

    Example:
        >>> memory(100352)
        '98.0 KiB'
    """
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def _field(row: "LayerRow") -> str:
    return (
        "whole image" if row.receptive_field is None else "x".join(str(size) for size in row.receptive_field)
    )
