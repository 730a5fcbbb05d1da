"""Records the machine of a run, so that its results can be interpreted later."""

import os
import platform
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from cnncli._version import __version__
from cnncli.processors import available_processors


def machine_facts() -> dict[str, Any]:
    """Return what run.json stores about software, hardware and command line; takes about 10 ms, because of `git`."""
    import numpy as np

    return {
        "command_line": list(sys.argv),
        "cnncli": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": blas_name(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu_count": os.cpu_count(),
        "cpus_usable": available_processors(),
        "git_commit": git_commit(),
        "host": socket.gethostname(),
    }


def blas_name() -> str:
    """Return the library that NumPy multiplies matrices with, such as "openblas 0.3.30 (Haswell)"."""
    import numpy as np
    from threadpoolctl import threadpool_info

    for library in threadpool_info():
        if library.get("user_api") == "blas":
            detail = f" ({library['architecture']})" if library.get("architecture") else ""
            return f"{library['internal_api']} {library.get('version') or ''}".rstrip() + detail
    build = np.show_config(mode="dicts") or {}
    return str(build.get("Build Dependencies", {}).get("blas", {}).get("name", "unknown"))


def git_commit(folder: Path | None = None) -> str | None:
    """Return the commit checked out in a folder (default: the working directory), None outside of a git repository."""
    try:
        command = ["git", "rev-parse", "HEAD"]
        answer = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=2, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    commit = answer.stdout.decode("ascii", errors="replace").strip()
    return commit if answer.returncode == 0 and commit else None
