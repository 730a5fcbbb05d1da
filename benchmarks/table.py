"""Prints the ratios of benchmarks/results as the two tables of README.md.

python benchmarks/table.py
"""

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
NETWORKS = {"vgg-small.yaml": "`vgg-small`", "lenet5.yaml": "LeNet-5", "deotte.yaml": "`deotte`"}


def result(name: str) -> dict[str, Any]:
    """Return the result that a benchmark wrote."""
    loaded: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


def against_torch(table: dict[str, Any]) -> tuple[float, str, float]:
    """Return our ratio to PyTorch eager, PyTorch's best mode, and our ratio to that."""
    ours = table["cnncli"]["ratio"]
    modes = {
        name: entry["ratio"]
        for name, entry in table.items()
        if name.startswith("PyTorch") and "ratio" in entry
    }
    best = max(modes, key=lambda name: modes[name])
    return ours, best.removeprefix("PyTorch "), ours / modes[best]


def speed() -> list[str]:
    """Return the table of speeds in Markdown."""
    rows = [
        "Speed, PyTorch = 1 (higher is faster):\n",
        "| on two cores | times PyTorch eager | times PyTorch's best mode |",
        "|---|---|---|",
    ]

    def add(what: str, table: dict[str, Any]) -> None:
        ours, best, to_best = against_torch(table)
        rows.append(f"| {what} | {ours:.2f} | {to_best:.2f} ({best}) |")

    add("training, reference network, batch 128", result("train_throughput")["table"])
    for size in ("32", "512", "1024"):
        ours, _, _ = against_torch(result("batch_sizes")["tables"][size])
        rows.append(f"| the same, batch {size} | {ours:.2f} | |")
    for config, name in NETWORKS.items():
        add(f"training, {name}", result("architectures")["tables"][config])
    add("inference, reference network, batches of 1,000", result("inference_throughput")["table"])
    return rows


def cost() -> list[str]:
    """Return the table of memory and start-up in Markdown."""
    memory = result("memory")["megabytes"]
    ours, theirs = memory["cnn train, 55,000 images"], memory["PyTorch, 60,000 images in float32"]
    start = result("startup")["seconds"]
    torch = start["python -c 'import torch'"]
    rows = ["Memory and start-up, PyTorch = 1 (lower is better):\n", "| on two cores | ratio |", "|---|---|"]
    rows.append(
        f"| peak memory of a training run on MNIST, all processes | {ours} MB, {ours / theirs:.2f} of PyTorch's |"
    )
    for command in ("cnn predict digit.png", "cnn --help"):
        rows.append(f"| time of `{command}` | {start[command] / torch:.2f} of `import torch` |")
    return rows


def machine() -> str:
    """Return the machine of the training benchmark and the date."""
    facts = result("train_throughput")["machine"]
    return f"{facts['cpu']}, {', '.join(facts['vector'])}, {facts['cores']} cores, {facts['date']}"


if __name__ == "__main__":
    print("\n".join([*speed(), "", *cost(), "", f"Measured on {machine()}."]))
