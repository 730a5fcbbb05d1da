"""Says what an exception means on the command line: a message, a hint and an exit code.

Below cli/ an error carries facts, and its hint names Python arguments and settings in backticks. Here each of them
becomes the option or the command that does the same.
"""

import errno
import re
import shlex
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from cnncli.errors import CnnError, DataError, DownloadCall, UsageError

OPTIONS = {
    "dataset": "--dataset",
    "exist_ok=True": "--exist-ok",
    "name": "--name",
    "invert='no'": "--invert no",
    "unknown='warn'": "--unknown warn",
    "most_bytes=None": "--layer NAME or --save FILE",
    "invert='yes'": "--invert yes",
    "port=0": "--port 0",
    "prepare='as_is'": "--prepare as_is",
    "prepare='digits'": "--prepare digits",
    "raw=True": "--raw",
    "run": "--run",
    "runs_dir": "--runs-dir",
    "split='test'": "--split test",
    "split='train'": "--split train",
    "train.batch_size": "--batch-size",
    "train.epochs": "--epochs",
    "train.init_partial=true": "--init-partial",
    "train_run": "cnn train",
    "list_runs": "cnn runs",
}
"""The command-line option or command for a Python argument, setting or function that a hint names."""

OS_HINTS = {
    errno.ENOSPC: "free some space and run it again",
    errno.EACCES: "check who may read and write there",
    errno.EROFS: "choose a folder that can be written",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}


def error_text(error: BaseException) -> tuple[str, str | None, int]:
    """Return the message, the hint and the exit code for an exception."""
    if isinstance(error, CnnError):
        return error.message, hint_of(error), error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", None, 130
    if isinstance(error, MemoryError):
        details = f": {error}" if str(error) else ""
        return f"not enough memory{details}", "a smaller batch size needs less", 1
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # what Typer raises for a bad option
        return _usage_text(error)
    if isinstance(error, OSError):
        reason = (error.strerror or str(error) or type(error).__name__).lower()
        message = reason if error.filename is None else f"{error.filename}: {reason}"
        return message, OS_HINTS.get(error.errno or 0), 1
    return (
        f"this is a bug in cnn: {type(error).__name__}: {error}",
        "run the command again with --debug to see where, and please report it",
        1,
    )


def hint_of(error: CnnError) -> str | None:
    """Return the hint of an error, with commands and options in place of Python.

    Example:
        >>> hint_of(CnnError("no", "replace it with `exist_ok=True`, or ask for more: `train.epochs=20`"))
        'replace it with --exist-ok, or ask for more: --epochs 20'
    """
    hint = error.hint
    if hint is not None and isinstance(error, DataError) and error.call is not None:
        for call in (error.call, *error.more_calls):
            hint = hint.replace(str(call), download_command(call))
    return hint and option_hint(hint, error.run)


def option_hint(hint: str, run: Path | None = None) -> str:
    """Return a hint with the Python in backticks spelled as options.

    Args:
        hint: as an error carries it.
        run: the folder of the run that has to be resumed with a setting that the hint names, or None.
    """

    def spelled(code: re.Match[str]) -> str:
        key, _, value = code[1].partition("=")
        if code[1] in OPTIONS:
            return OPTIONS[code[1]]
        if run is not None and code[1] == "resume=True":
            return resume_command(run)
        if "." not in key or not value:
            return code[0]
        option = f"{OPTIONS[key]} {value}" if key in OPTIONS else f"--set {key}={value}"
        return option if run is None else f"{resume_command(run)} {option}"

    return re.sub("`([^`]+)`", spelled, hint)


def refuse_addresses(names: Iterable[str]) -> None:
    """Refuse the address of a picture on the web, and say how to read it.

    Raises:
        UsageError: a name starts with http:// or https://.
    """
    for name in names:
        if name.lower().startswith(("http://", "https://")):
            raise UsageError(
                f"{name} is on the web, and only files are read",
                f"fetch it first: curl -L {shlex.quote(name)} | cnn predict -",
            )


def resume_command(run: Path) -> str:
    """Return the command that continues the training run in a folder."""
    command = "cnn sweep" if _is_sweep(run) else "cnn train"
    return f"{command} --resume {shlex.quote(run.name)}{runs_dir_option(run.parent)}"


def _is_sweep(run: Path) -> bool:
    from cnncli.runs import Group

    try:
        return Group(run).read_info().get("kind") == "sweep"
    except CnnError:
        return False


def runs_dir_option(folder: Path) -> str:
    """Return the option for a runs folder, with a blank before it; nothing for the default folder."""
    return "" if folder == Path("runs") else f" --runs-dir {shlex.quote(str(folder))}"


def download_command(call: DownloadCall) -> str:
    """Return the command that fetches a data set."""
    command = f"cnn download {call.dataset}"
    if call.source is not None:
        command += f" --from {call.source}"
    return command if call.data_dir == "data" else f"{command} --data-dir {shlex.quote(call.data_dir)}"


def _usage_text(error: Any) -> tuple[str, str | None, int]:
    context = getattr(error, "ctx", None)
    near = getattr(error, "possibilities", None)
    words = error.message if near else error.format_message()
    message, _, guess = " ".join(words.split()).replace("Value error, ", "").partition(" Did you mean ")
    if near:
        guess = get_close_matches(error.option_name, near, n=1, cutoff=0)[0] + "?"
    hint = f"did you mean {guess}" if guess else None
    if hint is None and context is not None:
        hint = f"see `{context.command_path} --help`"
    return message[:1].lower() + message[1:].rstrip("."), hint, error.exit_code
