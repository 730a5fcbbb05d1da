"""Prints `--help` without the Markdown reader that Typer loads for its own page, half of that page's time."""

import inspect
import shutil
import sys
from collections.abc import Mapping
from io import StringIO
from typing import Any

import typer.core

from cnncli.cli.quick_parameters import make_quick

WIDTH = 100
"""A page is never wider, however wide the terminal: long lines are hard to read."""


class Command(typer.core.TyperCommand):
    """A command whose help page and whose way to read values are ours."""

    def get_params(self, ctx: Any) -> list[Any]:
        return make_quick(super().get_params(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(help_page(self, ctx))


def help_page(command: Any, ctx: Any, subcommands: Mapping[str, str] | None = None) -> str:
    """Return the help page of a command or of the whole program.

    Args:
        command: a Typer command or group.
        ctx: its context, which knows the name it was called by.
        subcommands: the commands of a group, with a sentence each.
    """
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    buffer = StringIO()
    terminal = sys.stdout.isatty()
    width = min(shutil.get_terminal_size((WIDTH, 24)).columns, WIDTH)
    console = Console(file=buffer, force_terminal=terminal, width=width, highlight=False, emoji=False)

    def section(title: str, rows: list[tuple[str, str]], first: int) -> None:
        if not rows:
            return
        console.print(Text(f"\n{title}", style="bold"))
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="cyan", no_wrap=True, min_width=first)
        grid.add_column()
        for name, text in rows:
            grid.add_row(Text(name), text)
        console.print(Padding(grid, (0, 0, 0, 2)))

    usage = " ".join([ctx.command_path, *command.collect_usage_pieces(ctx)])
    console.print(Text.assemble(("Usage: ", "bold"), usage))
    if command.help:
        for paragraph in inspect.cleandoc(command.help).split("\n\n"):
            console.print("\n" + " ".join(paragraph.split("\n")))

    panels: dict[str, list[tuple[str, str]]] = {}
    others = []
    for parameter in command.get_params(ctx):
        panel = "Arguments" if parameter.param_type_name == "argument" else parameter.rich_help_panel
        if panel is None:
            others.append(_row(parameter))
        else:
            panels.setdefault(panel, []).append(_row(parameter))
    panels["Options"] = others
    width = max((len(name) for rows in panels.values() for name, _ in rows), default=0)
    section("Commands", list((subcommands or {}).items()), 0)
    for title, rows in panels.items():
        section(title, rows, width)
    if command.epilog:
        console.print("\n" + inspect.cleandoc(command.epilog), soft_wrap=True)
    return "".join(line.rstrip() + "\n" for line in buffer.getvalue().splitlines())


def _row(parameter: Any) -> tuple[str, str]:
    """Return an option's names with its placeholder, and its text with the default value."""
    if parameter.param_type_name == "argument":
        name = parameter.metavar or parameter.name.upper()
    else:
        short_first = sorted(parameter.opts, key=len)
        name = ", ".join(short_first) + "".join(f" / {other}" for other in parameter.secondary_opts)
        if not parameter.is_flag:
            name += f" {parameter.metavar or parameter.name.upper()}"
    default = parameter.default
    if parameter.show_default and not callable(default) and default not in (None, False, True, "", (), []):
        return name, f"{parameter.help} [dim]\\[default: {getattr(default, 'value', default)}][/]"
    return name, parameter.help or ""
