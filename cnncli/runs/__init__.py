"""Run folders: how one is created and found, and the files in it."""

from cnncli.runs.folder import KILLED, Run
from cnncli.runs.lookup import BUNDLED, create_run, find_run, latest_run, list_runs
from cnncli.runs.machine import machine_facts
from cnncli.runs.metrics_file import COLUMNS, Row

__all__ = [
    "BUNDLED",
    "COLUMNS",
    "KILLED",
    "Row",
    "Run",
    "create_run",
    "find_run",
    "latest_run",
    "list_runs",
    "machine_facts",
]
