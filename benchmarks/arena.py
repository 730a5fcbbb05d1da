"""Measures contestants in turns: each has its own process, and only one computes at a time.

The speed of a machine drifts during a measurement. So the contestants take turns, round after round. The report has the
median of each contestant, and the median of its ratios to the baseline within a round.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import select
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
START_SECONDS = 120
"""A contestant that is not ready after this time is left out, and the table says so."""

TORCH_MODES = ("eager", "channels_last", "compile", "bf16", "bf16+channels_last")


def has_torch() -> bool:
    """Return whether PyTorch is installed; print a message when it is not."""
    if importlib.util.find_spec("torch") is None:
        print(
            "PyTorch is not installed, so there is nothing to compare with: pip install 'cnncli[bench]'",
            file=sys.stderr,
        )
        return False
    return True


def layers_of(config: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the layer list of a recipe in configs/."""
    from cnncli.config.load import load_config

    return [
        (layer.kind, dict(layer.options)) for layer in load_config(HERE.parent / "configs" / config).model
    ]


class Contestant:
    """A process that measures when it is told to.

    Args:
        name: shown in the table.
        job: what it measures; see contestant.py.
    """

    def __init__(self, name: str, job: Mapping[str, Any]) -> None:
        self.name = name
        self.figures: list[float] = []
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "contestant.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._send(json.dumps(job))
        assert self.process.stdout is not None
        # nothing has been read yet, so no line can be hidden in the buffer of this process
        answered = select.select([self.process.stdout], [], [], START_SECONDS)[0]
        self.ready = bool(answered) and self._receive() == "ready"
        self.failure = (
            "" if self.ready else "did not run here" if answered else f"not ready in {START_SECONDS} s"
        )
        if not self.ready:
            self.process.kill()

    def _send(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def _receive(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def turn(self) -> None:
        """Measure one burst of steps."""
        self._send("go")
        self.figures.append(float(self._receive()))

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def compare(jobs: Mapping[str, Mapping[str, Any]], rounds: int, baseline: str) -> dict[str, dict[str, Any]]:
    """Measure all contestants in turns.

    Args:
        jobs: by the contestant's name.
        rounds: how many turns each contestant has.
        baseline: the name of the contestant that the ratios refer to.

    Returns:
        for each name the median and all figures in images per second, and the median ratio to the baseline. A
        contestant that could not start has only its `failure`.
    """
    contestants = [Contestant(name, job) for name, job in jobs.items()]
    running = [one for one in contestants if one.ready]
    for _ in range(rounds):
        for one in running:
            one.turn()
    for one in contestants:
        one.close()
    base = next((one.figures for one in running if one.name == baseline), None)
    table: dict[str, dict[str, Any]] = {}
    for one in contestants:
        entry: dict[str, Any] = {"failure": one.failure}
        if one.figures:
            entry = {
                "median": round(statistics.median(one.figures)),
                "figures": [round(f) for f in one.figures],
            }
            if base is not None:
                ratios = [mine / theirs for mine, theirs in zip(one.figures, base, strict=True)]
                entry["ratio"] = round(statistics.median(ratios), 2)
        table[one.name] = entry
    return table


def show(title: str, table: Mapping[str, Mapping[str, Any]], baseline: str) -> None:
    """Print a table of medians and ratios."""
    print(f"\n{title}")
    print(f"  {'':34s} {'img/s':>8s}   ratio to {baseline}")
    for name, entry in table.items():
        if "median" in entry:
            print(f"  {name:34s} {entry['median']:8,d}   {entry.get('ratio', float('nan')):.2f}")
        else:
            print(f"  {name:34s} {entry['failure']}")


def machine() -> dict[str, Any]:
    """Return the facts about hardware and software that the figures depend on."""
    import numpy as np
    from threadpoolctl import threadpool_info

    import cnncli

    facts: dict[str, Any] = {
        "date": date.today().isoformat(),
        "cpu": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "cnncli": cnncli.__version__,
        "blas": [
            {key: info.get(key) for key in ("internal_api", "version", "architecture")}
            for info in threadpool_info()
            if info.get("user_api") == "blas"
        ],
    }
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                facts["cpu"] = line.split(":", 1)[1].strip()
            if line.startswith("flags"):
                facts["vector"] = [
                    flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in line.split()
                ]
                break
    except OSError:
        pass
    if importlib.util.find_spec("torch") is not None:
        from importlib.metadata import version

        facts["torch"] = version("torch")
    return facts


def save(name: str, result: Mapping[str, Any]) -> None:
    """Write a result with the facts about the machine to results/<name>.json."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), **result}, indent=2) + "\n")
    print(f"\nwrote {path.relative_to(HERE.parent)}")


def arguments(description: str, rounds: int = 7) -> argparse.Namespace:
    """Return the options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=rounds, help="turns of each contestant")
    parser.add_argument("--no-save", action="store_true", help="do not write benchmarks/results/")
    return parser.parse_args()


def torch_jobs(job: Mapping[str, Any], modes: Sequence[str] = TORCH_MODES) -> dict[str, dict[str, Any]]:
    """Return PyTorch's contestants for a job, one for each mode."""
    return {f"PyTorch {mode}": {**job, "side": "torch", "mode": mode} for mode in modes}
