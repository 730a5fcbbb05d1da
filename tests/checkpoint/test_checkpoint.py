"""A checkpoint is whole or absent, and nothing that is not one is taken for one."""

import gzip
import io
import json
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import tracemalloc
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
from cnncli.checkpoint.npz import MAX_MEMBERS
from cnncli.errors import CheckpointError, StorageError
from tests.checkpoint import saver as checkpoint_saver
from tests.checkpoint.mutations import (
    META,
    assemble,
    campaign,
    members_of,
    meta_of,
    npy,
    saved_bytes,
    small_checkpoint,
    with_meta,
)
from tests.checkpoint.saver import number_in, save_numbered
from tests.small_disk import fill, needs_mount, small_disk

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")

MEGABYTE = 1 << 20


@pytest.fixture
def checkpoint() -> Checkpoint:
    return small_checkpoint(np.random.default_rng(0))


@pytest.fixture
def data(checkpoint: Checkpoint, tmp_path: Path) -> bytes:
    """The bytes of a small checkpoint."""
    content = saved_bytes(checkpoint, tmp_path)
    (tmp_path / "saved.npz").unlink()
    return content


def refusal(content: bytes, path: Path) -> CheckpointError:
    """Return the error that loading a file of these bytes gives."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    assert str(path) in caught.value.message
    return caught.value


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


@settings(max_examples=50, deadline=None)
@given(network=groups, optimizer=groups, average=groups, extra=values)
def test_what_is_saved_is_loaded_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, network: Any, optimizer: Any, average: Any, extra: Any
) -> None:
    path = tmp_path_factory.getbasetemp() / "round-trip.npz"
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


def test_reading_the_meta_leaves_the_arrays_alone(data: bytes, tmp_path: Path) -> None:
    at = data.index(b"network/conv1.weight.npy") + 200
    path = tmp_path / "c.npz"
    path.write_bytes(data[:at] + bytes(4) + data[at + 4 :])
    assert load_meta(path)["epoch"] == 2
    assert "checksum of 'network/conv1.weight'" in refusal(path.read_bytes(), path).message


# What is no checkpoint


def torch_file() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("model/data.pkl", pickle.dumps({"weight": 1}, protocol=2))
        archive.writestr("model/version", "3\n")
    return buffer.getvalue()


def document() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("word/document.xml", "<xml/>")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html><title>404</title>", "a web page"),
        (b"\n  <html lang='en'>", "a web page"),
        (torch_file(), "Python pickle"),
        (pickle.dumps({"weight": 1}, protocol=2), "Python pickle"),
        (pickle.dumps({"weight": 1}, protocol=4), "Python pickle"),
        (gzip.compress(b"x", mtime=0), "a gzip file"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (0,), }"), "a single NumPy array"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file"),
        (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
        (b"\xff\xd8\xff\xe0", "a JPEG picture"),
        (b"%PDF-1.7", "a PDF document"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS"),
        (b"seed: 42\n", "holds text"),
        (bytes(1000), "unknown kind of data"),
        (document(), "a ZIP archive"),
        (b"PK\3\4", "a ZIP archive"),
    ],
)
def test_another_kind_of_file_is_called_by_its_name(content: bytes, words: str, tmp_path: Path) -> None:
    assert words in refusal(content, tmp_path / "c.npz").message


def test_a_missing_file_a_folder_and_a_pipe_are_called_by_their_names(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        load_checkpoint(tmp_path / "none.npz")
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(CheckpointError, match="is a folder") as caught:
        load_checkpoint(tmp_path)
    assert caught.value.hint is None
    (tmp_path / "checkpoints" / "best.npz").write_bytes(data)
    with pytest.raises(CheckpointError, match="is a folder") as caught:
        load_checkpoint(tmp_path)
    assert caught.value.hint == f"did you mean {tmp_path / 'checkpoints' / 'best.npz'}?"
    if os.name == "posix":
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(CheckpointError, match="a device or a pipe"):
            load_checkpoint(tmp_path / "pipe")


def test_a_file_that_may_not_be_read_is_named(
    data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "c.npz").write_bytes(data)
    monkeypatch.setattr(os, "open", deny)
    with pytest.raises(CheckpointError, match=r"cannot read .*c\.npz: permission denied"):
        load_checkpoint(tmp_path / "c.npz")


def test_a_newer_format_says_so_whatever_else_it_holds(data: bytes, tmp_path: Path) -> None:
    members = members_of(data)
    text = json.dumps({"format_version": FORMAT_VERSION + 1, "new": 1}).encode()
    newer = assemble([*with_meta(members, text), ("something/new.npy", members[1][1])])
    error = refusal(newer, tmp_path / "c.npz")
    assert f"format version {FORMAT_VERSION + 1}" in error.message and "update" in (error.hint or "")


@pytest.mark.parametrize("version", [0, -1, True, "1", None, 1.0])
def test_a_version_that_is_none_is_damage(data: bytes, tmp_path: Path, version: object) -> None:
    members = members_of(data)
    text = json.dumps({**meta_of(members), "format_version": version}).encode()
    assert "'format_version'" in refusal(assemble(with_meta(members, text)), tmp_path / "c.npz").message


# Damage


def test_a_file_cut_anywhere_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "c.npz"
    path.write_bytes(data)
    for length in range(len(data) - 1, -1, -1):
        os.truncate(path, length)
        with pytest.raises(CheckpointError):
            load_checkpoint(path)


def test_a_changed_bit_in_any_byte_is_noticed(data: bytes, tmp_path: Path) -> None:
    """No byte of the file is free: each follows from the others, or is under a checksum."""
    path = tmp_path / "c.npz"
    path.write_bytes(data)
    rng = random.Random(0)
    with open(path, "r+b", buffering=0) as file:
        for position, byte in enumerate(data):
            file.seek(position)
            file.write(bytes([byte ^ 1 << rng.randrange(8)]))
            with pytest.raises(CheckpointError):
                load_checkpoint(path)
            file.seek(position)
            file.write(bytes([byte]))
    assert load_checkpoint(path).meta["epoch"] == 2


def test_changed_weights_with_a_right_checksum_are_noticed(data: bytes, tmp_path: Path) -> None:
    members = members_of(data)
    name, contents = members[1]
    members[1] = (name, contents[:-4] + b"\0\0\x80\x3f")
    assert "SHA-256 differs" in refusal(assemble(members), tmp_path / "c.npz").message


def test_a_member_left_out_or_added_is_noticed(data: bytes, tmp_path: Path) -> None:
    members = members_of(data)
    assert "SHA-256 differs" in refusal(assemble(members[:-1]), tmp_path / "c.npz").message
    more = [*members, ("network/extra.npy", members[1][1])]
    assert "SHA-256 differs" in refusal(assemble(more), tmp_path / "c.npz").message


@pytest.mark.parametrize(
    ("rename", "words"),
    [
        ("network/conv1.weight.npy", "the same name"),
        ("../../outside.npy", "a member called"),
        ("pickle.npy", "a member called"),
        ("other/x.npy", "a member called"),
        ("network/ä.npy", "a member called"),
        ("network/x.txt", "a member called"),
    ],
)
def test_members_of_other_names_are_refused(data: bytes, tmp_path: Path, rename: str, words: str) -> None:
    members = members_of(data)
    members[2] = (rename, members[2][1])
    assert words in refusal(assemble(members), tmp_path / "c.npz").message


def test_too_many_members_are_refused(data: bytes, tmp_path: Path) -> None:
    meta, weight = members_of(data)[:2]
    many = assemble([meta, *((f"network/w{i}.npy", weight[1]) for i in range(MAX_MEMBERS))])
    assert "declares 4097 members" in refusal(many, tmp_path / "c.npz").message


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_what_another_program_packed_is_refused(data: bytes, tmp_path: Path, compression: int) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, contents in members_of(data):
            archive.writestr(name, contents)
    assert "is damaged" in refusal(buffer.getvalue(), tmp_path / "c.npz").message


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b"[]",
        b"null",
        b'{"a": 1, "a": 2}',
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b'{"a": ' + b"9" * 5000 + b"}",
        "{'a': 'ü'}".encode(),
        b"\0" * 100,
        b"",
    ],
    ids=lambda text: repr(text[:12]),
)
def test_a_meta_that_is_no_plain_json_object_is_refused(data: bytes, tmp_path: Path, text: bytes) -> None:
    error = refusal(assemble(with_meta(members_of(data), text)), tmp_path / "c.npz")
    assert "its JSON text cannot be read" in error.message


@pytest.mark.parametrize("field", ["config", "input_shape", "classes", "sha256", "format_version"])
def test_a_meta_without_a_needed_field_is_refused(data: bytes, tmp_path: Path, field: str) -> None:
    members = members_of(data)
    meta = meta_of(members)
    del meta[field]
    changed = assemble(with_meta(members, json.dumps(meta).encode()))
    assert f"no field '{field}'" in refusal(changed, tmp_path / "c.npz").message


BAD_HEADERS = {
    "objects": "{'descr': '|O', 'fortran_order': False, 'shape': (4,), }",
    "text": "{'descr': '<U1', 'fortran_order': False, 'shape': (4,), }",
    "half": "{'descr': '<f2', 'fortran_order': False, 'shape': (4,), }",
    "big endian": "{'descr': '>f4', 'fortran_order': False, 'shape': (4,), }",
    "records": "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (4,), }",
    "columns": "{'descr': '<f4', 'fortran_order': True, 'shape': (4,), }",
    "code": "{'descr': '<f4', 'fortran_order': False, 'shape': (exit(),), }",
    "negative": "{'descr': '<f4', 'fortran_order': False, 'shape': (-4,), }",
    "huge": "{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999,), }",
    "overflow": "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, 4), }",
    "no data, no array": "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 9999999999, 9999999999), }",
    "smaller": "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }",
    "larger": "{'descr': '<f4', 'fortran_order': False, 'shape': (5,), }",
    "zeros": "{'descr': '<f4', 'fortran_order': False, 'shape': (04,), }",
    "brackets": "(" * 400,
    "nine axes": "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 1, 1, 1, 1, 1, 1, 1, 1), }",
    "other order": "{'fortran_order': False, 'descr': '<f4', 'shape': (4,), }",
}


@pytest.mark.parametrize("header", BAD_HEADERS.values(), ids=BAD_HEADERS)
def test_an_array_header_of_another_kind_is_refused_before_memory_is_taken(
    data: bytes, tmp_path: Path, header: str
) -> None:
    contents = npy(header, bytes(0 if "(0, " in header else 16))
    changed = assemble([*members_of(data), ("network/extra.npy", contents)])
    tracemalloc.start()
    try:
        assert "'network/extra'" in refusal(changed, tmp_path / "c.npz").message
        assert tracemalloc.get_traced_memory()[1] < MEGABYTE
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("version", [b"\2\0", b"\3\0", b"\0\0", b"\1\1"])
def test_another_version_of_the_array_format_is_refused(data: bytes, tmp_path: Path, version: bytes) -> None:
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (4,), }"
    changed = assemble([*members_of(data), ("network/extra.npy", npy(header, bytes(16), version))])
    assert "'network/extra'" in refusal(changed, tmp_path / "c.npz").message


def repeated(piece: bytes, length: int = (2 << 20) - 20) -> bytes:
    """Fill a JSON list up to the largest text that is read."""
    return b'{"a": [' + b",".join([piece] * (length // (len(piece) + 1))) + b"]}"


HEAVY = {
    "short strings": repeated(b'"ab"'),
    "wide strings": repeated(b'"\\uffff\\uffff"'),
    "one wide string": repeated(b'"' + b"\\uffff" * 340_000 + b'"'),
    "floats": repeated(b"1.5"),
    "integers": repeated(b"99999"),
    "lists": b'{"a": [' + b",".join([b"[1.5]"] * 99_990) + b"]}",
    "objects": b'{"a": [' + b",".join([b'{"b":1.5}'] * 99_990) + b"]}",
    "keys": b"{" + b",".join(b'"%d":1.5' % i for i in range(150_000)) + b"}",
}


@pytest.mark.parametrize("text", HEAVY.values(), ids=HEAVY)
def test_no_json_text_takes_more_memory_than_64_mb_beyond_the_file(
    data: bytes, tmp_path: Path, text: bytes
) -> None:
    changed = assemble(with_meta(members_of(data), text))
    tracemalloc.start()
    try:
        assert "no field" in refusal(changed, tmp_path / "c.npz").message
        assert tracemalloc.get_traced_memory()[1] < len(changed) + 64 * MEGABYTE
    finally:
        tracemalloc.stop()


def test_loading_takes_little_more_memory_than_the_file_is_long(tmp_path: Path) -> None:
    weights = {f"w{i}": np.ones((1024, 1024), np.float32) for i in range(8)}
    save_checkpoint(tmp_path / "c.npz", Checkpoint(weights, meta=META))
    del weights
    tracemalloc.start()
    try:
        load_checkpoint(tmp_path / "c.npz")
        assert tracemalloc.get_traced_memory()[1] < (tmp_path / "c.npz").stat().st_size + 4 * MEGABYTE
    finally:
        tracemalloc.stop()


def test_saving_copies_no_array(tmp_path: Path) -> None:
    weights = {f"w{i}": np.ones((1024, 1024), np.float32) for i in range(8)}
    tracemalloc.start()
    try:
        save_checkpoint(tmp_path / "c.npz", Checkpoint(weights, meta=META))
        assert tracemalloc.get_traced_memory()[1] < 4 * MEGABYTE
    finally:
        tracemalloc.stop()


def test_mutated_files_are_refused_or_read_right(tmp_path: Path) -> None:
    results = campaign(2000, seed=1, folder=tmp_path)
    assert results["refused"] > 1500 and results["loaded"] > 50


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
