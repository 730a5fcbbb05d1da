"""Image sets that stay in their file: the same training, and pages that are given back."""

from pathlib import Path

import numpy as np
import pytest

import cnncli.mapped as mapped
from cnncli import load_config, load_model, train_run
from cnncli.data.dataset import pixel_statistics
from cnncli.data.load import load_dataset
from cnncli.data.readers import idx
from cnncli.data.readers.idx import read_idx, write_idx
from cnncli.errors import DataError
from cnncli.mapped import blocks, is_mapped, map_bytes, release_pages, take
from cnncli.runs import create_run

RNG = np.random.default_rng(0)


def write_set(folder: Path, *, test: bool = True, suffix: str = "") -> Path:
    folder.mkdir()
    for part, count in (("train", 300), ("t10k", 40)) if test else (("train", 300),):
        write_idx(
            folder / f"{part}-images-idx3-ubyte{suffix}", RNG.integers(0, 256, (count, 8, 9), dtype=np.uint8)
        )
        write_idx(folder / f"{part}-labels-idx1-ubyte{suffix}", (np.arange(count) % 4).astype(np.uint8))
    return folder


@pytest.fixture
def every_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Map files of any size, and give pages back all the time."""
    monkeypatch.setattr(idx, "SMALLEST", 1)
    monkeypatch.setattr(mapped, "BLOCK", 5000)


def test_a_mapped_set_trains_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_set(tmp_path / "set")
    found = []
    for smallest in (1 << 30, 1):
        monkeypatch.setattr(idx, "SMALLEST", smallest)
        dataset = load_dataset(str(folder))
        assert is_mapped(dataset.train.images) == (smallest == 1) and not is_mapped(dataset.test.images)
        config = load_config(
            "synthetic",
            [
                f"data.dataset={folder}",
                "model=[flatten, {linear: 4}]",
                "train.epochs=2",
                "data.normalize=null",
                "data.validation=30",
                "data.augment=[{shift: 1}]",
                "engine.workers=2",
            ],
        )
        *_, result = train_run(config, create_run(tmp_path / "runs", f"run-{smallest}"), plots=False)
        found.append(
            (
                load_model(tmp_path / "runs" / f"run-{smallest}").network.parameters.values,
                result.test_accuracy,
            )
        )
    np.testing.assert_array_equal(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]


def test_figures_of_a_mapped_set_are_those_in_memory(tmp_path: Path, every_size: None) -> None:
    images = RNG.integers(0, 256, (200, 8, 9), dtype=np.uint8)
    write_idx(tmp_path / "images", images)
    array = read_idx(tmp_path / "images", kind="images", may_map=True)
    assert is_mapped(array) and is_mapped(array[10:20]) and not array.flags.writeable
    assert len(list(blocks(array))) == 3 and len(list(blocks(images))) == 1
    np.testing.assert_array_equal(np.concatenate(list(blocks(array))), images)
    assert pixel_statistics(array) == pixel_statistics(images)
    release_pages(array)
    np.testing.assert_array_equal(array, images)
    chosen = RNG.integers(0, 150, 30)
    for part, same in ((array, images), (array[50:], images[50:])):
        np.testing.assert_array_equal(take(part, chosen), same[chosen])
        np.testing.assert_array_equal(take(part, slice(3, None, 7)), same[3::7])
        assert take(part, chosen[:0]).shape == (0, 8, 9)


def test_a_file_that_becomes_shorter_is_an_error_and_no_crash(tmp_path: Path, every_size: None) -> None:
    write_idx(tmp_path / "images", np.ones((200, 8, 9), np.uint8))
    array = read_idx(tmp_path / "images", kind="images", may_map=True)
    with open(tmp_path / "images", "r+b") as file:
        file.truncate(5000)
    with pytest.raises(DataError, match="become shorter"):
        take(array, np.array([1, 199]))


@pytest.mark.parametrize("change", [-1, 1])
def test_a_file_of_the_wrong_length_is_not_mapped(tmp_path: Path, every_size: None, change: int) -> None:
    path = tmp_path / "images"
    write_idx(path, np.zeros((20, 8, 9), np.uint8))
    content = path.read_bytes()
    path.write_bytes(content[:change] if change < 0 else content + b"x")
    with pytest.raises(DataError, match="truncated" if change < 0 else "goes on after"):
        read_idx(path, kind="images", may_map=True)


@pytest.mark.parametrize(("test", "suffix"), [(False, ""), (True, ".gz")])
def test_what_has_to_be_changed_in_memory_is_read(
    tmp_path: Path, every_size: None, test: bool, suffix: str
) -> None:
    folder = write_set(tmp_path / "set", test=test, suffix=suffix)
    assert not is_mapped(load_dataset(str(folder)).train.images)


def test_pages_of_a_mapped_file_leave_this_process(tmp_path: Path) -> None:
    path = Path("/proc/self/smaps_rollup")
    if not path.exists():
        pytest.skip("only Linux tells how much of a file is in memory")

    def resident() -> int:
        return next(int(line.split()[1]) for line in path.read_text().splitlines() if line.startswith("Rss:"))

    (tmp_path / "bytes").write_bytes(bytes(24 << 20))
    array = map_bytes(tmp_path / "bytes", 0, (24, 1 << 20))
    before = resident()
    array.sum()
    assert resident() - before > 20_000
    release_pages(array)
    assert resident() - before < 4_000
