"""Parameters: one flat vector, and views that stay connected to it."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest

from cnncli.nn import FlatParameters, Parameter
from cnncli.nn.aligned import aligned_zeros
from cnncli.nn.initializers import INITIALIZERS, fan_in_uniform, glorot_uniform, he_normal, weight_and_bias


def flat(dtype: Any = np.float32) -> FlatParameters:
    """Three parameters of sizes that are no multiples of each other."""
    return FlatParameters(
        {
            "a.weight": Parameter(np.arange(6, dtype=dtype).reshape(2, 3)),
            "a.bias": Parameter(np.full(5, 7, dtype), decay=False),
            "b.weight": Parameter(np.full((1, 2, 2), 9, dtype)),
        }
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_parameters_are_packed_in_order_without_gaps(dtype: Any) -> None:
    parameters = flat(dtype)
    assert parameters.size == 15
    assert parameters.slices == {"a.weight": slice(0, 6), "a.bias": slice(6, 11), "b.weight": slice(11, 15)}
    assert parameters.values.tolist() == [0, 1, 2, 3, 4, 5, *[7] * 5, *[9] * 4]
    assert parameters.decay.tolist() == [*[1] * 6, *[0] * 5, *[1] * 4]
    assert parameters.values.dtype == parameters.grads.dtype == parameters.decay.dtype == dtype


def test_both_vectors_start_on_a_cache_line() -> None:
    for size in (1, 3, 1000):
        for dtype in (np.float32, np.float64):
            vector = aligned_zeros(size, dtype)
            assert vector.ctypes.data % 64 == 0
            assert (vector.shape, vector.dtype) == ((size,), dtype)


def assert_views(parameters: FlatParameters) -> None:
    """Whatever is written to either side is read on the other."""
    for name, parameter in parameters.named.items():
        for vector, view in ((parameters.values, parameter.value), (parameters.grads, parameter.grad)):
            assert np.shares_memory(vector, view)
            vector[parameters.slices[name]] = 3
            assert (view == 3).all()
            view[...] = 4
            assert (vector[parameters.slices[name]] == 4).all()


def test_values_and_gradients_are_views() -> None:
    assert_views(flat())


def test_assigning_copies_and_detaches_nothing() -> None:
    parameters = flat()
    for parameter in parameters.named.values():
        value, grad = parameter.value, parameter.grad
        parameter.value = np.full(parameter.shape, 2.0)
        parameter.grad = np.full(parameter.shape, 5.0)
        assert parameter.value is value
        assert parameter.grad is grad
    assert (parameters.values == 2).all()
    assert (parameters.grads == 5).all()
    assert_views(parameters)


def test_assigning_another_shape_or_kind_is_refused() -> None:
    parameter = Parameter(np.zeros((2, 3), np.float32))
    for wrong in (np.zeros((3, 2)), np.zeros(3), 1.0):
        with pytest.raises(ValueError, match=r"expected an array of shape \(2, 3\)"):
            parameter.value = wrong
        with pytest.raises(ValueError, match=r"expected an array of shape \(2, 3\)"):
            parameter.grad = wrong
    with pytest.raises(TypeError):
        parameter.value = np.zeros((2, 3), complex)


def test_a_parameter_copies_its_start_value() -> None:
    start = np.zeros(2)
    parameter = Parameter(start)
    parameter.value = [1, 2]
    assert start.tolist() == [0, 0]


def test_moving_keeps_the_content_and_rebinds_every_view() -> None:
    parameters = flat()
    parameters.grads[:] = np.arange(15)
    values, grads = np.full(15, -1, np.float32), np.full(15, -1, np.float32)
    before = parameters.values.copy()
    parameters.move_to(values, grads)
    assert parameters.values is values
    assert parameters.grads is grads
    np.testing.assert_array_equal(values, before)
    np.testing.assert_array_equal(grads, np.arange(15))
    assert_views(parameters)


@pytest.mark.parametrize(
    "wrong",
    [np.zeros(14, np.float32), np.zeros(15, np.float64), np.zeros((15, 1), np.float32),
     np.zeros(30, np.float32)[::2]],
    ids=["size", "dtype", "shape", "gaps"],
)  # fmt: skip
def test_moving_to_vectors_that_do_not_fit_is_refused_and_changes_nothing(wrong: np.ndarray) -> None:
    parameters = flat()
    for vectors in ((wrong, np.zeros(15, np.float32)), (np.zeros(15, np.float32), wrong)):
        with pytest.raises(ValueError, match="contiguous vector of 15 float32"):
            parameters.move_to(*vectors)
    assert_views(parameters)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_a_copy_has_views_of_its_own(duplicate: Any) -> None:
    parameters = flat()
    parameters.grads[:] = np.arange(15)
    twin = duplicate(parameters)
    np.testing.assert_array_equal(twin.values, parameters.values)
    np.testing.assert_array_equal(twin.grads, parameters.grads)
    assert not np.shares_memory(twin.values, parameters.values)
    assert_views(twin)


def test_two_dtypes_in_one_network_are_refused() -> None:
    mixed = {"a": Parameter(np.zeros(1, np.float32)), "b": Parameter(np.zeros(1, np.float64))}
    with pytest.raises(ValueError, match="one network, one dtype; found float32, float64"):
        FlatParameters(mixed)


def test_no_parameters_make_an_empty_vector() -> None:
    assert FlatParameters({}).values.shape == (0,)
    assert FlatParameters({}, np.float64).dtype == np.float64


def test_a_drawn_parameter_is_drawn_once_and_only_when_looked_at() -> None:
    draws = []

    def draw() -> np.ndarray:
        draws.append(1)
        return np.ones((2, 3))

    parameter = Parameter.drawn((2, 3), np.float64, draw)
    assert (parameter.shape, parameter.size, parameter.dtype) == ((2, 3), 6, np.float64)
    assert not draws
    assert parameter.value is parameter.value
    assert len(draws) == 1
    assert FlatParameters({"a": parameter}).values.tolist() == [1] * 6
    assert len(draws) == 1


@pytest.mark.parametrize("name", INITIALIZERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_initializers_give_the_same_numbers_in_every_dtype(name: str, dtype: Any) -> None:
    weight, again = (
        INITIALIZERS[name]((50, 20), 20, 50, np.random.default_rng(1), d) for d in (dtype, np.float32)
    )
    assert weight.dtype == dtype
    np.testing.assert_array_equal(weight, again)


def test_initializers_have_their_published_spread() -> None:
    he = he_normal((400, 300), 300, 400, np.random.default_rng(0))
    assert he.std() == pytest.approx(np.sqrt(2 / 300), rel=0.01)
    glorot = glorot_uniform((400, 300), 300, 400, np.random.default_rng(0))
    limit = np.sqrt(6 / 700)
    assert np.abs(glorot).max() == pytest.approx(limit, rel=0.001)
    assert glorot.std() == pytest.approx(limit / np.sqrt(3), rel=0.01)
    uniform = fan_in_uniform((400, 300), 300, 400, np.random.default_rng(0))
    assert np.abs(uniform).max() == pytest.approx(1 / np.sqrt(300), rel=0.001)
    assert uniform.std() == pytest.approx(1 / np.sqrt(3 * 300), rel=0.01)
    assert max(abs(he.mean()), abs(glorot.mean()), abs(uniform.mean())) < 1e-3


def test_biases_are_zero_unless_they_are_drawn_like_the_weights() -> None:
    drawn = weight_and_bias((400, 300), "uniform", True, np.random.default_rng(0), np.float32)
    assert np.abs(drawn["bias"].value).max() == pytest.approx(1 / np.sqrt(300), rel=0.05)
    assert not np.isin(drawn["bias"].value, drawn["weight"].value).mean() > 0.1
    for init in ("he", "glorot"):
        assert not weight_and_bias((4, 3), init, True, None, np.float32)["bias"].value.any()
