"""Transfers one file over HTTP: resumes broken connections and gives up on slow, endless and wrong responses."""

import http.client
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests
import urllib3.exceptions  # requests does not wrap its errors while a body is read

from cnncli.data.download.part_file import PartFile

BLOCK = 1 << 16
RETRY_STATUSES = {408, 416, 425, 429, 500, 502, 503, 504}
USER_AGENT = "cnncli (+python-requests)"


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


DEFAULT_LIMITS = Limits()


class TransferError(Exception):
    """An address did not send the complete file.

    Args:
        reason: why, as a clause.
        retry: whether the same address may succeed later.
    """

    def __init__(self, reason: str, *, retry: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry = retry


class Transfer:
    """Transfers files with shared connections.

    Args:
        session: the connections.
        limits: timeouts and retries.
    """

    def __init__(self, session: requests.Session, limits: Limits) -> None:
        self._session, self._limits = session, limits

    def fill(
        self, url: str, part: PartFile, most_bytes: int, find_problem: Callable[[], str | None], bar: Any
    ) -> None:
        """Fill a file from one address, and again from its start if the pieces of several requests do not fit.

        Args:
            url: the address.
            part: the file, which may have bytes of an earlier transfer.
            most_bytes: the largest size that the file can have.
            find_problem: returns what is wrong with the content, as a predicate, or None.
            bar: the progress bar.

        Raises:
            TransferError: the file is not complete and right.
        """
        pieced = self._get(url, part, most_bytes, bar)
        problem = find_problem()
        if problem is not None and pieced:
            part.restart()
            self._get(url, part, most_bytes, bar)
            problem = find_problem()
        if problem is not None:
            part.restart()
            raise TransferError(f"what it sent {problem}")

    def _get(self, url: str, part: PartFile, most_bytes: int, bar: Any) -> bool:
        """Request an address until the file is complete; return whether that took several requests.

        An interrupted request that brought some bytes does not count as a failure.
        """
        failures, pieced = 0, part.size > 0
        for _ in range(self._limits.requests):
            before = part.size
            try:
                self._request(url, part, most_bytes, bar)
                return pieced
            except TransferError as failed:
                if not failed.retry:
                    raise
                pieced = pieced or part.size > 0
                failures = 0 if part.size > before else failures + 1
                if failures > self._limits.retries:
                    raise
            if failures:
                time.sleep(self._limits.backoff * 2 ** (failures - 1))
        raise TransferError(f"the connection broke {self._limits.requests} times")

    def _request(self, url: str, part: PartFile, most_bytes: int, bar: Any) -> None:
        """Append the bytes of one response."""
        headers = {"Accept-Encoding": "identity", "User-Agent": USER_AGENT}
        if part.size:
            headers["Range"] = f"bytes={part.size}-"
        try:
            timeouts = (self._limits.connect, self._limits.read)
            response = self._session.get(url, headers=headers, stream=True, timeout=timeouts)
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
                    raise TransferError(f"it sends more than {most_bytes:,} bytes")
                part.append(block)
                bar.update(len(block))
                came, seconds = came + len(block), time.monotonic() - since
                if seconds > self._limits.read:
                    if came < self._limits.slowest * seconds:
                        raise TransferError(f"it sends only {came / seconds:.0f} bytes per second")
                    since, came = time.monotonic(), 0
        if total is not None and part.size != total:
            raise TransferError(f"the connection ended after {part.size:,} of {total:,} bytes", retry=True)

    def _failure(self, error: Exception) -> TransferError:
        """Describe an error of the connection; broken and silent connections may be retried."""
        cause = error.args[0] if error.args else None
        cause = getattr(cause, "reason", None) or cause
        match error:
            case requests.ConnectTimeout():
                return TransferError(f"no connection within {self._limits.connect:g} s")
            case requests.Timeout() | urllib3.exceptions.ReadTimeoutError():
                return TransferError(f"nothing came for {self._limits.read:g} s", retry=True)
            case requests.exceptions.SSLError() | urllib3.exceptions.SSLError():
                return TransferError(f"no safe connection: {cause}")
            case requests.exceptions.ProxyError():
                return TransferError("the proxy does not let the request through")
            case requests.TooManyRedirects():
                return TransferError("it redirects in a circle")
        match cause:
            case urllib3.exceptions.NameResolutionError():
                return TransferError("its name cannot be found; is there a network?")
            case urllib3.exceptions.NewConnectionError():
                return TransferError(f"no connection: {str(cause).rpartition('] ')[2]}")
        if isinstance(error, requests.RequestException) and not isinstance(error, requests.ConnectionError):
            return TransferError(f"no request is possible: {error}")
        return TransferError("the connection broke", retry=True)


def _accept(response: requests.Response, part: PartFile, most_bytes: int) -> int | None:
    """Check the headers of a response and prepare the file for its body; return the size of the complete file."""
    start = part.size
    if response.status_code == 206:
        said = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
        if said is None or int(said[1]) != start:
            part.restart()
            raise TransferError("it sent another range than the one asked for", retry=True)
    elif response.status_code == 200:
        if start:
            part.restart()
            start = 0
    else:
        if response.status_code == 416:
            part.restart()
        retry = response.status_code in RETRY_STATUSES
        raise TransferError(f"HTTP {response.status_code} {response.reason or ''}".rstrip(), retry=retry)
    length = response.headers.get("Content-Length", "")
    if not (length.isascii() and length.isdigit()) or len(length) > 18:
        return None
    total = start + int(length)
    if total > most_bytes:
        raise TransferError(f"it announces {total:,} bytes, no more than {most_bytes:,} are possible")
    return total
