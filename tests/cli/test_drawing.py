"""Pictures and bars in whatever a stream can print."""

import io

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from rich.text import Text

from cnncli.cli.drawing import bar, middle_cut, picture, side_by_side, thumbnail, write_png

PIXELS = np.array([[0, 255, 255, 0], [0, 0, 255, 255]], np.uint8)


def console_for(encoding: str, **options) -> Console:
    return Console(file=io.TextIOWrapper(io.BytesIO(), encoding=encoding), width=80, **options)


def test_without_colours_a_pixel_is_half_a_block() -> None:
    assert [line.plain for line in picture(PIXELS, console_for("utf-8"))] == [" ▀█▄"]


def test_with_colours_each_half_has_its_grey() -> None:
    console = console_for("utf-8", force_terminal=True, color_system="truecolor")
    (line,) = picture(PIXELS, console)
    assert line.plain == "▀▀▀▀"
    assert str(line.spans[1].style) == "rgb(255,255,255) on rgb(0,0,0)"


def test_a_picture_in_color_has_the_colors_that_the_stream_can_print() -> None:
    pixels = np.array([[[255, 0, 0]], [[0, 255, 0]]], np.uint8)
    console = console_for("utf-8", force_terminal=True, color_system="truecolor")
    assert str(picture(pixels, console)[0].spans[0].style) == "rgb(255,0,0) on rgb(0,255,0)"
    assert [line.plain for line in picture(pixels, console_for("utf-8"))] == ["▒"]
    assert [line.plain for line in picture(pixels, console_for("ascii"))] == ["="]


@pytest.mark.parametrize("shape", [(28, 28), (64, 64, 3), (28, 56), (9, 28)])
def test_a_thumbnail_has_the_width_that_was_asked_for_and_the_shape_of_the_picture(shape) -> None:
    small = thumbnail(np.full(shape, 200, np.uint8), 14)
    assert small.shape == (round(14 * shape[0] / shape[1]), 14, *shape[2:])
    assert (small == 200).all()


def test_a_thumbnail_keeps_thin_strokes_of_a_drawing_on_black() -> None:
    pixels = np.zeros((28, 28), np.uint8)
    pixels[:, 14] = 255
    small = thumbnail(pixels, 14)
    assert (small[:, 7] >= 128).all() and (np.delete(small, 7, axis=1) == 0).all()


def test_a_picture_that_is_small_already_stays() -> None:
    assert thumbnail(PIXELS, 14) is PIXELS


@pytest.mark.parametrize(
    ("name", "cut"), [("seven", "seven"), ("letter_capital_A", "let~l_A"), ("日本語日本語", "日本~語")]
)
def test_a_long_name_loses_its_middle(name, cut) -> None:
    assert middle_cut(name, 7, "~") == cut


def test_no_color_is_obeyed(monkeypatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    console = console_for("utf-8", force_terminal=True, color_system="truecolor")
    assert picture(PIXELS, console)[0].plain == " ▀█▄"


def test_without_unicode_grey_levels_are_letters() -> None:
    (line,) = picture(PIXELS, console_for("ascii"))
    assert line.plain == " =@="


def test_an_odd_row_at_the_end_is_drawn_on_black() -> None:
    assert [line.plain for line in picture(np.full((3, 2), 255, np.uint8), console_for("utf-8"))] == [
        "██",
        "▀▀",
    ]


@pytest.mark.parametrize(
    ("fraction", "drawn"), [(0, "...."), (0.5, "##.."), (1, "####"), (1.5, "####"), (-1, "....")]
)
def test_a_bar_is_filled_by_its_fraction(fraction, drawn) -> None:
    assert bar(fraction, 4, console_for("ascii")) == drawn


def test_a_bar_of_blocks() -> None:
    assert bar(0.25, 4, console_for("utf-8")) == "█░░░"


def test_blocks_of_different_size_stand_side_by_side() -> None:
    lines = side_by_side([[Text("ab"), Text("c")], [Text("x")], [Text("1"), Text("2"), Text("3")]], gap=1)
    assert [line.plain for line in lines] == ["ab x 1", "c    2", "     3"]


def test_a_png_keeps_every_pixel(tmp_path) -> None:
    write_png(PIXELS, tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as image:
        assert np.array_equal(np.asarray(image), PIXELS)
