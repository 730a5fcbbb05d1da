"""Prints the README's table of recipes from the run folders of their repeats.

cnn train --config speedrun --seeds 1,2,3,4,5,6,7,8,9,10
python benchmarks/recipes.py [--runs-dir runs]

Each group of runs that `cnn train --seeds` made is a row, if all of its seeds are done. The time is that of
`speedrun.py`, which repeats a recipe in PyTorch, where it has measured one.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from arena import RESULTS

from cnncli.runs.listing import Listed, list_folder


def time_of(config: str) -> str:
    """Return how long the recipe takes compared with PyTorch, or nothing if that was not measured."""
    path = RESULTS / f"{config.removesuffix('.yaml')}.json"
    if not path.is_file():
        return ""
    table: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")).get("table", {})
    ratios = {
        name: entry["cnncli_takes"]
        for name, entry in table.items()
        if name.startswith("PyTorch") and "cnncli_takes" in entry
    }
    return ", ".join(f"{ratio:.2f} of {name.removeprefix('PyTorch ')}" for name, ratio in ratios.items())


def row(group: Listed, member: Listed) -> str:
    """Return one row of the table in Markdown, for a group and one of its runs."""
    assert group.test_accuracy is not None
    deviation = "" if group.test_std is None else f" ± {100 * group.test_std:.2f}"
    name = Path(group.config or group.name).name
    return (
        f"| `{name}` | {member.parameters or 0:,} | {member.epochs_wanted} | "
        f"{100 * group.test_accuracy:.2f}{deviation} % | {group.members} | {time_of(name)} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"))
    runs_dir = parser.parse_args().runs_dir
    rows = [
        (next(list_folder(runs_dir, each.name)), each)
        for each in list_folder(runs_dir)
        if each.kind == "seeds" and each.status == "done" and each.test_accuracy is not None
    ]
    print("| config | parameters | epochs | test accuracy, mean ± deviation | seeds | time, PyTorch = 1 |")
    print("|---|---|---|---|---|---|")
    for member, group in sorted(rows, key=lambda pair: pair[0].parameters or 0):
        print(row(group, member))


if __name__ == "__main__":
    main()
