"""Runs a sweep: asks for trials, starts them, tells their results in order, and goes on after an interruption."""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cnncli.config.load import load_config
from cnncli.errors import CnnError, ConfigError, Interrupted, RunError
from cnncli.runs import Group, Run, create_run
from cnncli.storage import make_folder, take_folder, write_text_atomic
from cnncli.sweep.definition import SweepDefinition, require_packages, with_base
from cnncli.sweep.finding import KIND
from cnncli.sweep.places.place import LOST, Ended, Job, Place
from cnncli.sweep.search import Search, Watch
from cnncli.sweep.searches import make_search
from cnncli.sweep.trial import DIVERGED, DONE, IMPOSSIBLE, STOP_FILE, STOPPED
from cnncli.sweep.trials import FAILED, PRUNED, RUNNING, WAITING, Trial, best_trial, read_trials
from cnncli.training.session import with_fixed_shards

ATTEMPTS = 5
"""How often a trial is started again that is lost without any progress."""

_LOOK_EVERY = 0.2


@dataclass
class Watched:
    """What decides whether a trial goes on.

    Attributes:
        watch: decides after each epoch.
        epochs: how many the trial is to train; after the last one there is nothing to stop.
        seen: how many epochs it was asked about.
    """

    watch: Watch
    epochs: int
    seen: int = 0


@dataclass(frozen=True)
class SweepEvents:
    """What is called while a sweep runs.

    Attributes:
        stop: returns the number of a signal when the sweep should stop.
        started: a trial was started, the second argument says whether it goes on.
        ended: a trial has a result.
        note: something else happened.
    """

    stop: Callable[[], int | None] = lambda: None
    started: Callable[[Trial, bool], None] = lambda trial, again: None
    ended: Callable[[Trial], None] = lambda trial: None
    note: Callable[[str], None] = lambda text: None


def run_sweep(group: Group, definition: SweepDefinition, place: Place, events: SweepEvents) -> list[Trial]:
    """Run all trials of a sweep that have no result yet, and return all trials.

    Args:
        group: from `find_sweep`.
        definition: of the sweep.
        place: where the trials run; it is closed at the end.
        events: what is called meanwhile.

    Raises:
        Interrupted: `events.stop` asked for it; the sweep can be resumed.
        RunBusyError: another process works on it.
        RunError: trials fail for a reason that is not their own, such as a full disk.
    """
    require_packages(definition)
    make_folder(group.path.parent)
    take_folder(group.path)
    with group.lock():
        definition = _begin(group, definition)
        loop = _Loop(group, definition, place, events)
        try:
            try:
                loop.run()
            finally:
                place.close()
        except BaseException as error:
            stopped = isinstance(error, Interrupted | KeyboardInterrupt | SystemExit | GeneratorExit)
            with suppress(CnnError):
                loop.store(
                    status="interrupted" if stopped else "failed", error=None if stopped else str(error)
                )
            raise
        loop.store(status="done", error=None)
        return loop.trials


def _begin(group: Group, definition: SweepDefinition) -> SweepDefinition:
    """Write what defines the sweep, or take it from what was written; return it with the base config in use."""
    info = group.read_info()
    if info:
        stored = load_config(group.path / "config.yaml")
        base = definition.base.with_overrides([f"engine.shards={stored.engine.shards}"])
        definition = with_base(definition, base)
    else:
        definition = with_base(definition, with_fixed_shards(definition.base))
        write_text_atomic(group.path / "config.yaml", definition.base.to_yaml())
        group.write_info(
            kind=KIND,
            name=group.name,
            created=datetime.now(UTC).isoformat(),
            config=definition.base.origin.source,
            dataset=definition.base.data.set_title,
            source=definition.source,
            definition=definition.document,
            trials=[],
        )
    budget = {"trials": definition.trials, "minutes": definition.minutes}
    group.write_info(status="running", error=None, budget=budget)
    return definition


class _Loop:
    """One call of `run_sweep`."""

    def __init__(self, group: Group, definition: SweepDefinition, place: Place, events: SweepEvents) -> None:
        self.group = group
        self.definition = definition
        self.place = place
        self.events = events
        self.trials = read_trials(group)
        self._search: Search = make_search(definition)
        self._asked = 0  # how many trials the search was asked for, in this process
        self._told = 0
        self._watches: dict[int, Watched] = {}
        # steps done at the last start, and starts without progress
        self._attempts: dict[int, tuple[int, int]] = {}
        self._running: set[int] = set()
        self._spent = float(group.read_info().get("spent") or 0.0)
        self._began = time.monotonic()

    def run(self) -> None:
        for trial in self.trials:
            if trial.state == RUNNING:
                trial.state = WAITING
        while True:
            self._start()
            if not self._running:
                return
            for ended in self.place.wait(_LOOK_EVERY):
                self._end(ended)
            self._watch()
            self._check_stop()

    def store(self, **fields: Any) -> None:
        """Write the trials and what is known of all into group.json."""
        best = best_trial(self.trials)
        self.group.write_info(
            **fields,
            trials=[trial.to_json() for trial in self.trials],
            members=len(self.trials),
            best=best and best.name,
            val_accuracy=best and best.val_accuracy,
            seconds=round(sum(trial.seconds for trial in self.trials), 3),
            spent=round(self._spent + time.monotonic() - self._began, 3),
        )

    def _start(self) -> None:
        """Start trials while there are free slots."""
        while len(self._running) < self.place.slots:
            self._check_stop()
            trial = self._next()
            if trial is None:
                return
            run = Run(self.group.path / trial.name)
            again = run.config_path.exists() and run.info_path.exists()
            if not again:
                config = self.definition.config_of(trial.values)
                run = create_run(self.group.path, trial.name, exist_ok=True, config=config.to_yaml())
                run.write_info(config=config.origin.source, trial=trial.number, values=trial.values)
            (run.path / STOP_FILE).unlink(missing_ok=True)
            trial.state = RUNNING
            self._running.add(trial.number)
            if trial.number not in self._watches and (watch := self._search.watch(trial.number)) is not None:
                self._watches[trial.number] = Watched(
                    watch, self.definition.config_of(trial.values).train.epochs
                )
            self.store()
            self.events.started(trial, again)
            self.place.start(Job(trial.number, run.path.absolute()))

    def _next(self) -> Trial | None:
        """Return the next trial to start; None if there is none, or if it depends on results that are not there."""
        while True:
            waiting = next((each for each in self.trials[: self._asked] if each.state == WAITING), None)
            if waiting is not None:
                return waiting
            number = self._asked
            count = self.definition.count
            if (count is not None and number >= count) or (number >= len(self.trials) and self._time_is_up()):
                return None
            if not self._tell_before(number):
                return None
            values = self._search.ask(number)
            if values is None:
                return None
            self._asked += 1
            if number < len(self.trials):
                self._check_same(self.trials[number], values)
            else:
                self._add(Trial(number, values))

    def _add(self, trial: Trial) -> None:
        self.trials.append(trial)
        try:
            self.definition.config_of(trial.values)
        except ConfigError as error:
            trial.state, trial.error = FAILED, error.message
            self.store()
            self.events.ended(trial)

    def _tell_before(self, number: int) -> bool:
        """Tell the results that the choice of a trial depends on, and no others; return whether all are there."""
        if not self.definition.depends_on_results:
            return True
        while self._told <= number - self.definition.ahead:
            trial = self.trials[self._told]
            if not trial.is_over:
                return False
            self._search.tell(trial.number, trial.result)
            self._told += 1
        return True

    def _check_same(self, trial: Trial, values: Mapping[str, object]) -> None:
        if json.loads(json.dumps(trial.values)) != json.loads(json.dumps(dict(values))):
            raise RunError(
                f"{trial.name} has {trial.values}, and the search now proposes {dict(values)}",
                "another version of Optuna may choose otherwise: install the earlier one, or start a new sweep",
            )

    def _end(self, ended: Ended) -> None:
        trial = self.trials[ended.number]
        run = Run(self.group.path / trial.name)
        self._running.discard(trial.number)
        self._read(trial, run)
        if trial.state == PRUNED:  # it was asked to stop, and may have come to its end before
            pass
        elif ended.outcome == DONE and run.status() == "done":
            self._look_back(trial)
            if trial.state != PRUNED:
                trial.state = DONE
                trial.val_accuracy = run.read_info().get("val_accuracy")
                if trial.val_accuracy is None:
                    trial.state, trial.error = FAILED, "there are no validation images"
        elif ended.outcome in (DIVERGED, IMPOSSIBLE):
            trial.state, trial.error = FAILED, ended.message
        elif ended.outcome in (LOST, STOPPED):
            self._again(trial, run, ended)
            return
        else:
            trial.state = WAITING
            raise RunError(f"{run.path} cannot be trained: {ended.message}", run=self.group.path)
        if trial.state == FAILED:
            run.write_info(status="failed", error=trial.error)
        elif trial.state == PRUNED:
            run.write_info(status="interrupted", error=trial.error)
        self._watches.pop(trial.number, None)
        self.store()
        self.events.ended(trial)

    def _again(self, trial: Trial, run: Run, ended: Ended) -> None:
        """Let a trial that was lost go on from its last checkpoint, unless it never gets any further."""
        steps = int(run.read_info().get("steps_done") or 0)
        before, starts = self._attempts.get(trial.number, (-1, 0))
        starts = 1 if steps > before else starts + 1
        self._attempts[trial.number] = (steps, starts)
        trial.state = WAITING
        if starts >= ATTEMPTS:
            raise RunError(
                f"{run.path} was started {starts} times and got no further: {ended.message}",
                run=self.group.path,
            )
        self.events.note(f"{trial.name} is started again: {ended.message or 'it was stopped'}")

    def _read(self, trial: Trial, run: Run) -> None:
        rows = run.read_metrics()
        if trial.state == PRUNED:
            return
        trial.curve = [row["val_accuracy"] for row in rows if row["val_accuracy"] is not None]
        trial.epochs = len(rows)
        trial.seconds = float(run.read_info().get("seconds") or 0.0)

    def _watch(self) -> None:
        """Stop the trials that are not worth going on."""
        for number in list(self._watches):
            trial = self.trials[number]
            if trial.state != RUNNING:
                continue
            run = Run(self.group.path / trial.name)
            with suppress(CnnError):  # a line that is just written
                self._read(trial, run)
                self._look_back(trial)
            if trial.state == PRUNED:
                (run.path / STOP_FILE).touch()

    def _look_back(self, trial: Trial) -> None:
        """Mark a trial as pruned at the first epoch where it should have stopped, however far it has come since."""
        if trial.number not in self._watches:
            return
        watched = self._watches[trial.number]
        while watched.seen < len(trial.curve):
            watched.seen += 1
            value = trial.curve[watched.seen - 1]
            if watched.watch.prune(watched.seen, value) and watched.seen < watched.epochs:
                trial.state, trial.val_accuracy, trial.epochs = PRUNED, value, watched.seen
                trial.curve = trial.curve[: watched.seen]
                return

    def _time_is_up(self) -> bool:
        minutes = self.definition.minutes
        return minutes is not None and self._spent + time.monotonic() - self._began >= 60 * minutes

    def _check_stop(self) -> None:
        number = self.events.stop()
        if number is not None:
            over = sum(trial.is_over for trial in self.trials)
            of = "" if self.definition.count is None else f" of {self.definition.count}"
            raise Interrupted(f"stopped after {over}{of} trials", number, run=self.group.path)
