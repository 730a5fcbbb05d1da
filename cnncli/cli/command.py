"""Makes Typer start faster: our commands read the values of options, and print help pages, without heavy imports.

Typer checks each value with a pydantic model. Importing pydantic for that takes a quarter of the time of a whole
`cnn predict`. And it formats help pages with a Markdown parser, which takes half of the time of `cnn --help`. The
classes here are passed to Typer as `cls=` and override public methods only; the tests compare both ways.
"""

import inspect
import shutil
import sys
from collections.abc import Callable, Mapping
from functools import cache, partial
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer
import typer.core

from cnncli.names import user_path

MIN_TEXT = 30
"""The columns that the text beside a name needs at least."""

WIDTH = 100
"""The most columns of a help page, because longer lines are hard to read."""


class QuickCommand(typer.core.TyperCommand):
    """A command that reads its values by the functions below and prints our help page."""

    def get_params(self, ctx: Any) -> list[Any]:
        return read_quickly(super().get_params(ctx), self.callback)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(help_page(self, ctx))


def read_quickly(parameters: list[Any], function: Callable[..., Any] | None) -> list[Any]:
    """Let parameters read their values by functions of ours, and return them.

    Args:
        parameters: of a Typer command or group.
        function: the function whose signature declares them. The types, and the smallest and largest values, are
            those in its annotations. Typer still reads a parameter of a type that is not known here.
    """
    readers = _readers(function) if function else {}
    for parameter in parameters:
        parameter.process_value = partial(_process_value, parameter, readers.get(parameter.name))
    return parameters


@cache
def _readers(function: Callable[..., Any]) -> dict[str, Callable[[Any], Any] | None]:
    """Return for each parameter of a function what reads its value."""
    hints = get_type_hints(function, include_extras=True)
    return {name: _reader(*get_args(hint)) for name, hint in hints.items() if get_origin(hint) is Annotated}


def _process_value(parameter: Any, read: Callable[[Any], Any] | None, ctx: Any, value: Any) -> Any:
    """Return the value of a parameter from its text, or from its default.

    Raises:
        typer.BadParameter: the text is not a value of this type.
    """
    missing = parameter.value_is_missing(value)
    if (missing and parameter.required) or (read is None and not missing):
        return type(parameter).process_value(parameter, ctx, value)
    try:
        value = value if read is None else read(value)
    except ValueError as error:
        raise typer.BadParameter(str(error), ctx=ctx, param=parameter) from None
    return value if parameter.callback is None else parameter.callback(ctx, parameter, value)


def _reader(annotation: Any, details: Any = None) -> Callable[[Any], Any] | None:
    """Return the function that reads a value of a type; None for a type that is not known here."""
    options = [option for option in get_args(annotation) if option is not type(None)]
    if type(None) in get_args(annotation) and len(options) == 1:
        annotation = options[0]
    if get_origin(annotation) is list:
        read_one = _reader(get_args(annotation)[0], details)
        return read_one and (lambda value: [read_one(each) for each in value or ()])
    if get_origin(annotation) is Literal:
        convert: Callable[[str], Any] | None = partial(_choice, get_args(annotation))
    else:
        convert = CONVERTERS.get(annotation)
    return convert and partial(_read, convert, details.min, details.max)


def _read(convert: Callable[[str], Any], minimum: float | None, maximum: float | None, given: Any) -> Any:
    value = convert(given) if isinstance(given, str) else given
    if value is not None and minimum is not None and not value >= minimum:
        raise ValueError(f"{given} is below {minimum:g}")
    if value is not None and maximum is not None and not value <= maximum:
        raise ValueError(f"{given} is above {maximum:g}")
    return value


def _choice(choices: tuple[str, ...], text: str) -> str:
    if text not in choices:
        raise ValueError(f"{text!r} is not one of {', '.join(map(repr, choices))}")
    return text


def _flag(text: str) -> bool:
    raise ValueError("it takes no value")


def _whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a whole number") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None


CONVERTERS: dict[Any, Callable[[str], Any]] = {
    bool: _flag,
    float: _number,
    int: _whole_number,
    Path: user_path,
    str: str,
}
"""For each type, the function that reads a value from its text; it raises ValueError with a sentence."""


def help_page(command: Any, ctx: Any, subcommands: Mapping[str, str] | None = None) -> str:
    """Return the help page of a command or of the whole program.

    Args:
        command: a Typer command or group.
        ctx: its context, which has the name it was called by.
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
        if console.width < first + MIN_TEXT:  # the text is below the name
            for name, text in rows:
                console.print(Padding(Text(name, style="cyan"), (0, 0, 0, 2)))
                console.print(Padding(text, (0, 0, 0, 6)))
            return
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="cyan", no_wrap=True, min_width=first)
        grid.add_column()
        for name, text in rows:
            grid.add_row(Text(name), text)
        console.print(Padding(grid, (0, 0, 0, 2)))

    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    pieces = [argument.metavar if argument.required else f"[{argument.metavar}]" for argument in arguments]
    usage = [ctx.command_path, "[OPTIONS]", *(["COMMAND", "[ARGS]..."] if subcommands else pieces)]
    console.print(Text.assemble(("Usage: ", "bold"), " ".join(usage)))
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
        console.print()
        lines = inspect.cleandoc(command.epilog).splitlines()
        fits = all(len(line) <= console.width for line in lines if "  " in line.strip())
        for line in lines:
            example, _, text = line.strip().partition("  ")
            if fits or not text:
                console.print(line)
            else:
                console.print(f"  {example}", soft_wrap=True)
                console.print(Padding(text.strip(), (0, 0, 0, 6)))
    return "".join(line.rstrip() + "\n" for line in buffer.getvalue().splitlines())


def _row(parameter: Any) -> tuple[str, str]:
    """Return an option's names with its placeholder, and its help with the default value."""
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
