"""`cnn download`: the list, the check, and folders as a source; the fetching itself is tested beside it."""

import gzip
from pathlib import Path

import pytest

from cnncli.data.registry import DATASETS


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def rows(text: str) -> dict[str, str]:
    return {line.split()[0]: line for line in text.splitlines() if line.strip()}


def test_the_list_names_every_set_and_whether_it_is_here(cnn) -> None:
    result = cnn("download", "--list")
    assert result.exit_code == 0
    listed = rows(result.stdout)
    assert set(listed) >= {*DATASETS, "synthetic"}
    assert listed["mnist"].split()[-1] == "no"
    assert listed["synthetic"].split()[-1] == "yes"
    assert "60,000" in listed["mnist"] and "10,000" in listed["mnist"]


def test_a_missing_set_does_not_verify_and_says_what_to_do(cnn) -> None:
    result = cnn("download", "--verify", "kmnist", "--data-dir", "my data")
    assert result.exit_code == 1
    assert [row.split()[1] for row in rows(result.stdout).values() if "ubyte" in row] == ["missing"] * 4
    assert (
        result.stderr == "hint: `cnn download kmnist --data-dir 'my data'` fetches what is missing or wrong\n"
    )


def test_a_file_that_is_something_else_is_named(cnn) -> None:
    folder = Path("data/mnist")
    folder.mkdir(parents=True)
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(b"<!DOCTYPE html><html>"))
    result = cnn("download", "--verify")
    assert result.exit_code == 1
    row = rows(result.stdout)["train-labels-idx1-ubyte.gz"]
    assert "wrong content" in row or "unreadable" in row


def test_a_folder_that_is_not_there_is_no_source(cnn) -> None:
    result = cnn("download", "--from", "nowhere")
    assert result.exit_code == 2
    assert "nowhere" in result.stderr


def test_an_unknown_set_is_guessed_at(cnn) -> None:
    result = cnn("download", "fashion-minst")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[1] == "hint: did you mean 'fashion-mnist'?"


def test_files_of_a_folder_are_checked_copied_and_verified(cnn, mnist_dir) -> None:
    result = cnn("download", "--from", str(mnist_dir))
    assert result.exit_code == 0, result.stderr
    assert len(result.stdout.splitlines()) == 4
    assert result.stderr.splitlines()[-1] == "done: 60,000 + 10,000 images; next: cnn train"
    assert cnn("download", "--verify").exit_code == 0
    assert rows(cnn("download", "--list").stdout)["mnist"].split()[-1] == "yes"
