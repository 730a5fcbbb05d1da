"""The options of layers, and how an error names what is wrong."""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnncli.errors import ModelError
from cnncli.nn import LAYERS, Conv2D, Dropout, Layer, Linear, MaxPool2D

IMAGE = (2, 8, 8)
GOOD: dict[str, dict[str, Any]] = {"conv": {"filters": 3, "kernel": 3}, "linear": {"units": 3}}


def make(kind: str, options: dict[str, Any]) -> Layer:
    shape = (16,) if kind == "linear" else IMAGE
    return LAYERS[kind].from_options(options, shape, rng=np.random.default_rng(0))


def refusal(kind: str, options: dict[str, Any]) -> ModelError:
    with pytest.raises(ModelError) as caught:
        make(kind, options)
    return caught.value


NOT_WHOLE = [True, False, 3.0, 2.5, "3", "many", None, [], [1, 2, 3], {"a": 1}, [2, "2"], [True, 1], [1.0, 1]]
WHOLE_OPTIONS = [
    ("conv", "kernel", 1), ("conv", "stride", 1), ("conv", "padding", 0), ("maxpool", "size", 1),
    ("maxpool", "padding", 0), ("avgpool", "size", 1), ("avgpool", "padding", 0),
]  # fmt: skip


@pytest.mark.parametrize("wrong", NOT_WHOLE, ids=repr)
@pytest.mark.parametrize(("kind", "option", "smallest"), WHOLE_OPTIONS)
def test_a_size_is_a_whole_number_or_a_pair_of_them(
    kind: str, option: str, smallest: int, wrong: Any
) -> None:
    options = {"size": 2} if "pool" in kind else GOOD[kind]
    error = refusal(kind, {**options, option: wrong})
    assert error.message.startswith(f"{option}: expected ")
    assert error.key_path == (option,)
    if not (isinstance(wrong, str) and option == "padding"):  # a word is checked against "valid" and "same"
        assert error.message.endswith(f"found {wrong!r}")


@pytest.mark.parametrize(("kind", "option", "smallest"), WHOLE_OPTIONS)
def test_a_size_that_is_too_small_is_refused(kind: str, option: str, smallest: int) -> None:
    options = {"size": 2} if "pool" in kind else GOOD[kind]
    for wrong in (smallest - 1, [1, smallest - 1], [-7, 1]):
        kind_of_number = "not negative" if smallest == 0 else "positive"
        assert kind_of_number in refusal(kind, {**options, option: wrong}).message
    assert make(kind, {**options, option: [max(smallest, 1), 1]})


@pytest.mark.parametrize("wrong", [*NOT_WHOLE, 0, -1, [3, 3]], ids=repr)
@pytest.mark.parametrize(("kind", "option"), [("conv", "filters"), ("linear", "units")])
def test_a_count_is_one_positive_whole_number(kind: str, option: str, wrong: Any) -> None:
    error = refusal(kind, {**GOOD[kind], option: wrong})
    assert error.message == f"{option}: expected a positive whole number, found {wrong!r}"


@pytest.mark.parametrize(
    ("kind", "option"),
    [("dropout", "rate"), ("leaky_relu", "slope"), ("batchnorm", "momentum"), ("batchnorm", "eps")],
)
@pytest.mark.parametrize(
    "wrong",
    [True, "0.5", None, [0.5], -0.1, 1.5, float("nan"), float("inf"), -float("inf"), 10**40],
    ids=repr,
)
def test_a_fraction_is_a_number_in_its_range(kind: str, option: str, wrong: Any) -> None:
    error = refusal(kind, {option: wrong})
    assert error.message.startswith(f"{option}: expected a ")
    assert error.key_path == (option,)


def test_the_ends_of_each_range() -> None:
    assert refusal("dropout", {"rate": 1}).message == (
        "rate: expected a number from 0 up to but not including 1, found 1"
    )
    assert make("dropout", {"rate": 0})
    assert make("batchnorm", {"momentum": 1})
    assert make("batchnorm", {"momentum": 0})
    assert refusal("batchnorm", {"eps": 0})
    assert refusal("leaky_relu", {"slope": 1})


@pytest.mark.parametrize("wrong", [0, 1, "yes", None, "true"], ids=repr)
@pytest.mark.parametrize("kind", ["conv", "linear"])
def test_bias_is_true_or_false(kind: str, wrong: Any) -> None:
    assert refusal(kind, {**GOOD[kind], "bias": wrong}).message == (
        f"bias: expected true or false, found {wrong!r}"
    )


def test_a_number_that_no_machine_could_hold_is_refused() -> None:
    assert (
        refusal("linear", {"units": 2**31}).message == "units: expected at most 2147483647, found 2147483648"
    )
    assert refusal("conv", {"filters": 1, "kernel": [1, 10**300]}).message.startswith(
        "kernel: expected at most"
    )
    assert refusal("batchnorm", {"momentum": 10**400}).message.startswith(
        "momentum: expected a number from 0"
    )


def test_a_word_that_is_nearly_right_is_suggested() -> None:
    error = refusal("conv", {**GOOD["conv"], "padding": "smae"})
    assert error.message == "padding: expected valid or same, found 'smae'"
    assert error.hint == "did you mean 'same'?"
    error = refusal("linear", {"units": 3, "init": "glorott"})
    assert (error.message, error.hint) == (
        "init: expected he or glorot or uniform, found 'glorott'",
        "did you mean 'glorot'?",
    )
    assert refusal("conv", {**GOOD["conv"], "init": 3}).hint is None


@pytest.mark.parametrize(
    ("kind", "typo", "meant"),
    [("conv", "filter", "filters"), ("conv", "kernal", "kernel"), ("maxpool", "strides", "stride"),
     ("linear", "unit", "units"), ("batchnorm", "momentun", "momentum"), ("dropout", "rat", "rate")],
)  # fmt: skip
def test_an_unknown_option_suggests_the_nearest(kind: str, typo: str, meant: str) -> None:
    error = refusal(kind, {**GOOD.get(kind, {}), typo: 1})
    assert (error.message, error.hint) == (f"{kind} has no option '{typo}'", f"did you mean '{meant}'?")
    assert error.key_path == (typo,)


def test_an_option_of_a_layer_without_any_is_refused() -> None:
    error = refusal("relu", {"slope": 0.1})
    assert (error.message, error.hint) == ("relu has no option 'slope'", "relu takes no options")
    assert refusal("flatten", {"_": 3}).message == "flatten has no main option that 3 could be"


@pytest.mark.parametrize(
    ("kind", "missing"),
    [("conv", "filters"), ("maxpool", "size"), ("avgpool", "size"), ("linear", "units"), ("dropout", "rate")],
)
def test_a_missing_option_is_named(kind: str, missing: str) -> None:
    error = refusal(kind, {})
    assert error.message == f"the option '{missing}' is missing"
    assert error.hint is not None
    assert missing in error.hint
    assert error.key_path == (missing,)


def test_the_short_form_sets_the_main_option() -> None:
    for kind, name, value in (("maxpool", "size", 2), ("linear", "units", 10), ("dropout", "rate", 0.5)):
        assert make(kind, {"_": value}).options()[name] == value
    error = refusal("conv", {"_": 32})
    assert error.message == "conv has no main option that 32 could be"
    assert error.hint == "conv takes: filters, kernel, stride, padding, bias, init, groups, dilation"
    assert refusal("maxpool", {"_": 2, "size": 3}).message == "the option 'size' is given twice"
    assert refusal("linear", {"_": "ten"}).message == "units: expected a positive whole number, found 'ten'"


def test_pooling_refuses_padding_that_fills_whole_windows() -> None:
    message = refusal("maxpool", {"size": 2, "padding": 2}).message
    assert message == "padding: a border of 2 around windows of 2 gives windows that see no pixel"
    assert refusal("avgpool", {"size": [3, 1], "padding": 1})
    assert make("maxpool", {"size": 3, "padding": 2})


def test_constructors_check_as_configs_do() -> None:
    for wrong in (
        lambda: Conv2D(1, 1, 0),
        lambda: Conv2D(0, 1, 1),
        lambda: Conv2D(1, 1, 1, padding="full"),
        lambda: MaxPool2D(-2),
        lambda: Linear(3.0, 1),  # type: ignore[arg-type]
        lambda: Dropout(1.0),
    ):
        with pytest.raises(ModelError, match="expected"):
            wrong()


def test_numpy_numbers_are_numbers() -> None:
    layer = Conv2D(np.int64(1), np.int32(2), (np.int64(3), np.int64(1)))
    assert layer.options()["kernel"] == [3, 1]
    assert type(layer.out_channels) is int
    assert Dropout(np.float32(0.25)).rate == 0.25


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
NAMES = st.sampled_from([*{name for kind in LAYERS.values() for name in kind.option_names}, "_", "x", ""])


@pytest.mark.parametrize("count", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_any_options_give_a_layer_or_a_model_error(count: int) -> None:
    @settings(deadline=None, max_examples=count, suppress_health_check=[HealthCheck.too_slow])
    @given(
        st.sampled_from(list(LAYERS)),
        st.dictionaries(NAMES, ANYTHING, max_size=4),
        st.sampled_from([IMAGE, (6,)]),
    )
    def check(kind: str, options: dict[str, Any], shape: tuple[int, ...]) -> None:
        try:
            layer = LAYERS[kind].from_options(options, shape, rng=np.random.default_rng(0))
            layer.output_shape(shape)
        except ModelError as error:
            assert error.message
        else:
            assert LAYERS[kind].from_options(layer.options(), shape, rng=np.random.default_rng(0))

    check()
