"""Each kind of simulated picture can be drawn and read, a seed draws the same, and the page has the figures."""

import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import cnncli
from cnncli.data.synthetic.draw import make_synthetic
from cnncli.training.lines import DigitPrediction

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def benchmark() -> Any:
    """The modules `simulated_pictures` and `pictures` of benchmarks/, which is no package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        import pictures
        import simulated_pictures

        yield pictures, simulated_pictures


@pytest.fixture(scope="module")
def digits() -> Any:
    return make_synthetic(train=1, test=200).test


def small(simulated: ModuleType, digits: Any, kind: int, seed: int) -> Any:
    """Draw the first picture of a kind, with few pixels."""
    return simulated.simulate(digits, kind, 0, seed, largest=1.5e5)


@pytest.mark.parametrize(
    ("kinds", "least"),
    [(range(12), 0.9), pytest.param(range(12, 16), 0.75, marks=pytest.mark.slow)],
    ids=["most", "others"],
)
def test_each_kind_of_simulated_picture_can_be_drawn_and_read(
    benchmark: Any, digits: Any, kinds: range, least: float
):
    pictures, simulated = benchmark
    assert len(simulated.KINDS) == 16
    model = cnncli.load_model("bundled")
    right = total = 0
    for kind in kinds:
        picture = small(simulated, digits, kind, seed=0)
        (read,) = cnncli.predict_pictures([("picture", picture.data)], model)
        _, count, correct = pictures.score(picture, read)
        assert count >= 1
        right, total = right + correct, total + count
    assert right > least * total


@pytest.mark.parametrize("kind", [0, 5, 9])
def test_a_seed_draws_the_same_picture_again(benchmark: Any, digits: Any, kind: int):
    picture = small(benchmark[1], digits, kind, seed=0)
    assert small(benchmark[1], digits, kind, seed=0) == picture
    assert small(benchmark[1], digits, kind, seed=1).data != picture.data


@pytest.mark.parametrize(
    ("right", "read", "distance"),
    [
        ("123", "123", 0),
        ("123", "1?3", 1),
        ("123", "13", 1),
        ("13", "123", 1),
        ("1234", "", 4),
        ("12", "21", 2),
    ],
)
def test_digits_left_out_and_added_count_as_wrong(benchmark: Any, right: str, read: str, distance: int):
    assert benchmark[0].edits(right, read) == distance


def test_a_form_is_scored_cell_by_cell(benchmark: Any):
    pictures, simulated = benchmark
    pixels = np.zeros((28, 28), np.uint8)
    form = simulated.Simulated(b"", (), (("1", ""), ("", "23")))

    def read(*digits: tuple[str, int, int]) -> cnncli.PicturePrediction:
        predictions = tuple(
            DigitPrediction(name, 1.0, (0, 0, 1, 1), ((name, 1.0),), pixels, row - 1, row, column)
            for name, row, column in digits
        )
        return cnncli.PicturePrediction("form", predictions, "", table=(2, 2))

    assert pictures.score(form, read(("1", 1, 1), ("2", 2, 2), ("3", 2, 2))) == (True, 3, 3)
    assert pictures.score(form, read(("1", 1, 2), ("2", 2, 2), ("3", 2, 2))) == (False, 3, 1)


def test_the_page_has_the_figures_of_the_benchmark(benchmark: Any):
    page = (ROOT / "docs/pictures.md").read_text(encoding="utf-8")
    results = json.loads((ROOT / "benchmarks/results/pictures.json").read_text(encoding="utf-8"))
    assert "\n".join(benchmark[0].table(results["kinds"])) in page


def test_the_readme_has_its_headline():
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    results = json.loads((ROOT / "benchmarks/results/pictures.json").read_text(encoding="utf-8"))
    for group, words in {
        "scans": "clean scans",
        "photos": "photos",
        "pages": "pages",
        "forms": "forms",
    }.items():
        kinds = [kind for kind in results["kinds"].values() if kind["group"] == group]
        right, digits = (sum(kind[key] for kind in kinds) for key in ("right", "digits"))
        assert re.search(rf"{100 * right / digits:.1f} % of (the digits of )?{words}", readme), words
