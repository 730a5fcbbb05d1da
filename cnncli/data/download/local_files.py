"""Checks the files of a data set on this machine, copies them from a folder, and extracts them from a zip."""

import shutil
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

from cnncli.data.readers.idx import MAX_BYTES, is_gzipped
from cnncli.data.readers.idx_set import find_file, hash_file, locate, read_file
from cnncli.data.registry import DATASETS, Archive, DataFile, DatasetSpec, find_spec
from cnncli.errors import DataError, DownloadError
from cnncli.storage import atomic_file, storing

CHUNK = 1 << 20
# RuntimeError: the file is encrypted, or compressed by a method that zipfile does not know
_UNPACKING_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError)


@dataclass(frozen=True)
class FileCheck:
    """The result of checking one file of a set.

    Args:
        name: the published name.
        status: "ok", "missing", "wrong content" or "unreadable".
        detail: what was checked, or what is wrong.
        path: the path of the file, or None if it is missing.
    """

    name: str
    status: str
    detail: str
    path: Path | None = None


def verify_dataset(
    name: str, data_dir: str | Path = "data", *, table: Mapping[str, DatasetSpec] = DATASETS
) -> list[FileCheck]:
    """Read and hash every file of a set again, without changing any.

    Raises:
        UsageError: no set has this name, or it has no files.
    """
    spec = find_spec(name, table)
    folder = locate(spec, data_dir)
    return [check_file(spec, file, folder) for file in spec.files]


def check_file(spec: DatasetSpec, file: DataFile, folder: Path) -> FileCheck:
    """Look for one file of a set in a folder, and read and hash it."""
    path = find_file(file, folder)
    if path is None:
        return FileCheck(file.name, "missing", f"not in {folder}")
    problem = file_problem(spec, file, path)
    if problem is not None:
        status = "unreadable" if "cannot be read" in problem else "wrong content"
        return FileCheck(file.name, status, problem, path)
    if file.content_hash is not None:
        return FileCheck(file.name, "ok", f"content hashes to {file.content_hash}", path)
    if file.published_hash is not None and is_gzipped(path):
        return FileCheck(file.name, "ok", f"the published file, {file.published_hash}", path)
    return FileCheck(file.name, "ok", "shape, length and values are right; no hash is known", path)


def file_problem(spec: DatasetSpec, file: DataFile, path: Path) -> str | None:
    """Return what is wrong with a file, as a predicate that follows its name in a sentence, or None."""
    try:
        read_file(file, path, spec.label_limit)
    except DataError as error:
        return error.message.removeprefix(f"{path} ")
    return None


def archive_problem(archive: Archive, path: Path) -> str | None:
    """Return what is wrong with a zip, as a predicate that follows its name in a sentence, or None."""
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
    """Return a limit that no correct copy of a file exceeds, gzipped or not."""
    if file.shape is None:
        return MAX_BYTES
    content = prod(file.shape) * (1 if file.kind == "images" else 4)  # the labels of QMNIST are int32
    return content + content // 100 + (1 << 16)


def final_path(file: DataFile, folder: Path, *, gzipped: bool) -> Path:
    """Return the path at which a file of the set is kept."""
    return folder / (file.name if gzipped else file.name.removesuffix(".gz"))


def remove_preferred_copies(file: DataFile, kept: Path) -> None:
    """Remove older copies that `find_file` would prefer to the copy that has just been checked."""
    for name in file.names:
        path = kept.with_name(name)
        if path == kept:
            return
        with storing(path, "remove"):
            path.unlink(missing_ok=True)


def copy_from_folder(spec: DatasetSpec, files: Sequence[DataFile], source: Path, folder: Path) -> None:
    """Copy files of a set, or extract them from its zip, from a folder that the user filled by hand.

    Args:
        spec: the set.
        files: the files to copy.
        source: a folder that holds the files, gzipped or raw, itself or in a subfolder <name>.
        folder: the folder to copy to.

    Raises:
        DownloadError: a file is missing or has the wrong content.
        StorageError: `folder` cannot be written.
    """
    folders = [source / spec.name, source]
    found = {file: path for file in files for each in reversed(folders) if (path := find_file(file, each))}
    missing = [file for file in files if file not in found]
    if missing and spec.archive is not None:
        zips = [path for each in folders if (path := each / spec.archive.name).is_file()]
        if zips:
            extract(spec, missing, zips[0], folder)
            missing = []
    if missing:
        names = " or ".join(missing[0].names[:2])
        if not source.exists():
            raise DownloadError(f"{source} does not exist")
        raise DownloadError(f"{source} holds no {names}", "the names have to be those of the published files")
    for file, path in found.items():
        problem = file_problem(spec, file, path)
        if problem is not None:
            hint = f"it has to be {file.name} of {spec.title}, or that file unpacked"
            raise DownloadError(f"{path} {problem}", hint)
        target = final_path(file, folder, gzipped=is_gzipped(path))
        if not (target.exists() and target.samefile(path)):
            with open(path, "rb") as original, atomic_file(target) as copy:
                shutil.copyfileobj(original, copy, CHUNK)
        remove_preferred_copies(file, target)


def extract(spec: DatasetSpec, files: Sequence[DataFile], zip_path: Path, folder: Path) -> None:
    """Extract files of a set from the zip in which they are published, at most `max_bytes` of each.

    Raises:
        DownloadError: the zip or a file in it has the wrong content.
        StorageError: `folder` cannot be written.
    """
    archive = spec.archive
    if archive is None:
        raise DownloadError(f"{spec.title} is not published as a zip")
    problem = archive_problem(archive, zip_path)
    if problem is not None:
        raise DownloadError(f"{zip_path} {problem}")
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
                        found = f"{member} in {zip_path}"
                        raise DownloadError(f"{found} is larger than {max_bytes(file):,} bytes")
                    copy.write(block)
                copy.flush()
                problem = file_problem(spec, file, Path(copy.name))
                if problem is not None:
                    raise DownloadError(f"{member} in {zip_path} {problem}")
        except KeyError as error:
            raise DownloadError(f"{zip_path} holds no {member}") from error
        except _UNPACKING_ERRORS as error:
            raise DownloadError(f"{zip_path} cannot be unpacked: {error}") from error
        remove_preferred_copies(file, target)
