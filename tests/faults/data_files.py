"""Data sets in every form that is read, damaged at random or far too large: each is read or refused with a reason."""

import bz2
import gzip
import io
import random
import shutil
import tarfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cnncli.data.load import load_dataset
from cnncli.errors import CnnError

from .bounded import Ended, cnn, own_peak, run
from .inputs import damaged
from .outcome import Outcome

N = 24
SLOW = 10.0
"""Seconds after which a damaged file took too long."""


def originals() -> dict[str, list[tuple[str, bytes]]]:
    """Return small files of every form by the name of the form; each with its usual endings."""
    rng = np.random.default_rng(3)
    images = np.pad(rng.integers(0, 256, (N, 6, 6)), ((0, 0), (1, 1), (1, 1))).astype(np.uint8)
    labels = np.arange(N) % 3
    rows = [",".join(map(str, row)) for row in images.reshape(N, -1).tolist()]
    table = "\n".join(f"{label},{row}" for label, row in zip(labels, rows, strict=True)).encode()
    head = ("label," + ",".join(f"pixel{i}" for i in range(64)) + "\n").encode()
    texts = table.replace(b"0,", b"0.5,").replace(b"\n1,", b'\n"one",').replace(b"\n2,", b'\n"two",')
    sparse = "\n".join(
        f"{label} " + " ".join(f"{i + 1}:{value}" for i, value in enumerate(row) if value)
        for label, row in zip(labels, images.reshape(N, -1).tolist(), strict=True)
    ).encode()
    names = "".join(f"@attribute p{i} real\n" for i in range(64))
    last = "".join(f"{row},{label}\n" for label, row in zip(labels, rows, strict=True))
    arff = f"@relation x\n{names}@attribute class {{0,1,2}}\n@data\n{last}".encode()
    forms = {
        "CSV": [
            ("a.csv", head + table),
            ("a.csv", table),
            ("a.csv", texts),
            ("a.csv.gz", gzip.compress(table)),
        ],
        "LIBSVM": [("a.txt", sparse), ("a.bz2", bz2.compress(sparse))],
        "ARFF": [("a.arff", arff)],
        "NumPy": [("a.npz", _npz(images, labels, compress)) for compress in (False, True)],
        "tar": [("a.tar", _tar(images, labels, mode)) for mode in ("w", "w:gz")],
    }
    try:
        forms["MATLAB"] = [("a.mat", _mat(images, labels, compress)) for compress in (False, True)]
        forms["HDF5"] = [("a.h5", _hdf5(images, labels))]
        forms["Parquet"] = [("a.parquet", _parquet(images, labels))]
    except ImportError:
        pass  # the forms of the extras that are not installed are left out
    return forms


def data_files(folder: Path, count: int) -> Outcome:
    """Damage data sets in every form, a share of the tries for each."""
    dice, results, lost = random.Random(8), Counter[str](), []
    forms = originals()
    before, slowest = own_peak(), 0.0
    for number in range(count):
        form = list(forms)[number % len(forms)]
        name, content = dice.choice(forms[form])
        path = folder / name
        path.write_bytes(damaged(content, dice))
        began = time.monotonic()
        try:
            dataset = load_dataset(str(path))
        except CnnError as error:
            assert str(path) in error.message or name in error.message, error.message
            results["refused"] += 1
        except Exception as error:
            lost.append(f"{form}: {type(error).__name__}: {error}"[:200])
        else:
            assert dataset.train.images.dtype == np.uint8 and len(dataset.classes) >= 2
            results["read"] += 1
        slowest = max(slowest, time.monotonic() - began)
        path.unlink()
    grown = own_peak() - before
    if grown > 1500:  # a damaged header may ask for anything below the limit of 2^30 values
        lost.append(f"memory grew by {grown:.0f} MB")
    if slowest > SLOW:
        lost.append(f"one took {slowest:.1f} s")
    return Outcome(
        f"data sets with random damage: {', '.join(forms)}",
        count,
        f"{results['refused']:,} refused with the reason, {results['read']:,} read; the slowest took {slowest:.1f} s; "
        f"memory grew by {grown:.0f} MB",
        tuple(dict.fromkeys(lost)),
    )


def data_bombs(folder: Path, count: int) -> Outcome:
    """Give small data files that expand to very much to a process each."""
    cases: list[tuple[str, Callable[[Path], None]]] = [
        ("an .npz of 10^12 values", _npz_header),
        ("two gigabytes of zeros in an .npz", _npz_zeros),
        ("a line of two gigabytes in a gzipped CSV", _csv_line),
        ("a picture of two gigabytes in a gzipped tar", _tar_zeros),
        ("a LIBSVM line with the index 10^12", _svm_index),
    ]
    lost: list[str] = []
    floor = run("-c", "import cnncli.training.lookup, cnncli.data.readers.own_set", cwd=folder).megabytes
    chosen = cases[:count]
    for number, (name, make) in enumerate(chosen):
        place = folder / f"bomb{number}"
        place.mkdir()
        make(place)
        (path,) = place.iterdir()
        ended: Ended = cnn("inspect", path.name, cwd=place)
        if ended.code not in (1, 2) or "error" not in ended.stderr or "Traceback" in ended.stderr:
            lost.append(f"{name}: exit code {ended.code}, {ended.stderr[-300:]!r}")
        if ended.megabytes > 100 + floor or ended.seconds > 30:
            lost.append(f"{name}: {ended.megabytes:.0f} MB in {ended.seconds:.1f} s")
        shutil.rmtree(place)
    return Outcome(
        "bombs: " + "; ".join(name for name, _ in chosen),
        len(chosen),
        f"each refused with a message, within 100 MB above the {floor:.0f} MB of the program itself",
        tuple(lost),
    )


def _npz(images: np.ndarray, labels: np.ndarray, compress: bool) -> bytes:
    stream = io.BytesIO()
    (np.savez_compressed if compress else np.savez)(stream, x_train=images, y_train=labels)
    return stream.getvalue()


def _tar(images: np.ndarray, labels: np.ndarray, mode: str) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for number, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
            picture = io.BytesIO()
            Image.fromarray(image).save(picture, "PNG")
            for name, content in (
                (f"{number}.png", picture.getvalue()),
                (f"{number}.cls", str(label).encode()),
            ):
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def _mat(images: np.ndarray, labels: np.ndarray, compress: bool) -> bytes:
    from scipy.io import savemat

    stream = io.BytesIO()
    savemat(stream, {"X": images, "y": labels[:, None]}, do_compression=compress)
    return stream.getvalue()


def _hdf5(images: np.ndarray, labels: np.ndarray) -> bytes:
    import h5py

    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file.create_dataset("train/images", data=images, compression="gzip")
        file["train/labels"] = labels
    return stream.getvalue()


def _parquet(images: np.ndarray, labels: np.ndarray) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image

    encoded = []
    for image in images:
        picture = io.BytesIO()
        Image.fromarray(image).save(picture, "PNG")
        encoded.append({"bytes": picture.getvalue(), "path": None})
    stream = io.BytesIO()
    pq.write_table(pa.table({"image": encoded, "label": labels.tolist()}), stream)
    return stream.getvalue()


def _header(shape: str) -> bytes:
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text


def _npz_header(place: Path) -> None:
    with zipfile.ZipFile(place / "a.npz", "w") as archive:
        archive.writestr("images.npy", _header("(1000000000, 10, 100)") + bytes(99))


def _npz_zeros(place: Path) -> None:
    with (
        zipfile.ZipFile(place / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("images.npy", "w", force_zip64=True) as member,
    ):
        member.write(_header("(2000000, 32, 32)"))
        for _ in range(2048):
            member.write(bytes(1_000_000))


def _csv_line(place: Path) -> None:
    with gzip.open(place / "a.csv.gz", "wb", compresslevel=1) as stream:
        stream.write(b"label,a,b,c\n")
        for _ in range(2000):
            stream.write(b"1," * 500_000)


def _tar_zeros(place: Path) -> None:
    with tarfile.open(place / "a.tar.gz", "w:gz", compresslevel=1) as archive:
        entry = tarfile.TarInfo("cat/1.png")
        entry.size = 2_000_000_000
        archive.addfile(entry, open("/dev/zero", "rb"))


def _svm_index(place: Path) -> None:
    (place / "a.txt").write_text("1 1:1 1000000000000:1\n0 1:1 5:2\n")
