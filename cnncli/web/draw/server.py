"""Serves the page to draw on, to this computer only.

One thread reads all connections, so a connection that says nothing costs a few kilobytes and holds nobody up. One other
thread runs the network, one answer after the other.
"""

import asyncio
import json
import logging
import signal
import socket
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from email.utils import formatdate
from http import HTTPStatus
from math import prod

from cnncli.errors import CnnError
from cnncli.training.model import Model
from cnncli.web.draw.answers import UnreadablePicture, answer_drawing, answer_maps, answer_picture
from cnncli.web.draw.page import File, page_files
from cnncli.web.draw.requests import (
    MAX_HEAD,
    Refused,
    Request,
    body_length,
    check_no_body,
    check_sender,
    parse_head,
)

HOST = "127.0.0.1"

PORT = 2828
"""The port that is tried first: 28 x 28."""

MAX_CONNECTIONS = 64
"""When there are more, the one that has been silent for the longest time is closed."""

LARGE = 1 << 20
MAX_LARGE = 2
"""Bodies above `LARGE` bytes that are in memory at once; a third is refused."""

HEAD_SECONDS = 10.0
"""Time for a request to arrive up to its blank line, once the connection is open."""

IDLE_SECONDS = 60.0
"""Time for the next request on the same connection."""

BODY_SECONDS = 30.0
WRITE_SECONDS = 30.0
LINGER_SECONDS = 0.5

DRAWING = "image/x-portable-graymap"
"""The type of the body of a drawing. Any other body is a picture."""

BINARY = "application/octet-stream"

ANSWER = "/answer"
MAPS = "/maps"

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src data: blob:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""The headers of every response: the page loads nothing from elsewhere, and no other page shows or reads it."""

_log = logging.getLogger(__name__)


def listen(port: int | None = None) -> socket.socket:
    """Return a socket that listens on this computer only.

    Args:
        port: 0 takes any free one; None takes `PORT`, or any free one if that is taken.

    Raises:
        CnnError: the port is taken, or may not be used.
    """
    if port is None:
        try:
            return listen(PORT)
        except CnnError:
            return listen(0)
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":  # there it would let two programs share a port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((HOST, port))
        listening.listen(MAX_CONNECTIONS)
    except OSError as error:
        listening.close()
        reason = (error.strerror or str(error)).lower()
        raise CnnError(f"port {port} cannot be used: {reason}", "`port=0` takes a free one") from error
    return listening


class DrawServer:
    """Serves one model to any number of pages.

    Args:
        model: from `load_model`.
        listening: from `listen`. It is closed when the server stops.
    """

    def __init__(self, model: Model, listening: socket.socket) -> None:
        self._model = model
        self._listening = listening
        self._port: int = listening.getsockname()[1]
        self._image_bytes = prod(model.network.input_shape)
        self._files: dict[str, File] = page_files(model)
        # those that wait for a request, the longest first; a first request and later ones
        self._silent: dict[_Connection, None] = {}
        self._idle: dict[_Connection, None] = {}
        self._open: set[_Connection] = set()
        self._large = 0
        self._network = ThreadPoolExecutor(max_workers=1, thread_name_prefix="network")

    @property
    def address(self) -> str:
        """The address of the page."""
        return f"http://{HOST}:{self._port}/"

    def warm_up(self) -> None:
        """Answer a drawing, so that the first real one is as fast as the others.

        Raises:
            UsageError: the network takes no pictures.
        """
        paper = bytearray(b"\xff" * 784)
        for row in range(8, 20):
            paper[28 * row + 13 : 28 * row + 16] = bytes(3)
        self._network.submit(answer_drawing, self._model, b"P5 28 28 255\n" + bytes(paper)).result()
        self._network.submit(answer_maps, self._model, bytes(self._image_bytes)).result()

    def run(self, on_ready: Callable[[], None] = lambda: None) -> int:
        """Serve until a signal asks to stop, and return its number.

        Meanwhile BLAS has one thread in this process. For one small image more are of no use. On a busy machine they
        make an answer take three times as long, because they wait for each other, and the browser needs the other core.

        Args:
            on_ready: called once connections are accepted.
        """
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1, "blas"):
            return asyncio.run(self._run_until_signal(on_ready))

    async def _run_until_signal(self, on_ready: Callable[[], None]) -> int:
        stopped: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def stop(number: int) -> None:
            if not stopped.done():
                stopped.set_result(number)

        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                with suppress(NotImplementedError):  # on Windows the exception of Ctrl-C ends the loop
                    asyncio.get_running_loop().add_signal_handler(number, stop, int(number))
        await self.serve(stopped, on_ready)
        return stopped.result()

    async def serve(
        self, stopped: "asyncio.Future[int]", on_ready: Callable[[], None] = lambda: None
    ) -> None:
        """Serve until a future is done."""
        server = await asyncio.start_server(self._connect, sock=self._listening, limit=MAX_HEAD)
        try:
            on_ready()
            await asyncio.wait([stopped])
        finally:
            server.close()
            for connection in list(self._open):
                connection.abort()
            self._network.shutdown(wait=False, cancel_futures=True)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self, reader, writer)
        self._open.add(connection)
        self.close_silent()
        try:
            if len(self._open) <= MAX_CONNECTIONS:
                await connection.serve()
                await connection.close()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            # the other side is gone, or too slow
            pass
        except asyncio.CancelledError:
            # the server stops
            pass
        finally:
            self._open.discard(connection)
            connection.abort()

    def close_silent(self) -> None:
        """Close connections that have been silent for the longest time, as long as there are too many."""
        for waiting in (self._silent, self._idle):
            while len(self._open) > MAX_CONNECTIONS and waiting:
                connection = next(iter(waiting))
                del waiting[connection]
                self._open.discard(connection)
                connection.abort()

    async def respond(self, request: Request, connection: "_Connection") -> None:
        """Answer a request on its connection.

        Raises:
            Refused: it is not answered.
        """
        check_sender(request, self._port)
        if request.path == ANSWER:
            _check_method(request, "POST")
            await connection.send(request, *await self._answer(request, connection))
        elif request.path == MAPS:
            _check_method(request, "POST")
            await connection.send(request, *await self._show_maps(request, connection))
        elif request.path in self._files:
            _check_method(request, "GET", "HEAD")
            check_no_body(request)
            await connection.send(request, *self._files[request.path])
        else:
            raise Refused(HTTPStatus.NOT_FOUND, f"there is nothing at {request.path[:200]}")

    async def _answer(self, request: Request, connection: "_Connection") -> File:
        length = body_length(request)
        is_large = length > LARGE
        if is_large and self._large >= MAX_LARGE:
            raise Refused(
                HTTPStatus.SERVICE_UNAVAILABLE, "other pictures are being read", {"Retry-After": "1"}
            )
        self._large += is_large
        try:
            body = await connection.read_body(request, length)
            answer = answer_drawing if request.content_type == DRAWING else answer_picture
            return BINARY, await self._in_network_thread(answer, body)
        except UnreadablePicture as error:
            # the page shows it; for the browser it is an answer like others
            return _json_error(error.message)
        finally:
            self._large -= is_large

    async def _show_maps(self, request: Request, connection: "_Connection") -> File:
        length, expected = body_length(request), self._image_bytes
        if length != expected:
            raise Refused(
                HTTPStatus.BAD_REQUEST, f"an image of this network has {expected} bytes, not {length}"
            )
        body = await connection.read_body(request, length)
        return BINARY, await self._in_network_thread(answer_maps, body)

    async def _in_network_thread(self, answer: Callable[[Model, bytes], bytes], body: bytes) -> bytes:
        return await asyncio.get_running_loop().run_in_executor(self._network, answer, self._model, body)


class _Connection:
    """One connection, and the requests that come on it one after the other."""

    def __init__(
        self, server: DrawServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer

    async def serve(self) -> None:
        """Read and answer requests until one side has enough."""
        waiting, seconds = self._server._silent, HEAD_SECONDS
        while True:
            request = None
            try:
                waiting[self] = None
                try:
                    async with asyncio.timeout(seconds):
                        head = await self._reader.readuntil(b"\r\n\r\n")
                except asyncio.LimitOverrunError:
                    raise Refused(
                        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                        f"more than {MAX_HEAD >> 10} KiB of headers",
                    ) from None
                finally:
                    waiting.pop(self, None)
                request = parse_head(head)
                await self._server.respond(request, self)
            except Refused as refusal:
                await self._refuse(request, refusal)
                return
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                raise
            except Exception:
                _log.exception("a request failed")
                failure = Refused(
                    HTTPStatus.INTERNAL_SERVER_ERROR, "this is a bug in cnn; its terminal says more"
                )
                await self._refuse(request, failure)
                return
            if not request.keeps_alive:
                return
            waiting, seconds = self._server._idle, IDLE_SECONDS

    async def read_body(self, request: Request, length: int) -> bytes:
        """Return the body of a request."""
        if request.waits_for_continue:
            self._writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        async with asyncio.timeout(BODY_SECONDS):
            return await self._reader.readexactly(length)

    async def send(self, request: Request, content_type: str, content: bytes) -> None:
        """Send what was asked for."""
        headers = {
            "Content-Type": content_type,
            "Connection": "keep-alive" if request.keeps_alive else "close",
        }
        await self._write(HTTPStatus.OK, headers, content, request.method)

    async def _refuse(self, request: Request | None, refusal: Refused) -> None:
        """Say why a request is not answered, and take what is still on its way, or the reason would be lost."""
        content_type, content = _json_error(refusal.message)
        headers = {"Content-Type": content_type, "Connection": "close", **refusal.headers}
        await self._write(refusal.status, headers, content, request.method if request else "GET")
        with suppress(OSError, TimeoutError):
            self._writer.write_eof()
            async with asyncio.timeout(LINGER_SECONDS):
                while await self._reader.read(1 << 16):
                    pass

    async def _write(self, status: HTTPStatus, headers: dict[str, str], content: bytes, method: str) -> None:
        date = {"Date": formatdate(usegmt=True), "Content-Length": str(len(content))}
        lines = [f"{name}: {value}\r\n" for name, value in (HEADERS | date | headers).items()]
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\n{''.join(lines)}\r\n".encode("ascii")
        self._writer.write(head if method == "HEAD" else head + content)
        async with asyncio.timeout(WRITE_SECONDS):
            await self._writer.drain()

    async def close(self) -> None:
        """Close the connection once all that was written is sent."""
        self._writer.close()
        async with asyncio.timeout(WRITE_SECONDS):
            await self._writer.wait_closed()

    def abort(self) -> None:
        """Close the connection at once."""
        self._writer.transport.abort()


def _check_method(request: Request, *allowed: str) -> None:
    if request.method not in allowed:
        names = ", ".join(allowed)
        raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, f"{request.path} takes {names} only", {"Allow": names})


def _json_error(message: str) -> File:
    return "application/json", json.dumps({"error": message}).encode("ascii")
