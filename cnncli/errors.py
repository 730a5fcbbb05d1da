"""Every error a user can cause, as one tree, so that one place can turn it into a message and an exit code.

A hint names Python arguments and settings in backticks, such as `exist_ok=True` or `train.epochs=20`. The command line
translates them into commands and options (cnncli/cli/hints.py).

CnnError                     1  anything below; a message and, where there is one, a hint
├── UsageError               2  the command line asks for something that makes no sense
│   ├── ConfigError          2  a config file: file, line, key, value, what would be right
│   └── ModelError           2  a layer list that cannot be built: which layer, which shape
├── DataError                1  a data set, a file of one, or a folder of pictures
│   ├── MissingDataError     1  files of a published set are missing or damaged
│   └── DownloadError        1  no mirror gave the right content
├── PictureError             1  a picture that cannot be read or has no digit in it
├── RunError                 1  a run folder: missing, ambiguous, broken
│   ├── RunBusyError         1  another process trains in it
│   └── CheckpointError      1  a checkpoint that is not whole or does not fit the network
├── StorageError             1  the disk is full, or a folder may not be written
├── DivergenceError          1  the loss or a gradient is no longer a finite number
├── WorkerError              1  a worker of the engine died
├── GateError                3  the accuracy is below the one asked for
└── Interrupted            130  Ctrl-C (143 after SIGTERM), with the work saved
"""

from pathlib import Path
from typing import NamedTuple


class CnnError(Exception):
    """A failure with a message for the user.

    Args:
        message: one sentence that names the object, where it is, and the value found.
        hint: what to do about it, or None.
        run: the folder of the run that the hint is about, or None.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None, *, run: Path | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.run = run


class UsageError(CnnError):
    """The command line asks for something that makes no sense."""

    exit_code = 2


class ConfigError(UsageError):
    """A config file that cannot be used; the message starts with `file:line:`."""


class ModelError(UsageError):
    """A layer list that cannot be built.

    Args:
        message: names the layer, its input shape and the value found.
        hint: what to do about it, or None.
        key_path: the position of the layer in the list (from 0) and, where there is one, the option's name.
    """

    def __init__(self, message: str, hint: str | None = None, key_path: tuple[int | str, ...] = ()) -> None:
        super().__init__(message, hint)
        self.key_path = key_path


class DownloadCall(NamedTuple):
    """The call that fetches a published set; as text it is that call, ready for a hint.

    Attributes:
        dataset: the name of the set.
        data_dir: the folder for data sets.
        source: where to take the files from; None for the published mirrors.
    """

    dataset: str
    data_dir: str
    source: str | None = None

    def __str__(self) -> str:
        source = "" if self.source is None else f", source={self.source!r}"
        return f"`download({self.dataset!r}, {self.data_dir!r}{source})`"


class DataError(CnnError):
    """A data set that is missing, broken or not what it says.

    Args:
        message: what is wrong, and with which file.
        hint: what to do about it, or None.
        call: the download that the hint names, or None.
        more_calls: further downloads that it names.
    """

    def __init__(
        self,
        message: str,
        hint: str | None = None,
        *,
        call: DownloadCall | None = None,
        more_calls: tuple[DownloadCall, ...] = (),
    ) -> None:
        super().__init__(message, hint)
        self.call = call
        self.more_calls = more_calls


class MissingDataError(DataError):
    """Files of a published data set are missing or damaged."""


class DownloadError(DataError):
    """No mirror gave the right content."""


class PictureError(CnnError):
    """A picture that cannot be read, or has nothing to read in it."""


class RunError(CnnError):
    """A run folder that is missing, ambiguous or broken."""


class RunBusyError(RunError):
    """Another process trains in this run folder."""


class CheckpointError(RunError):
    """A checkpoint that is not whole, or does not fit the network."""


class StorageError(CnnError):
    """The disk is full, or a folder may not be written."""


class DivergenceError(CnnError):
    """The loss or a gradient is no longer a finite number.

    Args:
        message: what became non-finite.
        hint: what to do about it, or None.
        tensor: "loss", "logits" or the name of the parameter whose gradient it is.
    """

    def __init__(self, message: str, hint: str | None = None, tensor: str = "loss") -> None:
        super().__init__(message, hint)
        self.tensor = tensor


class WorkerError(CnnError):
    """A worker of the engine died or answered with an error of its own."""


class GateError(CnnError):
    """The accuracy is below the one that was asked for."""

    exit_code = 3


class Interrupted(CnnError):
    """The user or the system asked to stop, and the work was saved.

    Args:
        message: where the training run stopped.
        signal_number: 2 for Ctrl-C, 15 for SIGTERM; the exit code is 128 more.
        run: the folder of the run.
    """

    def __init__(self, message: str, signal_number: int = 2, *, run: Path | None = None) -> None:
        super().__init__(message, "go on with: `resume=True`", run=run)
        self.exit_code = 128 + signal_number
