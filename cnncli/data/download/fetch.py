"""Downloads published data sets: tries mirrors in turn, resumes broken connections and checks the content."""

import http.client
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import urllib3.exceptions  # requests does not wrap its errors while a body is read

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
from cnncli.data.readers.idx import is_gzipped
from cnncli.data.readers.idx_set import find_file, locate
from cnncli.data.registry import DATASETS, Archive, DataFile, DatasetSpec, download_command, find_spec
from cnncli.errors import DownloadError, UsageError
from cnncli.storage import make_folder

BLOCK = 1 << 16
RETRY_STATUSES = {408, 416, 425, 429, 500, 502, 503, 504}
USER_AGENT = "cnncli (+python-requests)"

Notify = Callable[[str], None]


@dataclass(frozen=True)
class Limits:
    """The timeouts and retries of a download.

    Args:
        connect: seconds within which a server has to accept the connection.
        read: seconds within which a server has to send more bytes.
        slowest: the lowest accepted rate over `read` seconds, in bytes per second.
        retries: how many requests in a row may bring nothing before the next mirror is tried.
        backoff: seconds before the first such retry; doubled each time.
        requests: the largest number of requests to one mirror for one file.
        waiting: seconds to wait for another process that downloads the same file without progress.
    """

    connect: float = 10.0
    read: float = 30.0
    slowest: float = 500.0
    retries: int = 3
    backoff: float = 0.5
    requests: int = 200
    waiting: float = 60.0


class _RequestFailed(Exception):
    """A request did not bring the complete file.

    Args:
        reason: why, as a clause.
        retry: whether the same address may succeed later.
    """

    def __init__(self, reason: str, *, retry: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry = retry


def download(
    name: str,
    data_dir: str | Path = "data",
    *,
    source: str | Path | None = None,
    force: bool = False,
    progress: bool = True,
    notify: Notify = lambda text: None,
    limits: Limits = Limits(),
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
            command = download_command(spec.name, data_dir, "--from", "FOLDER")
            names = spec.archive.name if spec.archive else ", ".join(file.name for file in spec.files)
            hint = f"fetch {names} by hand (see {spec.homepage}) into a folder, then: {command}"
            with requests.Session() as session:
                _Fetch(spec, folder, mirrors, force, progress, notify, limits, session, hint).fetch(wanted)
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
    session: requests.Session
    hint: str

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
                    self._fill_from(mirror + name, part, most_bytes, find_problem, bar)
                except _RequestFailed as failed:
                    reasons.append(f"{mirror}{name}: {failed.reason}")
                    bar.clear()
                    self.notify(reasons[-1])
                else:
                    self.mirrors.sort(key=lambda other: other != mirror)  # the next file starts with this one
                    return
        raise DownloadError(
            "\n  ".join([f"no mirror gave {name} of {self.spec.title}:", *reasons]), self.hint
        )

    def _fill_from(
        self, url: str, part: PartFile, most_bytes: int, find_problem: Callable[[], str | None], bar: Any
    ) -> None:
        """Fill a file from one address, and again from its start if the pieces of several requests do not fit."""
        pieced = self._get(url, part, most_bytes, bar)
        problem = find_problem()
        if problem is not None and pieced:
            part.restart()
            self._get(url, part, most_bytes, bar)
            problem = find_problem()
        if problem is not None:
            part.restart()
            raise _RequestFailed(f"what it sent {problem}", retry=False)

    def _get(self, url: str, part: PartFile, most_bytes: int, bar: Any) -> bool:
        """Request an address until the file is complete; return whether that took several requests.

        An interrupted request that brought some bytes does not count as a failure.
        """
        failures, pieced = 0, part.size > 0
        for _ in range(self.limits.requests):
            before = part.size
            try:
                self._request(url, part, most_bytes, bar)
                return pieced
            except _RequestFailed as failed:
                if not failed.retry:
                    raise
                pieced = pieced or part.size > 0
                failures = 0 if part.size > before else failures + 1
                if failures > self.limits.retries:
                    raise
            if failures:
                time.sleep(self.limits.backoff * 2 ** (failures - 1))
        raise _RequestFailed(f"the connection broke {self.limits.requests} times", retry=False)

    def _request(self, url: str, part: PartFile, most_bytes: int, bar: Any) -> None:
        """Append the bytes of one response."""
        headers = {"Accept-Encoding": "identity", "User-Agent": USER_AGENT}
        if part.size:
            headers["Range"] = f"bytes={part.size}-"
        try:
            timeouts = (self.limits.connect, self.limits.read)
            response = self.session.get(url, headers=headers, stream=True, timeout=timeouts)
        except requests.RequestException as error:
            raise self._failure(error) from error
        with response:
            total = _accept(response, part, most_bytes)
            bar.reset(total)
            bar.initial = bar.n = part.size
            # read1 returns the bytes that have arrived; in old versions of urllib3, read waits for a full block
            read = getattr(response.raw, "read1", response.raw.read)
            since, came = time.monotonic(), 0
            while True:
                try:
                    block = read(BLOCK)
                except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError) as error:
                    raise self._failure(error) from error
                if not block:
                    break
                if part.size + len(block) > most_bytes:
                    raise _RequestFailed(f"it sends more than {most_bytes:,} bytes", retry=False)
                part.append(block)
                bar.update(len(block))
                came, seconds = came + len(block), time.monotonic() - since
                if seconds > self.limits.read:
                    if came < self.limits.slowest * seconds:
                        raise _RequestFailed(
                            f"it sends only {came / seconds:.0f} bytes per second", retry=False
                        )
                    since, came = time.monotonic(), 0
        if total is not None and part.size != total:
            raise _RequestFailed(f"the connection ended after {part.size:,} of {total:,} bytes", retry=True)

    def _failure(self, error: Exception) -> _RequestFailed:
        """Describe an error of the connection; broken and silent connections may be retried."""
        cause = error.args[0] if error.args else None
        cause = getattr(cause, "reason", None) or cause
        match error:
            case requests.ConnectTimeout():
                return _RequestFailed(f"no connection within {self.limits.connect:g} s", retry=False)
            case requests.Timeout() | urllib3.exceptions.ReadTimeoutError():
                return _RequestFailed(f"nothing came for {self.limits.read:g} s", retry=True)
            case requests.exceptions.SSLError() | urllib3.exceptions.SSLError():
                return _RequestFailed(f"no safe connection: {cause}", retry=False)
            case requests.exceptions.ProxyError():
                return _RequestFailed("the proxy does not let the request through", retry=False)
            case requests.TooManyRedirects():
                return _RequestFailed("it redirects in a circle", retry=False)
        match cause:
            case urllib3.exceptions.NameResolutionError():
                return _RequestFailed("its name cannot be found; is there a network?", retry=False)
            case urllib3.exceptions.NewConnectionError():
                return _RequestFailed(f"no connection: {str(cause).rpartition('] ')[2]}", retry=False)
        broken = isinstance(error, requests.ConnectionError) or not isinstance(
            error, requests.RequestException
        )
        return _RequestFailed(
            "the connection broke" if broken else f"no request is possible: {error}", retry=broken
        )

    def _bar(self, name: str) -> Any:
        from tqdm import tqdm

        shown = self.progress and sys.stderr is not None and sys.stderr.isatty()
        return tqdm(desc=name, unit="B", unit_scale=True, unit_divisor=1000, disable=not shown)


def _accept(response: requests.Response, part: PartFile, most_bytes: int) -> int | None:
    """Check the headers of a response and prepare the file for its body; return the size of the complete file."""
    start = part.size
    if response.status_code == 206:
        said = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
        if said is None or int(said[1]) != start:
            part.restart()
            raise _RequestFailed("it sent another range than the one asked for", retry=True)
    elif response.status_code == 200:
        if start:
            part.restart()
            start = 0
    else:
        if response.status_code == 416:
            part.restart()
        retry = response.status_code in RETRY_STATUSES
        raise _RequestFailed(f"HTTP {response.status_code} {response.reason or ''}".rstrip(), retry=retry)
    length = response.headers.get("Content-Length", "")
    if not (length.isascii() and length.isdigit()) or len(length) > 18:
        return None
    total = start + int(length)
    if total > most_bytes:
        raise _RequestFailed(
            f"it announces {total:,} bytes, no more than {most_bytes:,} are possible", retry=False
        )
    return total
