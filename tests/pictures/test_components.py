"""Connected pieces are those that a flood fill finds."""

import numpy as np
import pytest

from cnncli.pictures.components import find_components


def flood_fill(mask):
    """The oracle: label every pixel by walking from it to all its neighbors."""
    labels = np.full(mask.shape, -1)
    count = 0
    for start in zip(*np.nonzero(mask), strict=True):
        if labels[start] >= 0:
            continue
        todo = [start]
        labels[start] = count
        while todo:
            row, column = todo.pop()
            for r in range(max(row - 1, 0), min(row + 2, mask.shape[0])):
                for c in range(max(column - 1, 0), min(column + 2, mask.shape[1])):
                    if mask[r, c] and labels[r, c] < 0:
                        labels[r, c] = count
                        todo.append((r, c))
        count += 1
    return labels, count


@pytest.mark.parametrize("density", [0.02, 0.2, 0.4, 0.5, 0.8])
@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (30, 1), (23, 40), (40, 23)])
def test_components_are_those_of_a_flood_fill(shape, density):
    mask = np.random.default_rng(7).random(shape) < density
    labels, count = flood_fill(mask)
    found = find_components(mask)
    assert len(found) == count
    for number in range(count):
        expected = labels == number
        rows, columns = np.nonzero(expected)
        np.testing.assert_array_equal(found.mask(np.arange(count) == number), expected)
        assert found.areas[number] == expected.sum()
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert found.boxes[number].tolist() == box


def test_a_long_spiral_is_one_component():
    mask = np.zeros((41, 41), bool)
    top, left, bottom, right = 0, 0, 40, 40
    while top < bottom:
        mask[top, left : right + 1] = mask[top:bottom, right] = mask[bottom, left : right + 1] = True
        mask[top + 2 : bottom, left] = True
        mask[top + 2, left : left + 2] = True
        top, left, bottom, right = top + 2, left + 2, bottom - 2, right - 2
    assert len(find_components(mask)) == flood_fill(mask)[1]


def test_runs_at_the_edges_do_not_join_over_the_edge():
    mask = np.zeros((3, 5), bool)
    mask[0, 4] = mask[1, 0] = True
    assert len(find_components(mask)) == 2


def test_an_empty_mask_has_no_components():
    found = find_components(np.zeros((4, 6), bool))
    assert len(found) == 0
    assert found.boxes.shape == (0, 4)
    assert not found.mask(np.zeros(0, bool)).any()


def test_several_components_are_painted_together():
    mask = np.array([[1, 0, 1, 0, 1], [1, 0, 1, 0, 1]], bool)
    found = find_components(mask)
    painted = found.mask(np.array([True, False, True]))
    np.testing.assert_array_equal(painted, [[1, 0, 0, 0, 1]] * 2)
    assert found.totals(np.ones(len(found.rows), int)).tolist() == [2, 2, 2]
