"""Damages checkpoints in every way we could think of; loading must refuse them or read them right.

Used by test_checkpoint.py with a few thousand mutations, and by hand with many more:

    python tests/checkpoint_mutations.py --count 100000
"""

import argparse
import io
import json
import re
import struct
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import numpy as np

from cnncli.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from cnncli.errors import CheckpointError
from cnncli.npz import hash_arrays

Rng = np.random.Generator
Members = list[tuple[str, bytes]]

INTERESTING = (
    0,
    1,
    7,
    0x14,
    0x40,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x10000,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFE,
    0xFFFFFFFF,
)

META = {
    "config": {"seed": 1, "train": {"epochs": 3}},
    "input_shape": [1, 28, 28],
    "classes": ["0", "1", "zwei ü"],
    "dataset": "mnist",
    "seed": 1,
    "epoch": 2,
    "history": [{"epoch": 1, "val_loss": 0.5, "val_accuracy": None}],
}


def small_checkpoint(rng: Rng, width: int = 4) -> Checkpoint:
    """Return a checkpoint with every type of array and every group, of some `width`² numbers."""
    return Checkpoint(
        network={
            "conv1.weight": rng.standard_normal((width, 1, 3, 3)).astype(np.float32),
            "conv1.bias": np.zeros(width, np.float32),
            "linear1.weight": rng.standard_normal((width, width)),
        },
        optimizer={"first_moment": np.ones((width, width), np.float32), "step_count": np.array(7)},
        average={"conv1.bias": np.ones(width, np.float32), "mask": np.arange(5, dtype=np.uint8)},
        meta=META,
    )


def saved_bytes(checkpoint: Checkpoint, folder: Path) -> bytes:
    """Return what `save_checkpoint` writes."""
    path = folder / "saved.npz"
    save_checkpoint(path, checkpoint)
    return path.read_bytes()


def members_of(data: bytes) -> Members:
    """Take a checkpoint apart with the standard library: (name with .npy, contents)."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


def assemble(members: Members) -> bytes:
    """Write any members in the layout of a checkpoint, all sizes and checksums right."""
    common = struct.pack("<HHHHH", 20, 0, 0, 0, 0x21)
    body, entries, offset = [], [], 0
    for name, contents in members:
        raw = name.encode("utf-8", errors="surrogateescape")
        numbers = struct.pack("<IIIHH", crc32(contents), len(contents), len(contents), len(raw), 0)
        place = struct.pack("<HHHII", 0, 0, 0, 0o100644 << 16, offset)
        entries.append(b"PK\1\2" + struct.pack("<H", 0x314) + common + numbers + place + raw)
        body.append(b"PK\3\4" + common + numbers + raw + contents)
        offset += len(body[-1])
    directory = b"".join(entries)
    counts = (0, 0, len(members), len(members), len(directory), offset, 0)
    return b"".join(body) + directory + b"PK\5\6" + struct.pack("<HHHHIIH", *counts)


def npy(header: str, data: bytes = b"", version: bytes = b"\1\0") -> bytes:
    """Write an .npy file with any header text."""
    text = header.encode("latin-1")
    text += b" " * (-(10 + len(text) + 1) % 64) + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text + data


def with_meta(members: Members, text: bytes) -> Members:
    """Replace the JSON text."""
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({len(text)},), }}"
    return [("meta.npy", npy(header, text)), *members[1:]]


def meta_of(members: Members) -> dict[str, object]:
    """Return the JSON object."""
    return json.loads(bytes(np.load(io.BytesIO(members[0][1]))))


def flip_bits(data: bytes, rng: Rng) -> bytes:
    changed = bytearray(data)
    for position in rng.integers(len(data), size=int(rng.integers(1, 5))):
        changed[position] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def overwrite(data: bytes, rng: Rng) -> bytes:
    start, length = int(rng.integers(len(data))), int(rng.integers(1, 64))
    length = min(length, len(data) - start)
    filling = [bytes(length), b"\xff" * length, rng.bytes(length)][int(rng.integers(3))]
    return data[:start] + filling + data[start + length :]


def cut(data: bytes, rng: Rng) -> bytes:
    return data[: int(rng.integers(len(data)))]


def extend(data: bytes, rng: Rng) -> bytes:
    extra = rng.bytes(int(rng.integers(1, 100)))
    return [data + extra, extra + data, data + data, data + bytes(4096)][int(rng.integers(4))]


def move_piece(data: bytes, rng: Rng) -> bytes:
    a, b, c = sorted(int(i) for i in rng.integers(len(data), size=3))
    return [
        data[:a] + data[b:],
        data[:b] + data[a:],
        data[:a] + data[b:c] + data[a:b] + data[c:],
        data[:a] + rng.bytes(8) + data[a:],
    ][int(rng.integers(4))]


def set_field(data: bytes, rng: Rng) -> bytes:
    """Put an interesting number into one of the fields near a ZIP or .npy signature."""
    signature = [b"PK\1\2", b"PK\3\4", b"PK\5\6", b"\x93NUMPY"][int(rng.integers(4))]
    places = [match.start() for match in re.finditer(re.escape(signature), data)]
    if not places:
        return flip_bits(data, rng)
    start = int(rng.choice(places)) + 4 + int(rng.integers(42))
    number = int(rng.choice(INTERESTING)) if rng.random() < 0.7 else len(data) + int(rng.integers(-64, 64))
    field = struct.pack("<I", number & 0xFFFFFFFF)[: 2 if rng.random() < 0.4 else 4]
    return data[:start] + field + data[start + len(field) :]


def change_array(data: bytes, rng: Rng) -> bytes:
    """Change numbers of an array, and make the checksum right again."""
    members = members_of(data)
    index = int(rng.integers(1, len(members)))
    name, contents = members[index]
    members[index] = (name, contents[:128] + flip_bits(contents[128:] or b"0", rng))
    return assemble(members)


def change_header(data: bytes, rng: Rng) -> bytes:
    """Lie in an .npy header, with a right checksum."""
    members = members_of(data)
    index = int(rng.integers(len(members)))
    name, contents = members[index]
    text = contents[10:128].decode("latin-1").rstrip()
    shapes = [
        "(-1,)",
        "(1e9,)",
        "(99999999999,)",
        "(0,)",
        "()",
        "(2,)*9",
        "(0, 9999999999, 9999999999)",
        "(1,1,",
    ]
    texts = [
        text.replace("False", "True"),
        text.replace("<f4", str(rng.choice(["|O", "<f2", ">f4", "<c8", "|V4", "<U1", "<M8", "f4", "<i4"]))),
        text.split("'shape'")[0] + "'shape': " + str(rng.choice(shapes)) + ", }",
        text.split("'shape'")[0] + "'shape': " + "(" * 60 + "}",
        "__import__('os').abort()",
        text + " " * 64,
        text.replace("'descr'", "'Descr'"),
        text.replace(" ", "\t"),
    ]
    version = b"\1\0" if rng.random() < 0.8 else rng.bytes(2)
    members[index] = (name, npy(texts[int(rng.integers(len(texts)))], contents[128:], version))
    return assemble(members)


def change_members(data: bytes, rng: Rng) -> bytes:
    """Rename, double, drop, empty or reorder members; all checksums right."""
    members = members_of(data)
    index = int(rng.integers(len(members)))
    name, contents = members[index]
    names = [
        "../../x.npy",
        "/etc/passwd",
        "meta.npy",
        "network/.npy",
        "data.pkl",
        "a" * 300 + ".npy",
        "",
        "network",
    ]
    choice = int(rng.integers(6))
    if choice == 0:
        members[index] = (str(rng.choice(names)), contents)
    elif choice == 1:
        members.append((name, contents))
    elif choice == 2:
        del members[index]
    elif choice == 3:
        members[index] = (name, b"")
    elif choice == 4:
        members = [members[i] for i in rng.permutation(len(members))]
    else:
        members[1:] = [members[1 + i] for i in rng.permutation(len(members) - 1)]
    return assemble(members)


def change_meta(data: bytes, rng: Rng) -> bytes:
    """Change the JSON object, or its text, with a right checksum."""
    members = members_of(data)
    meta = meta_of(members)
    key = str(rng.choice(list(meta)))
    values = [None, True, -1, 2**70, 1.5, "x", [], [[]], {}, {"a": [1]}, float("nan")]
    choice = int(rng.integers(4))
    if choice == 0:
        del meta[key]
    elif choice == 1:
        meta[key] = values[int(rng.integers(len(values)))]
    elif choice == 2:
        return assemble(with_meta(members, flip_bits(json.dumps(meta).encode(), rng)))
    else:
        bombs = [
            b"[" * 5000,
            b'{"a":' * 5000,
            b"9" * 10_000,
            b'{"a":1,"a":2}',
            b"",
            b"null",
            b'"\xff"',
            b"[1]",
        ]
        return assemble(with_meta(members, bombs[int(rng.integers(len(bombs)))]))
    return assemble(with_meta(members, json.dumps(meta).encode()))


def repack(data: bytes, rng: Rng) -> bytes:
    """Write the same members as another ZIP writer would: compressed, with a comment, streamed."""
    buffer = io.BytesIO()
    method = [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2][int(rng.integers(3))]
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, contents in members_of(data):
            with archive.open(name, "w", force_zip64=bool(rng.integers(2))) as member:
                member.write(contents)
        archive.comment = rng.bytes(int(rng.integers(10)))
    return buffer.getvalue()


def sign_again(data: bytes, rng: Rng) -> bytes:
    """Change numbers, and make checksum and hash right again: a file that must load, with the new numbers."""
    members = members_of(change_array(data, rng))
    arrays = {name[:-4]: np.load(io.BytesIO(contents)) for name, contents in members[1:]}
    meta = meta_of(members) | {"sha256": hash_arrays(arrays)}
    return assemble(with_meta(members, json.dumps(meta).encode()))


MUTATIONS: tuple[Callable[[bytes, Rng], bytes], ...] = (
    flip_bits,
    overwrite,
    cut,
    extend,
    move_piece,
    set_field,
    change_array,
    change_header,
    change_members,
    change_meta,
    repack,
    sign_again,
)


def check(data: bytes, path: Path) -> bool:
    """Load a file of these bytes; return whether it loaded.

    Raises:
        AssertionError: it loaded as something else than NumPy's own reader finds in it.
        Exception: any other failure than a CheckpointError with a message.
    """
    path.unlink(missing_ok=True)  # some file systems flush a file that is written over
    path.write_bytes(data)
    try:
        loaded = load_checkpoint(path)
    except CheckpointError as error:
        assert str(path) in error.message
        return False
    found = {
        f"{group}/{name}": array
        for group in ("network", "optimizer", "average")
        for name, array in getattr(loaded, group).items()
    }
    with np.load(path, allow_pickle=False) as expected:
        assert set(found) | {"meta"} == set(expected)
        for name, array in found.items():
            assert array.tobytes() == expected[name].tobytes() and array.shape == expected[name].shape
            assert array.dtype == expected[name].dtype
        # As text, for NaN is not equal to itself.
        assert json.dumps(loaded.meta) == json.dumps(json.loads(bytes(expected["meta"])))
    return True


def campaign(count: int, seed: int, folder: Path, width: int = 4) -> Counter[str]:
    """Mutate and load `count` times, one to three mutations at once; return how often what happened."""
    rng = np.random.default_rng(seed)
    original = saved_bytes(small_checkpoint(rng, width), folder)
    results: Counter[str] = Counter()
    for index in range(count):
        data = original
        mutations = [MUTATIONS[index % len(MUTATIONS)]]
        mutations += [MUTATIONS[i] for i in rng.integers(6, size=int(rng.choice([0, 0, 0, 1, 2])))]
        for mutation in mutations:
            data = mutation(data, rng) if data else data
        results["loaded" if check(data, folder / "mutated.npz") else "refused"] += 1
    return results


def main() -> None:
    """Run a campaign and print what came of it, with the memory it took."""
    import resource

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--width", type=int, default=4, help="the file holds some 12 · width² bytes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        campaign(20, options.seed, Path(folder), options.width)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        results = campaign(options.count, options.seed, Path(folder), options.width)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        size = (Path(folder) / "saved.npz").stat().st_size
    unit = 1 if sys.platform == "darwin" else 1024
    print(f"{dict(results)}; file {size:,} bytes; memory grew by {(after - before) * unit / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
