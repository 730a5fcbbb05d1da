"""Lets Optuna choose trials and stop bad ones early, so that the same seed gives the same trials however many run.

One process alone asks and tells, and the study lives in memory. A resumed sweep asks and tells everything again, in
the same order, and therefore gets the same answers.
"""

import logging
import warnings
from typing import TYPE_CHECKING, Any

from cnncli.sweep.search import Result, Search, Watch
from cnncli.sweep.space import Choice, Space

if TYPE_CHECKING:
    from cnncli.sweep.definition import SweepDefinition
    from cnncli.sweep.form import Pruning


class OptunaSearch:
    """Trials chosen by one of Optuna's samplers."""

    def __init__(self, definition: "SweepDefinition") -> None:
        self._optuna = _import_optuna()
        sampler = _make_sampler(self._optuna, definition.sampler, definition.seed)
        self._study = self._optuna.create_study(direction="maximize", sampler=sampler)
        self._search = definition.search
        self._distributions = {
            key: _distribution(self._optuna, space) for key, space in definition.search.items()
        }
        self._trials: dict[int, Any] = {}

    def ask(self, number: int) -> dict[str, object] | None:
        trial = self._study.ask(self._distributions)
        assert trial.number == number, "trials are asked for in order"
        self._trials[number] = trial
        return {key: _value(space, trial.params[key]) for key, space in self._search.items()}

    def tell(self, number: int, result: Result) -> None:
        states = self._optuna.trial.TrialState
        trial = self._trials.pop(number)
        for step, value in enumerate(result.curve):
            trial.report(value, step)
        state = {"done": states.COMPLETE, "pruned": states.PRUNED}.get(result.state, states.FAIL)
        self._study.tell(trial, result.value if state == states.COMPLETE else None, state=state)

    def watch(self, number: int) -> Watch | None:
        return None


class Pruned:
    """A search whose trials are stopped early when they are worse than earlier ones at the same epoch.

    Args:
        search: chooses the trials.
        pruning: when a trial is stopped.
    """

    def __init__(self, search: Search, pruning: "Pruning") -> None:
        self._search = search
        self._pruning = pruning
        self._optuna = _import_optuna()
        self._told: list[Any] = []

    def ask(self, number: int) -> dict[str, object] | None:
        return self._search.ask(number)

    def tell(self, number: int, result: Result) -> None:
        self._search.tell(number, result)
        if result.state == "failed":
            return
        states = self._optuna.trial.TrialState
        self._told.append(
            self._optuna.trial.create_trial(
                state=states.COMPLETE if result.state == "done" else states.PRUNED,
                value=result.value,
                intermediate_values=dict(enumerate(result.curve)),
            )
        )

    def watch(self, number: int) -> Watch | None:
        """Return what compares a trial with those that were told before it started, and with no later ones."""
        pruners, settings = self._optuna.pruners, self._pruning
        options = {
            "n_startup_trials": settings.startup_trials,
            "n_warmup_steps": settings.warmup_epochs,
        }
        if settings.name == "median":
            pruner = pruners.MedianPruner(**options)
        else:
            pruner = pruners.PercentilePruner(settings.percentile, **options)
        study = self._optuna.create_study(direction="maximize", pruner=pruner)
        study.add_trials(self._told)
        return _Watched(study.ask())


class _Watched:
    def __init__(self, trial: Any) -> None:
        self._trial = trial

    def prune(self, epoch: int, value: float) -> bool:
        self._trial.report(value, epoch - 1)  # Optuna counts from 0, and so do its steps of warm-up
        return bool(self._trial.should_prune())


def _import_optuna() -> Any:
    import optuna

    optuna.logging.set_verbosity(logging.WARNING)
    return optuna


def _make_sampler(optuna: Any, name: str, seed: int) -> Any:
    with warnings.catch_warnings():
        # whoever chooses a sampler in a file knows that it may be new
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return _new_sampler(optuna.samplers, name, seed)


def _new_sampler(samplers: Any, name: str, seed: int) -> Any:
    if name == "tpe":
        # results that are not there yet count as bad ones, so that trials at the same time differ
        return samplers.TPESampler(seed=seed, constant_liar=True)
    if name == "qmc":
        return samplers.QMCSampler(seed=seed, scramble=True)
    return {"gp": samplers.GPSampler, "cmaes": samplers.CmaEsSampler}[name](seed=seed)


def _distribution(optuna: Any, space: Space) -> Any:
    distributions = optuna.distributions
    if isinstance(space, Choice):
        # by position, because Optuna takes no lists and mappings
        return distributions.CategoricalDistribution(range(len(space.values)))
    if space.whole:
        return distributions.IntDistribution(int(space.low), int(space.high), log=space.log)
    return distributions.FloatDistribution(space.low, space.high, log=space.log)


def _value(space: Space, chosen: Any) -> object:
    return space.values[chosen] if isinstance(space, Choice) else chosen
