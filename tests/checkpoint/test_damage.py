"""Nothing that is not a checkpoint, or no longer one, is taken for one."""

import gzip
import io
import json
import os
import pickle
import random
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cnncli.checkpoint import FORMAT_VERSION, Checkpoint, load_checkpoint, load_meta, save_checkpoint
from cnncli.errors import CheckpointError
from cnncli.npz import MAX_MEMBERS
from tests.checkpoint.mutations import META, assemble, campaign, members_of, meta_of, npy, with_meta

MEGABYTE = 1 << 20


def refusal(content: bytes, path: Path) -> CheckpointError:
    """Return the error that loading a file of these bytes gives."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    assert str(path) in caught.value.message
    return caught.value


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


def test_reading_the_meta_leaves_the_arrays_alone(data: bytes, tmp_path: Path) -> None:
    at = data.index(b"network/conv1.weight.npy") + 200
    path = tmp_path / "c.npz"
    path.write_bytes(data[:at] + bytes(4) + data[at + 4 :])
    assert load_meta(path)["epoch"] == 2
    assert "checksum of 'network/conv1.weight'" in refusal(path.read_bytes(), path).message


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


@pytest.mark.parametrize("count", [600, pytest.param(10_000, marks=pytest.mark.slow)])
def test_mutated_files_are_refused_or_read_right(tmp_path: Path, count: int) -> None:
    results = campaign(count, seed=1, folder=tmp_path)
    assert results["refused"] > 0.75 * count and results["loaded"] > 0.025 * count
