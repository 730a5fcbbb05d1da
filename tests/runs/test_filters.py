"""A condition is read as a user writes it, and a run without the value meets none but `!=`."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from cnncli.errors import UsageError
from cnncli.runs.filters import known_keys, read_filter
from cnncli.runs.listing import SORTS, Listed


@pytest.fixture
def run(tmp_path: Path) -> Listed:
    (tmp_path / "config.yaml").write_text(
        "train: {batch_size: 64, log: [], drop_last: true, patience: null, optimizer: {name: adam, lr: 1e-3}}\n"
        "model: [{conv: {filters: 8}}, relu]\n"
    )
    created = datetime(2026, 11, 28, 12, 30, tzinfo=UTC)
    return Listed("wide-3", tmp_path, "run", "done", "mnist.yaml", val_accuracy=0.99, created=created)


@pytest.mark.parametrize(
    "text",
    [
        *("val>=0.99", "val >= 99 %", "val=99%", "val<1", "val!=0.5", "name=wide*", "name=a,wide-?", "status=done"),
        *("config=mnist.*", "config!=small*", "test!=1", "when>=2026-11-28", "when=2026-11-28", "when<2026-12-01"),
        *("train.batch_size=64", "train.batch_size<=64", "train.optimizer.lr=0.001", "train.optimizer.name=ad*"),
        *("model.0.conv.filters=8", "model.1=relu", "train.drop_last=true", "train.patience=null"),
        *("train.no_such!=3", "size<1MB", "kind==run"),
    ],
)  # fmt: skip
def test_a_run_meets_a_condition(run: Listed, text: str) -> None:
    assert read_filter(text).accepts(run)


@pytest.mark.parametrize(
    "text",
    [
        *("val>0.99", "val!=99%", "name=wide", "name!=w*", "test>0", "test<1", "test=1", "when<2026-11-28"),
        *("train.batch_size=65", "train.optimizer.lr>1", "train.optimizer.name>1", "train.no_such=3"),
    ],
)
def test_a_run_does_not_meet_a_condition(run: Listed, text: str) -> None:
    assert not read_filter(text).accepts(run)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("val", "is no filter", "keys: name"),
        ("", "is no filter", "keys"),
        ("val>=", "is no filter", "keys"),
        ("vel>1", "there is no key 'vel'", "did you mean 'val'"),
        ("val>high", "expected a number such as 0.99", ""),
        ("name>3", "name is a text", ""),
        ("when>yesterday", "expected a date", ""),
        ("train.batch_size>many", "expected a number after >", ""),
    ],
)
def test_a_condition_that_cannot_be_read_is_explained(text: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        read_filter(text)
    assert hint in (caught.value.hint or "")


def test_what_can_be_sorted_by_can_be_a_condition() -> None:
    assert set(SORTS) <= set(known_keys())


def test_a_run_whose_config_cannot_be_read_has_no_keys(tmp_path: Path) -> None:
    run = Listed("a", tmp_path, "run", "done")
    assert not read_filter("train.epochs=1").accepts(run)
    assert read_filter("train.epochs!=1").accepts(run)
