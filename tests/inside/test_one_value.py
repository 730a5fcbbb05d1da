"""The parts of a value give the value, to the last digit that is shown, for every layer and position."""

import math

import numpy as np
import pytest

from cnncli.inside import Position, explain_value, layer_outputs
from cnncli.inside.one_value import FLOAT32_STEP, agreeing_decimals
from cnncli.inside.position import read_position
from cnncli.nn import LAYERS, Network
from cnncli.nn.layers import Conv2D, Linear, MaxPool2D
from tests.inside.networks import SPECS, images_of, network_of


def positions(network: Network, layer: str, count: int) -> list[Position]:
    """Return some positions of a layer, with the corners among them."""
    shape = network.shapes[network.names.index(layer)]
    rng = np.random.default_rng(3)
    inner = [tuple(int(rng.integers(0, size)) for size in shape) for _ in range(count)]
    return [Position(layer, at) for at in (tuple(0 for _ in shape), tuple(n - 1 for n in shape), *inner)]


@pytest.mark.parametrize("name", SPECS)
def test_the_parts_give_the_value_of_every_layer(name: str) -> None:
    network = network_of(name, dtype=np.float32)
    (x,) = images_of(network, 1)
    for output in layer_outputs(network, x[np.newaxis]):
        for position in positions(network, output.name, 25):
            found = explain_value(network, x, position)
            assert found.value == float(output.values[0][position.index])
            terms = found.inputs.size + 2
            scale = max(abs(found.value), found.magnitude)
            assert abs(found.exact - found.value) <= 4 * terms * FLOAT32_STEP * scale
            decimals = found.decimals
            shown, summed = (f"{each:.{decimals}f}" for each in (found.value, found.exact))
            assert float(shown) == float(summed)
            # not a digit less than float32's roundings explain
            if scale:
                assert decimals >= math.floor(-math.log10(scale * FLOAT32_STEP)) - 3


@pytest.mark.parametrize("name", SPECS)
def test_the_parts_are_where_they_say_they_are(name: str) -> None:
    network = network_of(name, dtype=np.float32)
    (x,) = images_of(network, 1)
    read = {"input": x} | {each.name: each.values[0] for each in layer_outputs(network, x[np.newaxis])}
    for layer in network.names:
        for position in positions(network, layer, 10):
            found = explain_value(network, x, position)
            source = read[found.reads]
            if found.inputs.ndim == 0:
                assert source[found.first] == found.inputs
            elif found.how == "addition":
                assert found.inputs.shape == (2,)
            elif found.inputs.ndim == 1:
                assert np.array_equal(source, found.inputs)
            else:
                window = found.inputs if found.inputs.ndim == 3 else found.inputs[np.newaxis]
                channel, top, left = found.first
                for (c, i, j), number in np.ndenumerate(window):
                    at = channel + c, top + i * found.steps[0], left + j * found.steps[1]
                    if 0 <= at[1] < source.shape[1] and 0 <= at[2] < source.shape[2]:
                        assert source[at] == number
                    else:
                        assert number == (-np.inf if found.how == "max" else 0)
            if found.winner is not None:
                assert found.inputs[found.winner] == found.value


def test_a_layer_inside_a_block_is_explained_like_any_other() -> None:
    network = network_of("residual")
    (x,) = images_of(network, 1)
    values = x[np.newaxis]
    for name, layer in zip(network.names, network.layers, strict=True):
        if layer.kind == "residual":
            for parts in (layer.body, layer.shortcut):
                inner, reads = values, None
                for part in parts:
                    inner = part.layer.forward(inner)
                    at = tuple(size // 2 for size in part.output_shape)
                    position = read_position(network, f"{name}.{part.name}[{','.join(map(str, at))}]")
                    found = explain_value(network, x, position)
                    assert found.value == pytest.approx(inner[0][at], abs=1e-12)
                    assert found.exact == pytest.approx(found.value, abs=1e-12)
                    assert reads is None or found.reads == reads
                    reads = position.layer
                    left, top, right, bottom = found.box
                    other = np.full_like(x, 7)
                    other[:, top:bottom, left:right] = x[:, top:bottom, left:right]
                    assert explain_value(network, other, position).value == pytest.approx(
                        found.value, abs=1e-12
                    )
        values = layer.forward(values)


def test_every_kind_of_layer_is_explained() -> None:
    shown = {layer.kind for name in SPECS for layer in network_of(name).layers}
    assert shown == set(LAYERS)


@pytest.mark.parametrize("name", SPECS)
def test_the_box_holds_what_changes_the_value(name: str) -> None:
    network = network_of(name)
    (x,) = images_of(network, 1)
    for layer in network.names:
        for position in positions(network, layer, 4):
            found = explain_value(network, x, position)
            assert found.box is not None
            left, top, right, bottom = found.box
            other = np.full_like(x, 7)
            other[:, top:bottom, left:right] = x[:, top:bottom, left:right]
            assert explain_value(network, other, position).value == pytest.approx(found.value, abs=1e-12)


def test_the_products_are_exact_and_the_sum_is_rounded_once() -> None:
    network = Network([Linear(3, 1)], (3,))
    network.layers[0].weight, network.layers[0].bias = [[1e8, 1, -1e8]], [0.5]
    found = explain_value(network, np.array([1.0, 1.0, 1.0]), Position("linear1", (0,)))
    assert found.products is not None and found.products.tolist() == [1e8, 1, -1e8]
    assert found.exact == 1.5 and found.magnitude == pytest.approx(2e8)
    assert found.decimals == 0 or f"{found.value:.{found.decimals}f}" == f"{found.exact:.{found.decimals}f}"


def test_a_window_in_the_padding_reads_nothing() -> None:
    network = Network([Conv2D(1, 1, 1, padding=2)], (1, 2, 2))
    network.layers[0].bias = [0.25]
    found = explain_value(network, np.ones((1, 2, 2)), Position("conv1", (0, 0, 0)))
    assert found.inputs.tolist() == [[[0]]] and found.value == found.exact == 0.25


def test_of_equal_numbers_the_first_wins() -> None:
    network = Network([MaxPool2D(2)], (1, 2, 2))
    found = explain_value(network, np.full((1, 2, 2), 3.0), Position("maxpool1", (0, 0, 0)))
    assert found.winner == (0, 0)


@pytest.mark.parametrize(
    ("exact", "value", "magnitude", "decimals"),
    [
        (0.0, 0.0, 0.0, 1),
        (1.0, 1.0, 0.0, 8),
        (1.0, np.inf, 0.0, 0),
        (np.nan, np.nan, 0.0, 0),
        (123456.78, 123456.79, 0.0, 1),
        (-1e-9, 1e-9, 1.0, 8),
        (3e10, 3e10, 0.0, 0),
    ],
)
def test_digits_are_shown_as_far_as_both_have_them(
    exact: float, value: float, magnitude: float, decimals: int
) -> None:
    assert agreeing_decimals(exact, value, magnitude) == decimals


def test_numbers_that_are_none_are_told_as_they_are() -> None:
    network = Network([Conv2D(1, 1, 2)], (1, 2, 2))
    found = explain_value(network, np.full((1, 2, 2), np.nan), Position("conv1", (0, 0, 0)))
    assert math.isnan(found.value) and math.isnan(found.exact)
