"""Images of a few pixels, where tiles and windows reach past the edge or a column does not exist."""

import numpy as np
import pytest

from cnncli.engine.parallel.caller import FastExecutor
from cnncli.errors import ModelError
from cnncli.nn.build import build_network
from tests.engine.oracle import batch, distance, margin, twins

SIZES = [(2, 2), (3, 3), (3, 4), (4, 3), (6, 3), (3, 6), (4, 4), (7, 5), (1, 3), (3, 1)]
BN, RELU = ("batchnorm", {}), ("relu", {})


def conv(filters, kernel, **options):
    return ("conv", {"filters": filters, "kernel": kernel, **options})


def pool(kind, size, **options):
    return (kind, {"size": size, **options})


IN_FRONT = {
    "nothing": [],
    "pixels": [conv(10, 1)],
    "norm": [conv(10, 1), BN],
    "tiles": [conv(10, 3, padding=1), RELU],
}
MIDDLE = {
    "tiles": [conv(10, 3)],
    "padded tiles": [conv(10, 3, padding=1), RELU],
    "pooled tiles": [conv(10, 3), RELU, pool("maxpool", 2)],
    "padded pooled tiles": [conv(10, 3, padding=1), pool("maxpool", 2)],
    "rows": [conv(10, 5, padding=2)],
    "small rows": [conv(10, 2)],
    "strided rows": [conv(10, 3, stride=2), RELU],
    "one row": [conv(10, [1, 3])],
    "one column": [conv(10, [3, 1])],
    "pool": [pool("maxpool", 2)],
    "pool that overlaps": [pool("maxpool", 2, stride=1)],
    "pool of three": [pool("maxpool", 3, stride=2)],
    "average": [pool("avgpool", 2)],
    "norm": [BN, RELU],
    "activation": [("tanh", {})],
}  # fmt: skip
BEHIND = {
    "mean": [("globalavgpool", {})],
    "flat": [("flatten", {})],
    "norm": [BN, RELU, ("globalavgpool", {})],
    "tiles": [conv(11, 3, padding=1), ("flatten", {})],
}


def networks(in_front, middle, every):
    """Return the networks with these layers, as (model, shape), for every size that their windows fit on.

    Args:
        in_front, middle: names of entries of `IN_FRONT` and `MIDDLE`.
        every: of more than twelve only every third is taken, so that each three layers come together on several sizes,
            and each two neighbors on all sizes. With 5 each three layers come together on one size or more.
    """
    first = list(IN_FRONT).index(in_front) + list(MIDDLE).index(middle)
    fitting = []
    for number, behind in enumerate(BEHIND.values(), first):
        model = [*IN_FRONT[in_front], *MIDDLE[middle], *behind, ("linear", {"units": 5})]
        for turn, (height, width) in enumerate(SIZES, number):
            shape = (2, height, width)
            if every > 3 and turn % every:
                continue
            try:
                build_network(model, shape, rng=np.random.default_rng(3))
            except ModelError:
                continue
            fitting.append((turn, model, shape))
    return [(model, shape) for turn, model, shape in fitting if turn % every == 0 or len(fitting) <= 12]


@pytest.mark.parametrize("every", [pytest.param(3, marks=pytest.mark.slow), 5])
@pytest.mark.parametrize("middle", MIDDLE)
@pytest.mark.parametrize("in_front", IN_FRONT)
def test_gradients_of_small_images_match_the_plain_layers(in_front, middle, every):
    compared = 0
    for model, shape in networks(in_front, middle, every):
        fast, exact = twins(model, shape, seed=3)
        state = exact.state()
        x, labels = batch(shape, 6, 5, seed=3)
        if margin(exact, x.astype(np.float64)) < 2e-6:
            continue
        exact.load_state(state)
        with FastExecutor(fast, batch_size=6, workers=1, shards=2) as executor:
            executor.loss_and_gradients(3 * x + 1, labels)  # fills all memory with other numbers
            fast.load_state(state)
            executor.loss_and_gradients(x, labels)
        exact.loss_and_gradients(x.astype(np.float64), labels)
        found = distance(fast.parameters.grads, exact.parameters.grads)
        if found >= 1e-5:  # where float32 is inexact in the plain layers too, the plan may be as far off
            own, _ = twins(model, shape, seed=3)
            own.loss_and_gradients(x, labels)
            assert found < 4 * distance(own.parameters.grads, exact.parameters.grads), (model, shape)
        compared += 1
    assert compared > (3 if every == 3 else 0)
