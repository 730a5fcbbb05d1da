"""What the network takes for none of its classes is marked, refused or named all the same."""

import json
from pathlib import Path

import pytest

from cnncli.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from cnncli.training.bundled import BUNDLED_PATH

from .test_predict import drawn


@pytest.fixture(autouse=True)
def _two_models_and_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a model to which everything is unknown and one to which nothing is."""
    monkeypatch.chdir(tmp_path)
    saved = load_checkpoint(BUNDLED_PATH)
    for name, threshold in (("suspicious", 1e6), ("trusting", -1e6)):
        saved.meta["calibration"] = {"temperature": 1.0, "unknown_threshold": threshold}
        save_checkpoint(Path(f"{name}.npz"), Checkpoint(saved.network, meta=saved.meta))
    drawn("3").save("digit.png")


def test_it_is_a_question_mark_with_a_warning(cnn) -> None:
    result = cnn("predict", "digit.png", "--run", "suspicious.npz")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "digit.png: ? (like none of the classes)"
    assert "warning: digit.png: this is like none of the classes" in result.stderr
    (image,) = json.loads(cnn("predict", "digit.png", "--run", "suspicious.npz", "--json").stdout)["images"]
    assert (image["text"], image["spaced"]) == ("?", "?")
    (digit,) = image["digits"]
    assert digit["unknown"] is True and digit["class"] == "3"


def test_what_is_known_has_no_mark(cnn) -> None:
    (image,) = json.loads(cnn("predict", "digit.png", "--run", "trusting.npz", "--json").stdout)["images"]
    assert image["text"] == "3" and image["digits"][0]["unknown"] is False and image["warnings"] == []


def test_never_names_everything(cnn) -> None:
    result = cnn("predict", "digit.png", "--run", "suspicious.npz", "--unknown", "never", "--json")
    (image,) = json.loads(result.stdout)["images"]
    assert image["text"] == "3" and image["digits"][0]["unknown"] is False


def test_refuse_makes_it_an_error_and_reads_the_other_pictures(cnn) -> None:
    result = cnn("predict", "digit.png", "--run", "suspicious.npz", "--unknown", "refuse")
    assert (result.exit_code, result.stdout) == (1, "")
    error, hint = result.stderr.splitlines()[-2:]
    assert error == "error: digit.png: it is like none of the classes of bundled"
    assert "--unknown warn" in hint
    assert cnn("predict", "digit.png", "--run", "trusting.npz", "--unknown", "refuse").exit_code == 0


def test_another_word_is_a_usage_error(cnn) -> None:
    assert cnn("predict", "digit.png", "--unknown", "maybe").exit_code == 2


def test_the_table_for_a_spreadsheet_has_a_column_for_it(cnn) -> None:
    for model, mark in (("suspicious", "?"), ("trusting", "")):
        table = cnn("predict", "digit.png", "--run", f"{model}.npz", "--csv", "-").stdout.splitlines()
        cells = dict(zip(table[0].split(","), table[1].split(","), strict=True))
        assert (cells["class"], cells["unknown"]) == ("3", mark)


def test_an_evaluation_says_how_many_were_taken_for_unknown(cnn) -> None:
    result = cnn("eval", "suspicious.npz", "--dataset", "synthetic", "--json")
    document = json.loads(result.stdout)
    assert document["unknown"] == 1.0 and 0 <= document["calibration_error"] <= 1
    shown = cnn("eval", "trusting.npz", "--dataset", "synthetic").stdout
    assert "unknown      0.00 % taken for none of the classes" in shown
