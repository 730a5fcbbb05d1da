import gzip
import hashlib
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnncli.data.readers.idx import TYPES, read_idx, write_idx
from cnncli.errors import DataError


def header(*axes, code=0x08):
    return bytes([0, 0, code, len(axes)]) + struct.pack(f">{len(axes)}I", *axes)


IMAGES = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)
RAW = header(5, 4, 3) + IMAGES.tobytes()


def gzip_bomb(start, mebibytes):
    """A gzip stream of `start` and that many MiB of zeros; its end is never reached by a bounded reader."""
    packer = zlib.compressobj(9, wbits=31)
    head = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + block * mebibytes


def test_raw_and_gzipped_files_read_the_same_whatever_they_are_called(tmp_path):
    for content in (RAW, gzip.compress(RAW)):
        for name in ("images", "images.gz"):
            (tmp_path / name).write_bytes(content)
            assert np.array_equal(read_idx(tmp_path / name, kind="images"), IMAGES)


@pytest.mark.parametrize("dtype", [t.newbyteorder("=") for t in TYPES.values()])
@pytest.mark.parametrize("name", ["a.idx", "a.idx.gz"])
def test_what_is_written_reads_back_in_the_order_of_this_machine(tmp_path, dtype, name):
    array = np.arange(-12, 12).astype(dtype).reshape(2, 3, 4)
    write_idx(tmp_path / name, array)
    back = read_idx(tmp_path / name)
    assert np.array_equal(back, array)
    assert back.dtype == dtype and back.dtype.isnative


def test_writing_twice_gives_the_same_bytes(tmp_path):
    write_idx(tmp_path / "a.gz", IMAGES)
    write_idx(tmp_path / "b.gz", IMAGES)
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


@pytest.mark.parametrize("array", [np.zeros(3, np.complex64), np.zeros((1,) * 9, np.uint8), np.uint8(1)[...]])
def test_what_idx_cannot_hold_is_not_written(tmp_path, array):
    with pytest.raises(DataError, match="IDX cannot hold"):
        write_idx(tmp_path / "a", array)


def test_the_layout_is_the_published_one():
    content = (
        b"\x00\x00\x08\x03"
        + b"\x00\x00\x00\x02"
        + b"\x00\x00\x00\x01"
        + b"\x00\x00\x00\x03"
        + bytes(range(6))
    )
    assert read_idx(content).tolist() == [[[0, 1, 2]], [[3, 4, 5]]]


def test_labels_come_as_int64():
    labels = read_idx(header(3) + bytes([7, 0, 9]), kind="labels", classes=10)
    assert labels.dtype == np.int64
    assert labels.tolist() == [7, 0, 9]


def test_the_first_column_of_qmnist_labels_is_the_class():
    rows = np.array([[3, 0, 11, 5], [8, 1, 12, 6]], dtype=">i4")
    assert read_idx(
        header(2, 4, code=0x0C) + rows.tobytes(), kind="labels", shape=(2, 4), classes=10
    ).tolist() == [3, 8]


def test_a_label_out_of_range_is_named_with_its_position():
    with pytest.raises(DataError, match=r"label 10 at position 2, expected 0 to 9"):
        read_idx(header(4) + bytes([1, 2, 10, 3]), kind="labels", classes=10)
    negative = np.array([[1], [-1]], dtype=">i4")
    with pytest.raises(DataError, match=r"label -1 at position 1, expected 0 or more"):
        read_idx(header(2, 1, code=0x0C) + negative.tobytes(), kind="labels")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty, not an IDX file"),
        (b"\x00", "not an IDX file"),
        (b"\n<!DOCTYPE html><html><body>404</body></html>", r"is a web page \(HTML\), not an IDX file"),
        (b"\xef\xbb\xbf<HTML><head>", r"web page \(HTML\)"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code>", "an XML document"),
        (b"PK\x03\x04 and more", "a ZIP archive"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer"),
        (b"\x01\x00\x08\x01" + bytes(8), "not an IDX file"),
        (b"\x00\x00\x07\x01" + bytes(8), "0x07 is not a type code"),
        (b"\x00\x00\x08\x00", "0 axes"),
        (b"\x00\x00\x08\xff" + bytes(2000), "255 axes"),
        (b"\x00\x00\x08\x03\x00\x00", "ends within its header"),
        (RAW[:-1], r"is truncated: its header announces 76 bytes, it holds 75"),
        (RAW + b"\x00", "goes on after the 76 bytes"),
    ],
)
def test_what_is_wrong_is_named(content, message):
    for packed in (content, gzip.compress(content)):
        with pytest.raises(DataError, match=message):
            read_idx(packed)


def test_a_file_gzipped_twice_is_named():
    with pytest.raises(DataError, match="gzipped twice"):
        read_idx(gzip.compress(gzip.compress(RAW)))


def test_a_truncated_gzip_is_named_at_every_length():
    packed = gzip.compress(RAW)
    for length in range(2, len(packed)):
        with pytest.raises(DataError, match="truncated gzip"):
            read_idx(packed[:length])


def test_one_wrong_bit_in_a_gzip_never_gives_another_array():
    packed = bytearray(gzip.compress(RAW))
    caught = 0
    for place in range(10, len(packed)):
        damaged = packed.copy()
        damaged[place] ^= 0x10
        try:
            array = read_idx(bytes(damaged))
        except DataError:
            caught += 1
        else:  # the bit filled up a byte and means nothing
            assert np.array_equal(array, IMAGES)
    assert caught >= len(packed) - 12


def test_bytes_after_a_gzip_are_refused():
    with pytest.raises(DataError, match="damaged gzip"):
        read_idx(gzip.compress(RAW) + b"rubbish")


@pytest.mark.parametrize(
    ("axes", "kind", "message"),
    [
        ((5, 4), "images", "does not hold images"),
        ((0, 28, 28), "images", "is empty"),
        ((5, 0, 28), "images", "is empty"),
        ((1, 2, 3), "labels", "does not hold labels"),
        ((0,), "labels", "is empty"),
    ],
)
def test_images_and_labels_have_their_axes(axes, kind, message):
    with pytest.raises(DataError, match=message):
        read_idx(header(*axes) + bytes(int(np.prod(axes))), kind=kind)


@pytest.mark.parametrize(
    ("code", "how"), [(0x0D, "(255 * images).round().astype('uint8')"), (0x0B, "images.astype")]
)
def test_images_of_another_type_have_a_hint_how_to_convert_them(code, how):
    with pytest.raises(DataError) as caught:
        read_idx(header(1, 1, 1, code=code) + bytes(4 if code == 0x0D else 2), kind="images")
    assert how in caught.value.hint and "write_idx" in caught.value.hint


def test_images_are_bytes_and_labels_whole_numbers():
    with pytest.raises(DataError, match="does not hold images"):
        read_idx(header(1, 1, 1, code=0x0D) + bytes(4), kind="images")
    with pytest.raises(DataError, match="does not hold labels"):
        read_idx(header(1, code=0x0D) + bytes(4), kind="labels")


def test_another_shape_than_expected_is_refused():
    with pytest.raises(DataError, match=r"holds 5 x 4 x 3 values, expected 6 x 4 x 3"):
        read_idx(RAW, shape=(6, 4, 3))


def test_the_hash_is_that_of_the_decompressed_content():
    right = "sha256:" + hashlib.sha256(RAW).hexdigest()
    for packed in (RAW, gzip.compress(RAW, 1), gzip.compress(RAW, 9)):
        assert np.array_equal(read_idx(packed, content_hash=right), IMAGES)
    changed = bytearray(RAW)
    changed[-1] ^= 1
    with pytest.raises(DataError, match="wrong content: it hashes to sha256:"):
        read_idx(bytes(changed), content_hash=right)
    with pytest.raises(DataError, match="wrong content: it hashes to md5:"):
        read_idx(bytes(changed), content_hash="md5:" + hashlib.md5(RAW).hexdigest())


def test_a_gigantic_header_is_refused_before_anything_is_allocated():
    tracemalloc.start()
    try:
        for axes in ((2**32 - 1,) * 3, (2**32 - 1,), (60000, 2**31, 2**31), (2**32 - 1,) * 8):
            with pytest.raises(DataError, match=r"announces .* more than"):
                read_idx(header(*axes))
        with pytest.raises(DataError, match="more than"):
            read_idx(header(2**32 - 1, 2**32 - 1, 2**32 - 1, 0))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize("start", [header(60000, 28, 28), header(100), b"<html>", b"\x00"])
def test_a_gigabyte_of_zeros_in_a_gzip_is_refused_within_100_mb(tmp_path, start):
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip_bomb(start, 1024))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"goes on after|not an IDX file"):
            read_idx(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100_000_000


def test_a_file_that_cannot_be_opened_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.gz cannot be read: No such file"):
        read_idx(tmp_path / "gone.gz")
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read_idx(tmp_path)


def survives(content):
    for kind in (None, "images", "labels"):
        try:
            array = read_idx(content, kind=kind, classes=10, max_bytes=1 << 16)
        except DataError as error:
            assert error.message.startswith("the IDX data")
        else:
            assert array.nbytes <= 8 << 16


@given(st.binary(max_size=200))
def test_any_bytes_give_an_array_or_a_data_error(content):
    survives(content)
    survives(b"\x1f\x8b\x08\x00" + content)


@given(
    code=st.sampled_from([*TYPES, 0, 255]),
    axes=st.lists(st.sampled_from([0, 1, 2, 3, 28, 2**16, 2**31, 2**32 - 1]), max_size=9),
    body=st.binary(max_size=64),
    packed=st.booleans(),
)
def test_any_header_gives_an_array_or_a_data_error(code, axes, body, packed):
    content = bytes([0, 0, code, len(axes)]) + struct.pack(f">{len(axes)}I", *axes) + body
    survives(gzip.compress(content) if packed else content)


@given(st.data())
def test_any_change_of_a_gzip_gives_an_array_or_a_data_error(data):
    packed = bytearray(gzip.compress(RAW, mtime=0))
    for _ in range(data.draw(st.integers(1, 4))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    survives(bytes(packed))


def test_real_mnist_reads(mnist_dir):
    images = read_idx(mnist_dir / "train-images-idx3-ubyte.gz", kind="images", shape=(60000, 28, 28))
    labels = read_idx(mnist_dir / "train-labels-idx1-ubyte.gz", kind="labels", classes=10)
    assert labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert int(images.sum(dtype=np.int64)) == 1_567_298_545
