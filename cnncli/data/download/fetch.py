"""Fetches published data sets over HTTP: mirrors in turn, broken connections resumed, the content checked."""

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
import urllib3.exceptions  # requests stands on it, and lets its errors through while a body is read

from cnncli.data.download.local_files import (
    FileReport,
    archive_fault,
    copy_from_folder,
    extract,
    fault,
    final_path,
    max_bytes,
    remove_shadows,
    report,
    verify,
)
from cnncli.data.download.part_file import PartFile, claimed_part
from cnncli.data.load import download_command, find_file, find_spec, locate
from cnncli.data.readers.idx import is_gzipped
from cnncli.data.registry import DATASETS, Archive, DataFile, DatasetSpec
from cnncli.errors import DownloadError, UsageError
from cnncli.storage import make_folder

__all__ = ["FileReport", "Limits", "download", "verify"]

BLOCK = 1 << 16
WORTH_A_RETRY = {408, 416, 425, 429, 500, 502, 503, 504}
USER_AGENT = "cnncli (+python-requests)"

Notify = Callable[[str], None]


@dataclass(frozen=True)
class Limits:
    """How much patience a download has.

    Args:
        connect: seconds until a server has to take the connection.
        read: seconds until it has to send something more.
        slowest: bytes a second it has to keep up over `read` seconds.
        retries: how often in a row a request may bring nothing before the next mirror is tried.
        backoff: seconds before the first such retry; doubled each time.
        requests: the most requests to one mirror for one file.
        waiting: seconds to wait for another process that fetches the same file and gets nowhere.
    """

    connect: float = 10.0
    read: float = 30.0
    slowest: float = 500.0
    retries: int = 3
    backoff: float = 0.5
    requests: int = 200
    waiting: float = 60.0


class _Failed(Exception):
    """A request that did not bring the whole file: why, and whether the same address is worth another try."""

    def __init__(self, reason: str, *, again: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.again = again


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
    """Fetch the files of a set that are not here yet, or not what they should be.

    Each file grows as `<file>.part`, is judged by its content, flushed and renamed; so a file under its final
    name is whole. Of several processes at once, one fetches, and the others wait for what it fetched.

    Args:
        name: an entry of the table.
        data_dir: where sets live; the files come to data_dir/<name>/.
        source: a mirror of the user's own (http or https), or a folder with the files, gzipped or raw.
        force: fetch what is here and right, too.
        progress: show a bar on stderr, if that is a terminal.
        notify: called with one line about each mirror that fails, and about waiting for another process.
        limits: timeouts and retries.
        table: the published sets.

    Returns:
        The paths of all files of the set.

    Raises:
        UsageError: no set has this name, or `source` is neither a folder nor a web address.
        DownloadError: no mirror gave the right content; says what each one did, and what to do by hand.
        StorageError: the disk is full, or data_dir cannot be written.
    """
    spec = find_spec(name, table)
    mirrors = _mirrors(spec, source)
    here, folder = locate(spec, data_dir), Path(data_dir) / spec.name
    wanted = [file for file in spec.files if force or not _is_right(spec, file, here)]
    if wanted and here != folder:  # a file in data_dir itself is wrong: that folder is left as it is
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
    return report(spec, file, find_file(file, folder), folder).status == "ok"


def _mirrors(spec: DatasetSpec, source: str | Path | None) -> list[str] | Path:
    """Return the addresses to try, or the folder to copy from."""
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
    """The fetching of one set: from which mirrors, into which folder, with how much patience."""

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
        """Fetch some files of the set, or the zip that holds them."""
        if self.spec.archive is not None:
            self._fetch_archive(self.spec.archive, files)
            return
        for file in files:
            self._fetch_file(file)

    def _fetch_file(self, file: DataFile) -> None:
        with self._claim(file.name) as part:
            if not self.force and _is_right(self.spec, file, self.folder):
                return  # another process was faster
            self._fill(part, file.name, max_bytes(file), lambda: fault(self.spec, file, part.path))
            kept = final_path(file, self.folder, gzipped=is_gzipped(part.path))
            part.move_to(kept)
            remove_shadows(file, kept)

    def _fetch_archive(self, archive: Archive, files: Sequence[DataFile]) -> None:
        with self._claim(archive.name) as part:
            wanted = [file for file in files if self.force or not _is_right(self.spec, file, self.folder)]
            if wanted:
                self._fill(part, archive.name, archive.max_bytes, lambda: archive_fault(archive, part.path))
                extract(self.spec, wanted, part.path, self.folder)
            part.restart()  # only what was in it is kept

    def _claim(self, name: str) -> AbstractContextManager[PartFile]:
        return claimed_part(
            self.folder / name,
            patience=self.limits.waiting,
            on_wait=lambda: self.notify(f"another process is fetching {name}: waiting for it"),
        )

    def _fill(self, part: PartFile, name: str, most: int, judge: Callable[[], str | None]) -> None:
        """Fill a file from the mirrors in turn, until nothing is wrong with it.

        Raises:
            DownloadError: with the reason of each mirror.
        """
        if self.force:
            part.restart()
        elif part.size and judge() is None:
            return  # a process ended between the last byte and the renaming
        reasons = []
        with self._bar(name) as bar:
            for mirror in list(self.mirrors):
                try:
                    self._fill_from(mirror + name, part, most, judge, bar)
                except _Failed as failed:
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
        self, url: str, part: PartFile, most: int, judge: Callable[[], str | None], bar: Any
    ) -> None:
        """Fill a file from one address; once more from its start if what was pieced together is wrong."""
        pieced = self._get(url, part, most, bar)
        wrong = judge()
        if wrong is not None and pieced:
            part.restart()
            self._get(url, part, most, bar)
            wrong = judge()
        if wrong is not None:
            part.restart()
            raise _Failed(f"what it sent {wrong}", again=False)

    def _get(self, url: str, part: PartFile, most: int, bar: Any) -> bool:
        """Request an address until the whole file is there; say whether it came in several pieces.

        A request that broke off but brought something does not count as a failure.
        """
        failures, pieced = 0, part.size > 0
        for _ in range(self.limits.requests):
            before = part.size
            try:
                self._request(url, part, most, bar)
                return pieced
            except _Failed as failed:
                if not failed.again:
                    raise
                pieced = pieced or part.size > 0
                failures = 0 if part.size > before else failures + 1
                if failures > self.limits.retries:
                    raise
            if failures:
                time.sleep(self.limits.backoff * 2 ** (failures - 1))
        raise _Failed(f"the connection broke {self.limits.requests} times", again=False)

    def _request(self, url: str, part: PartFile, most: int, bar: Any) -> None:
        """Append what one request brings."""
        headers = {"Accept-Encoding": "identity", "User-Agent": USER_AGENT}
        if part.size:
            headers["Range"] = f"bytes={part.size}-"
        try:
            timeouts = (self.limits.connect, self.limits.read)
            response = self.session.get(url, headers=headers, stream=True, timeout=timeouts)
        except requests.RequestException as error:
            raise self._failure(error) from error
        with response:
            total = _accept(response, part, most)
            bar.reset(total)
            bar.initial = bar.n = part.size
            # read1 gives what has arrived; read, in old versions of urllib3, waits for a whole block
            read = getattr(response.raw, "read1", response.raw.read)
            since, came = time.monotonic(), 0
            while True:
                try:
                    block = read(BLOCK)
                except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError) as error:
                    raise self._failure(error) from error
                if not block:
                    break
                if part.size + len(block) > most:
                    raise _Failed(f"it sends more than {most:,} bytes", again=False)
                part.append(block)
                bar.update(len(block))
                came, seconds = came + len(block), time.monotonic() - since
                if seconds > self.limits.read:
                    if came < self.limits.slowest * seconds:
                        raise _Failed(f"it sends only {came / seconds:.0f} bytes a second", again=False)
                    since, came = time.monotonic(), 0
        if total is not None and part.size != total:
            raise _Failed(f"the connection ended after {part.size:,} of {total:,} bytes", again=True)

    def _failure(self, error: Exception) -> _Failed:
        """Put into words what went wrong on the way; a broken or silent connection is worth another try."""
        cause = error.args[0] if error.args else None
        cause = getattr(cause, "reason", None) or cause
        match error:
            case requests.ConnectTimeout():
                return _Failed(f"no connection within {self.limits.connect:g} s", again=False)
            case requests.Timeout() | urllib3.exceptions.ReadTimeoutError():
                return _Failed(f"nothing came for {self.limits.read:g} s", again=True)
            case requests.exceptions.SSLError() | urllib3.exceptions.SSLError():
                return _Failed(f"no safe connection: {cause}", again=False)
            case requests.exceptions.ProxyError():
                return _Failed("the proxy does not let the request through", again=False)
            case requests.TooManyRedirects():
                return _Failed("it redirects in a circle", again=False)
        match cause:
            case urllib3.exceptions.NameResolutionError():
                return _Failed("its name cannot be found; is there a network?", again=False)
            case urllib3.exceptions.NewConnectionError():
                return _Failed(f"no connection: {str(cause).rpartition('] ')[2]}", again=False)
        broken = isinstance(error, requests.ConnectionError) or not isinstance(
            error, requests.RequestException
        )
        return _Failed("the connection broke" if broken else f"no request is possible: {error}", again=broken)

    def _bar(self, name: str) -> Any:
        from tqdm import tqdm

        shown = self.progress and sys.stderr is not None and sys.stderr.isatty()
        return tqdm(desc=name, unit="B", unit_scale=True, unit_divisor=1000, disable=not shown)


def _accept(response: requests.Response, part: PartFile, most: int) -> int | None:
    """Check the head of an answer and make the file ready for its body; return the size of the whole file."""
    start = part.size
    if response.status_code == 206:
        said = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
        if said is None or int(said[1]) != start:
            part.restart()
            raise _Failed("it sent another range than the one asked for", again=True)
    elif response.status_code == 200:
        if start:
            part.restart()
            start = 0
    else:
        if response.status_code == 416:
            part.restart()
        again = response.status_code in WORTH_A_RETRY
        raise _Failed(f"HTTP {response.status_code} {response.reason or ''}".rstrip(), again=again)
    length = response.headers.get("Content-Length", "")
    if not (length.isascii() and length.isdigit()) or len(length) > 18:
        return None
    total = start + int(length)
    if total > most:
        raise _Failed(f"it announces {total:,} bytes, no more than {most:,} are possible", again=False)
    return total
