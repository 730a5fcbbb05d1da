"""What a user names is found: models, pictures, and the target of an inspection."""

from pathlib import Path

import numpy as np
import pytest

from cnncli.errors import PictureError, UsageError
from cnncli.runs import create_run
from cnncli.training.bundled import BUNDLED_PATH
from cnncli.training.lookup import find_model, find_pictures, kind_of


@pytest.fixture(autouse=True)
def _stand_in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_without_a_finished_run_the_bundled_model_is_found() -> None:
    create_run()
    assert find_model(None).is_bundled


def test_pictures_are_found_in_folders_by_patterns_and_on_stdin() -> None:
    for name in ("a/2.PNG", "a/b/1.jpg", "a/notes.txt", "a/.hidden/3.png", "c-1.txt", "c-2.txt"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    notes: list[str] = []
    found = find_pictures(["a", "c-*", "-", "missing.png"], lambda: b"content", notify=notes.append)
    assert notes == [
        "a: left out: 1 hidden (.hidden/3.png)",
        "a: left out: 1 not a picture (notes.txt)",
    ]
    assert found == [
        *(Path("a/2.PNG"), Path("a/b/1.jpg"), Path("c-1.txt"), Path("c-2.txt")),
        *(("stdin", b"content"), Path("missing.png")),
    ]
    for name in ("a/.hidden", "x-*"):
        Path("a/.hidden/3.png").unlink(missing_ok=True)
        with pytest.raises(PictureError):
            find_pictures([name], bytes)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("some.yaml", "config"),
        ("mnist", "dataset"),
        ("synthetic", "dataset"),
        ("folder:pets", "dataset"),
        ("pets", "dataset"),
        ("digit.png", "picture"),
        ("latest", "run"),
        ("bundled", "model"),
        ("bundled.yaml", "config"),
        ("wide", "run"),
        ("wi", "run"),
        ("runs/wide", "run"),
        ("runs", "runs"),
        ("best.npz", "checkpoint"),
        ("vgg-small", "config"),
    ],
)
def test_a_name_stands_for_one_kind_of_thing(name: str, kind: str) -> None:
    create_run(name="wide")
    Path("pets").mkdir()
    Path("digit.png").touch()
    Path("best.npz").symlink_to(BUNDLED_PATH)
    assert kind_of(name, Path("runs")) == kind


def test_a_name_that_stands_for_nothing_gets_the_nearest() -> None:
    create_run(name="wide")
    with pytest.raises(UsageError, match="wdie is no config, run, data set or picture") as caught:
        kind_of("wdie", Path("runs"))
    assert caught.value.hint == "did you mean 'wide'?"


def test_the_folder_of_runs_is_known_before_the_first_run() -> None:
    assert kind_of("runs", Path("runs")) == "runs"
    Path("runs").mkdir()
    assert kind_of("runs", Path("runs")) == "runs"
    with pytest.raises(UsageError):
        kind_of("other", Path("runs"))


def test_an_archive_of_arrays_that_is_no_checkpoint_is_a_data_set() -> None:
    np.savez("arrays.npz", images=np.zeros(3))
    assert kind_of("arrays.npz", Path("runs")) == "dataset"
