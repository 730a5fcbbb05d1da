"""Safetensors files are those of the package of that name, and a damaged one is refused."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

from cnncli.checkpoint.safetensors import is_safetensors, read_safetensors, to_safetensors
from cnncli.errors import CheckpointError

ARRAYS = {
    "conv1.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "turned": np.arange(12, dtype=np.float32).reshape(3, 4).T,
    "strided": np.arange(20, dtype=np.float64)[::3],
    "scalar": np.array(7, np.int64),
    "none": np.zeros((0, 3), np.float32),
}


def write(path: Path, header: object, data: bytes = b"") -> Path:
    text = json.dumps(header).encode() if not isinstance(header, bytes) else header
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def test_a_file_reads_back_whatever_the_strides_were(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(to_safetensors(ARRAYS, {"format": "pt", "é": "ü"}))
    arrays, metadata = read_safetensors(path)
    assert metadata == {"format": "pt", "é": "ü"} and arrays.keys() == ARRAYS.keys() and is_safetensors(path)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype and arrays[name].flags.c_contiguous


def test_the_package_reads_what_is_written_and_writes_what_is_read(tmp_path: Path) -> None:
    numpy = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    ours = numpy.load(to_safetensors(ARRAYS, {}))
    theirs = tmp_path / "a.safetensors"
    numpy.save_file(
        {name: np.ascontiguousarray(array) for name, array in ARRAYS.items()}, theirs, {"by": "them"}
    )
    read, metadata = read_safetensors(theirs)
    assert metadata == {"by": "them"}
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(ours[name], array)
        np.testing.assert_array_equal(read[name], np.atleast_1d(array).reshape(read[name].shape))


def test_short_floats_become_float32(tmp_path: Path) -> None:
    halves = np.array([1.5, -2], np.float16)
    brains = (np.array([1.5, -2], np.float32).view(np.uint32) >> 16).astype(np.uint16)
    header = {
        "h": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]},
        "b": {"dtype": "BF16", "shape": [2], "data_offsets": [4, 8]},
    }
    arrays, _ = read_safetensors(write(tmp_path / "a", header, halves.tobytes() + brains.tobytes()))
    for array in arrays.values():
        assert array.dtype == np.float32 and array.tolist() == [1.5, -2]


ENTRY = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ([], "its header is not an object"),
        ({"a": 1}, "the entry of 'a' has another form"),
        ({"a": {**ENTRY, "dtype": "C64"}}, "'a' has numbers of the type 'C64'"),
        ({"a": {**ENTRY, "shape": [2]}}, "'a' has a size that is not that of its shape"),
        ({"a": {**ENTRY, "shape": [-1]}}, "another form"),
        ({"a": {**ENTRY, "shape": [True]}}, "another form"),
        ({"a": {**ENTRY, "shape": [1 << 39, 1 << 39]}}, "not that of its shape"),
        ({"a": ENTRY, "b": ENTRY}, "'b' does not start where the array before ends"),
        ({"a": {**ENTRY, "shape": [0], "data_offsets": [0, 0]}}, "its arrays take 0 bytes of 4"),
        ({"__metadata__": {"a": 1}}, "its metadata are not texts"),
        (b'{"a": 1, "a": 2}', "a key appears twice"),
        (b"[" * 5000, "nested too deeply|Expecting value"),
        (b"\xff\xff", "utf-8"),
    ],
)
def test_a_header_that_does_not_fit_its_data_is_refused(header, message, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=message):
        read_safetensors(write(tmp_path / "a", header, bytes(4)))


def test_a_file_that_is_too_short_or_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for content in (b"", b"123", b"\xff" * 8, (1 << 62).to_bytes(8, "little") + b"{}"):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match="is no safetensors file"):
            read_safetensors(path)
    with pytest.raises(CheckpointError, match="there is no file"):
        read_safetensors(tmp_path / "b")


def test_no_damage_ends_in_another_exception(tmp_path: Path) -> None:
    whole, dice, path = to_safetensors(ARRAYS, {"a": "b"}), random.Random(3), tmp_path / "a"
    refused = 0
    for _ in range(300):
        content = bytearray(whole)
        for _ in range(dice.randint(1, 3)):
            content[dice.randrange(min(len(content), 500))] = dice.randrange(256)
        path.write_bytes(content[: dice.randint(0, len(content))] if dice.random() < 0.3 else content)
        try:
            read_safetensors(path)
        except CheckpointError:
            refused += 1
    assert refused > 100
