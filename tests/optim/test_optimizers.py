"""Optimizers against PyTorch, against formulas, and against themselves in slices."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from cnncli.errors import CheckpointError, ModelError
from cnncli.nn.parameters import FlatParameters, Parameter
from cnncli.optim.optimizers import CHUNK, OPTIMIZERS, Optimizer, make_optimizer

CASES: list[tuple[str, dict[str, Any], float]] = [
    ("sgd", {}, 0.1),
    ("sgd", {"weight_decay": 0.1}, 0.1),
    ("sgd", {"momentum": 0.9}, 0.02),
    ("sgd", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.05}, 0.02),
    ("adam", {}, 0.05),
    ("adam", {"betas": [0.7, 0.9], "eps": 1e-6, "weight_decay": 0.1}, 0.05),
    ("adamw", {}, 0.05),
    ("adamw", {"weight_decay": 0.2}, 0.05),
]


def flat(size: int = 12, dtype: type = np.float32, seed: int = 0) -> FlatParameters:
    """A weight of this size, and a bias of size 3 without weight decay."""
    rng = np.random.default_rng(seed)
    return FlatParameters(
        {
            "weight": Parameter(rng.normal(size=size).astype(dtype)),
            "bias": Parameter(rng.normal(size=3).astype(dtype), decay=False),
        }
    )


def gradients(size: int, steps: int, dtype: type) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.normal(size=size).astype(dtype) for _ in range(steps)]


def test_every_optimizer_of_the_table_has_a_case() -> None:
    assert {name for name, _, _ in CASES} == set(OPTIMIZERS)


@pytest.mark.parametrize(("name", "options", "rate"), CASES)
def test_matches_torch_over_50_steps(name: str, options: dict[str, Any], rate: float) -> None:
    torch = pytest.importorskip("torch")
    ours = flat(dtype=np.float64)
    optimizer = make_optimizer(name, options, ours)
    weight = torch.tensor(ours.named["weight"].value.copy(), requires_grad=True)
    bias = torch.tensor(ours.named["bias"].value.copy(), requires_grad=True)
    theirs = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    settings = {key: tuple(value) if key == "betas" else value for key, value in options.items()}
    decay = settings.pop("weight_decay", 0.01 if name == "adamw" else 0.0)
    groups = [{"params": [weight], "weight_decay": decay}, {"params": [bias], "weight_decay": 0.0}]
    torch_optimizer = theirs(groups, lr=rate, **settings)
    for step, g in enumerate(gradients(ours.size, 50, np.float64)):
        rate_now = rate / (1 + step)
        ours.grads[...] = g
        optimizer.step(rate_now)
        weight.grad, bias.grad = torch.tensor(g[:12]), torch.tensor(g[12:])
        for group in torch_optimizer.param_groups:
            group["lr"] = rate_now
        torch_optimizer.step()
    expected = np.concatenate([weight.detach().numpy(), bias.detach().numpy()])
    np.testing.assert_allclose(ours.values, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("name", "options", "rate"), CASES)
def test_float32_stays_within_1e_6_of_float64(name: str, options: dict[str, Any], rate: float) -> None:
    narrow, wide = flat(dtype=np.float32), flat(dtype=np.float64)
    wide.values[...] = narrow.values
    narrow_optimizer, wide_optimizer = (make_optimizer(name, options, p) for p in (narrow, wide))
    for g in gradients(narrow.size, 50, np.float32):
        narrow.grads[...], wide.grads[...] = g, g
        narrow_optimizer.step(rate)
        wide_optimizer.step(rate)
    scale = np.abs(wide.values).max()
    assert np.abs(narrow.values - wide.values).max() / scale < 1e-6
    assert narrow.values.dtype == np.float32


@pytest.mark.parametrize(("name", "options", "rate"), CASES)
def test_finds_the_minimum_of_a_stretched_bowl(name: str, options: dict[str, Any], rate: float) -> None:
    parameters = flat()
    optimizer = make_optimizer(name, {**options, "weight_decay": 0.0}, parameters)
    curvature = np.linspace(0.5, 2.0, parameters.size).astype(np.float32)
    target = np.linspace(-1.0, 1.0, parameters.size).astype(np.float32)
    for step in range(600):
        parameters.grads[...] = curvature * (parameters.values - target)
        optimizer.step(rate * (1 - step / 600))
    assert np.abs(parameters.values - target).max() < 1e-3


@pytest.mark.parametrize(("name", "options", "rate"), CASES)
def test_slices_give_the_same_bits_as_the_whole(name: str, options: dict[str, Any], rate: float) -> None:
    size = CHUNK + 1_000
    whole, sliced = flat(size), flat(size)
    one, other = make_optimizer(name, options, whole), make_optimizer(name, options, sliced)
    cuts = [0, 1, 7, 5_000, CHUNK + 3, sliced.size]
    for g in gradients(whole.size, 3, np.float32):
        whole.grads[...], sliced.grads[...] = g, g
        one.step(rate)
        other.step_count += 1
        for start, stop in reversed(list(pairwise(cuts))):
            other.apply(sliced.values, sliced.grads, rate, start, stop)
    assert np.array_equal(whole.values, sliced.values)
    for key, vector in one.state.items():
        assert np.array_equal(vector, other.state[key])


@pytest.mark.parametrize(("name", "options", "rate"), CASES)
def test_the_gradient_is_only_read(name: str, options: dict[str, Any], rate: float) -> None:
    parameters = flat()
    (g,) = gradients(parameters.size, 1, np.float32)
    parameters.grads[...] = g
    make_optimizer(name, options, parameters).step(rate)
    assert np.array_equal(parameters.grads, g)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weight_decay_spares_biases(name: str) -> None:
    parameters = flat()
    before = parameters.values.copy()
    make_optimizer(name, {"weight_decay": 0.5}, parameters).step(0.01)  # all gradients are zero
    assert (np.abs(parameters.values[:12]) < np.abs(before[:12])).all()
    assert np.array_equal(parameters.values[12:], before[12:])


@pytest.mark.parametrize(("name", "options", "rate"), CASES)
def test_a_saved_state_goes_on_to_the_same_bits(name: str, options: dict[str, Any], rate: float) -> None:
    unbroken = flat()
    first = make_optimizer(name, options, unbroken)
    steps = gradients(unbroken.size, 8, np.float32)
    saved: dict[str, np.ndarray] = {}
    values = unbroken.values.copy()
    for step, g in enumerate(steps):
        if step == 4:
            saved, values = first.state_dict(), unbroken.values.copy()
        unbroken.grads[...] = g
        first.step(rate)
    resumed = flat(seed=9)
    resumed.values[...] = values
    second = make_optimizer(name, options, resumed)
    second.load_state_dict(saved)
    for g in steps[4:]:
        resumed.grads[...] = g
        second.step(rate)
    assert np.array_equal(unbroken.values, resumed.values)
    assert second.step_count == 8


def test_moving_the_state_keeps_its_content_and_uses_the_new_memory() -> None:
    parameters = flat()
    optimizer = make_optimizer("adam", {}, parameters)
    parameters.grads[...] = 1
    optimizer.step(0.1)
    before = optimizer.state_dict()
    homes: list[np.ndarray] = []

    def allocate(size: int, dtype: np.dtype) -> np.ndarray:
        homes.append(np.full(size, 7, dtype))
        return homes[-1]

    optimizer.move_to(allocate)
    for name, vector in optimizer.state.items():
        assert any(vector is home for home in homes)
        assert np.array_equal(vector, before[name])
    optimizer.step(0.1)
    assert not np.array_equal(homes[0], before["first_moment"])


def test_loading_names_missing_extra_and_misshapen_arrays_apart() -> None:
    optimizer = make_optimizer("adam", {}, flat())
    arrays = {"first_moment": np.zeros(4, np.float32), "velocity": np.zeros(15), "step_count": np.array(3)}
    with pytest.raises(CheckpointError) as caught:
        optimizer.load_state_dict(arrays)
    assert "Missing: second_moment." in caught.value.message
    assert "Not expected: velocity." in caught.value.message
    assert "Of another shape: first_moment (4,) instead of (15,)." in caught.value.message
    assert optimizer.step_count == 0


@pytest.mark.parametrize(
    ("name", "options", "place", "words"),
    [
        ("adm", {}, "name", "unknown optimizer 'adm'"),
        ("sgd", {"momentun": 0.9}, "momentun", "no option 'momentun'"),
        ("sgd", {"momentum": 1.0}, "momentum", "from 0 up to but not including 1, found 1.0"),
        ("sgd", {"momentum": True}, "momentum", "found True"),
        ("sgd", {"nesterov": True}, "nesterov", "needs a momentum"),
        ("sgd", {"momentum": 0.9, "nesterov": "yes"}, "nesterov", "true or false, found 'yes'"),
        ("adam", {"betas": 0.9}, "betas", "two numbers, found 0.9"),
        ("adam", {"betas": [0.9, 1.5]}, "betas", "not including 1, found 1.5"),
        ("adam", {"eps": 0}, "eps", "above 0, found 0"),
        ("adam", {"weight_decay": -1}, "weight_decay", "at least 0, found -1"),
        ("adamw", {"weight_decay": float("nan")}, "weight_decay", "found nan"),
    ],
)
def test_a_wrong_option_is_named(name: str, options: dict[str, Any], place: str, words: str) -> None:
    with pytest.raises(ModelError) as caught:
        make_optimizer(name, options, flat())
    assert caught.value.key_path == (place,)
    assert words in caught.value.message


def test_a_typo_gets_a_suggestion() -> None:
    with pytest.raises(ModelError) as caught:
        make_optimizer("adm", {}, flat())
    assert caught.value.hint == "did you mean 'adam'?"
    with pytest.raises(ModelError) as caught:
        make_optimizer("sgd", {"momentun": 0.9}, flat())
    assert caught.value.hint == "did you mean 'momentum'?"


def test_the_base_class_alone_cannot_be_used() -> None:
    with pytest.raises(TypeError):
        Optimizer(flat())  # type: ignore[abstract]
