"""A data set that was parsed once is found again by the hash of its files, and never out of date."""

from pathlib import Path

import numpy as np
import pytest

from cnncli.data.load import load_dataset
from cnncli.data.readers import cache, table
from cnncli.data.reading import Reading


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("CNNCLI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "SMALLEST", 1)
    return tmp_path / "cache"


@pytest.fixture
def parsed(monkeypatch) -> list[Path]:
    """The tables that were parsed."""
    paths = []
    read = table.Rows.read
    monkeypatch.setattr(
        table.Rows, "read", lambda self, *given: (paths.append(self.path), read(self, *given))
    )
    return paths


def write(path: Path, seed: int = 0) -> None:
    images = np.random.default_rng(seed).integers(0, 256, (40, 64))
    path.write_text(
        "".join(f"{i % 2}," + ",".join(map(str, row)) + "\n" for i, row in enumerate(images.tolist()))
    )


def same(one, other) -> bool:
    for a, b in ((one.train, other.train), (one.test, other.test)):
        if not (np.array_equal(a.images, b.images) and np.array_equal(a.labels, b.labels)):
            return False
    return (one.classes, one.mean, one.std, one.notes, one.test_drawn) == (
        other.classes,
        other.mean,
        other.std,
        other.notes,
        other.test_drawn,
    )


def test_a_second_start_reads_the_same_set_without_parsing(tmp_path, folder, parsed):
    write(tmp_path / "a.csv")
    first, second = (load_dataset(str(tmp_path / "a.csv")) for _ in range(2))
    assert len(parsed) == 1 and same(first, second)
    assert first.train.images.flags.writeable and second.train.images.flags.writeable


def test_another_content_or_option_is_parsed(tmp_path, folder, parsed):
    write(tmp_path / "a.csv")
    first = load_dataset(str(tmp_path / "a.csv"))
    assert not same(first, load_dataset(str(tmp_path / "a.csv"), reading=Reading(invert=True)))
    write(tmp_path / "a.csv", seed=1)
    assert not same(first, load_dataset(str(tmp_path / "a.csv")))
    assert len(parsed) == 3


def test_a_damaged_entry_is_parsed_again(tmp_path, folder, parsed):
    write(tmp_path / "a.csv")
    first = load_dataset(str(tmp_path / "a.csv"))
    (entry,) = folder.glob("*.npz")
    content = bytearray(entry.read_bytes())
    content[len(content) // 2] ^= 1
    entry.write_bytes(content)
    assert same(first, load_dataset(str(tmp_path / "a.csv"))) and len(parsed) == 2
    assert same(first, load_dataset(str(tmp_path / "a.csv"))) and len(parsed) == 2


def test_a_cache_that_cannot_be_written_changes_nothing(tmp_path, folder, parsed, monkeypatch):
    write(tmp_path / "a.csv")
    folder.write_text("a file in its place")
    load_dataset(str(tmp_path / "a.csv"))
    monkeypatch.setenv("CNNCLI_CACHE", "")
    load_dataset(str(tmp_path / "a.csv"))
    assert len(parsed) == 2


def test_the_entries_not_used_for_the_longest_time_are_removed(tmp_path, folder, monkeypatch):
    for number in range(3):
        write(tmp_path / f"{number}.csv", seed=number)
        load_dataset(str(tmp_path / f"{number}.csv"))
    entries = set(folder.glob("*.npz"))
    assert len(entries) == 3
    monkeypatch.setattr(cache, "MAX_BYTES", 1)
    write(tmp_path / "3.csv", seed=3)
    load_dataset(str(tmp_path / "3.csv"))
    (last,) = folder.glob("*.npz")
    assert last not in entries
