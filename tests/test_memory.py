"""The available memory, read from simulated machines."""

import os
import sys
from pathlib import Path

import pytest

from cnncli.memory import available_bytes

MEMINFO = "MemTotal:       8000000 kB\nMemFree:         100000 kB\nMemAvailable:   4000000 kB\n"
GB = 10**9


def machine(root: Path, files: dict[str, str]) -> Path:
    """Write the files of a simulated kernel."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_the_kernel_says_what_is_available(tmp_path: Path) -> None:
    assert available_bytes(machine(tmp_path, {"proc/meminfo": MEMINFO})) == 4_000_000 * 1024


def test_a_control_group_may_leave_less(tmp_path: Path) -> None:
    files = {
        "proc/meminfo": MEMINFO,
        "proc/self/cgroup": "0::/user.slice/app\n",
        "sys/fs/cgroup/user.slice/app/memory.max": f"{2 * GB}\n",
        "sys/fs/cgroup/user.slice/app/memory.current": f"{GB}\n",
        "sys/fs/cgroup/user.slice/app/memory.stat": "anon 5\ninactive_file 300000000\n",
    }
    assert available_bytes(machine(tmp_path, files)) == GB + 300_000_000


def test_a_parent_group_counts_too_and_max_is_no_limit(tmp_path: Path) -> None:
    files = {
        "proc/meminfo": MEMINFO,
        "proc/self/cgroup": "0::/user.slice/app\n",
        "sys/fs/cgroup/user.slice/app/memory.max": "max\n",
        "sys/fs/cgroup/user.slice/app/memory.current": "1\n",
        "sys/fs/cgroup/user.slice/memory.max": f"{GB}\n",
        "sys/fs/cgroup/user.slice/memory.current": f"{GB // 4}\n",
    }
    assert available_bytes(machine(tmp_path, files)) == GB - GB // 4


def test_version_1_groups_and_a_path_that_only_the_host_knows(tmp_path: Path) -> None:
    files = {
        "proc/meminfo": MEMINFO,
        "proc/self/cgroup": "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n0::/docker/abc\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{GB}\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": "400000000\n",
        "sys/fs/cgroup/memory/memory.stat": "total_inactive_file 100000000\n",
    }
    assert available_bytes(machine(tmp_path, files)) == 700_000_000


def test_a_group_over_its_limit_leaves_nothing(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "0::/\n",
        "sys/fs/cgroup/memory.max": "100\n",
        "sys/fs/cgroup/memory.current": "200\n",
    }
    assert available_bytes(machine(tmp_path, files)) == 0


def test_without_a_kernel_to_ask_it_is_the_physical_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        os, "sysconf", {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}.__getitem__, raising=False
    )
    assert available_bytes(tmp_path) == 4_096_000


@pytest.mark.parametrize(
    "files",
    [
        {"proc/meminfo": "MemAvailable: many kB\n", "proc/self/cgroup": "nonsense\n:\n\n"},
        {"proc/meminfo": "MemAvailable:\n", "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "?\n"},
        {
            "proc/self/cgroup": "0::/\n",
            "sys/fs/cgroup/memory.max": "8192000",
            "sys/fs/cgroup/memory.current": "4096000",
            "sys/fs/cgroup/memory.stat": "inactive_file many\nnothing\n",
        },
    ],
)
def test_files_of_an_unknown_form_are_passed_over(
    files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        os, "sysconf", {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}.__getitem__, raising=False
    )
    assert available_bytes(machine(tmp_path, files)) == 4_096_000


def test_a_system_that_does_not_know_its_size_refuses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sysconf", lambda name: -1 if name == "SC_PHYS_PAGES" else 4096, raising=False)
    assert available_bytes(tmp_path) == sys.maxsize


def test_where_nothing_is_known_nothing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sysconf", raising=False)
    assert available_bytes(tmp_path) == sys.maxsize


def test_this_machine_has_some_memory() -> None:
    assert available_bytes() > 1_000_000
