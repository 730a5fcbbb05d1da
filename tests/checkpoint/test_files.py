"""What is saved is loaded bit for bit, and a checkpoint is whole or absent, whatever happens meanwhile."""

import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import cnncli
from cnncli.checkpoint import (
    FORMAT_VERSION,
    Checkpoint,
    load_checkpoint,
    load_meta,
    network_hash,
    save_checkpoint,
)
from cnncli.errors import CheckpointError, StorageError
from cnncli.npz import MAX_MEMBERS
from tests.checkpoint import saver as checkpoint_saver
from tests.checkpoint.mutations import META, saved_bytes, small_checkpoint
from tests.checkpoint.saver import number_in, save_numbered
from tests.small_disk import fill, needs_mount, small_disk

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")


def assert_same(one: Checkpoint, other: Checkpoint) -> None:
    """Compare names, types, shapes and every bit."""
    for group in ("network", "optimizer", "average"):
        ours, theirs = getattr(one, group), getattr(other, group)
        assert list(ours) == list(theirs)
        for name, array in ours.items():
            assert (array.dtype.newbyteorder("="), array.shape) == (theirs[name].dtype, theirs[name].shape)
            assert np.asarray(array, theirs[name].dtype).tobytes() == theirs[name].tobytes()


# Saving and loading


names = st.from_regex(r"[a-z]{1,8}[0-9]{0,3}(\.[a-z_]{1,12})?", fullmatch=True)
dtypes = st.sampled_from(["<f4", "<f8", "<i8", "|u1", ">f4", ">i8"])
arrays = dtypes.flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4))
)
groups = st.dictionaries(names, arrays | arrays.map(np.asfortranarray), max_size=4)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@pytest.mark.parametrize("count", [15, pytest.param(300, marks=pytest.mark.slow)])
def test_what_is_saved_is_loaded_bit_for_bit(tmp_path: Path, count: int) -> None:
    @settings(max_examples=count, deadline=None)
    @given(network=groups, optimizer=groups, average=groups, extra=values)
    def check(network: Any, optimizer: Any, average: Any, extra: Any) -> None:
        assert_round_trip(tmp_path / "round-trip.npz", network, optimizer, average, extra)

    check()


def assert_round_trip(path: Path, network: Any, optimizer: Any, average: Any, extra: Any) -> None:
    saved = Checkpoint(network, optimizer, average, {**META, "extra": extra})
    sha256 = save_checkpoint(path, saved)
    loaded = load_checkpoint(path)
    assert_same(saved, loaded)
    assert loaded.meta == {**saved.meta, "format_version": FORMAT_VERSION, "sha256": sha256}
    assert load_meta(path) == loaded.meta


def test_numpy_opens_a_checkpoint_without_pickle(data: bytes, checkpoint: Checkpoint) -> None:
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        np.testing.assert_array_equal(file["network/conv1.weight"], checkpoint.network["conv1.weight"])
        assert file["optimizer/step_count"] == 7
        assert json.loads(bytes(file["meta"]))["classes"] == META["classes"]
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert archive.namelist()[0] == "meta.npy"


def test_the_documented_way_to_read_a_checkpoint_works(
    data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = Path(__file__).parents[2] / "docs" / "checkpoint-format.md"
    code = page.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    (tmp_path / "best.npz").write_bytes(data)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, str(page), "exec"), {})
    assert "conv1.weight float32 (4, 1, 3, 3)" in capsys.readouterr().out.splitlines()


def test_equal_contents_give_equal_files(checkpoint: Checkpoint, data: bytes, tmp_path: Path) -> None:
    assert saved_bytes(load_checkpoint_from(data, tmp_path), tmp_path) == data


def load_checkpoint_from(content: bytes, folder: Path) -> Checkpoint:
    path = folder / "given.npz"
    path.write_bytes(content)
    return load_checkpoint(path)


def test_loaded_arrays_are_writable_and_their_own(data: bytes, tmp_path: Path) -> None:
    weight = load_checkpoint_from(data, tmp_path).network["conv1.weight"]
    weight[...] = 0
    assert weight.flags.c_contiguous and weight.flags.aligned and weight.base is None


def test_numbers_of_numpy_tuples_and_nan_go_into_the_meta(checkpoint: Checkpoint, tmp_path: Path) -> None:
    meta = {**META, "input_shape": (1, 28, 28), "step": np.int64(5), "best": {"loss": np.float32(np.inf)}}
    save_checkpoint(tmp_path / "c.npz", Checkpoint(checkpoint.network, meta=meta))
    loaded = load_checkpoint(tmp_path / "c.npz").meta
    assert (loaded["input_shape"], loaded["step"], loaded["best"]) == ([1, 28, 28], 5, {"loss": np.inf})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"classes": None}, "'classes' is of the wrong kind"),
        ({"input_shape": [1, 28.0, 28]}, "'input_shape' is of the wrong kind"),
        ({"epoch": -1}, "'epoch' is of the wrong kind"),
        ({"seed": True}, "'seed' is of the wrong kind"),
        ({"extra": object()}, "not a JSON value"),
        ({"extra": "x" * (3 << 20)}, "too large"),
        ({"extra": [[]] * 200_000}, "too large"),
    ],
)
def test_a_meta_that_could_not_be_read_again_is_not_written(
    checkpoint: Checkpoint, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(CheckpointError, match=words):
        save_checkpoint(tmp_path / "c.npz", Checkpoint(checkpoint.network, meta={**META, **change}))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "network",
    [
        {"w": np.array(["text"])},
        {"w": np.array([1, 2], np.int32)},
        {"w": np.array([None])},
        {"../w": np.zeros(1)},
        {"": np.zeros(1)},
        {"w" * 300: np.zeros(1)},
        {"w": np.zeros((1,) * 9)},
        {f"w{i}": np.zeros(1) for i in range(MAX_MEMBERS)},
    ],
    ids=["text", "int32", "object", "path", "empty", "long", "axes", "many"],
)
def test_arrays_that_could_not_be_read_again_are_not_written(
    network: dict[str, np.ndarray], tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match="cannot make a checkpoint of this"):
        save_checkpoint(tmp_path / "c.npz", Checkpoint(network, meta=META))
    assert os.listdir(tmp_path) == []


def test_the_hash_of_a_network_sees_every_bit_name_and_shape_but_no_order() -> None:
    state = {"a": np.arange(6, dtype=np.float32), "b": np.zeros((2, 3))}
    same = {"b": np.zeros((2, 3), order="F"), "a": np.arange(6, dtype=">f4")}
    assert network_hash(state) == network_hash(same)
    others = [
        {**state, "a": np.nextafter(state["a"], np.float32(9))},
        {**state, "b": -np.zeros((2, 3))},
        {**state, "b": np.zeros((3, 2))},
        {**state, "b": np.zeros((2, 3), np.int64)},
        {"a": state["b"], "b": state["a"]},
        {"a": state["a"], "c": state["b"]},
        {"a": state["a"]},
    ]
    assert len({network_hash(other) for other in [state, *others]}) == len(others) + 1


# Faults


class FailingFile:
    """A file whose n-th write does not fit on the disk, and writes half of what it is given."""

    def __init__(self, file: Any, writes_left: list[int]) -> None:
        self._file = file
        self._writes_left = writes_left

    def write(self, content: Any) -> int:
        self._writes_left[0] -= 1
        if self._writes_left[0] == 0:
            self._file.write(bytes(content)[: len(content) // 2])
            raise OSError(28, "No space left on device")
        return int(self._file.write(content))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def test_a_disk_that_fills_up_at_any_write_leaves_the_old_checkpoint(
    checkpoint: Checkpoint, data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cnncli import storage

    path = tmp_path / "last.npz"
    path.write_bytes(data)
    create = storage.create_temporary
    writes_left = [0]

    def create_failing(target: Path) -> Any:
        temporary, file = create(target)
        return temporary, FailingFile(file, writes_left)

    monkeypatch.setattr(storage, "create_temporary", create_failing)
    newer = Checkpoint(checkpoint.network, meta={**META, "epoch": 3})
    for write in range(1, 1000):
        writes_left[0] = write
        try:
            save_checkpoint(path, newer)
            break
        except StorageError as error:
            assert "the disk is full" in error.message
        assert_same(load_checkpoint(path), checkpoint)
        assert os.listdir(tmp_path) == ["last.npz"]
    assert write > 3 * len(newer.network)
    assert load_checkpoint(path).meta["epoch"] == 3


@pytest.mark.slow
@needs_mount
def test_a_small_file_system_that_is_full_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    old, new = (small_checkpoint(np.random.default_rng(seed), width=100) for seed in (0, 1))  # 120 kB each
    with small_disk(tmp_path, kilobytes=400):
        save_checkpoint(tmp_path / "last.npz", old)
        for free in range(0, 116 << 10, 4 << 10):
            (tmp_path / "other").unlink(missing_ok=True)
            fill(tmp_path / "other", leave=free)
            with pytest.raises(StorageError, match="the disk is full") as caught:
                save_checkpoint(tmp_path / "last.npz", new)
            assert "MB are free there" in (caught.value.hint or "")
            assert_same(load_checkpoint(tmp_path / "last.npz"), old)
            assert sorted(os.listdir(tmp_path)) == ["last.npz", "other"]
        (tmp_path / "other").unlink()
        save_checkpoint(tmp_path / "last.npz", new)
        assert_same(load_checkpoint(tmp_path / "last.npz"), new)


def test_a_reader_during_saves_sees_only_whole_checkpoints(tmp_path: Path) -> None:
    path = tmp_path / "last.npz"
    save_numbered(path, 0)
    stop = threading.Event()

    def keep_saving() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            save_numbered(path, number)

    writer = threading.Thread(target=keep_saving)
    writer.start()
    try:
        seen = [number_in(path) for _ in range(150)]
    finally:
        stop.set()
        writer.join()
    assert seen == sorted(seen) and seen[-1] > 0


def kill_savers(path: Path, kills: int) -> None:
    """Kill a process that does nothing but save, again and again, and look at what is left each time."""
    rng = random.Random(kills)
    left_behind = 0
    save_numbered(path, 0)
    acknowledged = 0
    with subprocess.Popen(
        [sys.executable, checkpoint_saver.__file__, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(cnncli.__file__).parents[1])},
    ) as parent:
        assert parent.stdin is not None and parent.stdout is not None
        for kill in range(kills):
            parent.stdin.write(f"{acknowledged}\n")
            parent.stdin.flush()
            saver, killer = 0, None
            while (line := parent.stdout.readline()) != "gone\n":
                if line.startswith("pid"):
                    saver = int(line.split()[1])
                else:
                    acknowledged = int(line)
                # Every second one is left in peace until it has saved once.
                if saver and killer is None and (kill % 2 or not line.startswith("pid")):
                    killer = threading.Timer(rng.random() * 0.03, os.kill, (saver, signal.SIGKILL))
                    killer.start()
            found = number_in(path)
            # The save in progress may have ended just before its acknowledgement; none before it may be lost.
            assert acknowledged <= found <= acknowledged + 1
            acknowledged = found
            left_behind += len(os.listdir(path.parent)) - 1
            save_numbered(path, acknowledged)
            assert os.listdir(path.parent) == [path.name]
        parent.stdin.close()
    assert left_behind > 0  # or no kill hit the middle of a save, and nothing was tested


@posix
def test_a_saver_killed_at_any_moment_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    kill_savers(tmp_path / "last.npz", kills=30)


@posix
@pytest.mark.slow
def test_a_saver_killed_two_hundred_times_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    kill_savers(tmp_path / "last.npz", kills=200)
