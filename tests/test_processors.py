"""The processors that this process may use, by its affinity and by the quota of simulated containers."""

import os
from pathlib import Path

import pytest

from cnncli import processors
from cnncli.control_groups import group_folders, number, read
from cnncli.processors import available_processors
from tests.test_memory import machine


@pytest.fixture(autouse=True)
def eight_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({}, 8),
        ({"sys/fs/cgroup/cpu.max": "300000 100000\n"}, 3),
        ({"sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
        ({"sys/fs/cgroup/cpu.max": "max 100000\n"}, 8),
        ({"sys/fs/cgroup/cpu.max": "300000 0\n"}, 8),
        ({"sys/fs/cgroup/cpu.max": "300000\n"}, 8),
        ({"sys/fs/cgroup/cpu.max": "?\n"}, 8),
        ({"sys/fs/cgroup/cpu.max": "900000 100000\n"}, 8),
        (
            {
                "proc/self/cgroup": "0::/app.slice/job\n",
                "sys/fs/cgroup/app.slice/job/cpu.max": "max 100000\n",
                "sys/fs/cgroup/app.slice/cpu.max": "200000 100000\n",
            },
            2,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/docker/abc\n3:memory:/docker/abc\n0::/docker/abc\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "400000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            4,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            8,
        ),
        ({"proc/self/cgroup": "nonsense\n:\n\n"}, 8),
    ],
)
def test_a_quota_lowers_the_number(files: dict[str, str], found: int, tmp_path: Path) -> None:
    assert available_processors(machine(tmp_path, files)) == found


@pytest.mark.parametrize("error", [PermissionError, OSError, AttributeError])
def test_a_system_without_affinity_counts_its_processors(error, tmp_path: Path, monkeypatch) -> None:
    def refuse(pid: int) -> set[int]:
        raise error

    monkeypatch.setattr(os, "sched_getaffinity", refuse)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert available_processors(tmp_path) == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_processors(tmp_path) == 1


def test_a_file_that_cannot_be_read_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpu.max").write_bytes(b"\xff\xfe300000 100000")
    assert read(tmp_path / "cpu.max") == read(tmp_path) == read(tmp_path / "missing") == ""

    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)
    assert read(tmp_path / "cpu.max") == ""
    assert [version for version, _ in group_folders("cpu", tmp_path)] == [2]
    assert processors.available_processors(tmp_path) == 8


def test_only_plain_digits_are_a_number() -> None:
    assert [number(text) for text in ("7\n", "", "max", "-1", "7.5", "²")] == [
        7,
        None,
        None,
        None,
        None,
        None,
    ]
