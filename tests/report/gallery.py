"""Draws the pictures of `cnncli.report` for every case to look at: `python -m tests.report.gallery FOLDER`.

The tests draw the same cases, and check that no two texts overlap.
"""

import string
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from cnncli.report import (
    draw_comparison,
    draw_confusion,
    draw_curves,
    draw_importance,
    draw_mistakes,
    draw_parallel,
    draw_samples,
    find_mistakes,
    save_png,
)

CLASSES = {
    "2": ["cat", "dog"],
    "10": [str(digit) for digit in range(10)],
    "10-words": ["T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"],
    "26": list(string.ascii_uppercase),
    "26-long": [f"handwritten capital letter {letter} of the Latin alphabet"[:30] for letter in string.ascii_uppercase],
    "26-one-word": [f"WWWWWWWWWW_MMMMMMMMMM_{7 * letter}" for letter in string.ascii_uppercase],
    "47": [*string.digits, *string.ascii_uppercase, *"abdefghnqrt"],
    "200": [f"class {number}" for number in range(200)],
}  # fmt: skip

SUBTITLE = "mnist, config mnist.yaml, 1,199,882 parameters. Test: 99.36 % right, loss 0.0213"


def history(
    epochs: int, *, start: float = 0.5, end: float = 0.01, validation: bool = True
) -> list[dict[str, Any]]:
    """Return the rows of a training run whose error falls from `start` to `end`."""
    rng = np.random.default_rng(epochs)
    rows = []
    for epoch in range(1, epochs + 1):
        error = start * (end / start) ** ((epoch - 1) / max(epochs - 1, 1)) * rng.uniform(0.9, 1.1)
        error = min(error, 1.0)
        row = {"epoch": epoch, "train_loss": 3.3 * error, "train_accuracy": 1 - error}
        row["val_loss"] = 2.9 * error if validation else None
        row["val_accuracy"] = 1 - 0.8 * error if validation else None
        rows.append(row)
    return rows


SHARES = {
    "train.optimizer.lr": 0.61,
    "model.0.conv.filters": 0.2,
    "train.optimizer.name": 0.0,
    "train.batch_size": None,
    "a.very.long.key.of.a.config." * 3 + "$x$": 1.0,
}
"""The keys of a sweep, and how much each explains."""


def trials(count: int) -> list[tuple[dict[str, Any], float]]:
    """Return the values of trials, and their validation accuracy."""
    rng = np.random.default_rng(count)
    found = []
    for number in range(count):
        values = (10 ** rng.uniform(-4, -1), int(rng.integers(1, 24)), ["adam", "sgd"][number % 2])
        values += ([20, 50, 100][number % 3], [{"shift": 2}] if number % 2 else None)
        found.append((dict(zip(SHARES, values, strict=True)), float(rng.uniform(0.9, 0.99))))
    return found


def diverged(factor: float) -> list[dict[str, Any]]:
    """Return the rows of a training run with a loss that is far too large."""
    rows = history(5, start=0.9, end=0.88)
    return [
        {**row, "train_loss": factor * (1 + row["epoch"]), "val_loss": factor * (2 + row["epoch"])}
        for row in rows
    ]


def images(count: int, color: bool) -> np.ndarray:
    """Return small pictures: a bright disc on black, or a dark one on a colored background."""
    rng = np.random.default_rng(0)
    size = 64 if color else 28
    y, x = np.mgrid[:size, :size]
    made = np.zeros((count, size, size, *((3,) if color else ())), np.uint8)
    for image in made:
        (row, column), radius = rng.uniform(0.35 * size, 0.65 * size, 2), rng.uniform(0.1, 0.3) * size
        disc = (y - row) ** 2 + (x - column) ** 2 < radius**2
        image[...] = rng.integers(170, 250, 3) if color else 0
        image[disc] = rng.integers(0, 80, 3) if color else 255
    return made


def answers(k: int, count: int, wrong: float) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities, (N, K), and labels, (N,), of a network that makes this share of mistakes."""
    rng = np.random.default_rng(k)
    labels = rng.integers(0, k, count)
    taken_for = np.where(rng.random(count) < wrong, (labels + rng.integers(1, 3, count)) % k, labels)
    logits = rng.normal(0, 1, (count, k))
    logits[np.arange(count), taken_for] += rng.uniform(3, 9, count)
    p = np.exp(logits)
    return p / p.sum(axis=1, keepdims=True), labels


def matrix(k: int, wrong: float = 0.02, per_class: int = 1000) -> np.ndarray:
    """Return a confusion matrix, (K, K), with about this share of mistakes, most of them near the diagonal."""
    rng = np.random.default_rng(k)
    confusion = rng.poisson(wrong * per_class / (4 * k), (k, k))
    for step in (1, 2):
        confusion[np.arange(k), (np.arange(k) + step) % k] += rng.poisson(wrong * per_class / 2, k)
    np.fill_diagonal(confusion, rng.integers(9 * per_class // 10, 12 * per_class // 10, k))
    return confusion


def never_right(k: int) -> np.ndarray:
    """Return the matrix of a network that gives one answer to everything."""
    confusion = np.zeros((k, k), int)
    confusion[:, 1] = 1129
    return confusion


def gallery(k: int, classes: list[str], color: bool, count: int = 24) -> Figure:
    """Draw the mistakes of a network."""
    p, labels = answers(k, 400, 0.1)
    title = "run-2 on a set, test"
    return draw_mistakes(find_mistakes(p, labels, count), images(400, color), classes, title=title)


def sheet(classes: list[str], color: bool, count: int = 400) -> Figure:
    """Draw samples of a set."""
    labels = np.random.default_rng(1).integers(0, len(classes), count)
    return draw_samples(images(count, color), labels, classes, rng=np.random.default_rng(0), title="a set")


def grid(make: Callable[[int], np.ndarray], classes: list[str]) -> Figure:
    """Draw a confusion matrix."""
    confusion = make(len(classes))
    subtitle = f"{100 * confusion.trace() / confusion.sum():.2f} % of {confusion.sum():,} right"
    return draw_confusion(confusion, classes, title="run-2 on a set, test", subtitle=subtitle)


def cases() -> dict[str, Callable[[], Figure]]:
    """Return a function that draws each picture, by its name."""
    curves = partial(draw_curves, title="run-2", subtitle=SUBTITLE)
    found: dict[str, Callable[[], Figure]] = {
        "curves-1": lambda: curves(history(1, start=0.074), best_epoch=1),
        "curves-2": lambda: curves(history(2, start=0.1, end=0.04), best_epoch=2),
        "curves-15": lambda: curves(history(15), best_epoch=13),
        "curves-100": lambda: curves(history(100, start=0.9, end=0.004), best_epoch=100),
        "curves-100-decades": lambda: curves(history(100, start=0.9, end=0.0004), best_epoch=87),
        "curves-guessing": lambda: curves(history(8, start=0.9, end=0.89), best_epoch=3),
        "curves-diverged": lambda: curves(diverged(4.2e7), best_epoch=1),
        "curves-without-validation": lambda: curves(history(12, validation=False), best_epoch=12),
        "curves-perfect": lambda: curves(history(5, start=1e-9, end=1e-9), best_epoch=2),
        "curves-long-title": lambda: draw_curves(
            history(3), title="a-run-with-a-very-long-name-" * 6, subtitle=f"{SUBTITLE} " * 3
        ),
        "comparison-2": lambda: draw_comparison(
            {"run-1": history(15), "run-2": history(10, start=0.3)}, title="run-1 and run-2"
        ),
        "comparison-40": lambda: draw_comparison(
            {f"run-{n}": history(n + 1) for n in range(40)}, title="40 runs"
        ),
        "comparison-mixed": lambda: draw_comparison(
            {
                "a-run-with-a-very-long-name-" * 3: history(12),
                "no-validation$x$": history(5, validation=False),
                "one": history(1),
                "diverged": diverged(4.2e7),
                "none": [],
                **{f"sweep-3/trial-{n}": history(8, start=0.2 + n / 30) for n in range(10)},
            },
            title="15 runs",
        ),
        "importance-5": lambda: draw_importance(SHARES, title="lr: 40 trials"),
        "parallel-1": lambda: draw_parallel(trials(1), list(SHARES), title="lr: 1 trial"),
        "parallel-60": lambda: draw_parallel(
            trials(60),
            list(SHARES),
            even_keys={"train.batch_size"},
            log_keys={"train.optimizer.lr"},
            title="lr: 60 trials",
        ),
        "mistakes-0": lambda: gallery(10, CLASSES["10"], False, 0),
        "mistakes-1": lambda: gallery(10, CLASSES["10"], False, 1),
        "mistakes-3": lambda: gallery(10, CLASSES["10"], False, 3),
        "samples-few": lambda: sheet(CLASSES["2"], True, 4),
    }
    for name, classes in CLASSES.items():
        k = len(classes)
        found[f"confusion-{name}"] = partial(grid, matrix, classes)
        found[f"confusion-{name}-never-right"] = partial(grid, never_right, classes)
        for color in (False, True):
            kind = "color" if color else "gray"
            found[f"mistakes-{name}-{kind}"] = partial(gallery, k, classes, color)
            found[f"samples-{name}-{kind}"] = partial(sheet, classes, color)
    return found


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in cases().items():
        print(save_png(draw(), folder / f"{name}.png"))
