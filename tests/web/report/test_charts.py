"""The charts of a report show the values, on axes that fit them."""

import math
import re
from typing import Any

import numpy as np
import pytest

from cnncli.report.mistakes import find_mistakes
from cnncli.training.calibration import calibration_error, reliability
from cnncli.web.report.charts import accuracy_chart, calibration_chart, loss_chart, map_chart
from cnncli.web.report.plane import project


def rows(losses: list[float], accuracies: list[float], *, validation: bool = True) -> list[dict[str, Any]]:
    return [
        {
            "epoch": epoch,
            "train_loss": loss,
            "train_accuracy": accuracy,
            "val_loss": loss * 1.1 if validation else None,
            "val_accuracy": accuracy - 0.01 if validation else None,
        }
        for epoch, (loss, accuracy) in enumerate(zip(losses, accuracies, strict=True), 1)
    ]


def points(chart: str, name: str) -> list[tuple[float, float]]:
    found = re.search(rf'class="line {name}" points="([^"]*)"', chart)
    assert found
    return [tuple(map(float, pair.split(","))) for pair in found[1].split()]  # type: ignore[misc]


def test_a_lower_loss_is_lower_and_a_later_epoch_further_right() -> None:
    drawn = points(loss_chart(rows([1.0, 0.5, 0.25], [0.5, 0.7, 0.9]), 3), "training")
    xs, ys = zip(*drawn, strict=True)
    assert list(xs) == sorted(xs) and list(ys) == sorted(ys)
    assert math.isclose(ys[1] - ys[0], 2 * (ys[2] - ys[1]), abs_tol=0.2)  # the axis is linear


def test_a_loss_over_decades_has_a_log_axis() -> None:
    chart = loss_chart(rows([1.0, 0.1, 0.01, 0.001], [0.5, 0.7, 0.9, 0.99]), None)
    ys = [y for _, y in points(chart, "training")]
    assert np.allclose(np.diff(ys), np.diff(ys)[0], atol=0.2)
    assert "log scale" in chart


def test_halving_the_error_is_the_same_step_everywhere() -> None:
    chart = accuracy_chart(rows([1.0] * 3, [0.96, 0.98, 0.99], validation=False), None)
    ys = [y for _, y in points(chart, "training")]
    assert abs((ys[0] - ys[1]) - (ys[1] - ys[2])) < 2
    assert "log scale of the error" in chart


@pytest.mark.parametrize("losses", [[math.nan, math.inf], [0.5], [0.0, 0.0], [5e8, 1e-9]])
def test_losses_of_every_kind_can_be_drawn(losses: list[float]) -> None:
    for chart in (loss_chart, accuracy_chart):
        made = chart(rows(losses, [0.1] * len(losses)), 1)
        assert made.startswith("<svg") and "nan" not in re.sub("training|validation", "", made)


def test_what_was_not_measured_is_left_out() -> None:
    assert 'class="line validation"' not in loss_chart(rows([1.0, 0.5], [0.5, 0.7], validation=False), None)


def test_the_bins_of_the_diagram_add_up_to_the_calibration_error() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4), 500)
    labels = rng.integers(0, 4, 500)
    bins = reliability(p, labels)
    assert sum(each.size for each in bins) == 500
    error = sum(each.size * abs(each.accuracy - each.confidence) for each in bins) / 500
    assert math.isclose(error, calibration_error(p, labels))
    chart = calibration_chart(bins)
    assert chart.count('class="bar') == sum(each.size > 0 for each in bins)


def test_every_mistake_on_the_map_is_a_ring_that_leads_to_its_cell() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    p = np.eye(3)[labels] * 0.9 + 0.05
    p[7] = [0.8, 0.1, 0.1]
    chart = map_chart(project(rng.normal(size=(60, 5))), labels, ("a", "b", "<c>"), find_mistakes(p, labels))
    assert re.findall(r'href="(#m[\d-]+)"', chart) == ["#m1-0"]
    assert "&lt;c&gt;" in chart and "<c>" not in chart


@pytest.mark.parametrize("shape", [(5, 1), (1, 4), (7, 7), (30, 2000)])
def test_features_of_any_shape_have_a_plane(shape: tuple[int, int]) -> None:
    found = project(np.random.default_rng(0).normal(size=shape))
    assert found.points.shape == (shape[0], 2) and np.isfinite(found.points).all()
    assert 0 <= found.shares[1] <= found.shares[0] <= 1 + 1e-9


def test_the_plane_is_that_of_the_singular_vectors() -> None:
    x = np.random.default_rng(0).normal(size=(40, 6)) * [5, 3, 1, 1, 1, 1]
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    unit -= unit.mean(axis=0)
    u, s, _ = np.linalg.svd(unit, full_matrices=False)
    found = project(x)
    assert np.allclose(np.abs(found.points), np.abs(u[:, :2] * s[:2]))
    assert np.allclose(found.shares, s[:2] ** 2 / (s**2).sum())


def test_many_features_have_nearly_the_plane_of_all_directions() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 3)) @ rng.normal(size=(3, 1600)) * 10 + rng.normal(size=(50, 1600))
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    unit -= unit.mean(axis=0)
    u, s, _ = np.linalg.svd(unit, full_matrices=False)
    assert np.allclose(np.abs(project(x).points), np.abs(u[:, :2] * s[:2]), atol=1e-6)
