"""Random networks: the plan and the plain layers agree on them too."""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from cnncli.engine.parallel.caller import FastExecutor
from cnncli.errors import ModelError
from cnncli.nn.build import build_network
from tests.engine.oracle import batch, distance, margin, twins


@st.composite
def layer_lists(draw):
    """Draw a network: convolutions, pools, norms and activations, then dense layers."""
    shape = (draw(st.sampled_from([1, 1, 2, 3])), draw(st.integers(4, 13)), draw(st.integers(4, 13)))
    model, channels = [], shape[0]
    for _ in range(draw(st.integers(0, 3))):
        kernel = draw(st.sampled_from([1, 2, 3, 3, 3, 3, 5, (2, 3)]))
        padding = draw(st.sampled_from(["same", "valid", 1, 2, [[1, 0], [0, 2]]]))
        groups = draw(st.sampled_from([1, 1, 1, channels]))
        filters = draw(st.integers(1, 9) | st.sampled_from([17, 20]))
        channels = filters if groups == 1 else groups * draw(st.integers(1, 2))
        model.append(
            (
                "conv",
                {
                    "filters": channels,
                    "kernel": list(kernel) if isinstance(kernel, tuple) else kernel,
                    "stride": draw(st.sampled_from([1, 1, 1, 2, 3])),
                    "padding": padding,
                    "bias": draw(st.booleans()),
                    "dilation": draw(st.sampled_from([1, 1, 1, 2])),
                    "groups": groups,
                },
            )
        )
        if draw(st.integers(0, 3)) == 0:
            filters, stride = draw(st.sampled_from([channels, channels, 9])), draw(st.sampled_from([1, 1, 2]))
            first = {
                "filters": filters,
                "kernel": draw(st.sampled_from([1, 3])),
                "stride": stride,
                "padding": "same",
            }
            inside = [
                ("conv", first),
                *[(kind, {}) for kind in draw(st.sampled_from([(), ("batchnorm",), ("tanh",)]))],
            ]
            model.append(("residual", {"layers": inside}))
            channels = filters
        behind = draw(st.permutations(["relu", "batchnorm", "maxpool", "tanh", "leaky_relu", "avgpool"]))
        for kind in behind[: draw(st.integers(0, 3))]:
            if kind.endswith("pool"):
                size = draw(st.sampled_from([2, 2, 3]))
                options = {
                    "size": size,
                    "stride": draw(st.sampled_from([1, 2, size])),
                    "padding": draw(st.sampled_from([0, 1, "same", [[1, 0], [0, 1]]])),
                    "ceil_mode": draw(st.booleans()),
                }
                if kind == "avgpool":
                    options["count_include_pad"] = draw(st.booleans())
                model.append((kind, options))
            else:
                model.append((kind, {}))
    model.append((draw(st.sampled_from(["flatten", "flatten", "globalavgpool"])), {}))
    if draw(st.booleans()):
        model += [
            ("linear", {"units": draw(st.integers(1, 12))}),
            (draw(st.sampled_from(["relu", "sigmoid", "batchnorm"])), {}),
        ]
    return [*model, ("linear", {"units": 4})], shape


@pytest.mark.parametrize("count", [60, pytest.param(1000, marks=pytest.mark.slow)])
def test_random_networks_match_the_plain_layers(count):
    limits = settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
    )
    limits(given(layer_lists(), st.integers(1, 24), st.sampled_from([1, 2, 4]))(compare))()


def compare(drawn, images, shards):
    model, shape = drawn
    try:
        build_network(model, shape, rng=np.random.default_rng(0))
    except ModelError:
        assume(False)
    if images < 3:
        # over one or two numbers a BatchNorm's gradient is a difference of equals, in any precision
        behind = [kind for kind, _ in model[-3:]]
        assume("batchnorm" not in behind)
    fast, exact = twins(model, shape, seed=images)
    x, labels = batch(shape, images, 4, seed=images)
    state = exact.state()
    with np.errstate(all="ignore"):
        assume(margin(exact, x.astype(np.float64)) > 2e-6)
    exact.load_state(state)
    fast.load_state(state)
    with FastExecutor(fast, batch_size=images, workers=1, shards=shards) as executor:
        logits = executor.forward(x)
        result = executor.loss_and_gradients(x, labels)
    exact_logits = exact.forward(x)
    loss, _ = exact.loss_and_gradients(x.astype(np.float64), labels)
    grads = exact.parameters.grads
    errors = (
        distance(logits, exact_logits),
        abs(result.loss - loss) / max(1, abs(loss)),
        distance(fast.parameters.grads, grads),
    )
    if max(errors) >= 1e-5:
        # A BatchNorm over a handful of numbers magnifies rounding, in the plain layers' float32 too. Where these are
        # further than 1e-5 from float64, the plan may be as far.
        own = build_network(model, shape, rng=np.random.default_rng(0))
        own.load_state(state)
        own_logits = own.forward(x)
        own_loss, _ = own.loss_and_gradients(x, labels)
        own_errors = (
            distance(own_logits, exact_logits),
            abs(own_loss - loss) / max(1, abs(loss)),
            distance(own.parameters.grads, grads),
        )
        assert all(
            error < max(1e-5, 4 * own_error) for error, own_error in zip(errors, own_errors, strict=True)
        )
