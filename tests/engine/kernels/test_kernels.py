"""Every kernel of the table gives what the plain layers give."""

import numpy as np
import pytest

from cnncli.engine.parallel.caller import FastExecutor
from cnncli.engine.plan.kernel_table import KERNELS
from tests.engine.oracle import batch, distance, margin, twins

BN, RELU = ("batchnorm", {}), ("relu", {})


def conv(filters, kernel, **options):
    return ("conv", {"filters": filters, "kernel": kernel, **options})


def pool(size, kind="maxpool", **options):
    return (kind, {"size": size, **options})


def block(*layers):
    return ("residual", {"layers": list(layers)})


END = [("flatten", {}), ("linear", {"units": 5})]

# kernel -> networks that use it: (layers, input shape)
CASES = {
    "FirstConvPool": [
        ([conv(4, 3, padding="same"), RELU, pool(2), *END], (1, 12, 12)),
        ([conv(4, 3), pool(2), *END], (1, 10, 14)),
        ([conv(3, 5, padding=2), RELU, pool(2), *END], (2, 13, 17)),
        ([conv(3, [2, 4], padding=1, bias=False), RELU, pool(2), *END], (1, 9, 13)),
        ([conv(3, 1), RELU, pool(2), *END], (3, 8, 8)),
    ],
    "FirstConv": [
        ([conv(4, 3), RELU, *END], (1, 9, 11)),
        ([conv(4, 5, stride=2, padding="same"), *END], (3, 12, 11)),
        ([conv(4, 3, padding=2, stride=3, bias=False), RELU, *END], (1, 11, 13)),
        ([conv(4, 7, padding=6), RELU, *END], (1, 5, 4)),
    ],
    "WinogradConvPool": [
        ([conv(17, 3), conv(6, 3, padding="same"), RELU, pool(2), *END], (1, 12, 12)),
        ([conv(18, 3), conv(6, 3), pool(2), *END], (1, 13, 11)),
        ([conv(20, 1), conv(3, 3, padding=2, bias=False), RELU, pool(2), *END], (1, 7, 10)),
    ],
    "WindowsConvPool": [
        ([conv(4, 3), conv(6, 3, padding="same"), RELU, pool(2), *END], (1, 12, 13)),
        ([conv(4, 3), conv(6, [3, 2], stride=[1, 2], bias=False), pool(2), *END], (2, 13, 14)),
        ([conv(4, 3), conv(6, 3, padding=[[2, 0], [1, 3]]), BN, RELU, pool(2), *END], (1, 11, 9)),
    ],
    "WindowsConv": [
        ([conv(4, 3), conv(6, 5, stride=2, padding="same"), BN, RELU, *END], (1, 13, 12)),
        ([conv(4, 3), conv(6, 4, padding=3), conv(3, 1, bias=False), *END], (2, 9, 10)),
    ],
    "WinogradRows": [
        ([conv(17, 3), conv(6, 3, padding="same"), RELU, *END], (1, 10, 10)),
        ([conv(17, 3), conv(6, 3), *END], (1, 9, 12)),
        (
            [conv(20, 1), conv(19, 3, padding=2), RELU, conv(4, 3, padding=1, bias=False), RELU, *END],
            (1, 5, 6),
        ),
        ([conv(20, 1), conv(6, 3), RELU, *END], (1, 3, 3)),
    ],
    "ConvRows": [
        ([conv(4, 3), conv(6, 5, stride=2, padding="same"), RELU, *END], (1, 13, 12)),
        ([conv(4, 3), conv(6, 4), *END], (1, 9, 10)),
        ([conv(3, 3), conv(6, 1), RELU, *END], (1, 6, 7)),
        ([conv(3, 3), conv(6, [2, 3], stride=[3, 2], padding=[1, 2], bias=False), RELU, *END], (2, 11, 8)),
        ([conv(2, 3), conv(6, 3, padding=3), RELU, *END], (1, 6, 5)),
    ],
    "ConvTaps": [
        ([conv(6, 3), conv(6, 3, groups=6, padding=1), RELU, *END], (1, 9, 10)),
        ([conv(4, 1), conv(8, [2, 3], groups=4, stride=[1, 2], padding="same", bias=False), *END], (1, 8, 9)),
        (
            [conv(6, 3, dilation=2, padding=2), RELU, conv(4, 3, dilation=[1, 2], groups=2), RELU, *END],
            (2, 9, 10),
        ),
        ([conv(5, 3), conv(5, 3, groups=5, stride=2, padding=1), BN, RELU, *END], (1, 12, 11)),
        (
            [conv(4, 3, groups=2, stride=2, padding=[[1, 0], [0, 2]]), conv(4, 2, dilation=3), *END],
            (2, 13, 12),
        ),
    ],
    "MaxPool2x2": [
        ([conv(3, 3), ("tanh", {}), pool(2), *END], (1, 9, 8)),
        ([conv(3, 3), BN, pool(2), conv(2, 2), pool(2), *END], (1, 13, 12)),
        ([conv(9, 1), conv(3, 3), ("tanh", {}), pool(2), conv(3, 3), *END], (1, 12, 13)),
    ],
    "MaxPool": [
        ([conv(3, 3), pool(3, stride=2), *END], (1, 11, 12)),
        ([pool(3, stride=2, padding=1), conv(3, 1), pool([2, 3]), *END], (2, 13, 12)),
        ([conv(3, 3), pool(2, stride=3), *END], (1, 12, 11)),
        ([conv(3, 3), pool(3, stride=2, ceil_mode=True), pool(2, padding="same"), *END], (1, 12, 11)),
    ],
    "AvgPool": [
        ([conv(3, 3), pool(2, "avgpool"), *END], (1, 9, 10)),
        ([conv(3, 3), pool(3, "avgpool", stride=2, padding=1), *END], (1, 10, 9)),
        ([conv(3, 3), pool([1, 2], "avgpool", stride=3), *END], (1, 10, 9)),
        (
            [
                conv(3, 3),
                pool(3, "avgpool", stride=2, ceil_mode=True),
                pool(2, "avgpool", stride=1, padding="same", count_include_pad=False),
                *END,
            ],
            (1, 10, 11),
        ),
    ],
    "GlobalAvg": [
        ([conv(3, 3), RELU, ("globalavgpool", {}), ("linear", {"units": 5})], (1, 8, 9)),
        ([conv(5, 3), ("globalavgpool", {})], (1, 8, 9)),
    ],
    "FlatInput": [([("flatten", {}), ("linear", {"units": 7}), RELU, ("linear", {"units": 5})], (2, 5, 6))],
    "FlattenKernel": [([conv(3, 3), *END], (1, 6, 8))],
    "LinearKernel": [
        (
            [("flatten", {}), ("linear", {"units": 6, "bias": False}), RELU, ("linear", {"units": 5})],
            (1, 4, 4),
        ),
        ([("linear", {"units": 5})], (9,)),
    ],
    "BatchNormKernel": [
        ([conv(4, 3, bias=False), BN, RELU, conv(4, 3, padding=1), RELU, BN, *END], (1, 10, 9)),
        ([BN, conv(3, 3), ("flatten", {}), BN, RELU, ("linear", {"units": 5}), BN], (2, 7, 6)),
        ([conv(3, 3), ("globalavgpool", {}), BN, ("linear", {"units": 5})], (1, 7, 6)),
        ([("linear", {"units": 6}), BN, RELU, ("linear", {"units": 5})], (8,)),
        ([conv(4, 3), BN, pool(2), BN, conv(4, 3), BN, RELU, *END], (1, 14, 12)),
    ],
    "AffineKernel": [([conv(4, 3), RELU, BN, RELU, *END, BN], (1, 8, 8)), ([BN, RELU, *END], (2, 5, 5))],
    "ReLUKernel": [([conv(3, 3), pool(2, "avgpool"), RELU, *END, RELU], (1, 9, 9))],
    "LeakyReLUKernel": [
        ([conv(3, 3), ("leaky_relu", {"slope": 0.2}), *END, ("leaky_relu", {"slope": 0.0})], (1, 7, 7))
    ],
    "TanhKernel": [([conv(3, 3), ("tanh", {}), *END, ("tanh", {})], (1, 7, 7))],
    "SigmoidKernel": [([conv(3, 3), ("sigmoid", {}), *END], (1, 7, 7))],
    "Fork": [
        (
            [
                conv(4, 3, padding=1),
                RELU,
                block(conv(4, 3, padding=1), RELU, conv(4, 3, padding=1)),
                RELU,
                *END,
            ],
            (1, 7, 8),
        ),
        ([block(conv(2, 3, padding=1)), block(("tanh", {}), conv(2, 1)), *END], (2, 6, 5)),
        (
            [
                conv(9, 3),
                BN,
                RELU,
                block(BN, RELU, conv(9, 3, padding=1), BN, RELU, conv(9, 3, padding=1)),
                *END,
            ],
            (1, 9, 9),
        ),
        (
            [("linear", {"units": 6}), block(("linear", {"units": 6}), BN, RELU), ("linear", {"units": 5})],
            (8,),
        ),
    ],
    "Branch": [
        (
            [conv(4, 3), RELU, block(conv(6, 3, stride=2, padding="same"), RELU, conv(6, 1)), RELU, *END],
            (1, 10, 9),
        ),
        (
            [
                conv(9, 3, padding=1, bias=False),
                BN,
                RELU,
                block(conv(9, 3, padding=1, bias=False), BN, RELU, conv(9, 3, padding=1, bias=False), BN),
                RELU,
                block(conv(12, 3, stride=2, padding=1, bias=False), BN, RELU, conv(12, 3, padding=1), BN),
                RELU,
                block(conv(12, 3, padding=1), BN, RELU, conv(12, 3, padding=1, bias=False), BN),
                RELU,
                ("globalavgpool", {}),
                ("linear", {"units": 5}),
            ],
            (1, 12, 12),
        ),
        ([block(pool(2, "avgpool"), BN), conv(3, 3), *END], (2, 10, 8)),
        ([("linear", {"units": 6}), block(("linear", {"units": 4}), RELU), ("linear", {"units": 5})], (8,)),
    ],
    "Add": [([conv(3, 3), block(conv(3, 1)), ("prelu", {}), block(conv(3, 1)), *END], (1, 6, 6))],
    "PReLUKernel": [
        ([conv(3, 3), ("prelu", {"slope": -0.5}), *END, ("prelu", {"shared": True})], (1, 7, 7)),
        ([conv(9, 3), ("prelu", {}), conv(4, 3), ("prelu", {"shared": True}), *END], (1, 9, 8)),
    ],
    "SiLUKernel": [([conv(3, 3), ("silu", {}), *END, ("silu", {})], (1, 7, 7))],
    "GELUKernel": [
        ([conv(3, 3), ("gelu", {}), *END, ("gelu", {})], (1, 7, 7)),
        ([conv(3, 3), ("gelu", {"approximate": "tanh"}), *END], (1, 7, 7)),
    ],
    "DropoutKernel": [],  # random: see test_dropout_draws_and_masks_like_the_plain_layer
    "PlainLayer": [],  # see test_a_layer_without_a_kernel_runs_by_its_own_code
}

ONLY_SINGLE_IMAGES = {"WindowsConv", "WindowsConvPool"}

NETWORKS = [(name, *case) for name, cases in CASES.items() for case in cases]


def kernels_used(executor, count, *, training):
    return {
        type(kernel).__name__
        for group in executor.plan(count, training=training).micro_batches()
        for kernel in group.kernels
    }


def test_every_kernel_of_the_table_has_a_case():
    assert set(CASES) == {kernel.__name__ for kernel in KERNELS}


@pytest.mark.parametrize("images", [1, 2, 37])
@pytest.mark.parametrize(("kernel", "model", "shape"), NETWORKS)
def test_kernel_matches_plain_layers(kernel, model, shape, images):
    fast, exact = twins(model, shape)
    x, labels = batch(shape, images, exact.output_shape[0], seed=images)
    if margin(exact, x.astype(np.float64)) < 1e-6:
        x, labels = batch(shape, images, exact.output_shape[0], seed=images + 1)
    fast.load_state({**exact.state()})
    with FastExecutor(fast, batch_size=images, workers=1, shards=2) as executor:
        logits = executor.forward(x)
        used = kernels_used(executor, images, training=False)
        result = executor.loss_and_gradients(x, labels, label_smoothing=0.1)
        used |= kernels_used(executor, images, training=True)
        after = executor.forward(x)
    assert kernel in used or (images > 2 and kernel in ONLY_SINGLE_IMAGES)
    assert distance(logits, exact.forward(x)) < 1e-5
    loss, exact_logits = exact.loss_and_gradients(x.astype(np.float64), labels, label_smoothing=0.1)
    assert result.loss == pytest.approx(loss, rel=1e-5)
    assert result.correct == (exact_logits.argmax(axis=1) == labels).sum()
    if images > 2 or not any(kind == "batchnorm" for kind, _ in model):
        # Over one or two numbers a BatchNorm's gradient is a difference of equals, in any precision.
        assert_same_gradients(fast, exact)
    for name, buffer in fast.buffers.items():
        assert distance(buffer, exact.buffers[name]) < 1e-5, name
    assert distance(after, exact.forward(x)) < 1e-5


def assert_same_gradients(fast, exact):
    total = np.linalg.norm(exact.parameters.grads)
    assert distance(fast.parameters.grads, exact.parameters.grads) < 1e-5 or total < 1e-9
    for name, where in fast.parameters.slices.items():
        found, expected = fast.parameters.grads[where], exact.parameters.grads[where]
        # A gradient that cancels (a bias before a BatchNorm) is compared with the size of its neighbors.
        allowed = 1e-5 * np.linalg.norm(expected) + 1e-6 * total + 1e-9
        assert np.linalg.norm(found - expected) < allowed, name


@pytest.mark.parametrize(
    "model",
    [
        [conv(18, 3, padding="same"), RELU, pool(2), conv(8, 3, padding="same"), RELU, pool(2), *END],
        [conv(18, 3), conv(8, 3), pool(2), *END],
        [
            conv(4, 3),
            RELU,
            conv(8, 3, padding=1),
            RELU,
            conv(4, 5, stride=2, padding=2),
            pool(3, stride=1),
            *END,
        ],
    ],
)
def test_ties_go_to_the_first_maximum_as_in_the_plain_layers(model):
    """Small whole numbers are exact in every order of summing, so that equal outputs are equal to the bit."""
    fast, exact = twins(model, (1, 16, 16))
    rng = np.random.default_rng(3)
    for name, parameter in fast.parameters.named.items():
        parameter.value = rng.integers(-1, 2, parameter.shape)
        exact.parameters.named[name].value = parameter.value
    x = rng.integers(0, 2, (12, 1, 16, 16)).astype(np.float32)
    labels = rng.integers(0, 5, 12)
    with FastExecutor(fast, batch_size=12, workers=1, shards=2) as executor:
        assert np.array_equal(executor.forward(x), exact.forward(x))
        executor.loss_and_gradients(x, labels)
    exact.loss_and_gradients(x.astype(np.float64), labels)
    assert distance(fast.parameters.grads, exact.parameters.grads) < 1e-5


@pytest.mark.parametrize("offset", [3, 30, 1000, 30_000])
def test_a_mean_far_from_zero_costs_a_normalization_no_precision(offset):
    model = [BN, conv(6, 3), BN, RELU, *END]
    fast, exact = twins(model, (2, 9, 9), seed=3)
    x, labels = batch((2, 9, 9), 24, exact.output_shape[0], seed=3)
    x = (x + offset).astype(np.float32)
    with FastExecutor(fast, batch_size=24, workers=1, shards=2) as executor:
        executor.loss_and_gradients(x, labels)
    exact.loss_and_gradients(x.astype(np.float64), labels)
    assert_same_gradients(fast, exact)
    for name in ("running_mean", "running_var"):
        assert distance(fast.buffers[f"batchnorm1.{name}"], exact.buffers[f"batchnorm1.{name}"]) < 1e-6, name
