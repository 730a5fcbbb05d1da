"""Right after the installation, with no run, no data and no network, `cnn predict` reads pictures."""

import json
from pathlib import Path

import pytest

from .conftest import CONFIG, write_tiny_set
from .test_predict import black_on_white, drawn, white_on_black


@pytest.fixture(autouse=True)
def _stand_in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("look", [black_on_white, white_on_black])
def test_simple_pictures_are_read_right_in_an_empty_folder(cnn, look) -> None:
    Path("p").mkdir()
    for digit in "0123456789":
        look(digit).save(f"p/{digit}.png")
    result = cnn("predict", "p", "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["model"] == "bundled"
    assert [each["text"] for each in document["images"]] == list("0123456789")
    assert not Path("runs").exists()


def test_the_answer_says_which_model_gave_it(cnn) -> None:
    drawn("3").save("digit.png")
    assert (
        "model bundled, which ships with cnn, because no run in runs is finished"
        in cnn("predict", "digit.png").stderr
    )
    assert "because" not in cnn("predict", "digit.png", "--run", "bundled").stderr


def test_a_finished_run_comes_first_and_the_bundled_model_can_still_be_named(cnn) -> None:
    write_tiny_set(Path("tiny"))
    Path("tiny.yaml").write_text(CONFIG)
    assert cnn("train", "tiny.yaml", "--epochs", "1", "--no-plots", "-q").exit_code == 0
    drawn("3").save("digit.png")
    for options, model in (([], "run-1"), (["--run", "bundled"], "bundled")):
        assert json.loads(cnn("predict", "digit.png", "--json", *options).stdout)["model"] == model


def test_inspect_shows_how_it_was_made(cnn) -> None:
    result = cnn("inspect", "bundled")
    assert result.exit_code == 0, result.stderr
    for part in (
        "which ships with cnn",
        "mnist + synthetic",
        "cnn train",
        "10,000 images of mnist",
        "sha256",
    ):
        assert part in result.stdout
    document = json.loads(cnn("inspect", "bundled", "--json").stdout)
    assert document["kind"] == "model" and document["parameters"] < 100_000
    assert document["build"]["test"].keys() == {"mnist", "synthetic"}


def test_it_is_measured_like_a_run(cnn) -> None:
    result = cnn("eval", "bundled", "--dataset", "synthetic", "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    built = json.loads(cnn("inspect", "bundled", "--json").stdout)["build"]["test"]["synthetic"]
    assert document["run"] == "bundled" and document["count"] == built["images"]
    assert document["accuracy"] == pytest.approx(built["accuracy"], abs=0.003)
    assert not Path("runs").exists()
    missing = cnn("eval", "bundled")
    assert missing.exit_code == 1 and "cnn download mnist" in missing.stderr


def test_it_cannot_be_resumed_or_replaced(cnn) -> None:
    resumed = cnn("train", "--resume", "bundled")
    assert resumed.exit_code == 1 and "cannot be resumed" in resumed.stderr
    named = cnn("train", "-c", "synthetic", "--name", "bundled")
    assert named.exit_code == 2 and "cannot be called 'bundled'" in named.stderr
