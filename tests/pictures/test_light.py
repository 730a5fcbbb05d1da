"""Digits under uneven light: in shadows, and on a sheet that lies on a table."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from cnncli.pictures.digits import find_digits
from tests.pictures.pages import Sheet, lines_of_digits


@pytest.fixture(scope="module")
def page() -> Sheet:
    """Two lines of digits in pencil."""
    page = lines_of_digits(5, 2, 60, seed=3)
    page.ink *= 0.25
    return page


def shaded(page: Sheet, light: np.ndarray) -> Image.Image:
    """Return the page under a light of 0 to 1 for each pixel, (H, W)."""
    return Image.fromarray(np.rint(np.asarray(page.picture()) * light).astype(np.uint8))


def across(page: Sheet, *, down: float, right: float) -> np.ndarray:
    """Return the place of each pixel along a direction, 0 in the top left corner, (H, W)."""
    height, width = page.ink.shape
    rows, columns = np.mgrid[0:height, 0:width]
    return (down * rows + right * columns) / max(height, width)


def soft_step(place: np.ndarray, edge: float, width: float, depth: float) -> np.ndarray:
    """Return the light beside a shadow of some depth, whose edge is soft."""
    return 1 - depth / (1 + np.exp(-(place - edge) / width))


def assert_found(picture: Image.Image, page: Sheet, left: int = 0, top: int = 0) -> None:
    """Assert that the digits of the page are found, and nothing else."""
    found = [digit.box for digit in find_digits(picture).digits]
    assert len(found) == len(page.boxes)
    assert np.abs(np.array(found) - page.boxes - [left, top, left, top]).max() <= 8


@pytest.mark.parametrize("edge", [0.2, 0.75])
@pytest.mark.parametrize(("down", "right"), [(0.8, 0.6), (0.6, -0.8)])
@pytest.mark.parametrize(("width", "depth"), [(0.02, 0.25), (0.04, 0.25), (0.08, 0.45)])
def test_a_soft_shadow_is_no_ink(
    page: Sheet, edge: float, down: float, right: float, width: float, depth: float
):
    place = across(page, down=down, right=right)
    assert_found(shaded(page, soft_step(place - place.min(), edge, width, depth)), page)


@pytest.mark.parametrize("darkest", [0.5, 1.0])
def test_a_sheet_on_a_table_is_found_in_uneven_light(page: Sheet, darkest: float):
    light = 1 - (1 - darkest) * across(page, down=0.5, right=1) / 1.3
    sheet = shaded(page, light).filter(ImageFilter.GaussianBlur(0.7))
    turned = sheet.rotate(3, Image.Resampling.BICUBIC, expand=True, fillcolor=50)
    straight = Image.new("L", (sheet.width + 120, sheet.height + 90), 50)
    straight.paste(sheet, (70, 40))
    assert_found(straight, page, 70, 40)
    table = Image.new("L", (turned.width + 120, turned.height + 90), 50)
    table.paste(turned, (70, 40))
    assert len(find_digits(table).digits) == len(page.boxes)
