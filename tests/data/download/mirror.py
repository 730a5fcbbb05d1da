"""A web server on loopback that cuts, lies and stalls on demand, and small data sets for it to serve."""

import gzip
import hashlib
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from cnncli.data.download.fetch import download
from cnncli.data.download.transfer import Limits
from cnncli.data.readers.idx import write_idx
from cnncli.data.registry import FILE_ORDER, MNIST_NAMES, DataFile, DatasetSpec

IMPATIENT = Limits(connect=2, read=2, retries=2, backoff=0.01, waiting=20)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.close_connection = True
        self.server.mirror.answer(self)

    def log_message(self, *args):
        pass

    def head(self, status, length, **headers):
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Connection", "close")
        self.end_headers()


class Mirror:
    """Serves `files` honestly, but for the names in `plans`: there, the next behavior listed answers."""

    def __init__(self, files):
        self.files = dict(files)
        self.plans = {}
        self.seen = []
        self.ending = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = False
        self.server.mirror = self
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}/"

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.ending.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def plan(self, name, *behaviours):
        self.plans[name] = list(behaviours)

    def ranges(self, name):
        """What each request for a file asked for: None for all of it, else its Range."""
        return [asked for path, asked in self.seen if path == name]

    def answer(self, handler):
        name = handler.path.removeprefix("/")
        self.seen.append((name, handler.headers["Range"]))
        plan = self.plans.get(name)
        behaviour = plan.pop(0) if plan else honest
        try:
            if name in self.files:
                behaviour(handler, self.files[name])
            else:
                status(404)(handler, b"")
        except (BrokenPipeError, ConnectionResetError):
            pass


def honest(handler, content):
    start, headers = asked_start(handler, content)
    handler.head(206 if start else 200, len(content) - start, **headers)
    handler.wfile.write(content[start:])


def asked_start(handler, content):
    asked = handler.headers["Range"]
    if not asked:
        return 0, {}
    start = int(asked.removeprefix("bytes=").removesuffix("-"))
    return start, {"Content_Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}


def status(code, body=b"<html>no</html>"):
    def behave(handler, content):
        handler.head(code, len(body))
        handler.wfile.write(body)

    return behave


def page(body):
    def behave(handler, content):
        handler.head(200, len(body), Content_Type="text/html")
        handler.wfile.write(body)

    return behave


def cut(after, reset=False):
    """Send so many bytes of what was asked for, and break off."""

    def behave(handler, content):
        start, headers = asked_start(handler, content)
        handler.head(206 if start else 200, len(content) - start, **headers)
        handler.wfile.write(content[start : start + after])
        handler.wfile.flush()
        if reset:
            time.sleep(0.05)  # a reset throws away what the other side has not read yet
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()

    return behave


def stall(after):
    """Send so many bytes and then nothing, until the server ends."""

    def behave(handler, content):
        start, headers = asked_start(handler, content)
        handler.head(206 if start else 200, len(content) - start, **headers)
        handler.wfile.write(content[start : start + after])
        handler.server.mirror.ending.wait()

    return behave


def drip(handler, content):
    """Send a byte at a time, often enough for any read timeout."""
    handler.head(200, len(content))
    for place in range(len(content)):
        handler.wfile.write(content[place : place + 1])
        if handler.server.mirror.ending.wait(0.01):
            return


def slowly(handler, content):
    handler.head(200, len(content))
    step = max(1, len(content) // 20)
    for start in range(0, len(content), step):
        handler.wfile.write(content[start : start + step])
        time.sleep(0.008)


def redirect(to):
    def behave(handler, content):
        handler.head(302, 0, Location=to)

    return behave


def ignoring_ranges(handler, content):
    handler.head(200, len(content))
    handler.wfile.write(content)


def another_range(handler, content):
    handler.head(206, len(content), Content_Range=f"bytes 0-{len(content) - 1}/{len(content)}")
    handler.wfile.write(content)


def without_length(handler, content):
    handler.head(200, None)
    handler.wfile.write(content)


def announcing(length):
    def behave(handler, content):
        handler.head(200, length)
        handler.wfile.write(content)

    return behave


def endless(handler, content):
    handler.head(200, None)
    while not handler.server.mirror.ending.is_set():
        handler.wfile.write(bytes(1 << 16))


def sha256(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def small_set(
    folder, *, name="mnist", count=60, content_hashes=True, published_hashes=True, seed=0, **fields
):
    """Make the four files of a small set of random pixels.

    Returns:
        its entry for a table, the published .gz files by name, and the arrays by (split, kind).
    """
    rng = np.random.default_rng(seed)
    files, published, arrays = [], {}, {}
    for (split, kind), file_name in zip(FILE_ORDER, MNIST_NAMES, strict=True):
        size = count if split == "train" else count // 3
        array = (
            rng.integers(0, 256, (size, 28, 28), dtype=np.uint8)
            if kind == "images"
            else rng.integers(0, 10, size, dtype=np.uint8)
        )
        write_idx(folder / file_name, array)
        packed = (folder / file_name).read_bytes()
        (folder / file_name).unlink()
        files.append(
            DataFile(
                split,
                kind,
                file_name,
                array.shape,
                sha256(gzip.decompress(packed)) if content_hashes else None,
                sha256(packed) if published_hashes else None,
            )
        )
        published[file_name], arrays[split, kind] = packed, array
    spec = DatasetSpec(
        name=name,
        title=name.upper(),
        classes=tuple("0123456789"),
        files=tuple(files),
        mirrors=("http://127.0.0.1:9/",),
        licence="none",
        homepage="http://127.0.0.1:9/about",
        **fields,
    )
    return spec, published, arrays


def fetch_in_a_process(spec, data_dir, source, force=False):
    """What one of several processes does; returns the hashes of the files it was given."""
    paths = download(
        spec.name, data_dir, source=source, force=force, limits=IMPATIENT, table={spec.name: spec}
    )
    return [sha256(path.read_bytes()) for path in paths]
