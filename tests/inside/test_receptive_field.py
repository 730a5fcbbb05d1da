"""The receptive field of a position is what changes it: a number that is none, put into each pixel, finds it."""

import numpy as np
import pytest

from cnncli.inside import geometry, layer_outputs, receptive_fields
from cnncli.nn import Network, summarize
from cnncli.nn.layers import Linear
from tests.inside.networks import SPECS, network_of


@pytest.mark.parametrize("name", SPECS)
def test_the_box_is_exactly_what_a_position_depends_on(name: str) -> None:
    network = network_of(name)
    C, H, W = network.input_shape
    x = np.zeros((H * W, C, H, W))
    pixels = np.arange(H * W)
    x[pixels, :, pixels // W, pixels % W] = np.nan  # image p has its NaN at pixel p
    for output in layer_outputs(network, x):
        reached = np.isnan(
            output.values.reshape(*output.values.shape[:2], *output.values.shape[2:] or (1, 1))
        )
        if output.kind == "flatten":  # its numbers are those of all positions
            reached = reached.any(axis=1, keepdims=True)
        reached = reached.any(axis=1)  # (H·W, OH, OW)
        _, OH, OW = reached.shape
        boxes = receptive_fields(network, output.name, *np.indices((OH, OW)))
        for row in range(OH):
            for column in range(OW):
                ys, xs = np.divmod(np.flatnonzero(reached[:, row, column]), W)
                left, top, right, bottom = boxes[row, column]
                if not len(ys):
                    assert right == left or bottom == top
                    continue
                assert (left, top, right, bottom) == (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)


@pytest.mark.parametrize("name", SPECS)
def test_the_geometry_is_the_box_before_the_border_cuts_it(name: str) -> None:
    network = network_of(name)
    _, H, W = network.input_shape
    fields = geometry(network)
    assert [field and field.window for field in fields.values()] == [
        row.receptive_field if len(row.output_shape) == 3 else None
        for row in summarize(network)
        if "." not in row.name
    ]
    for layer, field in fields.items():
        if field is None:
            continue
        _, OH, OW = network.shapes[network.names.index(layer)]
        rows, columns = np.indices((OH, OW))
        left, top, right, bottom = np.moveaxis(receptive_fields(network, layer, rows, columns), -1, 0)
        start = [field.start[axis] + each * field.jump[axis] for axis, each in enumerate((rows, columns))]
        whole = (start[0] >= 0) & (start[1] >= 0)
        whole &= (start[0] + field.window[0] <= H) & (start[1] + field.window[1] <= W)
        assert (np.stack([top, left])[:, whole] == np.stack(start)[:, whole]).all()
        assert (bottom - top == field.window[0])[whole].all()
        assert (right - left == field.window[1])[whole].all()


def test_a_network_without_images_has_no_geometry() -> None:
    assert geometry(Network([Linear(4, 2)], (4,))) == {"linear1": None}
