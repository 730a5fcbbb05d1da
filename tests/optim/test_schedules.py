"""Schedules against exact values and against PyTorch."""

import math
from typing import Any

import pytest

from cnncli.errors import ModelError
from cnncli.optim.schedules import SCHEDULES, make_schedule

# name, options, epochs, steps an epoch, warm-up epochs, {step: factor of the base learning rate}
EXACT: list[tuple[str, dict[str, Any], int, int, float, dict[int, float]]] = [
    ("constant", {}, 3, 10, 0, {0: 1.0, 17: 1.0, 29: 1.0}),
    ("constant", {}, 3, 10, 0.5, {0: 0.2, 1: 0.4, 4: 1.0, 5: 1.0, 29: 1.0}),
    ("step", {"every": 2, "factor": 0.5}, 6, 10, 0, {0: 1, 19: 1, 20: 0.5, 39: 0.5, 40: 0.25, 59: 0.25}),
    ("step", {"every": 2, "factor": 0.5}, 6, 10, 1, {0: 0.1, 9: 1, 10: 1, 29: 1, 30: 0.5, 50: 0.25}),
    ("exponential", {"factor": 0.9}, 4, 5, 0, {0: 1, 4: 1, 5: 0.9, 10: 0.81, 19: 0.9**3}),
    ("cosine", {}, 4, 10, 0, {0: 1, 10: (1 + math.sqrt(0.5)) / 2, 20: 0.5, 30: (1 - math.sqrt(0.5)) / 2}),
    ("cosine", {"final": 0.2}, 4, 10, 0, {0: 1, 20: 0.6, 40: 0.2, 400: 0.2}),
    ("cosine", {}, 5, 10, 1, {0: 0.1, 4: 0.5, 9: 1, 10: 1, 30: 0.5}),
    ("one_cycle", {}, 10, 10, 0, {0: 0.04, 29: 1, 99: 1e-4, 64: (1 + 1e-4) / 2, 500: 1e-4}),
    ("one_cycle", {"peak_at": 0, "final": 0.5}, 1, 11, 0, {0: 1, 5: 0.75, 10: 0.5}),
    ("one_cycle", {"peak_at": 1, "start": 0.5}, 1, 11, 0, {0: 0.5, 5: 0.75, 10: 1}),
    ("one_cycle", {}, 1, 1, 0, {0: 1}),
]


@pytest.mark.parametrize(("name", "options", "epochs", "steps", "warmup", "values"), EXACT)
def test_exact_values(
    name: str, options: dict[str, Any], epochs: int, steps: int, warmup: float, values: dict[int, float]
) -> None:
    rate = make_schedule(
        name, options, base_lr=0.3, total_steps=epochs * steps, steps_per_epoch=steps, warmup_epochs=warmup
    )
    assert {step: rate(step) for step in values} == pytest.approx({k: 0.3 * v for k, v in values.items()})


def test_every_schedule_of_the_table_has_exact_values() -> None:
    assert {case[0] for case in EXACT} == set(SCHEDULES)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("warmup", [0, 1, 5])
def test_every_step_has_a_positive_rate_not_above_the_base(name: str, warmup: int) -> None:
    rate = make_schedule(name, {}, base_lr=0.1, total_steps=35, steps_per_epoch=7, warmup_epochs=warmup)
    rates = [rate(step) for step in range(35)]
    assert all(0 < value <= 0.1 + 1e-12 for value in rates)


def test_a_longer_training_starts_at_the_same_place_and_stretches_the_rest() -> None:
    def cosine(total: int) -> Any:
        return make_schedule("cosine", {}, base_lr=1.0, total_steps=total, steps_per_epoch=10)

    short, long = cosine(20), cosine(40)
    assert short(0) == long(0) == 1.0
    assert long(20) == pytest.approx(0.5)
    assert short(10) == pytest.approx(0.5)


def test_one_cycle_matches_torch() -> None:
    torch = pytest.importorskip("torch")
    weight = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.1)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=50, final_div_factor=400)
    ours = make_schedule("one_cycle", {}, base_lr=0.1, total_steps=50, steps_per_epoch=10)
    for step in range(50):
        assert ours(step) == pytest.approx(theirs.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        if step < 49:
            theirs.step()


@pytest.mark.parametrize(
    ("name", "options", "place", "words"),
    [
        ("cosin", {}, "name", "unknown schedule 'cosin'"),
        ("constant", {"factor": 2}, "factor", "schedule constant has no option 'factor'"),
        ("step", {"every": 0}, "every", "a positive whole number, found 0"),
        ("step", {"every": 1.5}, "every", "found 1.5"),
        ("exponential", {"factor": 0}, "factor", "above 0, found 0"),
        ("cosine", {"final": -1}, "final", "at least 0, found -1"),
        ("one_cycle", {"peak_at": 2}, "peak_at", "from 0 to 1, found 2"),
    ],
)
def test_a_wrong_option_is_named(name: str, options: dict[str, Any], place: str, words: str) -> None:
    with pytest.raises(ModelError) as caught:
        make_schedule(name, options, base_lr=0.1, total_steps=10, steps_per_epoch=5)
    assert caught.value.key_path == (place,)
    assert words in caught.value.message
