"""Files of every kind, damaged at random or far too large: each must be read correctly or refused with a reason."""

import gzip
import io
import random
import struct
import tempfile
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from cnncli.data.readers.idx import read_idx, write_idx
from cnncli.errors import DataError, PictureError
from cnncli.pictures.digits import find_digits
from cnncli.pictures.read import read_picture

from .bounded import Ended, cnn, own_peak, run
from .outcome import Outcome


def configs(folder: Path, count: int) -> Outcome:
    """Damage the configs that ship with the program."""
    from tests.config.test_fuzz import mutate_and_read

    read = mutate_and_read(
        count, seed=7
    )  # an assertion fails on anything but a config or an error with a line
    return Outcome(
        "config files with random damage",
        count,
        f"{read:,} read, {count - read:,} refused with file and line, exit 2",
    )


def checkpoints(folder: Path, count: int) -> Outcome:
    """Damage a checkpoint: bits, sizes, headers, members, the JSON part, with and without right checksums."""
    from tests.checkpoint.mutations import campaign

    campaign(50, 0, folder)
    before = own_peak()
    results = campaign(count, 1, folder)
    grown = own_peak() - before
    lost = (f"memory grew by {grown:.0f} MB",) if grown > 64 else ()
    return Outcome(
        "checkpoints with random damage",
        count,
        f"{results['refused']:,} refused, {results['loaded']:,} loaded with the content NumPy finds in them; memory "
        f"grew by {grown:.0f} MB",
        lost,
    )


def damaged(content: bytes, dice: random.Random) -> bytes:
    """Flip, set, cut, double and drop bytes at random places."""
    data = bytearray(content)
    for _ in range(dice.choice((1, 1, 2, 4, 16))):
        if not data:
            break
        at = dice.randrange(len(data)) if dice.random() < 0.6 else dice.randrange(min(len(data), 64))
        match dice.randrange(6):
            case 0:
                data[at] ^= 1 << dice.randrange(8)
            case 1:
                data[at] = dice.choice((0, 1, 127, 128, 255))
            case 2:
                data[at : at + 4] = dice.choice(
                    (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\xff\xff")
                )
            case 3:
                del data[at : at + dice.choice((1, 4, 100))]
            case 4:
                data[at:at] = dice.randbytes(dice.choice((1, 4, 100)))
            case 5 if dice.random() < 0.3:
                del data[at:]
    return bytes(data)


def idx_files(folder: Path, count: int) -> Outcome:
    """Damage IDX files, raw and gzipped."""
    dice, results = random.Random(4), Counter()
    rng = np.random.default_rng(0)
    originals = []
    for array in (
        rng.integers(0, 256, (40, 9, 8), dtype=np.uint8),
        rng.integers(0, 10, 200).astype(np.uint8),
    ):
        write_idx(folder / "original", array)
        raw = (folder / "original").read_bytes()
        originals += [(raw, array), (gzip.compress(raw, mtime=0), array)]
    path, before = folder / "damaged", own_peak()
    for _ in range(count):
        content, array = dice.choice(originals)
        path.unlink(missing_ok=True)
        path.write_bytes(damaged(content, dice))
        try:
            found = read_idx(path)
        except DataError as error:
            assert str(path) in error.message, error.message
            results["refused"] += 1
        else:
            assert found.size <= 100_000
            results["unchanged" if np.array_equal(found, array) else "read"] += 1
    grown = own_peak() - before
    return Outcome(
        "IDX files with random damage, raw and gzipped",
        count,
        f"{results['refused']:,} refused with the reason, {results['read']:,} read as another valid array, "
        f"{results['unchanged']:,} unharmed; memory grew by {grown:.0f} MB",
        (f"memory grew by {grown:.0f} MB",) if grown > 64 else (),
    )


def _originals() -> list[bytes]:
    """Return a digit in every format that is read."""
    found = []
    for mode, formats in {
        "L": ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM"),
        "RGB": ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "PPM"),
        "RGBA": ("PNG", "WEBP", "TIFF"),
        "P": ("PNG", "GIF", "BMP"),
        "CMYK": ("JPEG", "TIFF"),
        "1": ("PNG", "TIFF", "PPM"),
    }.items():
        picture = Image.new("RGB", (60, 70), "white")
        ImageDraw.Draw(picture).line([(15, 15), (45, 15), (25, 60)], fill=(20, 20, 60), width=6)
        for name in formats:
            file = io.BytesIO()
            exif = Image.Exif()
            exif[0x0112] = 6
            picture.convert(mode).save(
                file, name, **({"exif": exif} if name in ("JPEG", "PNG", "WEBP") else {})
            )
            found.append(file.getvalue())
    return found


def pictures(folder: Path, count: int) -> Outcome:
    """Damage pictures in every format, and find the digits in what can be decoded."""
    dice, results, originals = random.Random(5), Counter(), _originals()
    for content in originals:
        find_digits(read_picture(content))
    before, slowest = own_peak(), 0.0
    for _ in range(count):
        content = damaged(dice.choice(originals), dice)
        began = time.monotonic()
        try:
            found = find_digits(read_picture(content))
        except PictureError:
            results["refused"] += 1
        else:
            assert all(digit.pixels.shape == (28, 28) for digit in found.digits)
            results["read"] += 1
        slowest = max(slowest, time.monotonic() - began)
    grown = own_peak() - before
    lost = []
    if grown > 1500:  # a damaged header may ask for anything below the limit of 64 million pixels
        lost.append(f"memory grew by {grown:.0f} MB")
    return Outcome(
        "pictures with random damage, in seven formats",
        count,
        f"{results['refused']:,} refused, {results['read']:,} decoded; the slowest took {slowest:.1f} s; memory grew "
        f"by {grown:.0f} MB",
        tuple(lost),
    )


def bombs(folder: Path, count: int) -> Outcome:
    """Give small files that demand very much memory or time to a process each."""
    lost: list[str] = []
    words: list[str] = []
    checkpoint = _checkpoint(folder)
    floor = run(
        "-c", "import cnncli.training.lookup, cnncli.pictures.digits, cnncli.pictures.read", cwd=folder
    ).megabytes
    cases: list[tuple[str, Callable[[Path], tuple[str, ...]], float]] = [
        ("a gigabyte of zeros in a gzipped IDX file", _gzip_bomb, 100),
        ("an IDX header of 2^31 images", _idx_header, 100),
        ("a PNG of 30,000 x 30,000", _png_bomb, 200),
        ("a PNG text block of a gigabyte", _png_text, 200),
        ("a YAML file of a megabyte", lambda place: _yaml(place, "a: " + "x" * 1_000_000), 100),
        ("YAML aliases that double 30 times", lambda place: _yaml(place, _aliases()), 100),
        ("YAML nested 10,000 deep", lambda place: _yaml(place, "[" * 10_000), 100),
        ("a layer of 10^12 parameters", lambda place: _yaml(place, _huge_layer()), 200),
        ("a batch of 10^9 images", lambda place: _yaml(place, _huge_batch()), 200),
        ("a checkpoint whose array says 10^12 numbers", lambda place: _npz(place, checkpoint), 200),
    ]
    for name, make, limit in cases[:: len(cases) // min(count, len(cases))]:
        place = folder / str(len(words))
        place.mkdir()
        ended: Ended = cnn(*make(place), cwd=place)
        words.append(name)
        if ended.code not in (1, 2) or "error" not in ended.stderr or "Traceback" in ended.stderr:
            lost.append(f"{name}: exit code {ended.code}, {ended.stderr[-300:]!r}")
        if ended.megabytes > limit + floor or ended.seconds > 10:
            lost.append(f"{name}: {ended.megabytes:.0f} MB in {ended.seconds:.1f} s")
    return Outcome(
        "bombs: " + "; ".join(words),
        len(words),
        f"each refused with a message, within 100 or 200 MB above the {floor:.0f} MB of the program itself",
        tuple(lost),
    )


def _deflated_gigabyte(begin: bytes = b"") -> bytes:
    """Return the deflated form of some bytes and a gigabyte of zeros, in the time that a megabyte takes.

    After a full flush the compressor remembers nothing, so each megabyte of zeros becomes the same bytes.
    """
    deflate = zlib.compressobj(1, wbits=-15)
    body = deflate.compress(begin) + deflate.flush(zlib.Z_FULL_FLUSH)
    body += 1000 * (deflate.compress(bytes(1_000_000)) + deflate.flush(zlib.Z_FULL_FLUSH))
    return body + deflate.flush()


def _gigabyte_checksum(checksum: Callable[..., int], begin: bytes = b"") -> int:
    zeros, value = bytes(1_000_000), checksum(begin)
    for _ in range(1000):
        value = checksum(zeros, value)
    return value


def _gzip_bomb(place: Path) -> tuple[str, ...]:
    folder = place / "set"
    folder.mkdir()
    header = struct.pack(">IIII", 0x803, 10, 28, 28)
    trailer = struct.pack("<II", _gigabyte_checksum(zlib.crc32, header), len(header) + 1_000_000_000)
    content = b"\x1f\x8b\x08" + bytes(7) + _deflated_gigabyte(header) + trailer
    (folder / "train-images-idx3-ubyte.gz").write_bytes(content)
    _rest_of_a_set(folder)
    return ("inspect", "set")


def _idx_header(place: Path) -> tuple[str, ...]:
    folder = place / "set"
    folder.mkdir()
    (folder / "train-images-idx3-ubyte").write_bytes(
        struct.pack(">IIII", 0x803, 1 << 31, 1 << 15, 1 << 15) + bytes(99)
    )
    _rest_of_a_set(folder)
    return ("inspect", "set")


def _rest_of_a_set(folder: Path) -> None:
    write_idx(folder / "train-labels-idx1-ubyte", np.zeros(10, np.uint8))
    write_idx(folder / "t10k-images-idx3-ubyte", np.zeros((3, 28, 28), np.uint8))
    write_idx(folder / "t10k-labels-idx1-ubyte", np.zeros(3, np.uint8))


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png_bomb(place: Path) -> tuple[str, ...]:
    row = zlib.compressobj(9)
    data = b"".join(row.compress(bytes(3_750)) for _ in range(30_000)) + row.flush()
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")
    (place / "bomb.png").write_bytes(content)
    return ("inspect", "bomb.png")


def _png_text(place: Path) -> tuple[str, ...]:
    text = b"\x78\x01" + _deflated_gigabyte() + struct.pack(">I", _gigabyte_checksum(zlib.adler32))
    header = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"zTXt", b"a\0\0" + text)
    content += _chunk(b"IDAT", zlib.compress(bytes(72))) + _chunk(b"IEND", b"")
    (place / "bomb.png").write_bytes(content)
    return ("inspect", "bomb.png")


def _yaml(place: Path, text: str) -> tuple[str, ...]:
    (place / "bomb.yaml").write_text(text)
    return ("train", "-c", "bomb.yaml")


def _aliases() -> str:
    return "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 31))


def _huge_layer() -> str:
    return (
        "data: {dataset: synthetic}\nmodel: [flatten, {linear: 1000000000}, {linear: 1000}, {linear: 10}]\n"
    )


def _huge_batch() -> str:
    return (
        "data: {dataset: synthetic}\nmodel: [{conv: {filters: 512, kernel: 3}}, flatten, {linear: 10}]\n"
        "train: {batch_size: 1000000000}\n"
    )


def _checkpoint(folder: Path) -> bytes:
    from tests.checkpoint.mutations import saved_bytes, small_checkpoint

    with tempfile.TemporaryDirectory() as place:
        return saved_bytes(small_checkpoint(np.random.default_rng(0)), Path(place))


def _npz(place: Path, original: bytes) -> tuple[str, ...]:
    """Let one array's header say that it has 10^12 numbers."""
    with zipfile.ZipFile(io.BytesIO(original)) as source, zipfile.ZipFile(place / "bomb.npz", "w") as target:
        for number, name in enumerate(source.namelist()):
            body = source.read(name)
            if number == 1:
                header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }"
                header = header.ljust(117) + b"\n"
                body = b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + bytes(64)
            target.writestr(name, body)
    return ("eval", "bomb.npz")
