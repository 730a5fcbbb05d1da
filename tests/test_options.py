"""Option checks: which values are accepted, and that all kinds of options treat a value in the same way."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cnncli.batches.augment import make_augmentation
from cnncli.errors import ModelError
from cnncli.nn import LAYERS, Parameter
from cnncli.nn.parameters import FlatParameters
from cnncli.optim import make_optimizer, make_schedule
from cnncli.options import (
    build_entry,
    choice,
    flag,
    full_names,
    inside,
    integer,
    look_up,
    pair,
    real,
    short_form,
)


def refusal(check: Callable[..., object], *arguments: Any, **bounds: Any) -> ModelError:
    with pytest.raises(ModelError) as caught:
        check(*arguments, **bounds)
    return caught.value


@pytest.mark.parametrize("value", [3, np.int8(3), np.uint16(3), np.int64(3)], ids=repr)
def test_whole_numbers_of_any_type_are_python_integers_afterwards(value: Any) -> None:
    assert (integer("a", value), pair("a", value), pair("a", [value, 1])) == (3, (3, 3), (3, 1))
    assert type(integer("a", value)) is type(pair("a", value)[0]) is int
    assert real("a", value) == 3


@pytest.mark.parametrize("value", [0.25, np.float16(0.25), np.float32(0.25), np.float64(0.25)], ids=repr)
def test_numbers_of_any_type_are_python_floats_afterwards(value: Any) -> None:
    assert real("a", value, at_least=0, below=1) == 0.25
    assert type(real("a", value)) is float


NO_NUMBERS = [True, False, np.True_, "3", "many", None, [], {}, 3j, np.ones(1), np.datetime64("2020")]
NOT_FINITE = [
    float("nan"),
    float("inf"),
    -float("inf"),
    np.float32("nan"),
    np.float64("inf"),
    10**400,
    -(10**400),
]


@pytest.mark.parametrize("value", [*NO_NUMBERS, *NOT_FINITE], ids=lambda value: f"{value!r:.20}")
def test_what_is_not_a_finite_number_is_refused(value: Any) -> None:
    error = refusal(real, "a", value)
    assert error.message.startswith("a: expected a number, found ")
    assert error.key_path == ("a",)


@pytest.mark.parametrize(
    "value", [*NO_NUMBERS, 3.0, np.float32(3), *NOT_FINITE], ids=lambda value: f"{value!r:.20}"
)
def test_what_is_not_a_whole_number_is_refused(value: Any) -> None:
    for check in (integer, pair):
        error = refusal(check, "a", value)
        assert error.message.startswith("a: expected ")
        assert error.key_path == ("a",)
        assert len(error.message) < 160


@pytest.mark.parametrize("value", [[1], [1, 2, 3], [1, None], [1, 2.0], "11", {1, 2}], ids=repr)
def test_a_pair_has_two_whole_numbers(value: Any) -> None:
    assert refusal(pair, "a", value).message == (
        f"a: expected a positive whole number or a pair [height, width] of them, found {value!r}"
    )


def test_pairs_are_written_as_short_as_possible() -> None:
    assert (short_form((2, 2)), short_form((2, 3))) == (2, [2, 3])


@pytest.mark.parametrize(
    ("bounds", "accepted", "refused", "expected"),
    [
        ({}, [1, 2**31 - 1], [0, -1], "a positive whole number"),
        ({"at_least": 0}, [0], [-1], "a whole number that is not negative"),
        ({"at_least": 0, "at_most": 9}, [0, 9], [-1, 10], "a whole number from 0 to 9"),
        ({}, [], [2**31, 10**400], "at most 2147483647"),
    ],
)
def test_bounds_of_whole_numbers(bounds: Any, accepted: list[int], refused: list[int], expected: str) -> None:
    assert [integer("a", value, **bounds) for value in accepted] == accepted
    for value in refused:
        assert refusal(integer, "a", value, **bounds).message.startswith(f"a: expected {expected}, found ")


@pytest.mark.parametrize(
    ("bounds", "accepted", "refused", "expected"),
    [
        ({"at_least": 0, "at_most": 1}, [0, 1, 0.5], [-0.1, 1.1], "a number from 0 to 1"),
        ({"at_least": 0, "below": 1}, [0, 0.9], [-0.1, 1], "a number from 0 up to but not including 1"),
        ({"at_least": 0}, [0, 1e300], [-1e-300], "a number of at least 0"),
        ({"above": 0}, [1e-300], [0, -1], "a number above 0"),
        ({"above": 0, "below": 1}, [0.1], [0, 1], "a number above 0 and below 1"),
    ],
)
def test_bounds_of_numbers(bounds: Any, accepted: list[float], refused: list[float], expected: str) -> None:
    assert [real("a", value, **bounds) for value in accepted] == accepted
    for value in refused:
        assert refusal(real, "a", value, **bounds).message == f"a: expected {expected}, found {value!r}"


def test_a_flag_is_true_or_false() -> None:
    assert [flag("a", value) for value in (True, False, np.True_)] == [True, False, True]
    for value in (0, 1, "yes", None, np.int64(1)):
        assert refusal(flag, "a", value).message == f"a: expected true or false, found {value!r}"


def test_a_choice_is_one_of_the_known_words() -> None:
    assert choice("a", "same", ["valid", "same"]) == "same"
    error = refusal(choice, "a", "smae", ["valid", "same"])
    assert (error.message, error.hint) == ("a: expected valid or same, found 'smae'", "did you mean 'same'?")
    assert refusal(choice, "a", 3, ["valid", "same"]).hint is None


def test_an_unknown_name_suggests_the_nearest() -> None:
    assert look_up({"adam": 1}, "optimizer", "adam") == 1
    error = refusal(look_up, {"adam": 1, "sgd": 2}, "optimizer", "adm")
    assert (error.message, error.hint) == ("unknown optimizer 'adm'", "did you mean 'adam'?")
    assert error.key_path == ("name",)
    assert refusal(look_up, {"b": 1, "a": 2}, "optimizer", "zzz").hint == "known: b, a"


def test_options_have_their_full_names() -> None:
    assert full_names("pool", {"_": 2, "stride": 1}, ["size", "stride"], "size") == {"size": 2, "stride": 1}
    error = refusal(full_names, "pool", {"sise": 1}, ["size"])
    assert (error.message, error.hint, error.key_path) == (
        "pool has no option 'sise'",
        "did you mean 'size'?",
        ("sise",),
    )
    assert refusal(full_names, "relu", {"a": 1}, []).hint == "relu takes no options"
    assert (
        refusal(full_names, "conv", {"_": 1}, ["a", "b"]).message == "conv has no main option that 1 could be"
    )
    assert (
        refusal(full_names, "pool", {"_": 1, "a": 1}, ["a"], "a").message == "the option 'a' is given twice"
    )


def test_an_entry_is_called_with_its_options() -> None:
    def scaled(base: float, *, factor: float = 2) -> float:
        return base * factor

    assert build_entry({"scaled": scaled}, "thing", "scaled", {"factor": 3}, 5) == 15
    assert refusal(build_entry, {"scaled": scaled}, "thing", "scaled", {"base": 3}, 5).message == (
        "thing scaled has no option 'base'"
    )


def test_an_error_says_where_it_happened() -> None:
    with pytest.raises(ModelError) as caught, inside("layer 2 (conv1)", 1):
        choice("padding", "smae", ["valid", "same"])
    assert caught.value.message == "layer 2 (conv1): padding: expected valid or same, found 'smae'"
    assert caught.value.hint == "did you mean 'same'?"
    assert caught.value.key_path == (1, "padding")


def flat() -> FlatParameters:
    return FlatParameters({"weight": Parameter(np.ones(3, np.float32))})


def layer(kind: str, option: str) -> Callable[[Any], object]:
    return lambda value: (
        LAYERS[kind].from_options({option: value}, (4,), rng=np.random.default_rng(0)).options()
    )


def schedule(name: str, option: str) -> Callable[[Any], object]:
    arguments = {"base_lr": 1.0, "total_steps": 40, "steps_per_epoch": 2}
    return lambda value: [make_schedule(name, {option: value}, **arguments)(step) for step in range(40)]


def augmented(kind: str, option: str) -> Callable[[Any], object]:
    images = np.random.default_rng(0).random((2, 1, 9, 9), np.float32)

    def build(value: Any) -> object:
        augment = make_augmentation([(kind, {option: value})])
        assert augment
        return augment(images, np.random.default_rng(1)).tolist()

    return build


WHOLE = {
    "layer": layer("linear", "units"),
    "schedule": schedule("step", "every"),
    "augmentation": augmented("shift", "pixels"),
}
REAL = {
    "layer": layer("dropout", "rate"),
    "optimizer": lambda value: make_optimizer("sgd", {"momentum": value}, flat()).momentum,  # type: ignore[attr-defined]
    "schedule": schedule("cosine", "final"),
    "augmentation": augmented("noise", "std"),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_every_kind_of_whole_option_takes_and_refuses_the_same_values(kind: str) -> None:
    build = WHOLE[kind]
    assert build(3) == build(np.int64(3)) == build(np.uint8(3))
    for value in (True, np.True_, 3.0, np.float32(3), "3", None, float("nan"), float("inf")):
        assert refusal(build, value).message.endswith(f"found {value!r}")


@pytest.mark.parametrize("kind", REAL)
def test_every_kind_of_real_option_takes_and_refuses_the_same_values(kind: str) -> None:
    build = REAL[kind]
    assert build(0.5) == build(np.float32(0.5)) == build(np.float64(0.5))
    assert build(0) == build(np.int64(0)) == build(0.0)
    for value in (True, np.True_, "0.5", None, float("nan"), float("inf"), np.float32("nan")):
        assert refusal(build, value).message.endswith(f"found {value!r}")
