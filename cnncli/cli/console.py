"""Prints for the commands: results on stdout, progress and errors on stderr; an error sets the exit code."""

import json
import math
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from typing import IO, TYPE_CHECKING, Any

from cnncli.errors import CnnError, Interrupted

if TYPE_CHECKING:
    from logging import LogRecord

    from rich.console import Console
    from rich.text import Text

PIPE_WIDTH = 200
"""Columns of a table that is not printed on a terminal."""

MIN_COLUMNS = 10
"""A terminal that says it has fewer columns is not believed."""


def out() -> "Console":
    """Return the console for results."""
    return _console(sys.stdout)


def err() -> "Console":
    """Return the console for progress, notes and errors; nothing fails because nobody reads it."""
    return _console(_Expendable(sys.stderr))  # type: ignore[arg-type]  # it has what rich uses of a text file


def _console(file: IO[str]) -> "Console":
    from rich.console import Console

    # rich obeys COLUMNS. Without it a pipe gets this width in place of a terminal's 80. And rich takes any stream
    # for a terminal if FORCE_COLOR is set, as Jupyter does for all its children.
    terminal = file.isatty()
    width = None if terminal or "COLUMNS" in os.environ else PIPE_WIDTH
    return Console(
        file=file,
        width=width,
        force_terminal=terminal,
        force_interactive=terminal and os.environ.get("TERM", "").lower() not in ("dumb", "unknown"),
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=False,
    )


class ReaderLeftError(Exception):
    """Nobody reads the output any more. Rich and Typer exit with code 1 at once on the BrokenPipeError behind it."""


class _Expendable:
    """A stream whose errors are ignored: a training run goes on when its terminal or the end of its pipe is gone.

    Args:
        file: the stream; everything but writing is left to it.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, text: str) -> int:
        try:
            return self._file.write(text)
        except OSError as error:
            self._failed(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._file.flush()
        except OSError as error:
            self._failed(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def _failed(self, error: OSError) -> None:
        _discard(self._file)


class _Results(_Expendable):
    """A stream whose errors say that it is the output that cannot be written, and not a file of the command."""

    def _failed(self, error: OSError) -> None:
        super()._failed(error)
        if isinstance(error, BrokenPipeError):
            raise ReaderLeftError from error
        raise CnnError(f"the output cannot be written: {(error.strerror or str(error)).lower()}") from error


def note(message: str, *, style: str | None = None) -> None:
    """Print a line on stderr."""
    print_text(err(), message, style=style)


def silence(message: str) -> None:
    """Take the place of `note` with --quiet."""


def unicode_ok(file: IO[str]) -> bool:
    """Return whether this stream can print block characters."""
    return (getattr(file, "encoding", None) or "ascii").lower().startswith("utf")


def print_text(console: "Console", text: "str | Text", *, style: str | None = None, indent: int = 2) -> None:
    """Print a text; on a terminal its lines are broken between words, and paths and commands can still be copied."""
    from rich.text import Text

    from cnncli.cli.line_breaks import break_lines

    text = Text(text, style=style or "") if isinstance(text, str) else text
    console.print(break_lines(text, console.width, indent) if console.is_terminal else text, soft_wrap=True)


def print_facts(facts: Iterable[tuple[str, str]], width: int) -> None:
    """Print names and values on stdout, the values in a column of their own.

    Args:
        facts: each a name and a value.
        width: of the column of the names.
    """
    console = out()
    for name, value in facts:
        print_text(console, f"{name:<{width}}{value}", indent=width)


def print_json(document: Mapping[str, object]) -> None:
    """Print one JSON document on stdout: plain ASCII, and null where a number is not finite."""
    sys.stdout.write(json.dumps(_jsonable(document), indent=2) + "\n")


def _jsonable(value: Any) -> Any:
    """Return the value with NumPy numbers, arrays, paths and tuples as JSON types."""
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


def four_decimals(value: float | None) -> str:
    """Return 0.12345 as '0.1235', and None or a number that is not finite as '-'."""
    return "-" if value is None or not math.isfinite(value) else f"{value:.4f}"


def speed_text(images_per_second: float | None, seconds: float) -> str:
    """Return the speed of a training run; without a timed step only its seconds.

    Example:
        >>> speed_text(20862.4, 12.34), speed_text(None, 0.51)
        ('20,862 images/s in training, 12.3 s in all', '0.5 s in all')
    """
    training = f"{images_per_second:,.0f} images/s in training, " if images_per_second else ""
    return f"{training}{seconds:.1f} s in all"


def run_command(command: Callable[[], object], *, debug: bool) -> int:
    """Call a command and return its exit code; this is the one place where exceptions become text.

    Args:
        command: what to run; if it returns an integer, that is the exit code.
        debug: also print the traceback of an exception.
    """
    open_closed_streams()
    keep_streams_writable()
    ignore_unusable_sizes()
    try:
        with redirect_stdout(_Results(sys.stdout)):
            code = command()
            sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except (ReaderLeftError, BrokenPipeError):
        return 1
    except (Exception, KeyboardInterrupt) as error:
        if debug:
            traceback.print_exc()
        from cnncli.cli.hints import error_text  # a command without an error starts faster without it

        message, hint, code = error_text(error)
        if isinstance(error, Interrupted):  # no error: the user asked for it
            note(f"{message}; {hint}")
        else:
            print_error(message, hint)
        return code


def print_error(message: str, hint: str | None = None) -> None:
    """Print `error: ...` and, where there is one, `hint: ...` on stderr."""
    from rich.text import Text

    console = err()
    print_text(console, Text.assemble(("error: ", "bold red"), message))
    if hint:
        print_text(console, Text.assemble(("hint: ", "bold"), hint))


def print_warnings() -> None:
    """Print what the package logs from now on as lines on stderr."""
    from logging import Handler, getLogger

    class Lines(Handler):
        def emit(self, record: "LogRecord") -> None:
            note(f"{record.levelname.lower()}: {record.getMessage()}")

    log = getLogger("cnncli")
    if not any(handler.name == "lines" for handler in log.handlers):
        handler = Lines()
        handler.name = "lines"
        log.addHandler(handler)


def open_closed_streams() -> None:
    """Open the null device for each standard stream that is closed, as after `cnn train >&-`.

    Python has no object for such a stream, and the next file that is opened would get its number.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))


def ignore_unusable_sizes() -> None:
    """Forget the size of the terminal that the environment names if nothing could be read at that size."""
    for name, least in (("COLUMNS", MIN_COLUMNS), ("LINES", 2)):
        value = os.environ.get(name)
        if value is not None and not (value.isascii() and value.isdigit() and int(value) >= least):
            del os.environ[name]


def keep_streams_writable() -> None:
    """Make a character that the terminal's encoding lacks print as an escape instead of raising."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _discard(file: IO[str]) -> None:
    """Send what is still written to a stream to the null device, because nobody reads the stream any more.

    Python itself flushes it at exit, and would fail.
    """
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), file.fileno())
    except (OSError, ValueError):
        pass  # it has no file descriptor, as in a test: there is nothing to flush
