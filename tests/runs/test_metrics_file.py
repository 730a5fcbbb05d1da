"""metrics.csv has one row for each epoch, whatever happened to the file."""

import os
from pathlib import Path

import numpy as np
import pytest

from cnncli.errors import RunError, StorageError
from cnncli.runs import COLUMNS, create_run
from tests.runs.sample import row
from tests.small_disk import fill, needs_mount, small_disk


def test_metrics_have_one_header_and_one_row_an_epoch(tmp_path: Path) -> None:
    run = create_run(tmp_path)
    run.append_metrics(row(1))
    run.append_metrics({**row(2), "best": True})
    assert run.metrics_path.read_text().splitlines() == [
        "epoch,step,time_s,lr,train_loss,train_accuracy,val_loss,val_accuracy",
        "1,430,1.25,0.001,0.3333333333333333,0.9,0.10000000149011612,",
        "2,860,2.5,0.001,0.3333333333333333,0.9,0.10000000149011612,",
    ]


def test_metrics_are_read_as_they_were_written(tmp_path: Path) -> None:
    run = create_run(tmp_path)
    rows = [
        row(1, lr=1e-300, val_loss=np.inf),
        row(3, train_loss=np.pi, val_accuracy=1.0),
        row(4, val_loss=-np.inf),
    ]
    for given in rows:
        run.append_metrics(given)
    assert run.read_metrics() == rows
    run.rewrite_metrics(rows[1:])
    assert run.read_metrics() == rows[1:]
    run.append_metrics(row(5, train_loss=np.nan))
    assert np.isnan(run.read_metrics()[-1]["train_loss"])


@pytest.mark.parametrize("name", COLUMNS)
def test_a_row_has_every_column(tmp_path: Path, name: str) -> None:
    given = row(1)
    del given[name]
    with pytest.raises(KeyError):
        create_run(tmp_path).append_metrics(given)


def test_shortened_metrics_go_on_without_a_doubled_or_a_lost_row(tmp_path: Path) -> None:
    run = create_run(tmp_path)
    for epoch in (1, 2, 3):
        run.append_metrics(row(epoch))
    run.rewrite_metrics(run.read_metrics()[:2])
    assert [left["epoch"] for left in run.read_metrics()] == [1, 2]
    run.append_metrics(row(3))
    assert [left["epoch"] for left in run.read_metrics()] == [1, 2, 3]
    run.rewrite_metrics([])
    assert run.read_metrics() == []
    run.append_metrics(row(1))
    assert len(run.read_metrics()) == 1


def test_a_row_cut_anywhere_is_left_out_and_written_over(tmp_path: Path) -> None:
    """kill -9 in the middle of a write leaves a beginning of header and row."""
    run = create_run(tmp_path)
    run.append_metrics(row(1))
    run.append_metrics(row(2))
    whole = run.metrics_path.read_bytes()
    ends = [index + 1 for index, byte in enumerate(whole) if byte == ord("\n")]
    for length in range(len(whole)):
        run.metrics_path.write_bytes(whole[:length])
        epochs = list(range(1, sum(end <= length for end in ends)))
        assert [left["epoch"] for left in run.read_metrics()] == epochs
        if length % 7 == 0:
            run.append_metrics(row(9))
            assert [left["epoch"] for left in run.read_metrics()] == [*epochs, 9]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epoch,loss\n", r"metrics\.csv:1: expected the header epoch,step"),
        ("{header}\n1,2,3\n", r"metrics\.csv:2: expected 8 numbers"),
        ("{header}\n1,2,3,4,5,6,7,8\n\n", r"metrics\.csv:3: expected 8 numbers"),
        ("{header}\n1,2,3,4,5,6,7,8\n1,2,3,4,5,6,7,8\n", r"metrics\.csv:3: epoch 1 follows epoch 1"),
        ("{header}\n1.5,2,3,4,5,6,7,8\n", "expected 8 numbers"),
        ("{header}\n1,2,,4,5,6,7,8\n", "expected 8 numbers"),
        ("{header}\n1,2,3,4,five,6,7,8\n", "expected 8 numbers"),
        ("{header}\n1,2,3,4,1_0,6,7,8\n", "expected 8 numbers"),
        ("{header}\n1,2,3,4,5,6,7,8,9\n", "expected 8 numbers"),
        ("{header}\n1,2,3,4,5,6,7,½\n", "expected 8 numbers"),
    ],
)
def test_metrics_that_are_none_name_the_line(tmp_path: Path, text: str, words: str) -> None:
    run = create_run(tmp_path)
    run.metrics_path.write_text(text.replace("{header}", ",".join(COLUMNS)), encoding="utf-8")
    with pytest.raises(RunError, match=words):
        run.read_metrics()


def test_metrics_saved_by_a_spreadsheet_are_read(tmp_path: Path) -> None:
    run = create_run(tmp_path)
    run.append_metrics(row(1))
    run.metrics_path.write_bytes(run.metrics_path.read_bytes().replace(b"\n", b"\r\n"))
    assert run.read_metrics() == [row(1)]


@pytest.mark.slow
@needs_mount
def test_a_full_disk_costs_no_row_and_no_field(tmp_path: Path) -> None:
    with small_disk(tmp_path, kilobytes=200):
        run = create_run(tmp_path)
        for epoch in range(1, 21):
            run.append_metrics(row(epoch))
        before = run.read_info()
        fill(tmp_path / "other", leave=0)
        with pytest.raises(StorageError, match=r"cannot write .*run\.json: the disk is full"):
            run.write_info(status="done")
        with pytest.raises(StorageError, match="the disk is full"):
            run.rewrite_metrics([row(1)])
        with pytest.raises(StorageError, match=r"cannot write .*metrics\.csv: the disk is full"):
            for epoch in range(21, 100):  # the last page of the file has room for a few
                run.append_metrics(row(epoch))
        with pytest.raises(StorageError, match="the disk is full"):
            create_run(tmp_path, "wide")
        assert run.read_info() == before
        epochs = [found["epoch"] for found in run.read_metrics()]
        assert epochs == list(range(1, epoch))
        assert sorted(os.listdir(tmp_path)) == ["other", "run-1"]
        (tmp_path / "other").unlink()
        run.append_metrics(row(epoch))
        run.write_info(status="done")
        assert run.status() == "done" and run.read_metrics()[-1] == row(epoch)
