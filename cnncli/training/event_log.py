"""Writes the metrics of a training run as event files for TensorBoard, one value for each tag and step.

metrics.csv stays the truth. A resumed run goes on with the steps that are not in the folder yet: TensorBoard drops or
doubles points whose steps start again.
"""

import logging
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cnncli.errors import UsageError

log = logging.getLogger(__name__)

FOLDER = "tensorboard"

TAGS = {
    "train_loss": "loss/train",
    "val_loss": "loss/validation",
    "train_accuracy": "accuracy/train",
    "val_accuracy": "accuracy/validation",
    "lr": "learning_rate",
}
"""The tag of each column of metrics.csv."""

_HEAD = struct.Struct(
    "<QI"
)  # the length of a record and its checksum; the record and another checksum follow


def require_package() -> None:
    """Refuse to log if the package that writes event files is missing.

    Raises:
        UsageError: tensorboardX is not installed.
    """
    try:
        import tensorboardX  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "event files need tensorboardX, which is not installed",
            'install the extra: pip install "cnncli[tensorboard]"',
        ) from error


class EventLog:
    """The event files of one run; a failure to write them is a warning and does not stop the training.

    Args:
        run: the folder of the run.
    """

    def __init__(self, run: Path) -> None:
        self._folder = run / FOLDER
        self._last = max((step for step in logged_steps(self._folder)), default=-1)
        self._writer: Any = None
        self._failed = False

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Log the epochs that are not in the folder yet.

        Args:
            rows: of metrics.csv.
        """
        try:
            for row in rows:
                step = int(row["step"])
                if step > self._last:
                    for column, tag in TAGS.items():
                        if row.get(column) not in (None, ""):
                            self._write(tag, float(row[column]), step)
                    self._last = step
            if self._writer is not None:
                self._writer.flush()
        except Exception as error:  # a full disk, for example: the training goes on
            self._fail(error)

    def add_test(self, accuracy: float) -> None:
        """Log the accuracy on the test images, at the last step."""
        try:
            self._write("accuracy/test", accuracy, self._last)
        except Exception as error:
            self._fail(error)

    def close(self) -> None:
        """Write what is left."""
        try:
            if self._writer is not None:
                self._writer.close()
        except Exception as error:
            self._fail(error)

    def _write(self, tag: str, value: float, step: int) -> None:
        if self._failed:
            return
        if self._writer is None:
            from tensorboardX import SummaryWriter

            # the name of a file has the second of its start, which a quick resume may share
            number = len(list(self._folder.glob("*tfevents*")))
            self._writer = SummaryWriter(str(self._folder), flush_secs=10, filename_suffix=f".{number}")
        self._writer.add_scalar(tag, value, step)

    def _fail(self, error: Exception) -> None:
        if not self._failed:
            log.warning("the event files are not written any more: %s", error)
        self._failed = True


def logged_steps(folder: Path) -> Iterator[int]:
    """Yield the step of each event in a folder of event files; a record that a kill cut off ends its file."""
    from tensorboardX.proto.event_pb2 import Event

    for path in sorted(folder.glob("*tfevents*")):
        content = path.read_bytes()
        at = 0
        while at + _HEAD.size <= len(content):
            length, _ = _HEAD.unpack_from(content, at)
            start, at = at + _HEAD.size, at + _HEAD.size + length + 4
            if at > len(content):
                break
            event = Event()
            try:
                event.ParseFromString(content[start : start + length])
            except Exception:  # what google.protobuf raises for a damaged record
                break
            if event.HasField("summary"):
                yield int(event.step)
