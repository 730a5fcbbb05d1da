"""The pictures of a run: drawn for every case that occurs, without any global state of matplotlib."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnncli.report import draw_confusion, draw_curves, draw_mistakes, draw_samples, find_mistakes

NAMES = [str(digit) for digit in range(10)]


def rows(count: int, *, validation: bool = True) -> list[dict[str, Any]]:
    return [
        {
            "epoch": epoch,
            "train_loss": 0.6 / epoch,
            "train_accuracy": 1 - 0.2 / epoch,
            "val_loss": 0.4 / epoch if validation else None,
            "val_accuracy": 1 - 0.1 / epoch if validation else None,
        }
        for epoch in range(1, count + 1)
    ]


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB"))


def has_colour(image: np.ndarray, colour: str) -> bool:
    """Tell whether a colour such as "#2a6f97" is somewhere in the picture."""
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    return bool((np.abs(image.astype(int) - wanted).max(axis=2) < 3).any())


@pytest.mark.parametrize("count", [1, 12, 100])
@pytest.mark.parametrize("validation", [True, False])
def test_curves_show_training_and_validation(tmp_path: Path, count: int, validation: bool) -> None:
    image = pixels(
        draw_curves(rows(count, validation=validation), tmp_path / "c.png", title="a$b$", best_epoch=count)
    )
    assert has_colour(image, "#e07b39")
    assert has_colour(image, "#2a6f97") == validation


@pytest.mark.parametrize("accuracy", [0.0, 0.999, 1.0])
def test_curves_can_be_drawn_for_any_accuracy(tmp_path: Path, accuracy: float) -> None:
    row = {
        "epoch": 1,
        "train_loss": 2.0,
        "train_accuracy": accuracy,
        "val_loss": 0.0,
        "val_accuracy": accuracy,
    }
    image = pixels(draw_curves([row, {**row, "epoch": 2}], tmp_path / "c.png", best_epoch=1))
    assert has_colour(image, "#2a6f97")


def test_no_epochs_are_no_curves(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no epochs"):
        draw_curves([], tmp_path / "c.png")


@pytest.mark.parametrize("k", [2, 10, 47])
def test_a_confusion_matrix_is_red_where_there_are_mistakes_only(tmp_path: Path, k: int) -> None:
    right = np.diag(np.arange(1, k + 1))
    wrong = right.copy()
    wrong[0, 1] = 2
    names = [f"class {i}" for i in range(k)]
    clean = pixels(draw_confusion(right, names, tmp_path / "clean.png"))
    stained = pixels(draw_confusion(wrong, names, tmp_path / "stained.png", title="run-1"))
    assert has_colour(stained, "#c0392b") and not has_colour(clean, "#c0392b")


def test_a_class_without_images_has_an_empty_row(tmp_path: Path) -> None:
    confusion = np.array([[3, 1], [0, 0]])
    assert pixels(draw_confusion(confusion, ["a", "b"], tmp_path / "c.png")).shape[0] > 100


def test_the_surest_mistakes_come_first_and_right_answers_never() -> None:
    p = np.array([[0.9, 0.1], [0.3, 0.7], [0.4, 0.6], [0.2, 0.8]])
    found = find_mistakes(p, np.array([0, 0, 0, 1]))
    assert [(m.index, m.label, m.predicted, m.confidence, m.label_probability) for m in found] == [
        (1, 0, 1, 0.7, 0.3),
        (2, 0, 1, 0.6, 0.4),
    ]
    assert find_mistakes(p, np.array([0, 0, 0, 1]), count=1) == found[:1]


@pytest.mark.parametrize("count", [0, 1, 9])
@pytest.mark.parametrize("shape", [(28, 28), (32, 32, 3)])
def test_a_gallery_of_any_number_of_mistakes(tmp_path: Path, count: int, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (max(count, 1), *shape), dtype=np.uint8)
    p = np.tile([[0.2, 0.8]], (count, 1))
    mistakes = find_mistakes(p, np.zeros(count, int), 24)
    image = pixels(draw_mistakes(mistakes, images, ["no", "yes"], tmp_path / "m.png", title="run-1"))
    assert has_colour(image, "#c0392b") == (count > 0)


@pytest.mark.parametrize("shape", [(28, 28), (8, 12, 3)])
def test_a_sheet_has_a_row_for_every_class_also_one_without_images(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (20, *shape), dtype=np.uint8)
    labels = np.arange(20) % 3
    small = pixels(draw_samples(images, labels, NAMES[:3], tmp_path / "a.png", rng=rng))
    large = pixels(draw_samples(images, labels, NAMES, tmp_path / "b.png", rng=rng, title="set"))
    assert large.shape[0] > 2 * small.shape[0]


def test_the_same_generator_state_draws_the_same_sheet(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 255, (50, 8, 8), dtype=np.uint8)
    labels = np.arange(50) % 2
    files = [
        draw_samples(
            images, labels, ["a", "b"], tmp_path / f"{i}.png", rng=np.random.default_rng(3), columns=4
        )
        for i in range(2)
    ]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_class_names_without_glyphs_cause_no_warning(tmp_path: Path) -> None:
    assert draw_confusion(np.eye(2, dtype=int), ["お", "\u1f600"], tmp_path / "c.png").exists()


def test_drawing_leaves_pyplot_alone(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from cnncli.report import draw_curves;"
        "assert 'matplotlib' not in sys.modules;"
        "row = dict(epoch=1, train_loss=1.0, train_accuracy=.5, val_loss=1.0, val_accuracy=.5);"
        "draw_curves([row], Path(sys.argv[1]), best_epoch=1);"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "c.png"], check=True)
