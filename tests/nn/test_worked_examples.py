"""Figures and examples computed by hand, as in a textbook."""

import numpy as np
import pytest

from cnncli.nn import (
    Conv2D,
    Flatten,
    GlobalAvgPool,
    Linear,
    MaxPool2D,
    Mode,
    Network,
    ReLU,
    build_network,
    summarize,
)
from cnncli.nn.layers.windows import output_size

REFERENCE = [
    ("conv", {"filters": 32, "kernel": 3, "padding": 1}), ("relu", {}), ("maxpool", {"size": 2}),
    ("conv", {"filters": 64, "kernel": 3, "padding": 1}), ("relu", {}), ("maxpool", {"size": 2}),
    ("flatten", {}), ("linear", {"units": 128}), ("relu", {}), ("dropout", {"rate": 0.5}),
    ("linear", {"units": 10}),
]  # fmt: skip

VERTICAL_EDGE = [[1, 0, -1]] * 3
KERNELS = {
    "vertical edge": VERTICAL_EDGE,
    "horizontal edge": np.transpose(VERTICAL_EDGE).tolist(),
    "diagonal": [[2, 1, 0], [1, 0, -1], [0, -1, -2]],
    "blur": [[1 / 9] * 3] * 3,
    "sharpen": [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
}


def filtered(image: np.ndarray, kernel: object, padding: int | str = 0) -> np.ndarray:
    """One image through one hand-made kernel."""
    layer = Conv2D(1, 1, 3, padding=padding, bias=False, dtype=np.float64)
    layer.weight = np.reshape(kernel, (1, 1, 3, 3))
    return layer.forward(image[np.newaxis, np.newaxis])[0, 0]


def step_image() -> np.ndarray:
    """7x7: three columns of 10, the rest 0."""
    image = np.zeros((7, 7))
    image[:, :3] = 10
    return image


def test_maximum_of_the_4x4_example_and_its_winners() -> None:
    x = np.array([[1, 3, 2, 4], [5, 6, 7, 8], [9, 2, 1, 3], [4, 5, 11, 2]], float)[np.newaxis, np.newaxis]
    layer = MaxPool2D(2)
    assert layer.forward(x, Mode(training=True))[0, 0].tolist() == [[6, 8], [9, 11]]
    dx = layer.backward(np.array([[[[2.0, 5.0], [3.0, 7.0]]]]))[0, 0]
    assert dx.tolist() == [[0, 0, 0, 0], [0, 2, 0, 5], [3, 0, 0, 0], [0, 0, 7, 0]]


def test_ties_go_to_the_first_maximum() -> None:
    layer = MaxPool2D(2)
    layer.forward(np.ones((1, 1, 4, 4)), Mode(training=True))
    dx = layer.backward(np.array([[[[1.0, 2.0], [3.0, 4.0]]]]))[0, 0]
    assert dx.tolist() == [[1, 0, 2, 0], [0, 0, 0, 0], [3, 0, 4, 0], [0, 0, 0, 0]]


def test_first_maximum_is_in_row_major_order_and_never_in_the_padding() -> None:
    layer = MaxPool2D(3, padding=1)
    x = np.array([[[[0.0, 7.0], [7.0, 7.0]]]])
    layer.forward(x, Mode(training=True))
    assert layer.backward(np.ones((1, 1, 1, 1)))[0, 0].tolist() == [[0, 1], [0, 0]]
    assert layer.forward(np.full((1, 1, 2, 2), -5.0)).item() == -5


def test_vertical_edge_of_the_7x7_example() -> None:
    assert filtered(step_image(), KERNELS["vertical edge"]).tolist() == [[0, 30, 30, 0, 0]] * 5


def test_horizontal_edge_of_the_turned_7x7_example() -> None:
    columns = np.transpose([[0, 30, 30, 0, 0]] * 5).tolist()
    assert filtered(step_image().T, KERNELS["horizontal edge"]).tolist() == columns
    assert not filtered(step_image(), KERNELS["horizontal edge"]).any()


def test_diagonal_kernel_answers_to_a_diagonal_edge() -> None:
    upper_left = 10.0 * (np.add.outer(range(6), range(6)) <= 5)  # 10 on and above the anti-diagonal
    found = filtered(upper_left, KERNELS["diagonal"])
    assert found.tolist() == [[0, 0, 20, 40], [0, 20, 40, 40], [20, 40, 40, 20], [40, 40, 20, 0]]
    assert not filtered(np.full((6, 6), 10.0), KERNELS["diagonal"]).any()


def test_blur_gives_the_mean_of_each_neighbourhood() -> None:
    image = np.arange(25.0).reshape(5, 5)
    want = [[image[a : a + 3, b : b + 3].mean() for b in range(3)] for a in range(3)]
    np.testing.assert_allclose(filtered(image, KERNELS["blur"]), want, atol=1e-12)


def test_sharpen_keeps_flat_areas_and_lifts_a_single_pixel() -> None:
    assert filtered(np.full((5, 5), 4.0), KERNELS["sharpen"]).tolist() == [[4] * 3] * 3
    dot = np.zeros((5, 5))
    dot[2, 2] = 1
    assert filtered(dot, KERNELS["sharpen"]).tolist() == [[0, -1, 0], [-1, 5, -1], [0, -1, 0]]


@pytest.mark.parametrize("name", KERNELS)
def test_convolution_does_not_turn_the_kernel_but_its_input_gradient_does(name: str) -> None:
    kernel = np.array(KERNELS[name], float)
    dot = np.zeros((5, 5))
    dot[2, 2] = 1
    # seen through a cross-correlation, a single pixel shows the kernel rotated by 180 degrees ...
    np.testing.assert_array_equal(filtered(dot, kernel), kernel[::-1, ::-1])
    # ... and the gradient of the input is the output's gradient with the kernel as it is
    layer = Conv2D(1, 1, 3, bias=False, dtype=np.float64)
    layer.weight = kernel.reshape(1, 1, 3, 3)
    layer.forward(np.zeros((1, 1, 3, 3)), Mode(training=True))
    np.testing.assert_array_equal(layer.backward(np.ones((1, 1, 1, 1)))[0, 0], kernel)


def test_gradient_of_the_kernel_is_the_input_correlated_with_the_output_gradient() -> None:
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(1, 1, 6, 6)), rng.normal(size=(1, 1, 4, 4))
    layer = Conv2D(1, 1, 3, bias=False, dtype=np.float64)
    layer.forward(x, Mode(training=True))
    dx = layer.backward(dy)
    by_x = Conv2D(1, 1, 4, bias=False, dtype=np.float64)
    by_x.weight = dy
    np.testing.assert_allclose(layer.parameters["weight"].grad, by_x.forward(x), atol=1e-12)
    full = Conv2D(1, 1, 3, padding=2, bias=False, dtype=np.float64)
    full.weight = layer.weight[:, :, ::-1, ::-1]
    np.testing.assert_allclose(dx, full.forward(dy), atol=1e-12)


def test_parameter_counts_of_single_layers() -> None:
    def count(layer: Conv2D | Linear) -> int:
        return sum(parameter.size for parameter in layer.parameters.values())

    assert count(Conv2D(3, 64, 3)) == 1_792
    assert count(Linear(784, 100)) == 78_500
    assert Linear(25_088, 4096).parameters["weight"].size == 25_088 * 4096 == 102_760_448
    assert count(Conv2D(1, 32, 3)) == (3 * 3 * 1 + 1) * 32 == 320


def test_reference_network_has_421_642_parameters() -> None:
    network = build_network(REFERENCE, (1, 28, 28), rng=np.random.default_rng(0))
    assert network.get_num_parameters() == 421_642
    rows = {row.name: (row.output_shape, row.parameters) for row in summarize(network)}
    assert rows == {
        "conv1": ((32, 28, 28), 320),
        "relu1": ((32, 28, 28), 0),
        "maxpool1": ((32, 14, 14), 0),
        "conv2": ((64, 14, 14), 18_496),
        "relu2": ((64, 14, 14), 0),
        "maxpool2": ((64, 7, 7), 0),
        "flatten1": ((3136,), 0),
        "linear1": ((128,), 401_536),
        "relu3": ((128,), 0),
        "dropout1": ((128,), 0),
        "linear2": ((10,), 1_290),
    }


def test_three_stacked_3x3_convolutions_see_3_5_and_7_pixels() -> None:
    layers = [Conv2D(1, 2, 3), Conv2D(2, 2, 3), Conv2D(2, 2, 3)]
    rows = summarize(Network(layers, (1, 28, 28)))
    assert [row.receptive_field for row in rows] == [(3, 3), (5, 5), (7, 7)]


def test_receptive_field_is_what_really_reaches_an_output() -> None:
    rng = np.random.default_rng(0)
    layers = [
        Conv2D(1, 2, 3, stride=2, rng=rng), ReLU(), MaxPool2D(2), Conv2D(2, 2, (3, 2), rng=rng), ReLU(),
        Conv2D(2, 2, 3, rng=rng), GlobalAvgPool(),
    ]  # fmt: skip
    network = Network(layers, (1, 60, 60), np.float32)
    field = summarize(network)[5].receptive_field
    assert field == (3 + 1 * 2 + 2 * 4 + 2 * 4, 3 + 1 * 2 + 1 * 4 + 2 * 4)
    x = rng.uniform(1, 2, (1, 1, 60, 60)).astype(np.float32)
    reached = np.zeros((60, 60), bool)
    body = Network(layers[:-1], (1, 60, 60))
    for _ in range(20):  # several inputs, because a ReLU at 0 or a lost maximum hides pixels
        for layer in (layers[0], layers[3], layers[5]):
            layer.weight = rng.uniform(0.1, 1, layer.weight.shape)
        y = body.forward(x + rng.random(x.shape, np.float32), keep=True)
        dy = np.zeros_like(y)
        dy[0, :, 1, 2] = 1
        reached |= body.backward(dy)[0, 0] != 0
    rows, columns = np.nonzero(reached)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == field


def test_output_size_example() -> None:
    assert output_size(32, kernel=5, stride=1, before=2, after=2) == 32
    assert Conv2D(3, 8, 5, padding=2).output_shape((3, 32, 32)) == (8, 32, 32)


def test_lenet_5_has_61_706_parameters() -> None:
    lenet = [
        ("conv", {"filters": 6, "kernel": 5, "padding": 2}), ("tanh", {}), ("avgpool", {"_": 2}),
        ("conv", {"filters": 16, "kernel": 5}), ("tanh", {}), ("avgpool", {"_": 2}), ("flatten", {}),
        ("linear", {"_": 120}), ("tanh", {}), ("linear", {"_": 84}), ("tanh", {}), ("linear", {"_": 10}),
    ]  # fmt: skip
    assert build_network(lenet, (1, 28, 28), rng=np.random.default_rng(0)).get_num_parameters() == 61_706


def test_global_average_pooling_spares_the_big_dense_layer() -> None:
    head = [GlobalAvgPool(), Linear(64, 10)]
    assert Network(head, (64, 7, 7)).get_num_parameters() == 650
    assert Network([Flatten(), Linear(3136, 10)], (64, 7, 7)).get_num_parameters() == 31_370


def test_he_weights_have_the_published_spread() -> None:
    weight = Conv2D(32, 64, 3, rng=np.random.default_rng(0)).weight
    assert weight.std() == pytest.approx(np.sqrt(2 / (32 * 3 * 3)), rel=0.02)
    assert abs(weight.mean()) < 0.002
