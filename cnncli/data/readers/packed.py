"""Lists the pictures inside tar archives and Parquet tables in the form of a folder; nothing is written to the disk."""

import json
import tarfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from cnncli.data.dataset import MAX_CLASSES
from cnncli.data.readers.arrays import ArrayFile, check_size, in_memory
from cnncli.data.readers.layout import MAX_PICTURES, SPLIT_FOLDERS, Listing, Packed, Pictures
from cnncli.data.readers.streams import open_stream, refuse_damage
from cnncli.data.readers.table import LABEL_NAMES, SMALLEST
from cnncli.errors import DataError
from cnncli.pictures.formats import reads_suffix

MAX_PICTURE_BYTES = 128 << 20
MAX_BYTES = 2 << 30
"""The most bytes of all pictures of a set, still encoded."""

_DAMAGED = (OSError, ValueError, KeyError, NotImplementedError, TypeError)  # what pyarrow raises

_LABEL_SUFFIXES = (".cls", ".json", ".txt")


@dataclass(frozen=True)
class _Labeled:
    """A picture with the part that it belongs to, None if nothing says so, and its label, a number or a name."""

    picture: Packed
    label: int | str
    part: str | None


def list_tars(paths: Mapping[Path, str | None]) -> Listing:
    """Return the pictures of tar archives: WebDataset (`key.png` beside `key.cls`), or one folder per class.

    Args:
        paths: the archives, each with the part that its name tells.

    Raises:
        DataError: one cannot be read, has a member outside of its folder, or holds no pictures with labels.
    """
    labeled: list[_Labeled] = []
    left_out: Counter[str] = Counter()
    for path, part in paths.items():
        labeled += _read_tar(path, part, left_out)
        _check_total(path, labeled)
    return _to_listing(next(iter(paths)), labeled, (), left_out)


def list_parquet(paths: Mapping[Path, str | None], labels: str | None, images: str | None) -> Listing | None:
    """Return the pictures of Parquet tables as Hugging Face writes them; None if they have columns of pixels instead.

    Args:
        paths: the tables, each with the part that its name tells.
        labels: the name of the column of labels; None to find it.
        images: the name of the column of pictures; None to find it.

    Raises:
        DataError: pyarrow is not installed, or one cannot be read, or its columns are not clear.
    """
    pq = import_parquet(next(iter(paths)))
    labeled: list[_Labeled] = []
    classes: tuple[str, ...] = ()
    for path, part in paths.items():
        with refuse_damage(path, "Parquet table", _DAMAGED):
            table = pq.ParquetFile(path)
            columns = {field.name: str(field.type) for field in table.schema_arrow}
            image = images or next((n for n, t in columns.items() if "binary" in t), None)
            if image is None:
                return None
            label = labels or next(
                (
                    name
                    for name in ("label", "labels", "fine_label", "class", "target", "digit")
                    if name in columns
                ),
                None,
            )
            if label is None or label not in columns or image not in columns:
                raise DataError(
                    f"{path} has the columns {', '.join(list(columns)[:8])}, and which holds the pictures and which "
                    "the labels is not clear",
                    "name them: `data.images` and `data.labels`",
                )
            classes = classes or _class_names(table.schema_arrow.metadata, label)
            for number, row in enumerate(_rows(table, image, label)):
                content = row[0]["bytes"] if isinstance(row[0], dict) else row[0]
                if content is None or row[1] is None:
                    raise DataError(f"{path}: row {number} has no picture or no label")
                labeled.append(_Labeled(Packed(f"{path.name}[{number}]", content), row[1], part))
            _check_total(path, labeled)
    return _to_listing(next(iter(paths)), labeled, classes, Counter())


def read_parquet_table(path: Path, labels: str | None = None) -> ArrayFile:
    """Return the arrays of a Parquet table with one column for each pixel.

    Raises:
        DataError: pyarrow is not installed, or the file cannot be read, or has no columns of numbers.
    """
    pq = import_parquet(path)
    with refuse_damage(path, "Parquet table", _DAMAGED):
        table = pq.ParquetFile(path)
        schema = table.schema_arrow
        names = [field.name for field in schema]
        label = labels or next((name for name in names if name.lower() in LABEL_NAMES), None)
        pixels = [
            field.name
            for field in schema
            if field.name != label and str(field.type).startswith(("int", "uint", "float", "double"))
        ]
        check_size(path, "", (table.metadata.num_rows, len(pixels)), np.dtype(np.float32))
        if len(pixels) < SMALLEST:
            raise DataError(
                f"{path} has the columns {', '.join(names[:8])}, which are no pictures and no pixels"
            )
        columns = table.read(columns=pixels)
        images = np.stack([column.to_numpy() for column in columns.columns], axis=1)
        file = ArrayFile(path, [in_memory(path, "images", images)])
        if label is not None:
            texts = table.read(columns=[label]).column(0).to_numpy()
            found = texts.astype(str) if texts.dtype == object else texts
            file.arrays.append(in_memory(path, "labels", found))
    return file


def import_parquet(path: Path) -> Any:
    """Return the module that reads Parquet.

    Raises:
        DataError: pyarrow is not installed.
    """
    try:
        import pyarrow.parquet as pq
    except ImportError as error:
        raise DataError(
            f"{path} is a Parquet table, and pyarrow is not installed",
            'install the extra: pip install "cnncli[parquet]"',
        ) from error
    return pq


def _rows(table: Any, image: str, label: str) -> Iterator[tuple[Any, Any]]:
    for batch in table.iter_batches(batch_size=1000, columns=[image, label]):
        columns = batch.to_pydict()
        yield from zip(columns[image], columns[label], strict=True)


def _class_names(metadata: Mapping[bytes, bytes] | None, label: str) -> tuple[str, ...]:
    """Return the names of the classes that Hugging Face keeps beside the columns."""
    with suppress(ValueError, KeyError, TypeError):
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        return tuple(map(str, features[label]["names"]))
    return ()


def _read_tar(path: Path, part: str | None, left_out: Counter[str]) -> list[_Labeled]:
    pictures: dict[str, Packed] = {}
    labels: dict[str, int | str] = {}
    total = 0
    with open_stream(path) as stream:
        try:
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                for member in archive:
                    name = PurePosixPath(member.name)
                    if name.is_absolute() or ".." in name.parts:
                        raise DataError(f"{path} has a member outside of its folder: {member.name[:80]}")
                    if not member.isfile() or name.name.startswith("."):
                        continue
                    if member.size > MAX_PICTURE_BYTES:
                        raise DataError(
                            f"{path}: {name} has {member.size:,} bytes, more than {MAX_PICTURE_BYTES:,}"
                        )
                    suffix = name.suffix.lower()
                    key = str(name).removesuffix(name.suffix)
                    if not reads_suffix(suffix) and suffix not in _LABEL_SUFFIXES:
                        left_out["not a picture"] += 1
                        continue
                    file = archive.extractfile(member)
                    content = b"" if file is None else file.read()
                    total += len(content)
                    if total > MAX_BYTES or len(pictures) > MAX_PICTURES:
                        raise DataError(
                            f"{path} holds more than {MAX_BYTES:,} bytes or {MAX_PICTURES:,} pictures"
                        )
                    if reads_suffix(suffix):
                        pictures[key] = Packed(f"{path.name}/{name}", content)
                    elif (label := _read_label(suffix, content)) is not None:
                        labels[key] = label
        except (tarfile.TarError, ValueError) as error:
            raise DataError(f"{path} is a damaged tar archive: {error}") from error
    if labels:
        found = [(picture, labels.get(key, labels.get(_sample(key)))) for key, picture in pictures.items()]
        left_out["pictures without a label"] += sum(label is None for _, label in found)
        return [_Labeled(picture, label, part) for picture, label in found if label is not None]
    return [
        _in_folder(key, picture, part)
        for key, picture in pictures.items()
        if len(PurePosixPath(key).parts) > 1
    ]


def _sample(key: str) -> str:
    """Return the key of a sample of WebDataset: the path up to the first dot in the name of the file."""
    path = PurePosixPath(key)
    return str(path.with_name(path.name.split(".")[0] or path.name))


def _read_label(suffix: str, content: bytes) -> int | str | None:
    """Return the label in a file beside a picture, or None."""
    with suppress(ValueError, UnicodeDecodeError, KeyError, TypeError):
        text = content.decode("utf-8").strip()
        if suffix == ".json":
            found = json.loads(text)
            value = (
                found.get("label", found.get("cls", found.get("class"))) if isinstance(found, dict) else found
            )
            return value if type(value) in (int, str) else None
        if suffix == ".cls" or len(text) <= 40:
            return int(text) if text.lstrip("-").isdigit() else text or None
    return None


def _in_folder(key: str, picture: Packed, part: str | None) -> _Labeled:
    """Return a picture whose class is its folder, and whose part is one of the folders above."""
    *above, name, _ = PurePosixPath(key).parts
    told = next((SPLIT_FOLDERS[each.lower()] for each in above if each.lower() in SPLIT_FOLDERS), part)
    return _Labeled(picture, int(name) if name.isascii() and name.isdigit() else name, told)


def _check_total(path: Path, labeled: list[_Labeled]) -> None:
    if sum(len(each.picture.content) for each in labeled) > MAX_BYTES or len(labeled) > MAX_PICTURES:
        raise DataError(f"{path} holds more than {MAX_BYTES:,} bytes or {MAX_PICTURES:,} pictures")


def _to_listing(
    path: Path, labeled: list[_Labeled], classes: tuple[str, ...], left_out: Counter[str]
) -> Listing:
    """Return labeled pictures in the form of a folder."""
    if not labeled:
        raise DataError(
            f"{path} holds no pictures with labels",
            "a tar archive has key.png beside key.cls, or one folder of pictures per class",
        )
    numbered = all(type(each.label) is int for each in labeled)
    if classes and numbered:
        order: dict[int | str, int] = {label: label for label in range(len(classes))}
        wrong = next((each.label for each in labeled if each.label not in order), None)
        if wrong is not None:
            raise DataError(f"{path} has the label {wrong}, and names {len(classes)} classes")
    else:
        distinct = sorted({each.label for each in labeled}, key=lambda label: (type(label) is str, label))
        order = {label: position for position, label in enumerate(distinct)}
        classes = tuple(map(str, distinct))
    if not 2 <= len(classes) <= MAX_CLASSES:
        raise DataError(f"{path} has {len(classes):,} classes, expected 2 to {MAX_CLASSES:,}")
    parts: dict[str, list[tuple[Packed, int]]] = defaultdict(list)
    for each in labeled:
        parts[each.part or "train"].append((each.picture, order[each.label]))

    def part(name: str) -> Pictures | None:
        return tuple(sorted(parts[name], key=lambda pair: pair[1])) if name in parts else None

    counts = {reason: count for reason, count in left_out.items() if count}
    notes = tuple(f"left out: {count:,} {reason}" for reason, count in sorted(counts.items()))
    return Listing(classes, part("train") or (), part("validation"), part("test"), counts, notes)
