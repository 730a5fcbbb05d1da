"""The training loop: what it yields, when it stops, and that it goes on to the same bits from every step."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cnncli.batches.batches import Batches
from cnncli.engine import PlainExecutor, compile
from cnncli.errors import DivergenceError
from cnncli.nn import build_network
from cnncli.optim import Adam
from cnncli.training.fit import fit
from cnncli.training.state import EpochRecord, StepRecord, TrainingState

STEPS = 5  # batches an epoch in the tiny training


def same_arrays(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def without_times(records: list[Any]) -> list[Any]:
    """Drop what depends on the clock."""
    return [
        record._replace(images_per_second=0.0)
        if isinstance(record, StepRecord)
        else {**record.row(), "time_s": 0.0, "best": record.best}
        for record in records
    ]


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_going_on_from_any_step_gives_the_bits_of_the_unbroken_training(
    tiny_training: Callable[..., Any], optimizer: str
) -> None:
    unbroken = tiny_training(optimizer=optimizer, patience=2)
    saved = [unbroken.snapshot()]
    records = []
    for record in unbroken.run():
        records.append(record)
        saved.append(unbroken.snapshot())
    end = unbroken.snapshot()
    assert len(saved) == 1 + 3 * STEPS + 3
    for position, snapshot in enumerate(saved):
        resumed = tiny_training(optimizer=optimizer, patience=2, start=99)
        resumed.restore(snapshot)
        rest = list(resumed.run())
        assert len(rest) == len(records) - position
        for kind in ("network", "optimizer", "average"):
            assert same_arrays(resumed.snapshot()[kind], end[kind]), (position, kind)
        assert without_times(rest) == without_times(records[position:])
        history, expected = resumed.state.history, unbroken.state.history
        assert [{**row, "time_s": 0} for row in history] == [{**row, "time_s": 0} for row in expected]


def test_every_part_that_a_resume_must_restore_changes_the_result(tiny_training: Callable[..., Any]) -> None:
    whole = tiny_training()
    snapshot: dict[str, Any] = {}
    for record in whole.run():
        if record.epoch == 2 and getattr(record, "step", 0) == 2:
            snapshot = whole.snapshot()
    for part in ("network", "optimizer", "state"):
        broken = tiny_training(start=99)
        fresh = broken.snapshot()
        broken.restore({**snapshot, part: fresh[part]})
        list(broken.run())
        assert not same_arrays(broken.network.state(), whole.network.state()), part


def test_it_learns(tiny_training: Callable[..., Any]) -> None:
    training = tiny_training(epochs=25)
    records = [record for record in training.run() if isinstance(record, EpochRecord)]
    assert records[-1].val_accuracy > 0.9
    assert records[-1].val_loss < 0.6 < 1.0 < records[0].val_loss


def test_it_yields_a_record_a_step_and_a_record_an_epoch(tiny_training: Callable[..., Any]) -> None:
    records = list(tiny_training(epochs=2).run())
    kinds = [type(record).__name__ for record in records]
    assert kinds == (["StepRecord"] * STEPS + ["EpochRecord"]) * 2
    assert [r.step for r in records if isinstance(r, StepRecord)] == [1, 2, 3, 4, 5] * 2
    epochs = [r for r in records if isinstance(r, EpochRecord)]
    assert [r.epoch for r in epochs] == [1, 2]
    assert [r.step for r in epochs] == [5, 10]
    last_of_first_epoch = records[STEPS - 1]
    assert epochs[0].train_loss == last_of_first_epoch.loss
    assert epochs[0].train_accuracy == last_of_first_epoch.accuracy
    assert epochs[0].lr == last_of_first_epoch.learning_rate


def test_training_figures_weigh_the_short_last_batch_by_its_size(tiny_training: Callable[..., Any]) -> None:
    training = tiny_training(epochs=1)
    losses, sizes = [], []
    real = PlainExecutor.train_step

    def spy(self: Any, x: Any, labels: Any, *args: Any, **kwargs: Any) -> Any:
        result = real(self, x, labels, *args, **kwargs)
        losses.append(result.loss)
        sizes.append(len(labels))
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PlainExecutor, "train_step", spy)
        *_, record = training.run()
    assert sizes == [5, 5, 5, 5, 2]
    assert record.train_loss == pytest.approx(np.average(losses, weights=sizes), rel=1e-12)


def test_without_validation_every_epoch_is_the_best_so_far(tiny_training: Callable[..., Any]) -> None:
    training = tiny_training(patience=1)
    epochs = [r for r in training.run(validate=None) if isinstance(r, EpochRecord)]
    assert [r.best for r in epochs] == [True] * 3
    assert all(r.val_loss is None and r.val_accuracy is None for r in epochs)
    assert training.state.best_epoch == 3


def test_the_better_epoch_has_the_higher_accuracy_or_the_same_and_a_lower_loss() -> None:
    state = TrainingState(best_epoch=1, best_accuracy=0.9, best_loss=0.5)
    assert state.is_better(0.91, 9.0)
    assert not state.is_better(0.89, 0.1)
    assert state.is_better(0.9, 0.4)
    assert not state.is_better(0.9, 0.5)
    assert not state.is_better(0.9, float("nan"))
    assert TrainingState().is_better(0.1, 2.3)


def test_stops_after_patience_epochs_without_a_better_one(tiny_training: Callable[..., Any]) -> None:
    class Fixed:
        accuracy, loss = 0.5, 1.0

    answers = iter([0.5, 0.6, 0.6, 0.55, 0.7])

    def validate() -> Any:
        evaluation = Fixed()
        evaluation.accuracy = next(answers)
        return evaluation

    training = tiny_training(epochs=9, patience=2)
    epochs = [r for r in training.run(validate=validate) if isinstance(r, EpochRecord)]
    assert [r.best for r in epochs] == [True, True, False, False]
    assert training.state.stopped_early(2) and not training.state.stopped_early(3)
    assert training.state.best_epoch == 2
    assert list(training.run(validate=validate)) == []


def test_validation_sees_the_averaged_weights_and_training_its_own(tiny_training: Callable[..., Any]) -> None:
    seen = []
    training = tiny_training(epochs=1)

    def validate() -> Any:
        seen.append(training.network.parameters.values.copy())

    list(training.run(validate=validate))
    assert np.array_equal(seen[0], training.average.values)
    assert not np.array_equal(seen[0], training.network.parameters.values)


@pytest.mark.parametrize("poison", ["parameter", "input"])
def test_divergence_names_epoch_step_and_tensor_and_keeps_the_parameters(
    tiny_training: Callable[..., Any], poison: str
) -> None:
    training = tiny_training()
    running = training.run()
    for _ in range(STEPS + 1 + 2):
        next(running)  # epoch 2, two steps done
    if poison == "parameter":
        training.network.layers[-1].bias = np.array([np.inf, 0, 0])
    else:
        training.network.layers[0].weight = np.full((3, 1, 3, 3), np.nan)
    before, state = training.network.parameters.values.copy(), training.state.to_json()
    with pytest.raises(DivergenceError) as caught:
        next(running)
    assert caught.value.message.startswith("epoch 2, step 3 of 5: the loss is ")
    assert caught.value.tensor == "loss"
    assert "learning rate" in caught.value.hint
    assert np.array_equal(training.network.parameters.values, before, equal_nan=True)
    assert training.state.to_json() == state


def test_a_gradient_that_is_not_finite_is_named(
    tiny_training: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    training = tiny_training()
    layer = training.network.layers[0]
    real = type(layer).backward

    def backward(self: Any, dy: Any) -> Any:
        dx = real(self, dy)
        self.parameters["bias"].grad[1] = np.nan
        return dx

    monkeypatch.setattr(type(layer), "backward", backward)
    before = training.network.parameters.values.copy()
    with pytest.raises(DivergenceError, match=r"epoch 1, step 1 of 5: the gradient of conv1.bias") as caught:
        next(training.run())
    assert caught.value.tensor == "conv1.bias"
    assert np.array_equal(training.network.parameters.values, before)


def test_speed_leaves_evaluation_and_the_reader_out(tiny_training: Callable[..., Any]) -> None:
    now = [100.0]

    def clock() -> float:
        return now[0]

    training = tiny_training(epochs=1)
    real = PlainExecutor.train_step

    def train_step(self: Any, *args: Any, **kwargs: Any) -> Any:
        now[0] += 0.5
        return real(self, *args, **kwargs)

    def validate() -> Any:
        now[0] += 1000.0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PlainExecutor, "train_step", train_step)
        for record in training.run(clock=clock, validate=validate):
            now[0] += 3.0  # a slow reader: saving, drawing
            if isinstance(record, StepRecord):
                assert record.images_per_second == pytest.approx(10.0 if record.step < 5 else 22 / 2.5)
    assert training.state.images_per_second == pytest.approx(22 / 2.5)
    assert training.state.elapsed == pytest.approx(5 * 0.5 + 5 * 3.0 + 1000.0)


def test_time_goes_on_where_the_state_left_it(tiny_training: Callable[..., Any]) -> None:
    training = tiny_training(epochs=1)
    training.state.elapsed = 50.0
    ticks = iter(range(1000))
    *_, last = training.run(clock=lambda: float(next(ticks)))
    assert 50.0 < last.time_s < 80.0


def test_a_long_history_is_cut_in_the_saved_state_only() -> None:
    rows = [{"epoch": epoch} for epoch in range(1, 5001)]
    state = TrainingState(history=rows)
    kept = state.to_json()["history"]
    assert kept == rows[-len(kept) :] and 100 <= len(kept) < 5000
    assert len(state.history) == 5000


def test_fit_alone_needs_no_more_than_batches_an_optimizer_and_a_rate(
    tiny_pictures: Callable[..., Any],
) -> None:
    network = build_network(
        [("flatten", {}), ("linear", {"units": 3})], (1, 8, 8), rng=np.random.default_rng(0)
    )
    batches = Batches(*tiny_pictures(30), batch_size=10, seed=1)
    with compile(network, "plain") as executor:
        records = list(fit(executor, batches, Adam(network.parameters), lambda step: 0.01, epochs=20))
    assert records[-1].train_accuracy > 0.9
