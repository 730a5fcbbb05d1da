"""Trains inside a run folder: saves checkpoints, stops on request, resumes, and evaluates at the end."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cnncli.checkpoint import load_checkpoint, network_hash
from cnncli.data.load import find_all_again
from cnncli.engine import Executor, compile
from cnncli.errors import CnnError, Interrupted, RunError
from cnncli.runs import Run
from cnncli.storage import make_folder, write_text_atomic
from cnncli.training.calibration import NOT_CALIBRATED, Calibration, fit_calibration, read_calibration
from cnncli.training.evaluate import Evaluation, evaluate
from cnncli.training.fit import fit
from cnncli.training.prepare import Prepared, prepare
from cnncli.training.results import TrainResult, draw_results, write_results
from cnncli.training.run_info import info_at_start, progress
from cnncli.training.saving import check_resumable, check_something_left, restore, save_best, save_last
from cnncli.training.state import EpochRecord, StepRecord, TrainingState
from cnncli.training.step_profile import StepProfile

if TYPE_CHECKING:
    from cnncli.config.schema import Config
    from cnncli.training.event_log import EventLog
    from cnncli.types import ByteArray, IntArray

log = logging.getLogger(__name__)

Stop = Callable[[], int | None]
"""Called often; returns a signal number when the training run should stop (2 for Ctrl-C, 15 for SIGTERM), else None."""


class _StopRequested(Exception):
    """Carries a signal number from where it was noticed to where the work is saved."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number


def train_run(
    config: "Config | None",
    run: Run,
    *,
    resume: bool = False,
    epochs: int | None = None,
    stop: Stop | None = None,
    data_dir: str | Path | None = None,
    prepared: Prepared | None = None,
    plots: bool = True,
    profile: bool = False,
    test: bool = True,
) -> Iterator[StepRecord | EpochRecord | TrainResult]:
    """Train in a run folder, and yield a record after each step and each epoch, and the result at the end.

    The folder is up to date whenever a record is yielded. metrics.csv is written after each epoch, last.npz after
    each epoch and as often within one as the config says, best.npz when validation improves. A caller that stops
    iterating leaves a run that can be resumed. The test images are used once, at the end, with the best weights.

    A finished run can be resumed with more epochs. The schedule is then computed for the new total length, from the
    step reached: a cosine that had ended at zero rises again to the value that the longer cosine has there. run.json
    records the extension.

    Args:
        config: what to train and how; None in a resume means the run's own config.yaml.
        run: the folder, from `create_run` or `find_run`.
        resume: continue from last.npz, to the same bits as without the interruption.
        epochs: replaces config.train.epochs.
        stop: called after each step; a signal number makes the run save and raise Interrupted.
        data_dir: the folder of the data sets; replaces config.data.dir. In a resume also where a folder of the
            user's own is now: the folder itself, or the one around it.
        prepared: from `prepare` with the same config, for a caller that checks whether everything can be built
            before it creates a run folder.
        plots: draw curves.png and the pictures of the test evaluation.
        profile: write profile.txt and profile.json: the time of each part of a step, on average.
        test: measure the best weights on the test images; a trial of a sweep does not, because only the winner is.

    Raises:
        Interrupted: `stop` returned a signal number; all is saved, and the message says how to resume.
        DivergenceError: the loss or a gradient is not finite; earlier checkpoints are kept.
        RunError: another process trains this run, or there is nothing left to train.
        ConfigError, DataError, StorageError: see `prepare` and `save_checkpoint`.

    Example:
        >>> from cnncli import create_run, load_config
        >>> config = load_config("synthetic").with_overrides(["train.epochs=1", "data.limit=1000"])
        >>> *_, result = train_run(config, create_run(), plots=False)
        >>> result.epochs
        1
    """
    with run.lock():
        if not resume and (run.last_path.exists() or run.best_path.exists() or run.read_metrics()):
            raise RunError(
                f"{run.name} has been trained already", "go on with it: `resume=True`", run=run.path
            )
        if config is None:
            from cnncli.config.load import load_config

            config = load_config(run.config_path)
        if epochs is not None:
            config = config.with_overrides([f"train.epochs={epochs}"])
        if prepared is not None and prepared.config != config:
            raise ValueError("prepared was built from another config")
        config = with_fixed_shards(config)
        if prepared is not None:
            prepared = replace(prepared, config=config)
        yield from _Session(config, run, resume, stop, plots, profile, test).run_guarded(prepared, data_dir)


def with_fixed_shards(config: "Config") -> "Config":
    """Return a config with a number in place of `engine.shards: auto`, for a resume on another machine.

    Each process of an MPI program has a shard at least.
    """
    if config.engine.kind == "plain" or config.engine.shards != "auto":
        return config
    from cnncli.engine.parallel.cores import default_shards
    from cnncli.engine.parallel.ranks import current_ranks

    ranks = current_ranks()
    shards = max(default_shards(), 1 if ranks is None else ranks.size)
    return config.with_overrides([f"engine.shards={shards}"])


class _Session:
    """One call of `train_run`: the part of a training run from its start or resume to its end or stop."""

    def __init__(
        self,
        config: "Config",
        run: Run,
        resume: bool,
        stop: Stop | None,
        plots: bool,
        profile: bool,
        test: bool,
    ) -> None:
        self.config = config
        self.run = run
        self.resume = resume
        self.plots = plots
        self.test = test
        self.state = TrainingState()
        self.wants_profile = profile
        self.prepared: Prepared
        self._stop = stop
        self._events: EventLog | None = None
        self._validated: Evaluation | None = None
        self._phase: Literal["preparing", "training", "evaluating", "done"] = "preparing"
        self._saved_at = (0, 0.0)  # global step, monotonic seconds

    def run_guarded(
        self, prepared: Prepared | None, data_dir: str | Path | None
    ) -> Iterator[StepRecord | EpochRecord | TrainResult]:
        """Run, and set the right status however it ends."""
        try:
            yield from self._run(prepared, data_dir)
        except _StopRequested as stop:
            self._write_status("interrupted")
            raise Interrupted(self._stop_message(), stop.signal_number, run=self.run.path) from None
        except (GeneratorExit, KeyboardInterrupt):
            with suppress(CnnError):
                self._write_status("interrupted")
            raise
        except BaseException as error:
            with suppress(CnnError):
                self._write_status("failed", error=str(error))
            raise

    def _run(
        self, prepared: Prepared | None, data_dir: str | Path | None
    ) -> Iterator[StepRecord | EpochRecord | TrainResult]:
        config, run = self.config, self.run
        was_done = run.read_info().get("status") == "done"
        if self.resume:
            check_resumable(run)
        if prepared is None:
            found = None
            if self.resume:
                if data_dir is None and isinstance(config.origin.spots.get(("data", "dir")), str):
                    # an override of this resume, so the user says where the data is
                    data_dir = config.data.dir
                names = [entry.name for entry in config.data.sets]
                recorded = run.read_info().get("data_path")
                found = find_all_again(names, config.data.dir, recorded, moved_to=data_dir)
            prepared = prepare(config, data_dir=data_dir, found=found, resume=self.resume)
        self.prepared = prepared
        if self.resume:
            self.state = restore(run, self.prepared)
            check_something_left(run, self.state, config.train, was_done)
        profile = StepProfile(self.state) if self.wants_profile else None
        with compile(
            self.prepared.network,
            config.engine.kind,
            batch_size=config.train.batch_size,
            workers=config.engine.workers,
            shards=None if config.engine.shards == "auto" else config.engine.shards,
            start_method=config.engine.start_method,
            clock=profile.clock if profile else None,
        ) as executor:
            self._begin(extended=was_done)
            try:
                yield from self._train(executor)
            except _StopRequested:  # raised between two steps, where state and arrays belong together
                self._save_last()
                raise
            except GeneratorExit:  # the caller stopped iterating, also between two steps
                with suppress(CnnError):
                    self._save_last()
                raise
            finally:
                if profile:
                    try:
                        profile.write(run)
                    except Exception as error:  # losing the profile must not lose the training run
                        log.warning("the profile is not written: %s", error)
            self._phase = "evaluating"
            result = self._finish(executor)
        yield result

    def _train(self, executor: Executor) -> Iterator[StepRecord | EpochRecord]:
        settings, prepared = self.config.train, self.prepared
        self._check_stop()
        for record in fit(
            executor,
            prepared.batches,
            prepared.optimizer,
            prepared.schedule,
            epochs=settings.epochs,
            seed=self.config.seed,
            state=self.state,
            validate=self._validation(executor),
            label_smoothing=settings.label_smoothing,
            clip_norm=settings.clip_norm,
            average=prepared.average,
            patience=settings.patience,
        ):
            if isinstance(record, EpochRecord):
                self._save_epoch(record)
            else:
                self._save_if_due()
            yield record
            self._check_stop()

    def _begin(self, extended: bool) -> None:
        """Write what is known before the first step."""
        run, config, state = self.run, self.config, self.state
        self._saved_at = (state.global_step, time.monotonic())
        make_folder(run.checkpoints)
        write_text_atomic(run.config_path, config.to_yaml())
        run.rewrite_metrics(state.history)
        run.write_info(**info_at_start(run, self.prepared, state, resume=self.resume, extended=extended))
        self._phase = "training"
        if config.train.log:
            from cnncli.training.event_log import EventLog

            self._events = EventLog(run.path)
            self._events.add(state.history)

    def _validation(self, executor: Executor) -> Callable[[], Evaluation] | None:
        held_out = self.prepared.validation
        if len(held_out) == 0:
            return None

        def validate() -> Evaluation:
            self._validated = self._evaluate(executor, held_out.images, held_out.labels)
            return self._validated

        return validate

    def _evaluate(
        self,
        executor: Executor,
        images: "ByteArray",
        labels: "IntArray",
        calibration: Calibration = NOT_CALIBRATED,
    ) -> Evaluation:
        return evaluate(
            executor,
            images,
            labels,
            batch_size=self.config.train.eval_batch_size,
            normalize=self.prepared.normalize,
            calibration=calibration,
            on_batch=lambda done, count: self._check_stop(),
        )

    def _save_epoch(self, record: EpochRecord) -> None:
        """Write an epoch's row and checkpoints; after a kill between any two writes a resume reaches the same bits."""
        if record.best:
            save_best(self.run, self.prepared, self.state, self._calibration())
        self.run.append_metrics(record.row())
        if self._events is not None:
            self._events.add([record.row()])
        self._save_last()

    def _calibration(self) -> Calibration:
        """Fit the calibration of the weights that were just validated."""
        found = self._validated
        if found is None or found.evidence is None:
            return NOT_CALIBRATED
        return fit_calibration(found.probabilities, found.evidence, self.prepared.validation.labels)

    def _save_if_due(self) -> None:
        every = self.config.train.save_every
        step, at = self._saved_at
        if (every.steps is not None and self.state.global_step - step >= every.steps) or (
            every.seconds is not None and time.monotonic() - at >= every.seconds
        ):
            self._save_last()

    def _save_last(self) -> None:
        save_last(self.run, self.prepared, self.state)
        self._saved_at = (self.state.global_step, time.monotonic())
        self.run.write_info(**self._progress())

    def _write_status(self, status: str, **fields: object) -> None:
        """Set the status, unless this process has not changed the run yet or has finished it."""
        begun = self._phase != "preparing" or not self.resume
        if begun and self._phase != "done":
            self.run.write_info(status=status, **fields, **self._progress())

    def _finish(self, executor: Executor) -> TrainResult:
        """Evaluate the best weights on the test images, and write the result."""
        run, state, prepared = self.run, self.state, self.prepared
        final_hash = network_hash(prepared.network.state())
        best = load_checkpoint(run.best_path)
        prepared.network.load_state(best.network)
        calibration = read_calibration(best.meta)
        test = prepared.dataset.test
        measured = None
        if self.test and len(test):
            measured = self._evaluate(executor, test.images, test.labels, calibration)
        others = {
            member.name: self._evaluate(executor, member.test.images, member.test.labels, calibration)
            for member in prepared.dataset.members[1:]
            if self.test and len(member.test)
        }
        result = write_results(run, prepared, state, measured, others)
        run.write_info(
            status="done",
            stopped_early=state.epoch <= self.config.train.epochs,
            test_accuracy=result.test_accuracy,
            test_loss=result.test_loss,
            **({"other_tests": result.other_tests} if others else {}),
            weights_sha256=final_hash,
            **self._progress(),
        )
        self._phase = "done"
        if self._events is not None:
            if result.test_accuracy is not None:
                self._events.add_test(result.test_accuracy)
            self._events.close()
        if self.plots:
            draw_results(run, prepared, state, measured)
        return result

    def _check_stop(self) -> None:
        signal_number = self._stop() if self._stop is not None else None
        if signal_number is not None:
            raise _StopRequested(signal_number)

    def _progress(self) -> dict[str, object]:
        return progress(self.state, saved_steps=self._saved_at[0])

    def _stop_message(self) -> str:
        state = self.state
        if state.finished(self.config.train.epochs, self.config.train.patience):
            return "stopped before the final evaluation"
        return f"stopped in epoch {state.epoch} after step {state.step} of {len(self.prepared.batches)}"
