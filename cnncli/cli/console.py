"""Where a command's words go: results to stdout, progress to stderr, errors as text with an exit code."""

import errno
import json
import math
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any

from cnncli.errors import CnnError, Interrupted

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PIPE_WIDTH = 200
"""Columns of a table that nobody's terminal limits."""


def out() -> "Console":
    """Return the console for results."""
    return _console(sys.stdout)


def err() -> "Console":
    """Return the console for progress, notes and errors."""
    return _console(sys.stderr)


def _console(file: IO[str]) -> "Console":
    from rich.console import Console

    # COLUMNS, which rich obeys, is a person's wish; without it a pipe gets a fixed width, not a terminal's 80
    width = None if file.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH
    return Console(file=file, width=width, highlight=False, markup=False, emoji=False, soft_wrap=False)


def note(message: str, *, style: str | None = None) -> None:
    """Print a line for the person watching, on stderr; a long path stays on one line."""
    err().print(message, style=style, soft_wrap=True)


def silence(message: str) -> None:
    """Stand in for `note` where nothing is to be said."""


def unicode_ok(file: IO[str]) -> bool:
    """Return whether blocks and box lines can be written to this stream."""
    return (getattr(file, "encoding", None) or "ascii").lower().startswith("utf")


def table(*columns: str, title: str | None = None) -> "Table":
    """Return an empty table; a column whose name ends in '>' is aligned to the right.

    Example:
        >>> table("layer", "parameters>").columns[1].justify
        'right'
    """
    from rich import box
    from rich.table import Table

    made = Table(
        box=box.SIMPLE_HEAD,
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="bold",
        pad_edge=False,
        show_edge=False,
    )
    for column in columns:
        right = column.endswith(">")
        made.add_column(column.removesuffix(">"), justify="right" if right else "left", overflow="fold")
    return made


def print_json(document: Mapping[str, object]) -> None:
    """Print one JSON document on stdout: plain ASCII, and null where a number is not finite."""
    sys.stdout.write(json.dumps(_jsonable(document), indent=2) + "\n")


def _jsonable(value: Any) -> Any:
    """Return the value with NumPy numbers, arrays, paths and tuples as JSON knows them."""
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):  # a NumPy array or number
        return _jsonable(value.tolist())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def percent(fraction: float | None) -> str:
    """Return 0.98765 as '98.77 %', and None or a number that is not finite as '-'."""
    return "-" if fraction is None or not math.isfinite(fraction) else f"{100 * fraction:.2f} %"


def number(value: float | None) -> str:
    """Return 0.12345 as '0.1235', and None or a number that is not finite as '-'."""
    return "-" if value is None or not math.isfinite(value) else f"{value:.4f}"


def run_command(command: Callable[[], object], *, debug: bool) -> int:
    """Call a command and return its exit code; this is the one place where exceptions become text.

    Args:
        command: what to run; an integer it returns is the exit code.
        debug: print the traceback of an exception as well.
    """
    keep_streams_writable()
    try:
        code = command()
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except BrokenPipeError:
        _forget_stdout()
        return 1
    except (Exception, KeyboardInterrupt) as error:
        if debug:
            traceback.print_exc()
        message, hint, code = explain(error)
        if isinstance(error, Interrupted):  # what was asked for: the message says how to go on
            note(message)
        else:
            print_error(message, hint)
        return code


def explain(error: BaseException) -> tuple[str, str | None, int]:
    """Return what to tell a person about an exception: message, hint and exit code."""
    if isinstance(error, CnnError):
        return error.message, error.hint, error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", None, 130
    if isinstance(error, MemoryError):
        return (
            "not enough memory" + (f": {error}" if str(error) else ""),
            "a smaller batch size needs less",
            1,
        )
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # what Typer raises for a bad option
        return _explain_usage(error)
    if isinstance(error, OSError):
        return _explain_os_error(error)
    return (
        f"this is a bug in cnn: {type(error).__name__}: {error}",
        "run the command again with --debug to see where, and please report it",
        1,
    )


def _explain_usage(error: Any) -> tuple[str, str | None, int]:
    context = getattr(error, "ctx", None)
    near = getattr(error, "possibilities", None)
    words = error.message if near else error.format_message()
    message, _, guess = " ".join(words.split()).replace("Value error, ", "").partition(" Did you mean ")
    if near:
        guess = " or ".join(sorted(near)) + "?"
    hint = f"did you mean {guess}" if guess else None
    if hint is None and context is not None:
        hint = f"see `{context.command_path} --help`"
    return message[:1].lower() + message[1:].rstrip("."), hint, error.exit_code


def _explain_os_error(error: OSError) -> tuple[str, str | None, int]:
    what = (error.strerror or str(error) or type(error).__name__).lower()
    message = what if error.filename is None else f"{error.filename}: {what}"
    hints = {
        errno.ENOSPC: "free some space and run it again",
        errno.EACCES: "check who may read and write there",
        errno.EROFS: "choose a folder that can be written",
        errno.EMFILE: "raise the limit of open files (ulimit -n)",
    }
    return message, hints.get(error.errno or 0), 1


def print_error(message: str, hint: str | None = None) -> None:
    """Print `error: ...` and, where there is one, `hint: ...` on stderr."""
    from rich.text import Text

    try:
        console = err()
        console.print(Text.assemble(("error: ", "bold red"), message), soft_wrap=True)
        if hint:
            console.print(Text.assemble(("hint: ", "bold"), hint), soft_wrap=True)
    except BrokenPipeError:
        pass  # nobody reads the complaint; the exit code still tells


def keep_streams_writable() -> None:
    """Make a character that the terminal's encoding lacks print as an escape instead of raising."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _forget_stdout() -> None:
    """Let Python's last flush go nowhere: the reader of our output has left, which is not worth a word."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        pass  # stdout is not a file of the system (a test's buffer): there is nothing left to flush
