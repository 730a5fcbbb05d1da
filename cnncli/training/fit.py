"""The training loop, as a generator: between two records its caller can draw, save or stop."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING

from cnncli.batches.batches import Batches
from cnncli.engine.executor import DIVERGENCE_HINT, StepSettings
from cnncli.errors import DivergenceError
from cnncli.optim.averaging import Average
from cnncli.optim.optimizers import Optimizer
from cnncli.optim.schedules import Schedule
from cnncli.training.state import EpochRecord, StepRecord, TrainingState

if TYPE_CHECKING:
    from cnncli.engine import Executor
    from cnncli.training.evaluate import Evaluation


def fit(
    executor: "Executor",
    batches: Batches,
    optimizer: Optimizer,
    schedule: Schedule,
    *,
    epochs: int,
    seed: int = 0,
    state: TrainingState | None = None,
    validate: "Callable[[], Evaluation] | None" = None,
    label_smoothing: float = 0.0,
    clip_norm: float | None = None,
    average: Average | None = None,
    patience: int | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[StepRecord | EpochRecord]:
    """Train, and yield a record after each step and after each epoch.

    At every yield `state` and the arrays of network, optimizer and average belong together. A later call with both of
    them reaches the same bits as an uninterrupted one: every random draw depends on (seed, epoch, step) alone, and
    the state holds the rest.

    Args:
        executor: runs the network that is trained.
        batches: the training images.
        optimizer: changes the network's parameters.
        schedule: returns the learning rate of a global step.
        epochs: the total, including the epochs that the state has done already.
        seed: of the random streams of dropout.
        state: where to continue; None to start. It is updated in place.
        validate: called after each epoch, with the averaged weights in the network when there is an average.
        label_smoothing: the share of every target that is spread evenly over the classes.
        clip_norm: the largest allowed norm of the gradient; None for no limit.
        average: updated after every step.
        patience: stop after this many epochs without a better validation result; None to never stop early.
        clock: returns seconds; only differences count.

    Raises:
        DivergenceError: the loss or a gradient is not finite; the message names epoch, step and
            tensor. The parameters are those of the step before. Or the loss of a validation is not finite.

    Example:
        >>> import numpy as np
        >>> from cnncli import compile, load_model
        >>> from cnncli.optim import Adam
        >>> executor = compile(load_model("runs/run-3").network)
        >>> batches = Batches(np.zeros((20, 28, 28), np.uint8), np.zeros(20, np.int64), batch_size=10, seed=1)
        >>> adam = Adam(executor.network.parameters)
        >>> for record in fit(executor, batches, adam, lambda step: 1e-3, epochs=1):
        ...     print(type(record).__name__)
        StepRecord
        StepRecord
        EpochRecord
        >>> executor.close()
    """
    state = TrainingState() if state is None else state
    steps = len(batches)
    begin = clock() - state.elapsed
    while not state.finished(epochs, patience):
        # After a resume there may be no step left in this epoch; its last learning rate is still reported.
        learning_rate = schedule(max(state.global_step - 1, 0))
        images_before, seconds_before = state.train_images, state.train_seconds
        while state.step < steps:
            started = clock()
            count = batches.size(state.step)
            learning_rate = schedule(state.global_step)
            try:
                # Batch, forward pass, loss, backward pass and optimizer step. Only the key (seed, epoch, step) goes to
                # the workers: each one prepares the images of its own shards from it.
                loss, correct, norm = executor.train_batch(
                    batches,
                    optimizer,
                    StepSettings(learning_rate, label_smoothing, clip_norm),
                    key=(seed, state.epoch, state.step),
                )
            except DivergenceError as error:
                where = f"epoch {state.epoch}, step {state.step + 1} of {steps}"
                raise DivergenceError(f"{where}: {error.message}", error.hint, error.tensor) from error
            if average is not None:
                average.update()
            now = clock()
            state.add_step(
                loss, correct, count, now - started, batches.count_outliers(state.epoch, state.step)
            )
            state.elapsed = now - begin
            seconds = state.train_seconds - seconds_before
            yield StepRecord(
                epoch=state.epoch,
                step=state.step,
                steps=steps,
                loss=state.train_loss,
                accuracy=state.train_accuracy,
                learning_rate=learning_rate,
                images_per_second=(state.train_images - images_before) / seconds if seconds > 0 else None,
                gradient_norm=norm,
            )
        evaluation = None
        if validate is not None:
            with nullcontext() if average is None else average.applied(executor.network):
                evaluation = validate()
            if evaluation is not None and not math.isfinite(evaluation.loss):
                raise DivergenceError(
                    f"epoch {state.epoch}: the loss on the validation images is {evaluation.loss}",
                    DIVERGENCE_HINT,
                )
        state.elapsed = clock() - begin
        yield state.finish_epoch(learning_rate, evaluation)
