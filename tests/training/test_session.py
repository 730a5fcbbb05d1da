"""A training in its run folder: what is written, how it stops, and that a resume ends with the same bits."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnncli.checkpoint import load_checkpoint, network_hash
from cnncli.config.load import load_config, parse_config
from cnncli.config.schema import Config
from cnncli.data.readers.idx import write_idx
from cnncli.engine.parallel.cores import default_shards
from cnncli.errors import (
    CheckpointError,
    CnnError,
    ConfigError,
    DivergenceError,
    Interrupted,
    RunError,
    StorageError,
    UsageError,
)
from cnncli.runs import Run, create_run
from cnncli.training import prepare, session
from cnncli.training.results import TrainResult
from cnncli.training.session import train_run
from cnncli.training.state import EpochRecord, StepRecord

STEPS = 6  # batches an epoch: 28 training images in batches of 5
TEXT = """
seed: 5
data:
  validation: 8
  normalize: {mean: 0.2, std: 0.3}
  augment: [{shift: 1}]
model:
  - conv: {filters: 3, kernel: 3, padding: same}
  - batchnorm
  - relu
  - maxpool: 2
  - flatten
  - dropout: 0.2
  - linear: 3
train:
  epochs: 3
  batch_size: 5
  optimizer: {name: sgd, lr: 0.05, momentum: 0.9}
  schedule: {name: cosine}
  warmup_epochs: 0.5
  average: {name: ema, decay: 0.8}
  clip_norm: 2.0
  save_every: {seconds: null}
engine: {kind: plain}
"""


@pytest.fixture
def data(tmp_path: Path, tiny_pictures: Callable[..., Any]) -> Path:
    """A folder with the four IDX files: 36 training and 15 test pictures of 8x8."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for prefix, count, seed in (("train", 36, 0), ("t10k", 15, 1)):
        images, labels = tiny_pictures(count, seed)
        write_idx(folder / f"{prefix}-images-idx3-ubyte.gz", images)
        write_idx(folder / f"{prefix}-labels-idx1-ubyte.gz", labels.astype(np.uint8))
    return folder


@pytest.fixture
def config(data: Path) -> Callable[..., Config]:
    def make(*overrides: str) -> Config:
        return parse_config(TEXT, "tiny.yaml", [f"data.dataset={data}", *overrides])

    return make


@pytest.fixture
def new_run(tmp_path: Path) -> Callable[[], Run]:
    return lambda: create_run(tmp_path / "runs")


def train(config: Config | None, run: Run, **options: Any) -> TrainResult:
    *_, result = train_run(config, run, plots=False, **options)
    assert isinstance(result, TrainResult)
    return result


def stop_after(steps: int, signal: int = 2) -> Callable[[], int | None]:
    """A `stop` that answers with a signal once it was asked that many times."""
    asked = 0

    def stop() -> int | None:
        nonlocal asked
        asked += 1
        return signal if asked > steps else None

    return stop


def final_state(run: Run) -> dict[str, Any]:
    """All that two equal trainings must share: every array and every figure but the times."""
    last, best = load_checkpoint(run.last_path), load_checkpoint(run.best_path)
    rows = [{**row, "time_s": 0} for row in run.read_metrics()]
    return {
        "last": network_hash({**last.network, **last.optimizer, **last.average}),
        "best": network_hash(best.network),
        "rows": rows,
        "info": {key: run.read_info()[key] for key in ("weights_sha256", "best_epoch", "test_accuracy")},
    }


def test_a_training_fills_its_folder(config: Callable[..., Config], new_run: Callable[[], Run]) -> None:
    run = new_run()
    records = list(train_run(config(), run))
    steps = [r for r in records if isinstance(r, StepRecord)]
    epochs = [r for r in records if isinstance(r, EpochRecord)]
    assert (len(steps), len(epochs)) == (3 * STEPS, 3)
    result = records[-1]
    assert isinstance(result, TrainResult)
    assert run.read_metrics() == [record.row() for record in epochs]
    assert parse_config(run.config_path.read_text(), "config.yaml") == config()
    info = run.read_info()
    assert run.status() == "done"
    assert info["epochs_done"] == 3 and info["steps_done"] == 18 and info["seed"] == 5
    assert info["best_epoch"] == result.best_epoch == [r.epoch for r in epochs if r.best][-1]
    assert info["weights_sha256"] == network_hash(load_checkpoint(run.last_path).network)
    document = json.loads((run.eval_dir / "test.json").read_text())
    assert document["accuracy"] == result.test_accuracy and document["count"] == 15
    assert [entry["class"] for entry in document["per_class"]] == ["0", "1", "2"]
    wrong = document["count"] - np.trace(document["confusion"])
    assert len(document["mistakes"]) == wrong
    for picture in (run.curves_path, run.eval_dir / "test-confusion.png", run.eval_dir / "test-mistakes.png"):
        assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_result_is_the_json_document_of_train(
    config: Callable[..., Config], new_run: Callable[[], Run]
) -> None:
    run = new_run()
    document = train(config(), run).to_json()
    assert set(document) == {
        "run",
        "path",
        "status",
        "epochs",
        "best_epoch",
        "val_accuracy",
        "test_accuracy",
        "test_loss",
        "seconds",
        "images_per_second",
        "parameters",
        "data_notes",
        "left_out",
        "other_tests",
    }
    assert document["run"] == "run-1" and document["path"] == str(run.path) and document["epochs"] == 3
    assert document["parameters"] == 3 * 10 + 6 + 48 * 3 + 3
    assert json.loads(json.dumps(document)) == document


def test_the_same_config_trains_to_the_same_bits(
    config: Callable[..., Config], new_run: Callable[[], Run]
) -> None:
    one, two = new_run(), new_run()
    train(config(), one)
    train(config(), two)
    assert final_state(one) == final_state(two)
    other = new_run()
    train(config("seed=6"), other)
    assert final_state(other)["last"] != final_state(one)["last"]


def test_a_resume_after_any_stop_ends_with_the_bits_of_the_unbroken_run(
    config: Callable[..., Config], new_run: Callable[[], Run]
) -> None:
    unbroken = new_run()
    train(config(), unbroken)
    expected = final_state(unbroken)
    asked = 0
    while True:  # `stop` is asked before and after every batch, epoch and evaluation batch: stop at each
        run = new_run()
        try:
            train(config(), run, stop=stop_after(asked))
            break
        except Interrupted:
            assert run.status() == "interrupted"
        train(None, run, resume=True)
        assert final_state(run) == expected, f"stopped when asked for the {asked + 1}th time"
        asked += 1
    assert asked > 3 * STEPS + 3 * 2 + 2


@pytest.mark.parametrize("workers", [1, 2])
def test_the_fast_engine_resumes_to_the_same_bits(
    config: Callable[..., Config], new_run: Callable[[], Run], workers: int
) -> None:
    fast = ["engine.kind=fast", f"engine.workers={workers}"]
    unbroken, broken = new_run(), new_run()
    train(config(*fast), unbroken)
    with pytest.raises(Interrupted):
        train(config(*fast), broken, stop=stop_after(4))
    with pytest.raises(Interrupted):
        train(None, broken, resume=True, stop=stop_after(7))
    train(None, broken, resume=True)
    assert final_state(broken) == final_state(unbroken)


@pytest.mark.parametrize("engine", ["plain", "fast"])
def test_a_resume_mirrors_and_brightens_each_image_as_the_unbroken_run_did(
    config: Callable[..., Config], new_run: Callable[[], Run], engine: str
) -> None:
    augmented = ["data.augment=[flip, {brightness: 0.4}, {contrast: 0.3}]", f"engine.kind={engine}"]
    unbroken, broken, without = new_run(), new_run(), new_run()
    train(config(*augmented), unbroken)
    with pytest.raises(Interrupted):
        train(config(*augmented), broken, stop=stop_after(STEPS + 3))
    train(None, broken, resume=True)
    assert final_state(broken) == final_state(unbroken)
    train(config("data.augment=[]", f"engine.kind={engine}"), without)
    assert final_state(without)["last"] != final_state(unbroken)["last"]


def test_a_run_keeps_its_number_of_shards_for_a_resume_on_another_machine(
    config: Callable[..., Config], new_run: Callable[[], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = ["engine.kind=fast", "engine.workers=1"]
    unbroken, broken = new_run(), new_run()
    train(config(*fast), unbroken)
    with pytest.raises(Interrupted):
        train(config(*fast), broken, stop=stop_after(4))
    shards = load_config(broken.config_path).engine.shards
    assert shards == default_shards()
    monkeypatch.setattr("cnncli.engine.parallel.cores.available_processors", lambda: 8 if shards == 2 else 2)
    assert default_shards() != shards
    train(None, broken, resume=True)
    assert load_config(broken.config_path).engine.shards == shards
    assert final_state(broken) == final_state(unbroken)
    other = new_run()
    train(config(*fast, f"engine.shards={2 * shards}"), other)
    assert final_state(other)["last"] != final_state(unbroken)["last"]  # it does matter
    with pytest.raises(RunError, match=r"started with engine.shards = \d; a resume cannot change it to 1"):
        train(
            load_config(broken.config_path).with_overrides(["engine.shards=1", "train.epochs=9"]),
            broken,
            resume=True,
        )


def test_a_run_of_the_plain_engine_may_go_on_with_the_fast_one(
    config: Callable[..., Config], new_run: Callable[[], Run]
) -> None:
    run = new_run()
    with pytest.raises(Interrupted):
        train(config("engine.kind=plain"), run, stop=stop_after(4))
    assert load_config(run.config_path).engine.shards == "auto"
    train(load_config(run.config_path).with_overrides(["engine.kind=fast"]), run, resume=True)
    assert run.status() == "done"


def test_a_run_stopped_again_and_again_still_arrives(
    config: Callable[..., Config], new_run: Callable[[], Run]
) -> None:
    unbroken, broken = new_run(), new_run()
    train(config(), unbroken)
    with pytest.raises(Interrupted):
        train(config(), broken, stop=stop_after(3))
    for _ in range(4):
        with pytest.raises(Interrupted):
            train(None, broken, resume=True, stop=stop_after(4))
    train(None, broken, resume=True)
    assert final_state(broken) == final_state(unbroken)


def test_being_killed_between_any_two_writes_loses_nothing(
    config: Callable[..., Config], new_run: Callable[[], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies, as far as the disk can tell, just before its n-th write; for every n."""
    settings = config("train.save_every.steps=4")
    unbroken = new_run()
    train(settings, unbroken)
    expected = final_state(unbroken)

    class Killed(BaseException):
        pass

    def dying(limit: int) -> Callable[[Any], Any]:
        def wrap(write: Any) -> Any:
            def count(*args: Any, **kwargs: Any) -> Any:
                nonlocal done
                done += 1
                if done > limit:
                    raise Killed
                return write(*args, **kwargs)

            return count

        done = 0
        return wrap

    for limit in range(1000):
        run = new_run()
        with monkeypatch.context() as patch:
            wrap = dying(limit)
            for name in ("save_last", "save_best", "write_text_atomic", "write_results"):
                patch.setattr(session, name, wrap(getattr(session, name)))
            for name in ("write_info", "append_metrics", "rewrite_metrics"):
                patch.setattr(Run, name, wrap(getattr(Run, name)))
            try:
                train(settings, run)
                break
            except Killed:
                pass
        if not run.config_path.exists():
            train(settings, run, resume=True)
        else:
            train(None, run, resume=True)
        assert final_state(run) == expected, f"killed before write {limit + 1}"
    assert limit >= 15


@pytest.mark.parametrize("signal", [2, 15])
def test_an_interruption_says_where_and_how_to_go_on(
    config: Callable[..., Config], new_run: Callable[[], Run], signal: int
) -> None:
    run = new_run()
    with pytest.raises(Interrupted) as caught:
        train(config(), run, stop=stop_after(3, signal))
    assert caught.value.exit_code == 128 + signal
    assert caught.value.message == "stopped in epoch 1 after step 3 of 6"
    assert (caught.value.hint, caught.value.run) == ("go on with: `resume=True`", run.path)
    assert load_checkpoint(run.last_path).meta["step"] == 3


def test_a_caller_who_stops_listening_leaves_a_run_that_can_be_resumed(
    config: Callable[..., Config], new_run: Callable[[], Run]
) -> None:
    unbroken, left = new_run(), new_run()
    train(config(), unbroken)
    records = train_run(config(), left, plots=False)
    for _ in range(STEPS + 3):
        next(records)
    records.close()  # type: ignore[attr-defined]
    assert left.status() == "interrupted"
    train(None, left, resume=True)
    assert final_state(left) == final_state(unbroken)


def test_a_caller_who_stops_after_the_result_leaves_a_finished_run(
    config: Callable[..., Config], new_run: Callable[[], Run]
) -> None:
    run = new_run()
    for record in train_run(config(), run, plots=False):
        if isinstance(record, TrainResult):
            break
    assert run.status() == "done"


def test_checkpoints_are_written_within_an_epoch(
    config: Callable[..., Config], new_run: Callable[[], Run]
) -> None:
    run = new_run()
    seen = []
    for record in train_run(config("train.save_every={steps: 4}", "train.epochs=1"), run, plots=False):
        if isinstance(record, StepRecord):
            seen.append(load_checkpoint(run.last_path).meta["step"] if run.last_path.exists() else None)
    assert seen == [None, None, None, 4, 4, 4]


def test_a_finished_run_says_so(config: Callable[..., Config], new_run: Callable[[], Run]) -> None:
    run = new_run()
    train(config(), run)
    before = run.read_info()
    with pytest.raises(RunError, match="run-1 is finished: 3 of 3 epochs are done") as caught:
        train(None, run, resume=True)
    assert (caught.value.hint, caught.value.run) == ("train it for longer: `train.epochs=6`", run.path)
    with pytest.raises(UsageError, match="has done 3 epochs, more than the 2 asked for"):
        train(None, run, resume=True, epochs=2)
    assert run.read_info() == before
    assert run.status() == "done"


def test_a_finished_run_goes_on_when_given_more_epochs(
    config: Callable[..., Config], new_run: Callable[[], Run]
) -> None:
    run = new_run()
    train(config(), run)
    first = run.read_metrics()
    records = list(train_run(None, run, resume=True, epochs=5, plots=False))
    rows = run.read_metrics()
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5]
    assert rows[:3] == first
    assert rows[3]["time_s"] > first[-1]["time_s"]
    steps = [r for r in records if isinstance(r, StepRecord)]
    # the cosine is computed anew for 5 epochs: 15 of its 27 steps after the warm-up lie behind
    assert steps[0].learning_rate == pytest.approx(0.05 * (1 + np.cos(np.pi * 15 / 27)) / 2)
    assert run.read_info()["extensions"] == [{"after_epoch": 3, "epochs": 5}]
    assert parse_config(run.config_path.read_text(), "config.yaml").train.epochs == 5


def test_an_extended_constant_schedule_equals_the_longer_run(
    config: Callable[..., Config], new_run: Callable[[], Run]
) -> None:
    constant = ["train.schedule=constant", "train.warmup_epochs=0"]
    extended, long = new_run(), new_run()
    train(config(*constant, "train.epochs=2"), extended)
    train(None, extended, resume=True, epochs=4)
    train(config(*constant, "train.epochs=4"), long)
    assert final_state(extended) == final_state(long)


def test_early_stopping_survives_a_resume_and_can_be_given_more_patience(
    config: Callable[..., Config], new_run: Callable[[], Run]
) -> None:
    # a learning rate this small changes no answer, so that no epoch beats the first by much
    settings = ["train.epochs=9", "train.patience=2", "train.optimizer.lr=1e-12", "train.average=null"]
    unbroken, broken = new_run(), new_run()
    result = train(config(*settings), unbroken)
    assert result.epochs < 9
    assert unbroken.read_info()["stopped_early"] is True
    with pytest.raises(Interrupted):
        train(config(*settings), broken, stop=stop_after(STEPS + 5))
    train(None, broken, resume=True)
    assert final_state(broken) == final_state(unbroken)
    with pytest.raises(RunError, match="stopped early after epoch") as caught:
        train(None, unbroken, resume=True, epochs=20)
    assert "`train.patience=4`" in caught.value.hint
    assert train(config(*settings, "train.patience=4"), unbroken, resume=True).epochs > result.epochs


def test_without_validation_the_last_epoch_is_the_best_and_its_columns_are_empty(
    config: Callable[..., Config], new_run: Callable[[], Run]
) -> None:
    run = new_run()
    result = train(config("data.validation=0", "train.average=null"), run)
    assert result.best_epoch == 3 and result.val_accuracy is None
    assert all(row["val_loss"] is None and row["val_accuracy"] is None for row in run.read_metrics())
    assert network_hash(load_checkpoint(run.best_path).network) == run.read_info()["weights_sha256"]


def test_the_best_checkpoint_holds_the_averaged_weights_that_were_judged(
    config: Callable[..., Config], new_run: Callable[[], Run]
) -> None:
    run = new_run()
    train(config("train.epochs=1"), run)
    last, best = load_checkpoint(run.last_path), load_checkpoint(run.best_path)
    assert not best.optimizer and not best.average
    for name, array in best.network.items():
        assert np.array_equal(array, last.average[name])
    assert not np.array_equal(best.network["conv1.weight"], last.network["conv1.weight"])


def test_the_test_images_choose_nothing(
    config: Callable[..., Config], new_run: Callable[[], Run], data: Path, tiny_pictures: Callable[..., Any]
) -> None:
    one, two = new_run(), new_run()
    train(config(), one)
    images, labels = tiny_pictures(15, 77)
    write_idx(data / "t10k-images-idx3-ubyte.gz", 255 - images)
    write_idx(data / "t10k-labels-idx1-ubyte.gz", labels[::-1].astype(np.uint8))
    train(config(), two)
    before, after = final_state(one), final_state(two)
    assert before["info"].pop("test_accuracy") != after["info"].pop("test_accuracy")
    assert before == after


def test_divergence_fails_the_run_and_keeps_the_last_good_checkpoint(
    config: Callable[..., Config], new_run: Callable[[], Run]
) -> None:
    run = new_run()
    wild = ["train.optimizer.lr=1e38", "train.clip_norm=null", "train.save_every.steps=1"]
    good = ""
    with pytest.raises(DivergenceError, match=r"^epoch 1, step \d of 6: the (loss|gradient)") as caught:
        for _ in train_run(config(*wild), run, plots=False):
            good = network_hash(load_checkpoint(run.last_path).network)
    assert run.status() == "failed"
    assert run.read_info()["error"] == str(caught.value)
    assert network_hash(load_checkpoint(run.last_path).network) == good


def test_weights_that_diverge_in_the_last_step_of_an_epoch_are_told_by_validation(
    config: Callable[..., Config], new_run: Callable[[], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step itself has a finite loss; the weights that it leaves behind have none."""
    run, real = new_run(), session.evaluate

    def diverged(executor: Any, *args: Any, **options: Any) -> Any:
        executor.network.parameters.values[...] = np.nan
        return real(executor, *args, **options)

    monkeypatch.setattr(session, "evaluate", diverged)
    with pytest.raises(
        DivergenceError, match=r"^epoch 1: the loss on the validation images is nan"
    ) as caught:
        train(config(), run)
    assert run.status() == "failed" and run.read_info()["error"] == str(caught.value)
    assert not run.best_path.exists()


def test_a_full_disk_fails_the_run_and_a_resume_makes_up_for_it(
    config: Callable[..., Config], new_run: Callable[[], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    unbroken, run = new_run(), new_run()
    train(config(), unbroken)

    def full(*args: Any) -> None:
        raise StorageError("cannot write last.npz: the disk is full")

    records = train_run(config(), run, plots=False)
    for _ in range(STEPS + 1):
        next(records)
    with monkeypatch.context() as patch:
        patch.setattr(session, "save_last", full)
        with pytest.raises(StorageError):
            list(records)
    assert run.status() == "failed"
    train(None, run, resume=True)
    assert final_state(run) == final_state(unbroken)
    assert run.read_info()["error"] is None


def test_a_resume_refuses_another_config_and_other_images(
    config: Callable[..., Config], new_run: Callable[[], Run], data: Path, tiny_pictures: Callable[..., Any]
) -> None:
    run = new_run()
    with pytest.raises(Interrupted):
        train(config(), run, stop=stop_after(3))
    with pytest.raises(
        RunError, match=r"started with train.optimizer.lr = 0.05; a resume cannot change it to 0.1"
    ):
        train(config("train.optimizer.lr=0.1"), run, resume=True)
    images, _ = tiny_pictures(36, 5)
    write_idx(data / "train-images-idx3-ubyte.gz", images)
    with pytest.raises(
        RunError, match="the training and validation images are not those that run-1 was started with"
    ):
        train(None, run, resume=True)
    assert run.status() == "interrupted"


def test_what_changes_no_result_may_change_in_a_resume(
    config: Callable[..., Config], new_run: Callable[[], Run]
) -> None:
    unbroken, run = new_run(), new_run()
    train(config(), unbroken)
    with pytest.raises(Interrupted):
        train(config(), run, stop=stop_after(3))
    train(
        config("train.save_every.steps=1", "train.eval_batch_size=1000", "engine.workers=1"), run, resume=True
    )
    assert final_state(run) == final_state(unbroken)


def test_a_folder_that_holds_a_training_is_not_trained_over(
    config: Callable[..., Config], new_run: Callable[[], Run]
) -> None:
    run = new_run()
    train(config("train.epochs=1"), run)
    with pytest.raises(RunError, match="run-1 has been trained already"):
        train(config(), run)
    assert run.status() == "done"


def files_of(run: Run) -> dict[str, bytes]:
    """The content of every file of a run but its lock."""
    return {
        str(path.relative_to(run.path)): path.read_bytes()
        for path in sorted(run.path.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


@pytest.fixture
def trained(config: Callable[..., Config], new_run: Callable[[], Run]) -> Run:
    run = new_run()
    train(config(), run)
    return run


def drop_keys(run: Run, *keys: str) -> None:
    info = {key: value for key, value in run.read_info().items() if key not in keys}
    run.info_path.write_text(json.dumps(info))


@pytest.mark.parametrize("witness", ["run.json", "metrics.csv", "run.json of an older version"])
def test_a_missing_last_checkpoint_is_not_a_beginning(trained: Run, witness: str) -> None:
    trained.last_path.unlink()
    if witness == "metrics.csv":
        trained.info_path.unlink()
    else:
        trained.metrics_path.unlink()
    if "older" in witness:
        drop_keys(trained, "saved_steps")
    before = files_of(trained)
    with pytest.raises(RunError, match=r"last.npz is missing, and run-1 has done 3 epochs") as caught:
        train(None, trained, resume=True, epochs=5)
    assert caught.value.hint and str(trained.config_path) in caught.value.hint
    assert files_of(trained) == before


def test_a_missing_checkpoint_within_the_first_epoch_is_not_a_beginning(
    config: Callable[..., Config], new_run: Callable[[], Run]
) -> None:
    run = new_run()
    records = train_run(config("train.save_every.steps=2"), run, plots=False)
    for _ in range(3):
        next(records)
    assert run.read_info()["saved_steps"] == 2
    records.close()  # type: ignore[attr-defined]
    run.last_path.unlink()
    with pytest.raises(RunError, match=r"last.npz is missing"):
        train(None, run, resume=True)


def test_a_run_that_failed_before_its_first_checkpoint_may_begin_again(
    config: Callable[..., Config], new_run: Callable[[], Run]
) -> None:
    run = new_run()
    wild = ["train.optimizer.lr=1e38", "train.clip_norm=null"]
    with pytest.raises(DivergenceError):
        train(config(*wild), run)
    assert not run.last_path.exists() and run.read_info()["steps_done"] > 0
    with pytest.raises(DivergenceError):
        train(None, run, resume=True)


def test_a_missing_folder_of_checkpoints_is_not_made_anew(trained: Run) -> None:
    shutil.rmtree(trained.checkpoints)
    with pytest.raises(RunError, match=r"last.npz is missing"):
        train(None, trained, resume=True, epochs=5)
    assert not trained.checkpoints.exists()


def test_a_run_without_its_last_checkpoint_is_not_trained_over(
    config: Callable[..., Config], trained: Run
) -> None:
    trained.last_path.unlink()
    before = files_of(trained)
    with pytest.raises(RunError, match="run-1 has been trained already"):
        train(config(), trained)
    assert files_of(trained) == before


def test_a_missing_or_an_older_best_checkpoint_is_refused(
    config: Callable[..., Config], new_run: Callable[[], Run]
) -> None:
    run, others = new_run(), []
    for record in train_run(config("data.validation=0", "train.average=null"), run, plots=False):
        if isinstance(record, EpochRecord):  # without validation every epoch is the best one so far
            others.append(run.best_path.read_bytes())
    run.best_path.write_bytes(others[0])
    before = files_of(run)
    with pytest.raises(RunError, match="the weights of epoch 1, and the best epoch of run-1 is epoch 3"):
        train(None, run, resume=True, epochs=5)
    assert files_of(run) == before
    run.best_path.unlink()
    with pytest.raises(RunError, match=r"best.npz is missing, and the best epoch of run-1 is epoch 3"):
        train(None, run, resume=True, epochs=5)
    assert set(files_of(run)) == set(before) - {"checkpoints/best.npz"}


def test_a_best_checkpoint_of_another_run_is_refused(
    config: Callable[..., Config], new_run: Callable[[], Run], trained: Run
) -> None:
    other = new_run()
    train(config("seed=6"), other)
    trained.best_path.write_bytes(other.best_path.read_bytes())
    if load_checkpoint(other.best_path).meta["best"]["epoch"] > trained.read_info()["best_epoch"]:
        pytest.skip("it looks like the checkpoint of a later epoch")
    with pytest.raises(RunError, match="the best epoch of run-1 is epoch"):
        train(None, trained, resume=True, epochs=5)


def test_an_older_last_checkpoint_does_not_take_the_place_of_later_epochs(
    config: Callable[..., Config], new_run: Callable[[], Run]
) -> None:
    run, old = new_run(), b""
    for record in train_run(config(), run, plots=False):
        if isinstance(record, EpochRecord) and record.epoch == 1:
            old = run.last_path.read_bytes()
    expected = final_state(run)
    run.last_path.write_bytes(old)
    before = files_of(run)
    with pytest.raises(RunError, match=r"last.npz is from epoch 1, and metrics.csv has 3 epochs") as caught:
        train(None, run, resume=True)
    assert files_of(run) == before
    assert "remove their rows" in str(caught.value.hint)
    run.rewrite_metrics(run.read_metrics()[:1])
    train(None, run, resume=True)
    assert final_state(run) == expected


def test_a_lost_metrics_file_is_written_anew_from_the_checkpoint(trained: Run) -> None:
    rows = trained.read_metrics()
    trained.metrics_path.unlink()
    train(None, trained, resume=True, epochs=4)
    assert trained.read_metrics()[:3] == rows
    assert len(trained.read_metrics()) == 4


def test_a_metrics_file_that_alone_has_the_first_epochs_has_to_be_there(
    config: Callable[..., Config], new_run: Callable[[], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cnncli.training.state.HISTORY_ROWS", 2)
    run = new_run()
    train(config(), run)
    rows = run.read_metrics()
    run.rewrite_metrics(rows[1:])
    before = files_of(run)
    with pytest.raises(RunError, match="lacks epochs, and the checkpoint has those from 2 on only"):
        train(None, run, resume=True, epochs=4)
    assert files_of(run) == before
    run.rewrite_metrics(rows)
    train(None, run, resume=True, epochs=4)
    assert run.read_metrics()[:3] == rows


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            ("nesterov: true, ", ""),
            "train.optimizer.nesterov = True; a resume cannot change it to its default",
        ),
        (("momentum: 0.9", "momentum: 0.9, weight_decay: 0.1"), "weight_decay = its default; .* to 0.1"),
        (("rate: 0.2", "rate: 0.3"), "started with model = "),
        (("validation: 8", "validation: 9"), "started with data.validation = 8"),
        (("mean: 0.2", "mean: 0.25"), "data.normalize.mean = 0.2"),
        (("seed: 5", "seed: 6"), "seed = 5"),
    ],
)
def test_a_config_file_that_was_edited_is_refused(
    config: Callable[..., Config], new_run: Callable[[], Run], change: tuple[str, str], words: str
) -> None:
    run = new_run()
    train(config("train.optimizer.nesterov=true", "model.5.dropout={rate: 0.2}"), run)
    text = run.config_path.read_text()
    old = change[0].replace("nesterov: true, ", ", nesterov: true")
    assert old in text
    run.config_path.write_text(text.replace(old, change[1]))
    before = files_of(run)
    with pytest.raises(RunError, match=words):
        train(None, run, resume=True, epochs=5)
    assert files_of(run) == before


def test_a_damaged_checkpoint_is_an_error_and_not_a_fresh_start(
    config: Callable[..., Config], new_run: Callable[[], Run]
) -> None:
    run = new_run()
    with pytest.raises(Interrupted):
        train(config(), run, stop=stop_after(8))
    content = bytearray(run.last_path.read_bytes())
    content[len(content) // 2] ^= 1
    run.last_path.write_bytes(content)
    with pytest.raises(CheckpointError):
        train(None, run, resume=True)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("data.validation=36", "a validation part of 36 images leaves none"),
        ("data.dataset=mnits", "no data set is called 'mnits'"),
        ("model=[flatten, linear: 4]", "the network has 4 outputs"),
        ("model=[flatten, dense: 4]", "unknown layer 'dense'"),
        ("data.augment=[{shift: 1}, {spin: 3}]", "unknown augmentation 'spin'"),
        (
            "train.optimizer.momentum=2",
            "momentum: expected a number from 0 up to but not including 1, found 2",
        ),
        ("train.schedule.name=cosin", "unknown schedule 'cosin'"),
        ("train.schedule.factor=2", "schedule cosine has no option 'factor'"),
        ("train.average.decay=1", "decay: expected a number from 0 up to but not including 1"),
    ],
)
def test_a_config_that_cannot_be_built_is_refused_with_its_place(
    config: Callable[..., Config], new_run: Callable[[], Run], override: str, words: str
) -> None:
    run = new_run()
    with pytest.raises(ConfigError) as caught:
        train(config().with_overrides([override]), run)
    assert words in caught.value.message
    assert "override" in caught.value.message or "tiny.yaml:" in caught.value.message
    assert run.status() == "failed"


def test_a_batch_that_does_not_fit_into_memory_is_refused(
    config: Callable[..., Config], new_run: Callable[[], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "available_bytes", lambda: 10_000)
    with pytest.raises(CnnError, match="a batch of 5 images takes about") as caught:
        train(config(), new_run())
    assert "train.batch_size=" in caught.value.hint


@pytest.mark.parametrize("kind", ["fast", "plain"])
def test_a_profile_says_where_the_time_of_the_steps_went(
    config: Callable[..., Config], new_run: Callable[[], Run], kind: str
) -> None:
    run, profiled = new_run(), new_run()
    settings = config(f"engine.kind={kind}", "engine.workers=1")
    train(settings, run)
    for _ in train_run(settings, profiled, profile=True, plots=False):
        pass
    document = json.loads((profiled.path / "profile.json").read_text())
    assert document["steps"] == 3 * STEPS
    assert sum(row["share"] for row in document["rows"]) == pytest.approx(1, abs=0.01)
    assert sum(row["milliseconds"] for row in document["rows"]) == pytest.approx(
        document["milliseconds"], rel=0.01
    )
    named = " ".join(row["what"] for row in document["rows"])
    for layer in ("conv1", "batchnorm1", "maxpool1", "linear1", "optimizer"):
        assert layer in named
    text = (profiled.path / "profile.txt").read_text()
    assert max(map(len, text.splitlines())) <= 80
    assert final_state(profiled) == final_state(run)  # looking changes nothing
    assert not (run.path / "profile.txt").exists()


def test_an_interrupted_part_has_its_own_profile(
    config: Callable[..., Config], new_run: Callable[[], Run]
) -> None:
    run = new_run()
    with pytest.raises(Interrupted):
        for _ in train_run(config("engine.kind=plain"), run, stop=stop_after(4), profile=True, plots=False):
            pass
    first = json.loads((run.path / "profile.json").read_text())["steps"]
    for _ in train_run(None, run, resume=True, profile=True, plots=False):
        pass
    assert first + json.loads((run.path / "profile.json").read_text())["steps"] == 3 * STEPS
