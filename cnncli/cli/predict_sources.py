"""Finds what `cnn predict` is to read, and the network that is to read it."""

import glob
import sys
from collections.abc import Container
from pathlib import Path

from cnncli.errors import PictureError, RunError
from cnncli.runs import find_run, latest_finished
from cnncli.training.model import Model, load_model
from cnncli.training.predict import Source

MAX_STDIN_BYTES = 64 << 20


def find_model(text: str | None, runs_dir: Path) -> Model:
    """Return the trained network that a user means.

    Args:
        text: a run or a checkpoint file; None for the latest finished run.
        runs_dir: where runs are.

    Raises:
        RunError: there is none.
    """
    if text is not None:
        return load_model(
            Path(text) if Path(text).is_file() else find_run(text, runs_dir, needs=["checkpoint"])
        )
    run = latest_finished(runs_dir)
    if run is None:
        raise RunError(
            f"there is no finished run in {runs_dir}", "train one with `cnn train`, or name one with --run"
        )
    return load_model(run)


def find_sources(names: list[str]) -> list[Source]:
    """Return the pictures behind files, folders, patterns and '-', in that order.

    Raises:
        PictureError: a folder or a pattern without a picture, or too much on stdin.
    """
    found: list[Source] = []
    for name in names:
        path = Path(name)
        if name == "-":
            found.append(("stdin", _read_stdin()))
        elif path.is_dir():
            from cnncli.data.readers.folder import SUFFIXES

            inside = sorted(file for file in path.rglob("*") if _is_shown(file, path, SUFFIXES))
            if not inside:
                raise PictureError(
                    f"there is no picture in {path}", f"known endings: {' '.join(sorted(SUFFIXES))}"
                )
            found += inside
        elif not path.exists() and glob.has_magic(name):
            matches = sorted(Path(match) for match in glob.glob(name, recursive=True))
            if not matches:
                raise PictureError(f"no file matches {name}")
            found += [match for match in matches if match.is_file()]
        else:
            found.append(path)
    return found


def _is_shown(file: Path, folder: Path, suffixes: Container[str]) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return not hidden and file.suffix.lower() in suffixes and file.is_file()


def _read_stdin() -> bytes:
    content = sys.stdin.buffer.read(MAX_STDIN_BYTES + 1)
    if len(content) > MAX_STDIN_BYTES:
        raise PictureError(
            f"stdin holds more than {MAX_STDIN_BYTES >> 20} MiB, which is no picture of digits"
        )
    if not content:
        raise PictureError(
            "there is nothing on stdin", "pipe a picture into the command: cnn predict - < digit.png"
        )
    return content
