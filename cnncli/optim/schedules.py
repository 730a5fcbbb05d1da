"""Learning-rate schedules, as pure functions of the step: resuming or extending a training needs no state."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from cnncli.optim.options import check_names, look_up, number, whole

Schedule = Callable[[int], float]
"""From the global step, counted from 0, to the learning rate."""


class Place(NamedTuple):
    """Where a training stands, the warm-up not counted.

    Attributes:
        step: from 0.
        steps: how many there are, at least 1.
        steps_per_epoch: batches an epoch.
    """

    step: int
    steps: int
    steps_per_epoch: int


Factor = Callable[[Place], float]


def constant() -> Factor:
    """The learning rate as it is: factor 1."""
    return lambda place: 1.0


def step(*, every: int = 10, factor: float = 0.1) -> Factor:
    """Multiply by `factor` after every `every` epochs: factor^floor(epoch / every), epochs from 0."""
    every, factor = whole("every", every, at_least=1), number("factor", factor, above=0)
    return lambda place: factor ** (place.step // (place.steps_per_epoch * every))


def exponential(*, factor: float = 0.95) -> Factor:
    """Multiply by `factor` after every epoch: factor^epoch, epochs from 0."""
    factor = number("factor", factor, above=0)
    return lambda place: factor ** (place.step // place.steps_per_epoch)


def cosine(*, final: float = 0.0) -> Factor:
    """Half a cosine from 1 down towards `final`: final + (1 - final) · (1 + cos(π · step / steps)) / 2.

    Source: Loshchilov and Hutter, "SGDR" (2017), without its restarts.
    """
    final = number("final", final, at_least=0)
    return lambda place: _between(1.0, final, min(place.step / place.steps, 1.0))


def one_cycle(*, peak_at: float = 0.3, start: float = 1 / 25, final: float = 1e-4) -> Factor:
    """Rise from `start` to 1, then fall to `final` with the last step, both along half a cosine.

    Args:
        peak_at: the share of the training at which the learning rate is highest, 0 to 1.
        start: the first factor.
        final: the last factor.

    Source: Smith and Topin, "Super-Convergence", 2018.
    """
    peak_at = number("peak_at", peak_at, at_least=0, at_most=1)
    start, final = number("start", start, at_least=0), number("final", final, at_least=0)

    def factor(place: Place) -> float:
        last = place.steps - 1
        peak = max(peak_at * place.steps - 1, 0.0)
        if place.step < peak:
            return _between(start, 1.0, place.step / peak)
        if last <= peak:  # no room to fall: a cycle of one step, or the peak at the very end
            return 1.0
        return _between(1.0, final, min((place.step - peak) / (last - peak), 1.0))

    return factor


def _between(first: float, last: float, share: float) -> float:
    """Go from first to last along half a cosine, share from 0 to 1."""
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2


SCHEDULES: dict[str, Callable[..., Factor]] = {
    "constant": constant,
    "step": step,
    "exponential": exponential,
    "cosine": cosine,
    "one_cycle": one_cycle,
}


def make_schedule(
    name: str,
    options: Mapping[str, Any],
    *,
    base_lr: float,
    total_steps: int,
    steps_per_epoch: int,
    warmup_epochs: float = 0,
) -> Schedule:
    """Build a schedule by its name in a config, with a linear warm-up before it when one is asked for.

    The warm-up takes warmup_epochs · steps_per_epoch steps and climbs in equal stairs to the schedule's first
    value; the schedule then counts its own steps and epochs from the end of the warm-up.

    Args:
        name: "constant", "step", "exponential", "cosine", "one_cycle".
        options: its keyword arguments.
        base_lr: the learning rate that a factor of 1 stands for.
        total_steps: of the whole training, the warm-up included.
        steps_per_epoch: batches an epoch.
        warmup_epochs: how long the warm-up takes, in epochs.

    Raises:
        ModelError: an unknown name, option or value; the place is (option,).

    Example:
        >>> rate = make_schedule("cosine", {}, base_lr=0.1, total_steps=4, steps_per_epoch=2)
        >>> [round(rate(step), 4) for step in range(4)]
        [0.1, 0.0854, 0.05, 0.0146]
    """
    build = look_up(SCHEDULES, "schedule", name)
    check_names(f"schedule {name}", build, options)
    factor = build(**options)
    warmup = min(round(number("warmup_epochs", warmup_epochs, at_least=0) * steps_per_epoch), total_steps)
    steps = max(total_steps - warmup, 1)

    def rate(global_step: int) -> float:
        if global_step < warmup:
            return base_lr * factor(Place(0, steps, steps_per_epoch)) * (global_step + 1) / warmup
        return base_lr * factor(Place(global_step - warmup, steps, steps_per_epoch))

    return rate
