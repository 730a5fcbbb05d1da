"""Reads and writes the single `.npz` layout of checkpoints; nothing is allocated before its size has been checked.

An .npz file is a ZIP archive of .npy files. The ZIP format allows compression, gaps, overlaps, comments, and two
headers that contradict each other. Each of these has been used to mislead a reader. This module writes one fixed
layout: members stored back to back from byte 0, a directory, an end record.

The reader takes names, sizes and checksums from the file, renders the bytes that the writer would have written for
them, and compares. So every byte of a file either follows from the others or is covered by a checksum.
`numpy.load(path, allow_pickle=False)` opens these files.

Source: APPNOTE.TXT 6.3.3 of PKWARE (sections 4.3.7, 4.3.12, 4.3.16); the .npy format 1.0 of NumPy.
"""

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from io import BufferedIOBase
from math import prod
from typing import Any, BinaryIO
from zlib import crc32

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

DTYPES = ("<f4", "<f8", "<i8", "|u1")
"""The types of arrays that a member may hold: float32, float64, int64 and uint8."""

MAX_MEMBERS = 4096
MAX_NAME_BYTES = 200
MAX_DIMENSIONS = 8

# The same for every member: ZIP version 2.0, no flags, stored, 00:00 of 1980-01-01.
_COMMON = struct.pack("<HHHHH", 20, 0, 0, 0, 0x0021)
_LOCAL = struct.Struct("<4s10sIIIHH")
_ENTRY = struct.Struct("<4sH10sIIIHHHHHII")
_END = struct.Struct("<4sHHHHIIH")
_MADE_ON_UNIX = (3 << 8) | 20
_RW_R_R = 0o100644 << 16
_LARGEST = 0xFFFF_FFFE

_NPY_PREFIX = b"\x93NUMPY\x01\x00"
_NPY_HEADER = re.compile(
    rb"\{'descr': '([<|][a-z][0-9])', 'fortran_order': False, "
    rb"'shape': \(((?:[0-9]{1,10}, ?)*(?:[0-9]{1,10})?)\), \} *\n"
)
_SAFE_NAME = re.compile(r"[A-Za-z0-9_]+([./-][A-Za-z0-9_]+)*")
_CHUNK = 1 << 20


class NpzError(Exception):
    """The bytes are not what the writer would have written; the message says where."""


@dataclass(frozen=True)
class Member:
    """One array as the directory declares it: the start of its .npy file, its size in bytes, and its CRC-32."""

    name: str
    start: int
    size: int
    crc: int


def canonical(array: npt.ArrayLike) -> Array:
    """Return the array as it is stored: C order, little-endian, of one of DTYPES.

    Raises:
        ValueError: it has another type, or too many axes.
    """
    given = np.asarray(array)
    result = np.asarray(given, dtype=given.dtype.newbyteorder("<"), order="C")
    if result.dtype.str not in DTYPES or result.ndim > MAX_DIMENSIONS:
        raise ValueError(f"cannot store an array of {given.dtype} with {given.ndim} axes")
    return result


def write_npz(file: BinaryIO, arrays: Mapping[str, npt.ArrayLike]) -> None:
    """Write named arrays in their order to a file whose position is 0.

    Raises:
        ValueError: `read_directory` would not accept a name, a type or the number of arrays.
    """
    if not 1 <= len(arrays) <= MAX_MEMBERS:
        raise ValueError(f"cannot store {len(arrays)} arrays, 1 to {MAX_MEMBERS} is possible")
    members, offset = [], 0
    for name, given in arrays.items():
        if not _is_safe_name(name):
            raise ValueError(f"cannot store an array under the name {name!r}")
        array = canonical(given)
        header, data = _npy_header(array.dtype.str, array.shape), _bytes_of(array)
        member = Member(name, offset, len(header) + len(data), crc32(data, crc32(header)))
        offset += _LOCAL.size + len(name) + 4 + member.size
        if offset > _LARGEST:
            raise ValueError("cannot store more than 4 GB in one file")
        file.write(_local_header(member))
        file.write(header)
        file.write(data)
        members.append(member)
    file.write(_directory(members, offset))


def read_directory(file: BufferedIOBase, size: int) -> list[Member]:
    """Read and check the list of members; the memory it takes depends on their number, not on the sizes they declare.

    Args:
        file: open for reading, at any position.
        size: its length in bytes.

    Raises:
        NpzError: not a file that `write_npz` could have written.
    """
    if size < _END.size:
        raise NpzError("it is too short")
    end = _read_at(file, size - _END.size, _END.size)
    signature, _, _, _, count, length, offset, _ = _END.unpack(end)
    if signature != b"PK\5\6":
        raise NpzError("its end record is missing, as in a file that was cut or has something appended")
    if not 1 <= count <= MAX_MEMBERS or length > count * (_ENTRY.size + MAX_NAME_BYTES + 4):
        raise NpzError(f"it declares {count} members in {length} bytes of directory")
    if offset + length + _END.size != size:
        raise NpzError("its directory is not where its end record says")
    entries = _read_at(file, offset, length)
    members = list(_parse_entries(entries, count))
    if len({member.name for member in members}) != count:
        raise NpzError("two of its members have the same name")
    position = 0
    for member in members:
        if member.start != position:
            raise NpzError(f"its member {member.name!r} does not start where the one before ends")
        position += _LOCAL.size + len(member.name) + 4 + member.size
    if position != offset or _directory(members, offset) != entries + end:
        raise NpzError("its directory contradicts itself")
    return members


def read_array(file: BufferedIOBase, member: Member) -> Array:
    """Read one array; allocates it only after its header, type and shape match the member's checked size.

    Raises:
        NpzError: header or contents are not what the directory says.
    """
    expected = _local_header(member)
    if _read_at(file, member.start, len(expected)) != expected:
        raise NpzError(f"its member {member.name!r} has a header that contradicts the directory")
    dtype, shape, header = _parse_npy_header(file, member)
    try:
        array: Array = np.empty(shape, dtype)
    except (ValueError, MemoryError) as error:
        # such as (0, 9999999999, 9999999999): no data, but an impossible array
        raise NpzError(f"its member {member.name!r} has the impossible shape {shape}") from error
    crc = crc32(header)
    view = _bytes_of(array)
    for start in range(0, len(view), _CHUNK):
        piece = view[start : start + _CHUNK]
        if file.readinto(piece) != len(piece):
            raise NpzError("it became shorter while it was read")
        crc = crc32(piece, crc)
    if crc != member.crc:
        raise NpzError(f"the checksum of {member.name!r} is wrong: some of its bytes have changed")
    return array


def hash_arrays(arrays: Mapping[str, npt.ArrayLike]) -> str:
    """Return the SHA-256 of named arrays in hexadecimal; their order in the mapping and in memory does not matter.

    It covers, for each name in sorted order: the name, a zero byte, the .npy header (type and shape), the data.
    """
    digest = sha256()
    for name in sorted(arrays):
        array = canonical(arrays[name])
        digest.update(name.encode() + b"\0" + _npy_header(array.dtype.str, array.shape))
        digest.update(_bytes_of(array))
    return digest.hexdigest()


def _local_header(member: Member) -> bytes:
    name = member.name.encode("ascii") + b".npy"
    return _LOCAL.pack(b"PK\3\4", _COMMON, member.crc, member.size, member.size, len(name), 0) + name


def _directory(members: list[Member], offset: int) -> bytes:
    entries = []
    for m in members:
        name = m.name.encode("ascii") + b".npy"
        sizes = (m.crc, m.size, m.size, len(name))
        entry = _ENTRY.pack(b"PK\1\2", _MADE_ON_UNIX, _COMMON, *sizes, 0, 0, 0, 0, _RW_R_R, m.start)
        entries.append(entry + name)
    directory = b"".join(entries)
    return directory + _END.pack(b"PK\5\6", 0, 0, len(members), len(members), len(directory), offset, 0)


def _parse_entries(entries: bytes, count: int) -> Iterator[Member]:
    position = 0
    for _ in range(count):
        if position + _ENTRY.size > len(entries):
            raise NpzError("its directory ends too early")
        fields = _ENTRY.unpack_from(entries, position)
        crc, stored, length, start = fields[3], fields[4], fields[6], fields[12]
        position += _ENTRY.size
        raw = entries[position : position + length]
        position += length
        name = raw.decode("ascii", errors="replace")
        if not name.endswith(".npy") or not _is_safe_name(name[:-4]):
            raise NpzError(f"it has a member called {name[:MAX_NAME_BYTES]!r}")
        yield Member(name[:-4], start, stored, crc)


def _npy_header(dtype: str, shape: tuple[int, ...]) -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape!r}, }}".encode("ascii")
    padding = -(len(_NPY_PREFIX) + 2 + len(text) + 1) % 64
    return _NPY_PREFIX + struct.pack("<H", len(text) + padding + 1) + text + b" " * padding + b"\n"


def _parse_npy_header(file: BufferedIOBase, member: Member) -> tuple[str, tuple[int, ...], bytes]:
    """Read and check the .npy header at the file's position; return its type, its shape and its bytes."""
    wrong = NpzError(f"its member {member.name!r} is not an array of a known kind")
    prefix = file.read(min(len(_NPY_PREFIX) + 2, member.size))
    if not prefix.startswith(_NPY_PREFIX) or len(prefix) != len(_NPY_PREFIX) + 2:
        raise wrong
    length = int.from_bytes(prefix[-2:], "little")
    if length > min(512, member.size - len(prefix)):
        raise wrong
    text = file.read(length)
    match = _NPY_HEADER.fullmatch(text)
    if match is None:
        raise wrong
    dtype = match[1].decode()
    shape = tuple(int(axis) for axis in match[2].split(b",") if axis.strip())
    header = prefix + text
    if dtype not in DTYPES or len(shape) > MAX_DIMENSIONS or _npy_header(dtype, shape) != header:
        raise wrong
    if prod(shape) * int(dtype[2]) != member.size - len(header):
        raise NpzError(
            f"its member {member.name!r} declares shape {shape}, which is not the size of its data"
        )
    return dtype, shape, header


def _bytes_of(array: Array) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _is_safe_name(name: str) -> bool:
    return len(name) <= MAX_NAME_BYTES and _SAFE_NAME.fullmatch(name) is not None


def _read_at(file: BufferedIOBase, position: int, length: int) -> bytes:
    file.seek(position)
    content = file.read(length)
    if len(content) != length:
        raise NpzError("it became shorter while it was read")
    return content
