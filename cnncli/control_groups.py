"""Finds the control groups of this process, in which Linux keeps the limits of containers and services."""

from collections.abc import Iterator
from pathlib import Path


def group_folders(controller: str, root: Path = Path("/")) -> Iterator[tuple[int, Path]]:
    """Yield the groups of this process, from its own to the root; none on a system without them.

    Source: cgroups(7). A folder may not exist: in a container the system may name a path of the host. Its parents do.

    Args:
        controller: "memory" or "cpu".
        root: the folder where `proc` and `sys` are mounted.

    Yields:
        The version of the interface, 1 or 2, and the folder.
    """
    mounted = root / "sys/fs/cgroup"
    lines = read(root / "proc/self/cgroup").splitlines() or ["0::/"]
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            version, top = 2, mounted
        elif controller in controllers.split(","):
            version, top = 1, mounted / controller
        else:
            continue
        group = top / path.strip("/")
        for folder in (group, *group.parents):
            if folder.is_relative_to(top):
                yield version, folder


def read(path: Path) -> str:
    """Return the text of a file of the system; "" if there is none, or none that can be read."""
    try:
        return path.read_text()
    except (OSError, ValueError):  # a ValueError is about its encoding
        return ""


def number(text: str) -> int | None:
    """Return a whole number, or None for anything else, such as "max".

    Example:
        >>> number("4096\\n"), number("max")
        (4096, None)
    """
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() else None
