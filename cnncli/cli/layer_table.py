"""Makes the table of a network's layers that `train` and `inspect` print, and the same as JSON."""

from typing import TYPE_CHECKING, Any

from cnncli.cli.tables import Column, fitted_table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from cnncli.nn.network import Network
    from cnncli.nn.summary import LayerRow
    from cnncli.types import Shape


def layer_table(network: "Network", console: "Console", *, details: bool = False) -> "Table":
    """Return a row for each layer: its output, its parameters and their share, its multiply-adds.

    Args:
        network: whose layers to list.
        console: where the table will be printed; a narrow one gets the most important columns.
        details: add the memory of each output and the receptive field.
    """
    from cnncli.nn.summary import summarize, totals

    rows = summarize(network)
    sums = totals(rows)
    parameters = [f"{row.parameters:,}" if row.parameters else "" for row in rows]
    shares = [f"{100 * row.share:.1f} %" if row.parameters else "" for row in rows]
    products = [f"{row.multiply_adds:,}" if row.multiply_adds else "" for row in rows]
    columns = [
        Column("layer", ["input", *(row.name for row in rows), "total"]),
        Column(
            "output shape",
            [shape_text(s) for s in (network.input_shape, *(r.output_shape for r in rows))] + [""],
        ),
        Column("parameters>", ["", *parameters, f"{sums.parameters:,}"]),
        Column("share>", ["", *shares, "100.0 %" if sums.parameters else ""], 4),
        Column("multiply-adds>", ["", *products, f"{sums.multiply_adds:,}"], 1),
    ]
    if details:
        columns += [
            Column(
                "memory>",
                ["", *(memory(row.activation_bytes) for row in rows), memory(sums.activation_bytes)],
                3,
            ),
            Column("receptive field>", ["", *map(_field, rows), ""], 2),
        ]
    return fitted_table(columns, console, styles=["dim"], total=True)


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
