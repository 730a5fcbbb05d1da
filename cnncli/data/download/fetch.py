"""Downloads the files of published data sets: tries the mirrors in turn and checks the content."""

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from cnncli.data.download.local_files import (
    archive_problem,
    check_file,
    copy_from_folder,
    extract,
    file_problem,
    final_path,
    max_bytes,
    remove_preferred_copies,
)
from cnncli.data.download.part_file import PartFile, claimed_part
from cnncli.data.download.transfer import DEFAULT_LIMITS, Limits, Transfer, TransferError
from cnncli.data.readers.idx import is_gzipped
from cnncli.data.readers.idx_set import find_file, locate
from cnncli.data.registry import DATASETS, Archive, DataFile, DatasetSpec, find_spec
from cnncli.errors import DownloadCall, DownloadError, UsageError
from cnncli.storage import make_folder

Notify = Callable[[str], None]

_BAR = "{desc}: {percentage:3.0f} %|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}]"
_NARROW_BAR = "{desc}: {percentage:.0f} % {remaining}"
_WIDE = 80  # columns of a terminal; a narrower one has no room for the rate beside the name of a file


def download(
    name: str,
    data_dir: str | Path = "data",
    *,
    source: str | Path | None = None,
    force: bool = False,
    progress: bool = True,
    notify: Notify = lambda text: None,
    limits: Limits = DEFAULT_LIMITS,
    table: Mapping[str, DatasetSpec] = DATASETS,
) -> list[Path]:
    """Download the files of a set that are missing or have the wrong content.

    Each file grows as `<file>.part`. Then its content is checked, and it is flushed and renamed, so a file under its
    final name is complete. If several processes download the same file, one downloads and the others wait for it.

    Args:
        name: an entry of the table.
        data_dir: the folder of all sets; the files go to data_dir/<name>/.
        source: another mirror (http or https), or a folder with the files, gzipped or raw.
        force: also download files that are present and correct.
        progress: show a progress bar on stderr if that is a terminal.
        notify: called with one line for each mirror that fails, and when this process waits for another one.
        limits: timeouts and retries.
        table: the published sets.

    Returns:
        The paths of all files of the set.

    Raises:
        UsageError: no set has this name, or `source` is neither a folder nor a web address.
        DownloadError: no mirror had the right content; says what each one sent, and how to fetch it by hand.
        StorageError: the disk is full, or data_dir cannot be written.
    """
    spec = find_spec(name, table)
    mirrors = _mirrors(spec, source)
    here, folder = locate(spec, data_dir), Path(data_dir) / spec.name
    wanted = [file for file in spec.files if force or not _is_right(spec, file, here)]
    if wanted and here != folder:  # a file in data_dir itself is wrong, and that folder is never changed
        wanted, here = list(spec.files), folder
    if wanted:
        make_folder(folder)
        if isinstance(mirrors, Path):
            copy_from_folder(spec, wanted, mirrors, folder)
        else:
            by_hand = DownloadCall(spec.name, str(data_dir), "FOLDER")
            with requests.Session() as session:
                transfer = Transfer(session, limits)
                fetch = _Fetch(spec, folder, mirrors, force, progress, notify, limits, transfer, by_hand)
                fetch.fetch(wanted)
    return [path for file in spec.files if (path := find_file(file, here))]


def _is_right(spec: DatasetSpec, file: DataFile, folder: Path) -> bool:
    return check_file(spec, file, folder).status == "ok"


def _mirrors(spec: DatasetSpec, source: str | Path | None) -> list[str] | Path:
    """Return the web addresses to try, or the folder to copy from."""
    if source is None:
        return list(spec.mirrors)
    scheme, separator, rest = str(source).partition("://")
    if separator and scheme.lower() in ("http", "https"):
        return [str(source).rstrip("/") + "/"]
    if separator and scheme.lower() != "file":
        raise UsageError(f"cannot download from '{source}'", "give an http or https address, or a folder")
    folder = Path(rest if separator else source).expanduser()
    if not folder.is_dir():
        raise UsageError(f"cannot download from '{source}': there is no such folder")
    return folder


@dataclass
class _Fetch:
    """The download of one set from its mirrors into a folder."""

    spec: DatasetSpec
    folder: Path
    mirrors: list[str]
    force: bool
    progress: bool
    notify: Notify
    limits: Limits
    transfer: Transfer
    by_hand: DownloadCall

    def fetch(self, files: Sequence[DataFile]) -> None:
        """Download files of the set, or the zip that contains them."""
        if self.spec.archive is not None:
            self._fetch_archive(self.spec.archive, files)
            return
        for file in files:
            self._fetch_file(file)

    def _fetch_file(self, file: DataFile) -> None:
        with self._claim(file.name) as part:
            if not self.force and _is_right(self.spec, file, self.folder):
                return  # another process has downloaded it
            self._fill(part, file.name, max_bytes(file), lambda: file_problem(self.spec, file, part.path))
            kept = final_path(file, self.folder, gzipped=is_gzipped(part.path))
            part.move_to(kept)
            remove_preferred_copies(file, kept)

    def _fetch_archive(self, archive: Archive, files: Sequence[DataFile]) -> None:
        with self._claim(archive.name) as part:
            wanted = [file for file in files if self.force or not _is_right(self.spec, file, self.folder)]
            if wanted:
                self._fill(part, archive.name, archive.max_bytes, lambda: archive_problem(archive, part.path))
                extract(self.spec, wanted, part.path, self.folder)
            part.restart()  # the zip itself is not kept

    def _claim(self, name: str) -> AbstractContextManager[PartFile]:
        return claimed_part(
            self.folder / name,
            patience=self.limits.waiting,
            on_wait=lambda: self.notify(f"another process is fetching {name}: waiting for it"),
        )

    def _fill(
        self, part: PartFile, name: str, most_bytes: int, find_problem: Callable[[], str | None]
    ) -> None:
        """Fill a file from the mirrors in turn until its content is right.

        Raises:
            DownloadError: no mirror had the right content; says why for each one.
        """
        if self.force:
            part.restart()
        elif part.size and find_problem() is None:
            return  # an earlier process ended after the last byte, before it renamed the file
        reasons = []
        with self._bar(name) as bar:
            for mirror in list(self.mirrors):
                try:
                    self.transfer.fill(mirror + name, part, most_bytes, find_problem, bar)
                except TransferError as failed:
                    reasons.append(f"{mirror}{name}: {failed.reason}")
                    bar.clear()
                    self.notify(reasons[-1])
                else:
                    self.mirrors.sort(key=lambda other: other != mirror)  # the next file starts with this one
                    return
        spec = self.spec
        names = spec.archive.name if spec.archive else ", ".join(file.name for file in spec.files)
        raise DownloadError(
            "\n  ".join([f"no mirror gave {name} of {spec.title}:", *reasons]),
            f"fetch {names} by hand (see {spec.homepage}) into a folder, then: {self.by_hand}",
            call=self.by_hand,
        )

    def _bar(self, name: str) -> Any:
        from tqdm import tqdm

        class Bar(tqdm):  # type: ignore[type-arg]
            def reset(self, total: float | None = None) -> None:
                super().reset(total)
                # tqdm's own form for a size that is not known; it has no percentage
                self.bar_format = None if total is None else _NARROW_BAR if narrow else _BAR

        shown = self.progress and sys.stderr is not None and sys.stderr.isatty()
        narrow = shown and shutil.get_terminal_size().columns < _WIDE
        return Bar(
            desc=name,
            unit="B",
            unit_scale=True,
            unit_divisor=1000,
            disable=not shown,
        )
