"""Reads and writes the JSON file that says how far a run is, and tells from it whether the run still goes on."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnncli.errors import RunError
from cnncli.runs.process import is_alive, process_identity
from cnncli.storage import storage_error, write_text_atomic

STATUSES = ("running", "done", "failed", "interrupted")
KILLED = "interrupted (killed)"
"""The status of a run whose run.json says "running" while its process no longer exists."""

UNKNOWN = "unknown"
"""The status of a run whose run.json is missing, damaged, or of another program."""

_MAX_BYTES = 4 << 20


def read_info(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the content of such a file, {} when there is none.

    Raises:
        RunError: it is not a JSON object.
        StorageError: it cannot be read.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            # not `read(_MAX_BYTES)`, which takes that much memory first
            text = file.read(min(os.fstat(file.fileno()).st_size, _MAX_BYTES))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise storage_error(error, path, "read") from error
    try:
        info = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RunError(f"{os.fspath(path)} is damaged: {error}") from error
    if not isinstance(info, dict):
        raise RunError(f"{os.fspath(path)} is damaged: it is not a JSON object")
    return info


def write_info(path: Path, /, **fields: Any) -> dict[str, Any]:
    """Set fields of such a file, keep the others, and return them all.

    With status="running" the identity of this process is stored too, so that `status_of` can tell when it was killed.

    Raises:
        StorageError: the file cannot be written, for example on a full disk; it is unchanged.
    """
    info = {**read_info(path), **fields}
    if "status" in fields:
        info.pop("process", None)
        if fields["status"] == "running":
            info["process"] = process_identity()
    text = json.dumps(info, indent=2, ensure_ascii=False, default=_to_json_value)
    write_text_atomic(path, text.encode("utf-8", errors="replace").decode() + "\n")
    return info


def status_of(info: Mapping[str, Any]) -> str:
    """Return running, done, failed, interrupted, "interrupted (killed)", or unknown."""
    status = info.get("status")
    if status not in STATUSES:
        return UNKNOWN
    process = info.get("process")
    if status == "running" and isinstance(process, dict) and not is_alive(process):
        return KILLED
    return str(status)


def _to_json_value(value: object) -> object:
    if hasattr(value, "item"):  # a number of NumPy, which is not imported here because it takes long
        return value.item()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"a {type(value).__name__} is not a JSON value")
