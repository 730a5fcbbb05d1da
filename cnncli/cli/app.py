"""Defines the `cnn` program: the table of its commands, and the options that all of them have."""

import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Annotated, Any, NoReturn

import typer
import typer.core
import typer.main

from cnncli._version import __version__
from cnncli.cli.command import QuickCommand, help_page, read_quickly
from cnncli.cli.console import print_warnings, run_command
from cnncli.errors import UsageError
from cnncli.names import did_you_mean

COMMANDS = {
    "download": "Fetch data sets, checked against known hashes.",
    "train": "Train a network into a run folder.",
    "eval": "Evaluate a run on labeled images.",
    "predict": "Read pictures of your own.",
    "draw": "Draw to a network in the browser, and watch it answer.",
    "inspect": "Show a config, a run, a checkpoint, a data set or a picture.",
    "sweep": "Search for better settings: many training runs of one config.",
    "runs": "List the runs of a folder, compare, remove and rename them.",
    "report": "Write everything about a run into one HTML file.",
    "export": "Write a trained network for other programs.",
}
"""The commands in the order in which a newcomer needs them.

Each is the function of that name in the module of that name in this folder. The module is imported when the command
is used, so that a command does not slow down the start of the others.
"""

ELSEWHERE = {
    "help": "cnn --help, or of one command: cnn train --help",
    "version": "cnn --version",
    "test": "did you mean 'eval'?",
    "validate": "did you mean 'eval'?",
    "classify": "did you mean 'predict'?",
    "infer": "did you mean 'predict'?",
    "fit": "did you mean 'train'?",
    "paint": "did you mean 'draw'?",
    "serve": "did you mean 'draw'?",
    "web": "did you mean 'draw'?",
    "resume": "cnn train --resume RUN",
    "convert": "did you mean 'export'?",
    "save": "did you mean 'export'?",
    "fetch": "did you mean 'download'?",
    "show": "did you mean 'inspect'?",
    "info": "did you mean 'inspect'?",
    "summary": "did you mean 'inspect'?",
    "search": "did you mean 'sweep'?",
    "tune": "did you mean 'sweep'?",
    "optimize": "did you mean 'sweep'?",
    "list": "did you mean 'runs'?",
    "ls": "did you mean 'runs'?",
    "compare": "cnn runs compare RUN RUN",
    "diff": "cnn runs compare RUN RUN",
    "rm": "cnn runs rm RUN",
    "remove": "cnn runs rm RUN",
    "delete": "cnn runs rm RUN",
    "rename": "cnn runs rename RUN NAME",
    "mv": "cnn runs rename RUN NAME",
}
"""What other programs call a command, and the hint where it is here."""

SETTINGS = {"help_option_names": ["-h", "--help"]}


class CommandTable(typer.core.TyperGroup):
    """The group of all commands; it turns what they raise into a message and an exit code."""

    def get_params(self, ctx: Any) -> list[Any]:
        return read_quickly(super().get_params(ctx), self.callback)

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in COMMANDS and cmd_name not in self.commands:
            print_warnings()
            self.commands[cmd_name] = _make_command(cmd_name)
        return self.commands.get(cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS and not ctx.resilient_parsing:
            hint = ELSEWHERE.get(args[0]) or did_you_mean(args[0], list(COMMANDS))
            raise UsageError(f"there is no command '{args[0]}'", hint)
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(help_page(self, ctx, COMMANDS))

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """Run one command line and exit with its code, whatever happens."""
        words = list(sys.argv[1:] if args is None else args)
        options = words[: words.index("--")] if "--" in words else words
        debug = "--debug" in options
        # --debug may also come after the command, where people add it when something has failed
        words = [word for word in options if word != "--debug"] + words[len(options) :]
        call = partial(super().main, words, prog_name, complete_var, False, windows_expand_args, **extra)
        sys.exit(run_command(call, debug=debug))


class SubcommandTable(typer.core.TyperGroup):
    """A command that has commands of its own, such as `cnn runs rm`, and does something without one."""

    def get_params(self, ctx: Any) -> list[Any]:
        return read_quickly(super().get_params(ctx), self.callback)

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.commands)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands and not ctx.resilient_parsing:
            module = import_module(f"cnncli.cli.{self.name}")
            known = list(self.commands)
            hint = module.SUBCOMMAND_ELSEWHERE.get(args[0]) or did_you_mean(args[0], known)
            raise UsageError(f"there is no command '{args[0]}' of {ctx.command_path}", hint)
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        module = import_module(f"cnncli.cli.{self.name}")
        formatter.write(help_page(self, ctx, module.SUBCOMMAND_HELP))


def _make_command(name: str) -> Any:
    """Return the command of a module, with its subcommands if it has some."""
    module = import_module(f"cnncli.cli.{name}")
    function = getattr(module, name)
    alone = typer.Typer(
        name=name, add_completion=False, context_settings=SETTINGS, pretty_exceptions_enable=False
    )
    subcommands = getattr(module, "SUBCOMMANDS", None)
    if subcommands is None:
        alone.command(name, cls=QuickCommand, epilog=module.EXAMPLES)(function)
        return typer.main.get_command(alone)
    alone.callback(cls=SubcommandTable, epilog=module.EXAMPLES, invoke_without_command=True)(function)
    for inner, run in subcommands.items():
        alone.command(inner, cls=QuickCommand, epilog=module.SUBCOMMAND_EXAMPLES[inner])(run)
    return typer.main.get_command(alone)


app = typer.Typer(name="cnn", cls=CommandTable, context_settings=SETTINGS, pretty_exceptions_enable=False)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"cnn {__version__}")
        raise typer.Exit()


@app.callback(
    invoke_without_command=True,
    epilog="""
    [bold]Examples[/]
      cnn train                          train on the best available data
      cnn train --config mnist.yaml      train what a file describes
      cnn eval latest                    accuracy, per class and in total
      cnn predict digit.png              read a picture of your own

    `cnn COMMAND --help` shows the options and examples of one command.
    """,
)
def cnn(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; may be given anywhere.")
    ] = False,
) -> None:
    """Train convolutional networks on MNIST and similar data sets, in pure NumPy."""
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())
