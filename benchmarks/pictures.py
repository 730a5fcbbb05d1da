"""How well does the bundled model read pictures of handwriting? Measured on simulated scans, photos, pages and forms.

CNNCLI_TEST_MNIST=... python benchmarks/pictures.py

The digits are those of the MNIST test images. So this reports, and decides nothing.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from arena import save
from simulated_pictures import KINDS, Simulated, simulate

import cnncli
from cnncli import PicturePrediction
from cnncli.data.dataset import Split

GOALS = {"scans": 0.99, "photos": 0.97, "paper": 0.97, "pages": 0.98, "forms": 0.98}
"""The part of the digits of each group that is to be read right."""

TITLES = {
    "scans": "clean scans",
    "photos": "photos",
    "paper": "ruled paper, boxes, circles, underlines",
    "pages": "pages",
    "forms": "forms",
}
COLUMNS = ("pictures", "exact", "digits", "right")


def edits(right: str, read: str) -> int:
    """Return how many digits must be changed, added or left out to turn one text into another."""
    letters = np.frombuffer(read.encode("utf-32-le"), np.uint32)
    places = np.arange(len(letters) + 1)
    row = places.copy()
    for number, letter in enumerate(right, start=1):
        kept = row[:-1] + (letters != ord(letter))
        row = np.concatenate([[number], np.minimum(kept, row[1:] + 1)])
        # an added digit costs one more than the place before it
        row = np.minimum.accumulate(row - places) + places
    return int(row[-1])


def score(picture: Simulated, read: PicturePrediction) -> tuple[bool, int, int]:
    """Return whether a picture was read exactly, its number of digits, and how many of them were read right."""
    if picture.cells is not None:
        cells = [list(row) for row in picture.cells]
        found = read.cells
        exact = cells == found
        if [len(row) for row in cells] == [len(row) for row in found]:
            pairs = list(zip(chain(*cells), chain(*found), strict=True))
        else:
            pairs = [("".join(chain(*cells)), _only_digits(read.text))]
    else:
        lines = [_only_digits(line) for line in read.text.split("\n")]
        exact = list(picture.lines) == lines
        pairs = [("".join(picture.lines), "".join(lines))]
    digits = sum(len(right) for right, _ in pairs)
    return exact, digits, max(0, digits - sum(edits(right, text) for right, text in pairs))


def measure(split: Split, count: int, seed: int, folder: Path | None = None) -> dict[str, dict[str, Any]]:
    """Draw and read pictures of all kinds.

    Args:
        split: images of digits and their labels.
        count: how many pictures of a kind with a share of 1.
        seed: of the simulator.
        folder: where to write the pictures, with right.csv.

    Returns:
        by the name of each kind: its group, its number of pictures, how many were read exactly, its number of
        digits, and how many were read right.
    """
    model = cnncli.load_model("bundled")
    kinds: dict[str, dict[str, Any]] = {}
    answers = []
    for index, kind in enumerate(KINDS):
        sums = dict.fromkeys(COLUMNS, 0)
        for number in range(max(1, round(count * kind.share))):
            picture = simulate(split, index, number, seed)
            name = f"{kind.name.replace(',', '').replace(' ', '-')}-{number:03d}.{_ending(picture.data)}"
            (read,) = cnncli.predict_pictures([(name, picture.data)], model)
            exact, digits, right = score(picture, read)
            for column, value in zip(COLUMNS, (1, exact, digits, right), strict=True):
                sums[column] += int(value)
            if folder is not None:
                (folder / name).write_bytes(picture.data)
                answers.append(
                    (name, int(exact), digits - right, _right_text(picture), read.error or read.text)
                )
        kinds[kind.name] = {"group": kind.group, **sums}
        print(f"  {kind.name:28s} {100 * sums['right'] / sums['digits']:6.2f} %", file=sys.stderr, flush=True)
    if folder is not None:
        with (folder / "right.csv").open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([("file", "exact", "wrong_digits", "right", "read"), *answers])
    return kinds


def table(kinds: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the table by kind in Markdown, with a row in bold for each group."""
    rows = [
        "| pictures | number | read exactly | digits | right | goal |",
        "|---|---|---|---|---|---|",
    ]
    for group, goal in GOALS.items():
        members = {name: kind for name, kind in kinds.items() if kind["group"] == group}
        whole = {column: sum(kind[column] for kind in members.values()) for column in COLUMNS}
        rows.append(_row(f"**{TITLES[group]}**", whole, f"{100 * goal:.0f} %"))
        rows += [_row(name, kind, "") for name, kind in members.items()]
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write results/pictures.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data-dir", default=os.environ.get("CNNCLI_TEST_MNIST"), help="with the MNIST files"
    )
    parser.add_argument(
        "--count", type=int, default=20, help="pictures of a kind; some kinds have more, some fewer"
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed draws other pictures")
    parser.add_argument(
        "--save", type=Path, metavar="DIR", help="write the pictures, and right.csv, to a folder"
    )
    parser.add_argument("--no-save", action="store_true", help="do not write benchmarks/results/")
    options = parser.parse_args(arguments)
    if options.data_dir is None:
        sys.exit("--data-dir or CNNCLI_TEST_MNIST must name the folder with the MNIST files")
    if options.save is not None:
        options.save.mkdir(parents=True, exist_ok=True)
    split = cnncli.load_dataset("mnist", options.data_dir, splits=("test",)).test
    kinds = measure(split, options.count, options.seed, options.save)
    print("\n".join(table(kinds)))
    if not options.no_save:
        save("pictures", {"count": options.count, "seed": options.seed, "kinds": kinds})


def _only_digits(text: str) -> str:
    """Return a text without the signs of a table: spaces between cells, "." for an empty one, ends of lines."""
    return "".join(letter for letter in text if letter not in " .\n")


def _right_text(picture: Simulated) -> str:
    if picture.cells is None:
        return "\n".join(picture.lines)
    return "\n".join(" ".join(cell or "." for cell in row) for row in picture.cells)


def _ending(data: bytes) -> str:
    return "png" if data.startswith(b"\x89PNG") else "jpg"


def _row(title: str, sums: Mapping[str, int], goal: str) -> str:
    exact, right = 100 * sums["exact"] / sums["pictures"], 100 * sums["right"] / sums["digits"]
    return f"| {title} | {sums['pictures']:,} | {exact:.1f} % | {sums['digits']:,} | {right:.2f} % | {goal} |"


if __name__ == "__main__":
    main()
