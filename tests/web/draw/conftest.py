"""A server of `cnn draw` in a thread of its own, and ways to talk to it without a browser."""

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from cnncli.training.model import Model, load_model
from cnncli.web.draw.server import DRAWING, DrawServer, listen


@dataclass(frozen=True)
class Response:
    """What came back: the status, the headers with their names in lower case, the content."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def error(self) -> str:
        return json.loads(self.content)["error"]


@dataclass(frozen=True)
class Serving:
    """A running server."""

    server: DrawServer
    port: int

    @property
    def address(self) -> str:
        return self.server.address

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def send(self, raw: bytes) -> Response:
        """Send bytes on a connection of their own, and return the first response."""
        with self.connect() as connection:
            connection.sendall(raw)
            return read_response(connection)

    def get(self, path: str, **headers: str) -> Response:
        return self.send(request("GET", path, {"Host": f"127.0.0.1:{self.port}"} | headers))

    def post(self, content: bytes, path: str = "/answer", **headers: str) -> Response:
        own = {"Host": f"127.0.0.1:{self.port}", "Content-Length": str(len(content))}
        return self.send(request("POST", path, own | headers) + content)

    def answer(self, picture: bytes, *, drawn: bool = False) -> dict[str, Any]:
        """Return the answer to a picture file or to a drawing, with its arrays in place."""
        return unpack(self.post(picture, **({"Content-Type": DRAWING} if drawn else {})))

    def maps(self, pixels: bytes) -> list[dict[str, Any]]:
        """Return the maps of each layer for an image that an answer came with."""
        return unpack(self.post(pixels, "/maps"))["maps"]


def request(method: str, path: str, headers: dict[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1")


def read_response(connection: socket.socket) -> Response:
    with connection.makefile("rb") as stream:
        status = int(stream.readline().split()[1])
        headers = {}
        while line := stream.readline().strip():
            name, _, value = line.decode("ascii").partition(": ")
            headers[name.lower()] = value
        return Response(status, headers, stream.read(int(headers.get("content-length", 0))))


def unpack(response: Response) -> dict[str, Any]:
    """Return what the page's own script makes of a response."""
    assert response.status == 200
    if response.headers["content-type"] == "application/json":
        return json.loads(response.content)
    length = int.from_bytes(response.content[:4], "little")
    facts = json.loads(response.content[4 : 4 + length])
    numbers = response.content[4 + length :]
    if "maps" in facts:
        floats = np.frombuffer(numbers, "<f4")
        for each in facts["maps"]:
            shape = each["channels"], each["height"], each["width"]
            each["values"], floats = floats[: np.prod(shape)].reshape(shape), floats[np.prod(shape) :]
        assert floats.size == 0
    elif not facts["blank"]:
        seen = facts["seen"]
        count = seen["height"] * seen["width"] * seen["channels"]
        facts["probabilities"] = np.frombuffer(numbers[:-count], "<f4")
        assert len(facts["probabilities"]) == len(facts["top"])
        seen["pixels"] = np.frombuffer(numbers[-count:], np.uint8)
    return facts


@contextmanager
def running(model: Model) -> Iterator[Serving]:
    """Serve a model as long as the block runs."""
    server = DrawServer(model, listen(0))
    ready = threading.Event()
    stop: list[Callable[[], object]] = []

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        stopped: asyncio.Future[int] = loop.create_future()
        stop.append(lambda: loop.call_soon_threadsafe(stopped.set_result, 2))
        await server.serve(stopped, ready.set)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(10)
    yield Serving(server, int(server.address.rstrip("/").rpartition(":")[2]))
    stop[0]()
    thread.join(10)
    assert not thread.is_alive()


@pytest.fixture(scope="session")
def bundled() -> Model:
    return load_model("bundled")


@pytest.fixture(scope="session")
def serving(bundled: Model) -> Iterator[Serving]:
    """The model that ships with the package, served to all tests."""
    with running(bundled) as found:
        yield found
