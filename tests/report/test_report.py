"""The pictures of a run: the facts are in them, and no two texts overlap."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from PIL import Image

from cnncli.report import (
    draw_confusion,
    draw_curves,
    draw_mistakes,
    draw_samples,
    find_mistakes,
    save_png,
)
from cnncli.report.figures import RIGHT, TRAIN, VALIDATION, WRONG, shortened, text_inches, wrapped
from tests.report.gallery import CLASSES, answers, cases, diverged, history, images, matrix, never_right

FULL_RED = [0.753, 0.224, 0.169]


def drawn_texts(figure: Figure, monkeypatch: pytest.MonkeyPatch) -> list[Text]:
    """Draw a figure and return the texts that are seen on it."""
    seen: list[Text] = []
    draw = Text.draw

    def recording(text: Text, renderer: object, *args: object, **options: object) -> None:
        if text.get_visible() and text.get_text().strip():
            seen.append(text)
        draw(text, renderer, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Text, "draw", recording)
        figure.draw_without_rendering()  # lays everything out, and paints no pixels
    return seen


def strings(figure: Figure) -> list[str]:
    figure.draw_without_rendering()
    return [text.get_text() for text in figure.findobj(Text) if text.get_visible() and text.get_text()]


CHECKED = (
    *("curves-1", "curves-100-decades", "curves-guessing", "curves-long-title"),
    *("confusion-2", "confusion-10", "confusion-26-long"),
    *("comparison-2", "comparison-mixed", "importance-5"),
    *("mistakes-10-gray", "mistakes-26-long-gray", "samples-2-gray", "samples-26-long-gray"),
)
"""Cases of the gallery that differ in what could overlap."""

CHECKED_TOO = (
    *("curves-diverged", "curves-perfect", "confusion-47", "confusion-10-never-right", "mistakes-2-color"),
    *(
        "comparison-40",
        "parallel-1",
        "mistakes-26-one-word-color",
        "mistakes-1",
        "samples-10-color",
        "samples-few",
    ),
)
"""More of them, for `pytest -m slow`."""


@pytest.mark.parametrize(
    "name", [*CHECKED, *(pytest.param(name, marks=pytest.mark.slow) for name in CHECKED_TOO)]
)
def test_no_text_overlaps_another_or_leaves_the_picture(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = cases()[name]()
    boxes = [(text.get_text(), text.get_window_extent()) for text in drawn_texts(figure, monkeypatch)]
    assert boxes
    edges = np.array([box.extents for _, box in boxes])  # left, bottom, right, top
    width, height = figure.canvas.get_width_height()
    outside = (edges[:, :2] < 0).any(axis=1) | (edges[:, 2] > width) | (edges[:, 3] > height)
    assert [boxes[at][0] for at in np.flatnonzero(outside)] == []
    low, high = edges[:, :2] + 0.5, edges[:, 2:] - 0.5
    overlap = (np.minimum(high[:, None], high) > np.maximum(low[:, None], low)).all(axis=2)
    pairs = np.argwhere(np.triu(overlap, k=1)).tolist()
    assert [(boxes[a][0], boxes[b][0]) for a, b in pairs] == []


def test_the_curves_say_what_was_trained_and_how_it_ended() -> None:
    subtitle = "mnist, config mnist.yaml, 1,199,882 parameters. Test: 99.36 % right"
    figure = draw_curves(history(15), title="run-2", subtitle=subtitle, best_epoch=13)
    written = strings(figure)
    assert {"run-2", subtitle, "training", "validation"} <= set(written)
    assert sum(text.startswith("best epoch 13: ") for text in written) == 2


def test_the_legend_is_above_the_curves() -> None:
    figure = draw_curves(history(15), title="run-2", best_epoch=13)
    figure.canvas.draw()
    (legend,) = figure.legends
    assert all(legend.get_window_extent().y0 > axes.get_window_extent().y1 for axes in figure.axes)


@pytest.mark.parametrize("count", [1, 12, 100])
@pytest.mark.parametrize("validation", [True, False])
def test_curves_show_training_and_validation(count: int, validation: bool) -> None:
    figure = draw_curves(history(count, validation=validation), title="a$b$", best_epoch=count)
    for axes in figure.axes:
        colors = [line.get_color() for line in axes.lines if len(line.get_xdata()) == count]
        assert TRAIN in colors
        assert (VALIDATION in colors) == validation
        markers = {line.get_marker() for line in axes.lines if line.get_label() == "training"}
        assert markers == ({"o"} if count <= 30 else {""})
        assert all(tick == int(tick) for tick in axes.get_xticks())


@pytest.mark.parametrize("count", [1, 2, 15])
def test_the_accuracy_axis_names_its_scale(count: int) -> None:
    good = draw_curves(history(count, start=0.05)).axes[1]
    poor = draw_curves(history(count, start=0.5, end=0.3)).axes[1]
    assert (good.get_ylabel(), good.get_yscale()) == ("accuracy, % (log scale of the error)", "function")
    assert (poor.get_ylabel(), poor.get_yscale()) == ("accuracy, %", "linear")
    low, high = good.get_ylim()
    assert 2 <= sum(low <= tick <= high for tick in good.get_yticks()) <= 12


def test_the_loss_has_a_log_axis_where_it_spans_decades() -> None:
    assert draw_curves(history(15)).axes[0].get_yscale() == "linear"
    wide = draw_curves(history(15, end=0.0001)).axes[0]
    assert (wide.get_yscale(), wide.get_ylabel()) == ("log", "cross-entropy loss (log scale)")


def test_a_huge_loss_has_plain_numbers_on_its_axis() -> None:
    figure = draw_curves(diverged(1e7))
    figure.canvas.draw()
    axis = figure.axes[0].yaxis
    assert axis.get_offset_text().get_text() == ""
    assert "2e7" in [label.get_text() for label in axis.get_ticklabels()]


@pytest.mark.parametrize(
    ("accuracy", "loss"), [(0.0, 2.0), (0.999, 0.0), (1.0, 0.0), (0.1, 1e30), (0.1, np.inf), (0.1, np.nan)]
)
def test_curves_can_be_drawn_for_any_value(tmp_path: Path, accuracy: float, loss: float) -> None:
    row = {"train_loss": 2.0, "train_accuracy": accuracy, "val_loss": loss, "val_accuracy": accuracy}
    figure = draw_curves([{**row, "epoch": 1}, {**row, "epoch": 2}], best_epoch=1)
    assert save_png(figure, tmp_path / "c.png").exists()


def test_no_epochs_are_no_curves() -> None:
    with pytest.raises(ValueError, match="no epochs"):
        draw_curves([])


def cells(figure: Figure) -> np.ndarray:
    return figure.axes[0].images[0].get_array()


@pytest.mark.parametrize("k", [2, 26])
def test_a_confusion_matrix_is_red_where_there_are_mistakes_only(k: int) -> None:
    right = np.diag(np.arange(1, k + 1))
    wrong = right.copy()
    wrong[0, 1] = 2
    names = [f"class {i}" for i in range(k)]
    clean, stained = cells(draw_confusion(right, names)), cells(draw_confusion(wrong, names, title="run-1"))
    assert np.allclose(stained[0, 1], FULL_RED)
    assert np.argwhere((clean != stained).any(axis=2)).tolist() == [[0, 1]]
    assert np.allclose(clean, np.where(np.eye(k)[..., None], 0.9, 1.0))


@pytest.mark.parametrize("total", [1000, 5000])
def test_the_same_share_has_the_same_red_whatever_else_is_wrong(total: int) -> None:
    confusion = np.array(
        [[total * 98 // 100, total * 2 // 100, 0], [0, total, 0], [total // 2, 0, total // 2]]
    )
    less = confusion.copy()
    less[2] = [0, 0, total]
    names = ["a", "b", "c"]
    a, b = cells(draw_confusion(confusion, names)), cells(draw_confusion(less, names))
    assert np.array_equal(a[0, 1], b[0, 1])
    assert not np.allclose(a[0, 1], FULL_RED) and np.allclose(a[2, 0], FULL_RED)


def test_the_scale_of_the_reds_is_in_the_picture() -> None:
    written = strings(draw_confusion(matrix(10), CLASSES["10"]))
    assert {"mistakes as a share of the true class", "0.1 %", "1 %", "10 %"} <= set(written)


def test_the_numbers_of_a_matrix_are_grouped_and_the_recall_is_beside_it() -> None:
    confusion = np.array([[1129, 6], [0, 2000]])
    written = strings(draw_confusion(confusion, ["0", "1"]))
    assert {"1,129", "6", "2,000", "  99.47 %", "  100.00 %", "  recall"} <= set(written)


@pytest.mark.parametrize("k", [2, 26])
def test_a_class_that_is_never_right_is_framed(k: int) -> None:
    figure = draw_confusion(never_right(k), [str(i) for i in range(k)])
    frames = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    assert len(frames) == k - 1
    assert "  0.00 %" in strings(figure)
    assert ("0" in [text.get_text() for text in figure.axes[0].texts]) == (k <= 30)


def test_a_class_without_images_has_an_empty_row_and_no_recall() -> None:
    figure = draw_confusion(np.array([[3, 1], [0, 0]]), ["a", "b"])
    assert {"  75.00 %", "  -"} <= set(strings(figure))
    assert np.allclose(cells(figure)[1], 1.0)


@pytest.mark.parametrize("count", [300, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_matrix_of_very_many_classes_is_no_larger_than_one_of_two_hundred(count: int) -> None:
    names = [f"class {i}" for i in range(count)]
    figure = draw_confusion(np.eye(count, dtype=int), names)
    assert max(figure.get_size_inches()) < 30


def test_the_most_confident_mistakes_come_first_and_right_answers_never() -> None:
    p = np.array([[0.9, 0.1], [0.3, 0.7], [0.4, 0.6], [0.2, 0.8]])
    found = find_mistakes(p, np.array([0, 0, 0, 1]))
    assert [(m.index, m.label, m.predicted, m.confidence, m.label_probability) for m in found] == [
        (1, 0, 1, 0.7, 0.3),
        (2, 0, 1, 0.6, 0.4),
    ]
    assert find_mistakes(p, np.array([0, 0, 0, 1]), count=1) == found[:1]


@pytest.mark.parametrize(
    ("count", "shape"), [(0, (28, 28)), (1, (28, 28)), (9, (32, 32, 3)), (1, (20, 40)), (1, (40, 20))]
)
def test_a_gallery_of_any_number_of_mistakes(count: int, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (max(count, 1), *shape), dtype=np.uint8)
    p = np.tile([[0.2, 0.8]], (count, 1))
    mistakes = find_mistakes(p, np.zeros(count, int), 24)
    figure = draw_mistakes(mistakes, pixels, ["no", "yes"], title="run-1")
    written = strings(figure)
    assert written.count("taken for yes (80.0 %)") == written.count("is no (20.0 %)") == count
    assert [f"#{i}" in written for i in range(count)] == [True] * count
    assert ("no mistakes" in written) == (count == 0)


def test_a_gallery_names_the_files_of_pictures() -> None:
    p, labels = answers(10, 400, 0.1)
    mistakes = find_mistakes(p, labels, 3)
    names = [f"cat/{'long-' * 20 * (i == mistakes[0].index)}{i}.png" for i in range(400)]
    figure = draw_mistakes(mistakes, images(400, False), CLASSES["10"], files=names)
    written = strings(figure)
    assert [names[each.index] in written for each in mistakes] == [False, True, True]
    assert any(text.endswith(f"{mistakes[0].index}.png") and "…" in text for text in written)
    assert not any(text.startswith("#") for text in written)


@pytest.mark.parametrize("color", [False, True])
def test_images_are_drawn_as_they_are_and_captions_are_beside_their_own_image(color: bool) -> None:
    p, labels = answers(10, 400, 0.1)
    pixels = images(400, color)
    mistakes = find_mistakes(p, labels)
    figure = draw_mistakes(mistakes, pixels, CLASSES["10"])
    (axes,) = figure.axes
    figure.canvas.draw()
    answered = [text for text in axes.texts if text.get_color() == WRONG]
    true = [text for text in axes.texts if text.get_color() == RIGHT]
    for mistake, image, above, below in zip(mistakes, axes.images, answered, true, strict=True):
        assert np.array_equal(image.get_array(), pixels[mistake.index])
        assert color or (image.get_cmap().name, image.get_clim()) == ("gray", (0, 255))
        box = image.get_window_extent()
        gap_above = above.get_window_extent().y0 - box.y1
        gap_below = box.y0 - below.get_window_extent().y1
        assert 0 < gap_above < 15 and 0 < gap_below < 15  # pixels
    lines = sorted({round(text.get_window_extent().y1) for text in answered}, reverse=True)
    lowest = min(text.get_window_extent().y0 for text in true if text.get_window_extent().y0 > lines[1])
    assert lowest - lines[1] > 30  # from the caption of one row to that of the next


@pytest.mark.parametrize("shape", [(28, 28), (8, 12, 3)])
def test_a_sheet_has_a_row_for_every_class_also_one_without_images(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (20, *shape), dtype=np.uint8)
    labels = np.arange(20) % 3
    small = draw_samples(pixels, labels, CLASSES["10"][:3], rng=rng)
    large = draw_samples(pixels, labels, CLASSES["10"], rng=rng, title="set")
    assert large.get_figheight() > 2 * small.get_figheight()
    written = strings(large)
    assert {*CLASSES["10"], "set", "images in training", "7", "6", "0"} <= set(written)


def test_a_sheet_shows_the_images_as_they_are() -> None:
    pixels = np.full((2, 4, 4), 7, np.uint8)
    figure = draw_samples(pixels, np.array([0, 1]), ["a", "b"], rng=np.random.default_rng(0))
    sheet = figure.axes[0].images[0].get_array()
    assert (sheet[:4, :4] == 7).all()
    assert any("shown as they are" in text for text in strings(figure))


def test_the_same_generator_state_draws_the_same_sheet(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (50, 8, 8), dtype=np.uint8)
    labels = np.arange(50) % 2
    files = [
        save_png(
            draw_samples(pixels, labels, ["a", "b"], rng=np.random.default_rng(3), columns=4),
            tmp_path / f"{i}.png",
        )
        for i in range(2)
    ]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("count", [300, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_sheet_of_very_many_classes_is_not_too_large_to_draw(count: int) -> None:
    names = [f"class {i}" for i in range(count)]
    figure = draw_samples(np.zeros((10, 8, 8), np.uint8), np.arange(10), names, rng=np.random.default_rng(0))
    assert max(figure.canvas.get_width_height()) < 2**16


def test_a_name_is_shortened_in_its_middle_to_the_width_that_it_may_have() -> None:
    name = "from_the_first_to_the_last_letter"
    short = shortened(name, 9, 1.0)
    assert text_inches(short, 9) <= 1.0
    assert short.startswith("from") and short.endswith("tter") and "…" in short
    assert shortened("cat", 9, 1.0) == "cat"


def test_a_title_is_wrapped_at_spaces_and_its_last_line_is_shortened() -> None:
    lines = wrapped("one two three four five six", 12, 1.0, 2)
    assert lines[0] == "one two" and len(lines) == 2 and lines[1].startswith("three") and "…" in lines[1]


def test_class_names_without_glyphs_cause_no_warning(tmp_path: Path) -> None:
    assert save_png(draw_confusion(np.eye(2, dtype=int), ["お", "\u1f600"]), tmp_path / "c.png").exists()


def test_a_picture_is_a_png(tmp_path: Path) -> None:
    with Image.open(save_png(draw_curves(history(3)), tmp_path / "c.png")) as picture:
        assert picture.format == "PNG"


def test_drawing_leaves_pyplot_alone(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from cnncli.report import draw_curves, save_png;"
        "assert 'matplotlib' not in sys.modules;"
        "row = dict(epoch=1, train_loss=1.0, train_accuracy=.5, val_loss=1.0, val_accuracy=.5);"
        "save_png(draw_curves([row], best_epoch=1), Path(sys.argv[1]));"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "c.png"], check=True)
