"""Run folders: how one is created and found, and the files in it."""

from cnncli.runs.folder import Run
from cnncli.runs.group import Group
from cnncli.runs.info import KILLED
from cnncli.runs.lookup import BUNDLED, create_run, find_run, latest_run, list_groups, list_runs
from cnncli.runs.machine import machine_facts
from cnncli.runs.metrics_file import COLUMNS, Row

__all__ = [
    "BUNDLED",
    "COLUMNS",
    "KILLED",
    "Group",
    "Row",
    "Run",
    "create_run",
    "find_run",
    "latest_run",
    "list_groups",
    "list_runs",
    "machine_facts",
]
