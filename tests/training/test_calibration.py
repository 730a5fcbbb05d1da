"""Probabilities become honest, and what is like no class is told by its evidence."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnncli.batches.batches import Batches
from cnncli.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from cnncli.config.load import parse_config
from cnncli.data.synthetic.draw import draw_digits
from cnncli.data.synthetic.others import draw_others
from cnncli.engine import compile
from cnncli.errors import CheckpointError, ConfigError
from cnncli.nn import log_softmax, softmax
from cnncli.runs import create_run
from cnncli.training.bundled import BUNDLED_PATH
from cnncli.training.calibration import (
    FLAGGED,
    LEAST_IMAGES,
    NOT_CALIBRATED,
    Calibration,
    calibration_error,
    evidence_of,
    fit_calibration,
    fit_temperature,
    read_calibration,
    with_temperature,
)
from cnncli.training.evaluate import evaluate
from cnncli.training.model import load_model
from cnncli.training.prepare import prepare
from cnncli.training.session import train_run
from cnncli.training.state import TrainingState
from cnncli.training.training_set import check_sets


def labels_drawn_from(probabilities: Any, rng: np.random.Generator) -> Any:
    """Draw a label for each row, with its probabilities."""
    return (probabilities.cumsum(axis=1) > rng.random((len(probabilities), 1))).argmax(axis=1)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 1.7, 4.0])
def test_a_temperature_that_was_put_in_is_found_again(temperature: float) -> None:
    rng = np.random.default_rng(1)
    honest = 3 * rng.normal(size=(20_000, 5))
    labels = labels_drawn_from(softmax(honest), rng)
    log_probabilities = log_softmax(honest * temperature)
    assert fit_temperature(log_probabilities, labels) == pytest.approx(temperature, rel=0.05)


def test_the_temperature_stays_within_bounds_when_all_is_right() -> None:
    log_probabilities = log_softmax(np.array([[3.0, 0.0]] * 10))
    assert fit_temperature(log_probabilities, np.zeros(10, int)) == pytest.approx(0.1)
    assert fit_temperature(log_probabilities, np.ones(10, int)) == pytest.approx(10)


def test_the_calibration_error_of_honest_probabilities_is_small_and_of_others_is_their_excess() -> None:
    rng = np.random.default_rng(2)
    p = softmax(2 * rng.normal(size=(50_000, 4)))
    labels = labels_drawn_from(p, rng)
    assert calibration_error(p, labels) < 0.01
    certain = np.eye(4)[p.argmax(axis=1)]
    wrong = (p.argmax(axis=1) != labels).mean()
    assert calibration_error(certain, labels) == pytest.approx(wrong)


def test_the_evidence_does_not_depend_on_a_number_added_to_all_logits() -> None:
    logits = np.random.default_rng(0).normal(size=(5, 4))
    assert evidence_of(logits + 100) == pytest.approx(evidence_of(logits))
    assert evidence_of(log_softmax(logits)) == pytest.approx(evidence_of(logits))
    assert evidence_of(np.zeros((1, 4))) == [0]


def test_the_threshold_takes_its_share_of_the_validation_images() -> None:
    rng = np.random.default_rng(3)
    evidence = rng.normal(size=2000)
    found = fit_calibration(np.full((2000, 4), 0.25), evidence, rng.integers(0, 4, 2000))
    assert found.unknown_threshold is not None
    assert (evidence < found.unknown_threshold).mean() == pytest.approx(FLAGGED, abs=1e-3)


def test_too_few_images_and_outputs_that_are_not_finite_give_no_calibration() -> None:
    few = LEAST_IMAGES - 1
    assert fit_calibration(np.full((few, 2), 0.5), np.zeros(few), np.zeros(few, int)) == NOT_CALIBRATED
    broken = np.append(np.zeros(few), np.nan)
    assert fit_calibration(np.full((few + 1, 2), 0.5), broken, np.zeros(few + 1, int)) == NOT_CALIBRATED


def test_a_temperature_changes_the_probabilities_and_not_the_answer() -> None:
    logits = np.array([[2.0, 1.0]], np.float32)
    warm = with_temperature(logits, Calibration(temperature=2))
    assert warm == pytest.approx(softmax(np.array([[1.0, 0.5]])))
    assert warm.dtype == np.float32
    assert with_temperature(logits, NOT_CALIBRATED) == pytest.approx(softmax(logits))


def test_a_calibration_is_read_strictly(tmp_path: Any) -> None:
    assert read_calibration({}) == Calibration()
    whole = {"temperature": 1.5, "unknown_threshold": -3}
    assert read_calibration({"calibration": whole}) == Calibration(1.5, -3)
    wrong: list[Any] = [
        3,
        {"temperature": "warm"},
        {"temperature": 0},
        {"temp": 1},
        {"temperature": float("nan")},
    ]
    for each in wrong:
        with pytest.raises(CheckpointError, match="calibration"):
            read_calibration({"calibration": each})
    saved = load_checkpoint(BUNDLED_PATH)
    saved.meta["calibration"] = {"temperature": -1}
    save_checkpoint(tmp_path / "cold.npz", Checkpoint(saved.network, meta=saved.meta))
    with pytest.raises(CheckpointError, match=r"cold\.npz: its calibration"):
        load_model(tmp_path / "cold.npz")


CONFIG = """
data: {dataset: [{synthetic: {limit: 900}}], validation: 200, unknown: 0.25}
model: [{conv: {filters: 8, kernel: 5}}, relu, {maxpool: 3}, flatten, {linear: 40}, relu, {linear: 10}]
train: {epochs: 3, batch_size: 50, optimizer: {name: adam, lr: 3e-3}}
engine: {workers: 1}
"""


def test_a_network_learns_what_is_no_digit(tmp_path: Any) -> None:
    rng = np.random.default_rng(5)
    shown = draw_digits(np.arange(300) % 10, rng), draw_others(300, rng)
    told = []
    for number, config in enumerate((CONFIG, CONFIG.replace("unknown: 0.25", "unknown: 0"))):
        run = create_run(tmp_path, f"run-{number}")
        list(train_run(parse_config(config), run, plots=False))
        model = load_model(run)
        with compile(model.network) as executor:
            digits, others = (
                evaluate(
                    executor,
                    images,
                    np.zeros(300, np.int64),
                    normalize=model.normalize,
                    calibration=model.calibration,
                )
                for images in shown
            )
        assert digits.evidence is not None and others.evidence is not None
        assert digits.unknown is not None and digits.unknown < 0.1
        # how often one of the others has less evidence than a digit
        told.append((others.evidence[:, None] < digits.evidence).mean())
        if number == 0:
            info = run.read_info()
            assert (info["outliers"], info["train_images"]) == (round(700 / 3), 700)
    assert told[0] > told[1] + 0.1


def test_the_training_accuracy_is_that_of_the_images_with_a_class() -> None:
    state = TrainingState()
    state.add_step(1.0, correct=24, count=50, seconds=1, outliers=20)
    state.add_step(1.0, correct=24, count=50, seconds=1, outliers=20)
    assert state.train_accuracy == 0.8
    state.finish_epoch(0.1, None)
    state.add_step(1.0, correct=25, count=50, seconds=1)
    assert state.train_accuracy == 0.5


def test_an_epoch_has_its_share_of_images_of_no_class() -> None:
    batches = prepare(parse_config(CONFIG)).batches
    assert isinstance(batches, Batches)
    labels = np.concatenate([y for _, y in batches.epoch(1)])
    outliers = [batches.count_outliers(1, step) for step in range(len(batches))]
    assert sum(outliers) == (labels == -1).sum() == round(700 / 3)
    assert outliers[0] == (labels[:50] == -1).sum()


def test_only_digits_have_such_images(tmp_path: Path) -> None:
    for name in ("fashion-mnist", "[mnist, kmnist]"):
        config = parse_config(CONFIG.replace("[{synthetic: {limit: 900}}]", name))
        with pytest.raises(ConfigError, match="is no set of digits"):
            check_sets(config)
    for label in ("0", "1"):
        (tmp_path / "own" / label).mkdir(parents=True)
        for number in range(3):
            Image.new("L", (28, 28)).save(tmp_path / "own" / label / f"{number}.png")
    own = parse_config(
        f"data: {{dataset: 'folder:{tmp_path}/own', unknown: 0.5}}\nmodel: [flatten, linear: 2]"
    )
    with pytest.raises(ConfigError, match="is no set of digits"):
        prepare(own)
    for value in ("1", "-0.1", "much"):
        with pytest.raises(ConfigError, match="unknown"):
            parse_config(CONFIG.replace("unknown: 0.25", f"unknown: {value}"))
