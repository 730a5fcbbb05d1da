"""Runs are compared by what differs: config keys, figures and curves."""

import json
from pathlib import Path

from cnncli.runs.compare import compare_runs
from tests.runs.sample import finished_run, row


def test_what_is_the_same_is_left_out(tmp_path: Path) -> None:
    a, b = finished_run(tmp_path, "a"), finished_run(tmp_path, "b")
    a.config_path.write_text("seed: 1\ntrain: {epochs: 2, lr: 0.1}\nmodel: [{linear: 3}]\n")
    b.config_path.write_text("seed: 1\ntrain: {epochs: 3, lr: 0.1}\nmodel: [{linear: 4}, relu]\n")
    a.write_info(val_accuracy=0.5)
    a.rewrite_metrics([row(1)])
    found = compare_runs({"a": a.path, "b": b.path})
    assert found.config == {
        "train.epochs": [2, 3],
        "model.0.linear": [3, 4],
        "model.1": ["-", "relu"],
    }
    assert found.metrics == {"status": ["done", "done"], "val_accuracy": [0.5, None]}
    assert [len(rows) for rows in found.curves] == [1, 0]
    assert not found.problems
    json.dumps(found.to_json())


def test_a_run_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    a, b = finished_run(tmp_path, "a"), finished_run(tmp_path, "b")
    a.metrics_path.write_text("no header\n")
    b.config_path.write_text("seed: [\n")
    found = compare_runs({"a": a.path, "b": b.path})
    assert len(found.problems) == 2
    assert "metrics.csv:1" in found.problems[0] and "config.yaml:" in found.problems[1]
