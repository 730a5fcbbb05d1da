"""Files of a data set that are on this machine: judged again, copied from a folder, or taken out of a zip."""

import shutil
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

from cnncli.data.load import find_file, find_spec, hash_file, locate, read_data_file
from cnncli.data.readers.idx import MAX_BYTES, is_gzipped
from cnncli.data.registry import DATASETS, Archive, DataFile, DatasetSpec
from cnncli.errors import DataError, DownloadError
from cnncli.storage import atomic_file, storing

CHUNK = 1 << 20


@dataclass(frozen=True)
class FileReport:
    """What a second look at one file of a set found.

    Args:
        name: as published.
        status: "ok", "missing", "wrong content" or "unreadable".
        detail: what was checked, or what is wrong.
        path: the file looked at, or None.
    """

    name: str
    status: str
    detail: str
    path: Path | None = None


def verify(
    name: str, data_dir: str | Path = "data", *, table: Mapping[str, DatasetSpec] = DATASETS
) -> list[FileReport]:
    """Read and hash every file of a set again; nothing is changed.

    Raises:
        UsageError: no set has this name, or it has no files.
    """
    spec = find_spec(name, table)
    folder = locate(spec, data_dir)
    return [report(spec, file, find_file(file, folder), folder) for file in spec.files]


def report(spec: DatasetSpec, file: DataFile, path: Path | None, folder: Path) -> FileReport:
    """Judge one file; `path` is None when there is none in the folder."""
    if path is None:
        return FileReport(file.name, "missing", f"not in {folder}")
    wrong = fault(spec, file, path)
    if wrong is not None:
        return FileReport(
            file.name, "unreadable" if "cannot be read" in wrong else "wrong content", wrong, path
        )
    if file.content_hash is not None:
        return FileReport(file.name, "ok", f"content hashes to {file.content_hash}", path)
    if file.published_hash is not None and is_gzipped(path):
        return FileReport(file.name, "ok", f"the published file, {file.published_hash}", path)
    return FileReport(file.name, "ok", "shape, length and values are right; no hash is known", path)


def fault(spec: DatasetSpec, file: DataFile, path: Path) -> str | None:
    """Return what is wrong with a file, as the rest of a sentence about it, or None."""
    try:
        read_data_file(file, path, len(spec.classes) or None)
    except DataError as error:
        return error.message.removeprefix(f"{path} ")
    return None


def archive_fault(archive: Archive, path: Path) -> str | None:
    """Return what is wrong with a zip as a whole, as the rest of a sentence about it, or None."""
    if archive.published_hash is None:
        return None
    try:
        found = hash_file(path, archive.published_hash.partition(":")[0])
    except DataError as error:
        return error.message.removeprefix(f"{path} ")
    if found == archive.published_hash:
        return None
    return f"is not the published {archive.name}: it hashes to {found}, expected {archive.published_hash}"


def max_bytes(file: DataFile) -> int:
    """Return more than any honest copy of a file can have, gzipped or not."""
    if file.shape is None:
        return MAX_BYTES
    content = prod(file.shape) * (1 if file.kind == "images" else 4)  # the labels of QMNIST are int32
    return content + content // 100 + (1 << 16)


def final_path(file: DataFile, folder: Path, *, gzipped: bool) -> Path:
    """Return where a file of the set is kept."""
    return folder / (file.name if gzipped else file.name.removesuffix(".gz"))


def remove_shadows(file: DataFile, kept: Path) -> None:
    """Remove what would be found before a file that has just been checked: an older gzipped copy."""
    for name in file.names:
        path = kept.with_name(name)
        if path == kept:
            return
        with storing(path, "remove"):
            path.unlink(missing_ok=True)


def copy_from_folder(spec: DatasetSpec, files: Sequence[DataFile], source: Path, folder: Path) -> None:
    """Copy files of a set, or take them out of its zip, from a folder that somebody filled by hand.

    Args:
        spec: the set.
        files: which of its files.
        source: a folder with the files, gzipped or raw, or a folder <name> with them in it.
        folder: where to.

    Raises:
        DownloadError: a file is not there or not the right one.
        StorageError: `folder` cannot be written.
    """
    places = [source / spec.name, source]
    found = {file: path for file in files for place in reversed(places) if (path := find_file(file, place))}
    missing = [file for file in files if file not in found]
    if missing and spec.archive is not None:
        zips = [path for place in places if (path := place / spec.archive.name).is_file()]
        if zips:
            extract(spec, missing, zips[0], folder)
            missing = []
    if missing:
        names = " or ".join(missing[0].names[:2])
        if not source.exists():
            raise DownloadError(f"{source} does not exist")
        raise DownloadError(f"{source} holds no {names}", "the names have to be those of the published files")
    for file, path in found.items():
        wrong = fault(spec, file, path)
        if wrong is not None:
            raise DownloadError(
                f"{path} {wrong}", f"it has to be {file.name} of {spec.title}, or that file unpacked"
            )
        target = final_path(file, folder, gzipped=is_gzipped(path))
        if not (target.exists() and target.samefile(path)):
            with open(path, "rb") as original, atomic_file(target) as copy:
                shutil.copyfileobj(original, copy, CHUNK)
        remove_shadows(file, target)


def extract(spec: DatasetSpec, files: Sequence[DataFile], zip_path: Path, folder: Path) -> None:
    """Take files of a set out of the zip they are published in, never more bytes than they can have.

    Raises:
        DownloadError: the zip or a file in it is not the right one.
        StorageError: `folder` cannot be written.
    """
    archive = spec.archive
    if archive is None:
        raise DownloadError(f"{spec.title} is not published as a zip")
    wrong = archive_fault(archive, zip_path)
    if wrong is not None:
        raise DownloadError(f"{zip_path} {wrong}")
    for file in files:
        member = f"{archive.folder}/{file.name}"
        target = final_path(file, folder, gzipped=True)
        try:
            with (
                zipfile.ZipFile(zip_path) as opened,
                opened.open(member) as packed,
                atomic_file(target) as copy,
            ):
                left = max_bytes(file)
                while block := packed.read(CHUNK):
                    left -= len(block)
                    if left < 0:
                        raise DownloadError(
                            f"{member} in {zip_path} is larger than {max_bytes(file):,} bytes"
                        )
                    copy.write(block)
                copy.flush()
                wrong = fault(spec, file, Path(copy.name))
                if wrong is not None:
                    raise DownloadError(f"{member} in {zip_path} {wrong}")
        except KeyError as error:
            raise DownloadError(f"{zip_path} holds no {member}") from error
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            RuntimeError,
            NotImplementedError,
            OSError,
        ) as error:
            raise DownloadError(f"{zip_path} cannot be unpacked: {error}") from error
        remove_shadows(file, target)
