"""The figures of the inside of a network have all their parts, for any number of filters and any size."""

from pathlib import Path

import numpy as np
import pytest

from cnncli.report import save_png
from cnncli.report.inside import LayerMaps, PatchRow, draw_insides, draw_look, with_heat


@pytest.mark.parametrize(("count", "side", "color"), [(1, 3, False), (40, 5, False), (70, 28, True)])
def test_filters_and_patches_are_one_picture_for_each_layer(
    count: int, side: int, color: bool, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    shape = (side, side, 3) if color else (side, side)
    filters = rng.integers(0, 255, (count, *shape), dtype=np.uint8)
    rows = [
        PatchRow("conv2: 2 filters", [[filters[0]] * 9, []], 2),
        PatchRow(f"conv3: {count} filters", [[tile, tile] for tile in filters], count),
        PatchRow("conv4: silent", [[]], 1),
    ]
    figure = draw_insides(filters, f"conv1: {count} filters", rows, "a run")
    titles = [axes.get_title("left") for axes in figure.axes]
    more = ("", "") if count == 1 else ("; the first 64" if count > 64 else "", "; the first 16")
    assert titles == [
        f"conv1: {count} filters{more[0]}",
        "conv2: 2 filters",
        f"conv3: {count} filters{more[1]}",
    ]
    assert save_png(figure, tmp_path / "inside.png").stat().st_size > 1000


def test_a_network_without_filters_and_data_is_an_empty_figure(tmp_path: Path) -> None:
    assert not draw_insides(None, "", [], "a run").axes


@pytest.mark.parametrize("shape", [(28, 28), (12, 40, 3), (40, 12)])
def test_a_look_shows_the_picture_the_answer_the_heat_and_every_layer(
    shape: tuple[int, ...], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    seen = rng.integers(0, 255, shape, dtype=np.uint8)
    heats = [("Grad-CAM", rng.random(shape[:2])), ("nothing", np.zeros(shape[:2]))]
    layers = [
        LayerMaps("conv1", rng.normal(size=(40, 8, 6))),
        LayerMaps("relu1", rng.random((3, 8, 6))),
        LayerMaps("flatten1", None),
        LayerMaps("linear1", rng.normal(size=300)),
        LayerMaps("linear2", np.array([np.nan, np.inf, 0.0])),
    ]
    probabilities = [("7", 0.98), ("a long name of a class", 0.02), ("$1", 0.0)]
    figure = draw_look(seen, probabilities, heats, layers, "a run on a.png", "how to read it")
    headings = [axes.get_title("left") for axes in figure.axes if axes.get_title("left")]
    assert headings == ["conv1", "relu1", "flatten1", "linear1", "linear2"]
    below = [axes.get_xlabel() for axes in figure.axes if axes.get_xlabel()]
    assert below == ["what the network saw", "Grad-CAM", "nothing"]
    assert save_png(figure, tmp_path / "look.png").stat().st_size > 1000


def test_heat_is_orange_for_and_blue_against_and_nothing_leaves_the_picture_dim() -> None:
    seen = np.array([[200, 200, 200, 0]], np.uint8)
    pixels = with_heat(seen, np.array([[2.0, -2.0, 0.0, np.nan]]))
    assert pixels.tolist() == [[[255, 140, 0], [70, 130, 255], [100, 100, 100], [0, 0, 0]]]
    assert (with_heat(seen, np.zeros((1, 4)))[0, :3] == 100).all()
