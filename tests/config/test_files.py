"""A config is found by path or name, and finding one costs no pydantic."""

import subprocess
import sys
from pathlib import Path

import pytest

from cnncli.config.files import find_config
from cnncli.config.list_entries import ListEntry
from cnncli.config.load import load_config
from cnncli.errors import ConfigError


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_path_comes_before_the_configs_folder_and_that_before_what_ships(empty_folder: Path) -> None:
    shipped = find_config("mnist.yaml")
    assert shipped.is_absolute()
    (empty_folder / "configs").mkdir()
    (empty_folder / "configs" / "mnist.yaml").write_text("model: [relu]\n")
    assert find_config("mnist.yaml") == find_config("mnist") == Path("configs/mnist.yaml")
    (empty_folder / "mnist.yaml").write_text("model: [tanh]\n")
    assert find_config("mnist.yaml") == Path("mnist.yaml")
    assert load_config("mnist.yaml", ["seed=3"]).model == (ListEntry("tanh", {}),)


def test_the_file_that_was_found_is_the_one_that_errors_name(empty_folder: Path) -> None:
    (empty_folder / "configs").mkdir()
    (empty_folder / "configs" / "own.yaml").write_text("model: [relu]\nseed: x\n")
    with pytest.raises(ConfigError, match=r"^configs/own\.yaml:2: seed: expected a whole number"):
        load_config("own")


def test_a_name_does_not_lead_out_of_the_folders_it_is_looked_up_in(empty_folder: Path) -> None:
    (empty_folder / "configs").mkdir()
    (empty_folder / "secret.yaml").write_text("model: [relu]\n")
    with pytest.raises(ConfigError):
        find_config("x/../secret")


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("mnst.yaml", "there is no config 'mnst.yaml'", "did you mean 'mnist'?"),
        ("mnst", "there is no config 'mnst'", "did you mean 'mnist'?"),
        ("some/mnist.yml", "there is no config 'some/mnist.yml'", "did you mean 'mnist'?"),
        ("a\0b", "there is no config 'a\\x00b'", "known: "),
        (
            "a-folder",
            "a-folder is a folder, not a config",
            "a config trains on the pictures in it with `data.dataset=folder:a-folder`",
        ),
        (
            "folder:fruit",
            "folder:fruit is a data set, not a config",
            "a config trains on the pictures in it with `data.dataset=folder:fruit`",
        ),
        ("a-run", "a-run is a folder, not a config", "did you mean 'a-run/config.yaml'?"),
    ],
)
def test_a_config_that_is_not_there_is_answered_with_the_nearest(
    empty_folder: Path, name: str, message: str, hint: str | None
) -> None:
    (empty_folder / "a-folder").mkdir()
    (empty_folder / "a-run").mkdir()
    (empty_folder / "a-run" / "config.yaml").touch()
    with pytest.raises(ConfigError) as caught:
        find_config(name)
    assert caught.value.message == message
    assert (caught.value.hint or "").startswith(hint or "") and bool(caught.value.hint) == bool(hint)


def test_a_name_too_long_for_a_file_is_an_error_with_a_message() -> None:
    with pytest.raises(ConfigError, match="is not a config"):
        find_config("x" * 5000)


def test_a_file_too_large_is_not_read_to_its_end(empty_folder: Path) -> None:
    with pytest.raises(ConfigError, match="zero:1: too large"):
        load_config("/dev/zero")


def test_finding_a_config_and_knowing_a_layer_need_no_pydantic() -> None:
    code = "import sys, cnncli.config.files, cnncli.config.list_entries; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
