"""Learning-rate schedules: pure functions of the step, so that a resumed or extended run needs no saved state."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from cnncli.options import build_entry, integer, real

Schedule = Callable[[int], float]
"""From the global step (from 0) to the learning rate."""


class Progress(NamedTuple):
    """How far a training run is. The warm-up is not counted.

    Attributes:
        step: the current step, from 0.
        steps: the number of steps, at least 1.
        steps_per_epoch: batches per epoch.
    """

    step: int
    steps: int
    steps_per_epoch: int


Factor = Callable[[Progress], float]
"""From the progress to the factor of the base learning rate."""


def constant() -> Factor:
    """A factor of 1 in all steps."""
    return lambda progress: 1.0


def step(*, every: int = 10, factor: float = 0.1) -> Factor:
    """Multiply by `factor` after every `every` epochs: factor^floor(epoch / every), epochs from 0."""
    every, factor = integer("every", every), real("factor", factor, above=0)
    return lambda progress: factor ** (progress.step // (progress.steps_per_epoch * every))


def exponential(*, factor: float = 0.95) -> Factor:
    """Multiply by `factor` after every epoch: factor^epoch, epochs from 0."""
    factor = real("factor", factor, above=0)
    return lambda progress: factor ** (progress.step // progress.steps_per_epoch)


def cosine(*, final: float = 0.0) -> Factor:
    """Half a cosine from 1 down to `final`: final + (1 - final) · (1 + cos(π · step / steps)) / 2.

    Source: Loshchilov and Hutter, "SGDR" (2017), without its restarts.
    """
    final = real("final", final, at_least=0)
    return lambda progress: _between(1.0, final, min(progress.step / progress.steps, 1.0))


def one_cycle(*, peak_at: float = 0.3, start: float = 1 / 25, final: float = 1e-4) -> Factor:
    """Rise from `start` to 1, then fall to `final` with the last step, both along half a cosine.

    Args:
        peak_at: the share of the training run before the highest learning rate, from 0 to 1.
        start: the first factor.
        final: the last factor.

    Source: Smith and Topin, "Super-Convergence", 2018.
    """
    peak_at = real("peak_at", peak_at, at_least=0, at_most=1)
    start, final = real("start", start, at_least=0), real("final", final, at_least=0)

    def factor(progress: Progress) -> float:
        last = progress.steps - 1
        peak = max(peak_at * progress.steps - 1, 0.0)
        if progress.step < peak:
            return _between(start, 1.0, progress.step / peak)
        if last <= peak:  # no steps left for the fall: a cycle of one step, or the peak at the end
            return 1.0
        return _between(1.0, final, min((progress.step - peak) / (last - peak), 1.0))

    return factor


def _between(first: float, last: float, share: float) -> float:
    """Return the value between first and last on half a cosine, for a share from 0 to 1."""
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
    """Build a schedule by its name in a config, after a linear warm-up if there is one.

    The warm-up takes warmup_epochs · steps_per_epoch steps and rises linearly to the first value of the schedule.
    The schedule counts its own steps and epochs from the end of the warm-up.

    Args:
        name: "constant", "step", "exponential", "cosine", "one_cycle".
        options: its keyword arguments.
        base_lr: the learning rate for a factor of 1.
        total_steps: of the whole training run, including the warm-up.
        steps_per_epoch: batches per epoch.
        warmup_epochs: the length of the warm-up in epochs.

    Raises:
        ModelError: the name, an option or a value is not valid. The key path is (option,).

    Example:
        >>> rate = make_schedule("cosine", {}, base_lr=0.1, total_steps=4, steps_per_epoch=2)
        >>> [round(rate(step), 4) for step in range(4)]
        [0.1, 0.0854, 0.05, 0.0146]
    """
    factor = build_entry(SCHEDULES, "schedule", name, options)
    warmup = min(round(real("warmup_epochs", warmup_epochs, at_least=0) * steps_per_epoch), total_steps)
    steps = max(total_steps - warmup, 1)

    def rate(global_step: int) -> float:
        if global_step < warmup:
            return base_lr * factor(Progress(0, steps, steps_per_epoch)) * (global_step + 1) / warmup
        return base_lr * factor(Progress(global_step - warmup, steps, steps_per_epoch))

    return rate
