"""Building from a layer list: an error names the layer, its input shape and the reason."""

import tracemalloc
from typing import Any

import numpy as np
import pytest

from cnncli.errors import ModelError
from cnncli.nn import LAYERS, build, build_network

Spec = list[tuple[str, dict[str, Any]]]
CONV: tuple[str, dict[str, Any]] = ("conv", {"filters": 8, "kernel": 3})


def refusal(model: Any, shape: tuple[int, ...] = (1, 28, 28)) -> ModelError:
    with pytest.raises(ModelError) as caught:
        build_network(model, shape, rng=np.random.default_rng(0))
    return caught.value


def test_a_window_larger_than_its_input_is_named_with_the_shape() -> None:
    error = refusal([CONV, ("relu", {}), ("maxpool", {"_": 13}), ("maxpool", {"_": 3})])
    assert error.message == "layer 4 (maxpool2): a 3x3 window does not fit its input (8, 2, 2)"
    assert error.key_path == (3,)
    assert error.hint is not None
    error = refusal([("conv", {"filters": 1, "kernel": (1, 29)})])
    assert error.message == "layer 1 (conv1): a 1x29 window does not fit its input (1, 28, 28)"


def test_linear_after_an_image_asks_for_flatten() -> None:
    error = refusal([CONV, ("linear", {"_": 10})])
    assert error.message == "layer 2 (linear1): needs a vector, but its input has shape (8, 26, 26)"
    assert error.hint == "put flatten or globalavgpool before it"
    assert error.key_path == (1,)


@pytest.mark.parametrize("late", [CONV, ("maxpool", {"_": 2}), ("avgpool", {"_": 2}), ("globalavgpool", {})])
def test_an_image_layer_after_flatten_is_refused(late: tuple[str, dict[str, Any]]) -> None:
    error = refusal([("flatten", {}), late])
    assert error.message == (
        f"layer 2 ({late[0]}1): needs an image (channels, height, width), but its input has shape (784,)"
    )
    assert error.hint == "put it before flatten and linear"


@pytest.mark.parametrize(
    ("model", "shape"), [([CONV], (8, 26, 26)), ([CONV, ("maxpool", {"_": 26})], (8, 1, 1))]
)
def test_a_list_that_does_not_end_in_one_number_a_class_is_refused(
    model: Spec, shape: tuple[int, ...]
) -> None:
    error = refusal(model)
    assert error.message == (
        f"layer {len(model)} ({model[-1][0]}1): the last layer must have one output per class, not {shape}"
    )
    assert error.key_path == (len(model) - 1,)


def test_an_unknown_layer_suggests_the_nearest() -> None:
    error = refusal([CONV, ("max_pool", {"_": 2})])
    assert (error.message, error.hint) == ("layer 2: unknown layer 'max_pool'", "did you mean 'maxpool'?")
    assert error.key_path == (1,)
    assert "known: conv, maxpool" in str(refusal([("xyz", {})]).hint)


def test_an_option_is_named_with_its_layer_and_its_place() -> None:
    error = refusal([CONV, ("relu", {}), ("conv", {"filters": 8, "kernel": 0})])
    assert error.message == (
        "layer 3 (conv2): kernel: expected a positive whole number or a pair [height, width] of them, found 0"
    )
    assert error.key_path == (2, "kernel")
    error = refusal([("flatten", {}), ("linear", {"unit": 3})])
    assert error.message == "layer 2 (linear1): linear has no option 'unit'"
    assert error.hint == "did you mean 'units'?"
    assert error.key_path == (1, "unit")


def test_no_layers_are_no_model() -> None:
    assert refusal([]).message == "the model has no layers"


def test_pairs_and_mappings_build_the_same() -> None:
    pairs: Spec = [CONV, ("flatten", {}), ("linear", {"_": 3})]
    one = build_network(pairs, (1, 6, 6), rng=np.random.default_rng(0))
    other = build_network([{k: o} for k, o in pairs], (1, 6, 6), rng=np.random.default_rng(0))
    np.testing.assert_array_equal(one.parameters.values, other.parameters.values)


HUGE: dict[str, Spec] = {
    "one linear": [("flatten", {}), ("linear", {"_": 2**31 - 1})],
    "linears that are harmless one by one": [("flatten", {}), *[("linear", {"_": 2_000_000})] * 3],
    "filters": [("conv", {"filters": 2**30, "kernel": 3}), ("globalavgpool", {})],
    "padding": [("conv", {"filters": 1, "kernel": 3, "padding": 10**6}), ("globalavgpool", {})],
}


@pytest.mark.parametrize("name", HUGE)
def test_a_model_larger_than_the_memory_is_refused_before_any_is_taken(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "available_bytes", lambda: 16 * 10**9)
    tracemalloc.start()
    error = refusal(HUGE[name])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000
    assert "and 16.0 GB are available" in error.message
    assert error.hint is not None


@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_takes_no_memory_until_its_numbers_are_looked_at(kind: str) -> None:
    options = {"filters": 10**9, "kernel": 3} if kind == "conv" else {}
    if LAYERS[kind].main_option == "units":
        options = {"_": 10**9}
    elif LAYERS[kind].main_option:
        words = {"gelu": "tanh", "residual": ["relu"]}
        options = {"_": words.get(kind, 1 if "pool" in kind else 0.5)}
    shape = (10**9,) if kind in ("linear", "batchnorm") else (3, 10**6, 10**6)
    tracemalloc.start()
    LAYERS[kind].from_options(options, shape, rng=np.random.default_rng(0)).output_shape(shape)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_the_refusal_names_the_layer_and_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "available_bytes", lambda: 10**9)
    error = refusal([("flatten", {}), ("linear", {"_": 10}), ("linear", {"_": 100_000_000})])
    assert error.message == (
        "layer 3 (linear2): with this layer the model has 1,100,007,850 parameters; training them takes "
        "22.0 GB, and 1.0 GB are available"
    )
    assert error.key_path == (2,)
    model: Spec = [("conv", {"filters": 2, "kernel": 1, "padding": 9986}), ("globalavgpool", {})]
    assert refusal(model).message == (
        "layer 1 (conv1): with this layer the activations of one image take 3.2 GB, and 1.0 GB are available"
    )


def test_memory_is_counted_over_all_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    model: Spec = [("flatten", {}), *[("linear", {"_": 784, "bias": False})] * 4]
    needed = 4 * 784 * 784 * build.VECTORS * 4
    monkeypatch.setattr(build, "available_bytes", lambda: needed)
    assert build_network(model, (1, 28, 28), rng=np.random.default_rng(0)).get_num_parameters() == 4 * 784**2
    monkeypatch.setattr(build, "available_bytes", lambda: needed - 1)
    assert refusal(model).key_path == (4,)
    monkeypatch.setattr(build, "available_bytes", lambda: 2 * needed - 1)
    with pytest.raises(ModelError, match=r"layer 5 \(linear4\)"):
        build_network(model, (1, 28, 28), rng=np.random.default_rng(0), dtype=np.float64)


def test_layers_may_be_written_as_in_a_config() -> None:
    layers = [
        "relu",
        {"maxpool": 2},
        {"conv": {"filters": 3, "kernel": 3}},
        ("flatten", None),
        {"relu": None},
    ]
    layers += [("linear", 20), ("linear", {"units": 10})]
    network = build_network(layers, (1, 8, 8), rng=np.random.default_rng(0))
    assert network.names == ("relu1", "maxpool1", "conv1", "flatten1", "relu2", "linear1", "linear2")
    again = build_network(network.spec(), np.array([1, 8, 8]), rng=np.random.default_rng(0))
    assert again.spec() == network.spec()


@pytest.mark.parametrize(
    "layer",
    [3, None, [], ["relu"], {}, {"relu": {}, "flatten": {}}, (1, 2), ("relu",), ("relu", {}, {}), {3: 4}],
)
def test_what_is_no_layer_is_refused_with_the_forms_of_one(layer: object) -> None:
    with pytest.raises(ModelError, match="layer 2: expected a layer, found") as caught:
        build_network(["flatten", layer], (1, 8, 8), rng=np.random.default_rng(0))
    assert "{'maxpool': 2}" in str(caught.value.hint)
    assert caught.value.key_path == (1,)


@pytest.mark.parametrize("model", ["relu", {"relu": {}}, None, 3, {"relu"}])
def test_what_is_no_list_of_layers_is_refused(model: object) -> None:
    with pytest.raises(ModelError, match="expected a list of layers, found"):
        build_network(model, (1, 8, 8), rng=np.random.default_rng(0))  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [5, None, "abc", (28, 28), (1.0, 8, 8), (0, 8, 8), (1, 8, "x"), ()])
def test_what_is_no_shape_of_an_image_is_refused(shape: object) -> None:
    with pytest.raises(ModelError, match="input_shape: expected"):
        build_network(["flatten", {"linear": 3}], shape, rng=np.random.default_rng(0))  # type: ignore[arg-type]
