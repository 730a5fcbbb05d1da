"""Prints the ratios of benchmarks/results as the table that stands in README.md and docs/engine.md.

python benchmarks/table.py
"""

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
NETWORKS = {"vgg-small.yaml": "`vgg-small`", "lenet5.yaml": "LeNet-5", "deotte.yaml": "`deotte`"}


def result(name: str) -> dict[str, Any]:
    """Return what a benchmark wrote."""
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


def lines() -> list[str]:
    """Return the table in Markdown."""
    rows = ["| on two cores | times PyTorch eager | times PyTorch's best mode |", "|---|---|---|"]

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
    memory = result("memory")["megabytes"]
    ours, theirs = memory["cnn train, 55,000 images"], memory["PyTorch, 60,000 images in float32"]
    rows.append(f"| peak memory of a training on MNIST, all processes | {ours / theirs:.2f} ({ours} MB) | |")
    epoch = result("epoch")
    rows.append(
        f"| an epoch of `cnn train`, in times of its steps: the first, the second | {epoch['first']:.2f}, "
        f"{epoch['second']:.2f} | |"
    )
    start = result("startup")["seconds"]
    torch = start["python -c 'import torch'"]
    rows.append(
        f"| `cnn predict digit.png`, in times of importing PyTorch | {start['cnn predict digit.png'] / torch:.2f} | |"
    )
    rows.append(f"| `cnn --help`, likewise | {start['cnn --help'] / torch:.2f} | |")
    return rows


def machine() -> str:
    """Return the machine the training benchmark ran on, in a sentence."""
    facts = result("train_throughput")["machine"]
    return f"{facts['cpu']}, {', '.join(facts['vector'])}, {facts['cores']} cores, {facts['date']}"


if __name__ == "__main__":
    print("\n".join(lines()))
    print(f"\n{machine()}")
