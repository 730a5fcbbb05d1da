"""The server answers its own page only, and nobody holds it up."""

import re
import socket
import time
from pathlib import Path

import pytest

import cnncli.web.draw.server as server_module
from cnncli.errors import CnnError
from cnncli.web.draw.requests import MAX_BODY, MAX_HEAD
from cnncli.web.draw.server import HEADERS, PORT, listen

from .conftest import Serving, read_response, request

PAPER = b"P5 28 28 255\n" + b"\xff" * 784


def is_closed(connection: socket.socket) -> bool:
    """Wait until the other side has closed a connection, in one way or the other."""
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def test_the_page_and_its_files_are_served(serving: Serving) -> None:
    page = serving.get("/")
    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    named = re.findall(r'(?:src|href)="([^"]+\.(?:js|css))"', page.content.decode())
    assert len(named) == 5
    for name in named:
        served = serving.get(f"/{name}")
        source = Path(server_module.__file__).parents[1] / "assets" / name
        assert (served.status, served.content) == (200, source.read_bytes())


@pytest.mark.parametrize("path", ["/", "/draw.css", "/nowhere"])
def test_every_response_keeps_other_pages_out(serving: Serving, path: str) -> None:
    found = serving.get(path).headers
    assert {name: found.get(name.lower()) for name in HEADERS} == HEADERS
    assert "access-control-allow-origin" not in found


def test_head_has_the_headers_alone(serving: Serving) -> None:
    with serving.connect() as connection:
        connection.sendall(request("HEAD", "/", {"Host": f"localhost:{serving.port}", "Connection": "close"}))
        head, _, content = connection.makefile("rb").read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n") and b"Content-Length: 0" not in head
    assert content == b""


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/draw.js/",
        "/assets/draw.js",
        "/server.py",
        "/answer/..",
    ],
)
def test_no_path_reaches_the_disk(serving: Serving, path: str) -> None:
    refused = serving.get(path)
    assert (refused.status, refused.error) == (404, f"there is nothing at {path}")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
def test_a_page_is_read_and_not_written(serving: Serving, method: str) -> None:
    refused = serving.send(request(method, "/", {"Host": f"127.0.0.1:{serving.port}"}))
    assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "OPTIONS"])
def test_an_answer_is_asked_for_with_post(serving: Serving, method: str) -> None:
    refused = serving.send(request(method, "/answer", {"Host": f"127.0.0.1:{serving.port}"}))
    assert (refused.status, refused.headers["allow"]) == (405, "POST")


def test_another_host_gets_nothing(serving: Serving) -> None:
    refused = serving.get("/", Host=f"evil.example:{serving.port}")
    assert refused.status == 403
    assert (
        refused.error == f"this server answers at {serving.address} and http://localhost:{serving.port}/ only"
    )


def test_another_page_gets_no_answer(serving: Serving) -> None:
    assert serving.post(PAPER, Origin="http://evil.example").status == 403
    assert serving.post(PAPER, Origin=serving.address.rstrip("/")).status == 200


def test_a_large_body_is_refused_before_it_is_sent(serving: Serving) -> None:
    refused = serving.post(b"", **{"Content-Length": str(MAX_BODY + 1), "Expect": "100-continue"})
    assert (refused.status, refused.headers["connection"]) == (413, "close")
    assert refused.error == "the picture is too large: more than 64 MiB"


def test_chunks_are_refused(serving: Serving) -> None:
    headers = {"Host": f"127.0.0.1:{serving.port}", "Transfer-Encoding": "chunked"}
    refused = serving.send(request("POST", "/answer", headers) + b"3\r\nabc\r\n0\r\n\r\n")
    assert (refused.status, refused.error) == (501, "a body in chunks is not read; send Content-Length")


def test_a_client_may_wait_for_leave_to_send(serving: Serving) -> None:
    headers = {
        "Host": f"127.0.0.1:{serving.port}",
        "Content-Length": str(len(PAPER)),
        "Expect": "100-continue",
    }
    with serving.connect() as connection:
        connection.sendall(request("POST", "/answer", headers))
        assert read_response(connection).status == 100
        connection.sendall(PAPER)
        assert read_response(connection).status == 200


def test_many_headers_are_refused(serving: Serving) -> None:
    assert serving.get("/", Padding="x" * MAX_HEAD).status == 431


def test_what_is_no_http_is_refused(serving: Serving) -> None:
    refused = serving.send(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")
    assert (refused.status, refused.error) == (400, "the request line is not one of HTTP/1.1")


def test_requests_follow_each_other_on_a_connection(serving: Serving) -> None:
    headers = {"Host": f"127.0.0.1:{serving.port}"}
    with serving.connect() as connection:
        for path, status in [("/draw.css", 200), ("/pen.js", 200), ("/nowhere", 404)]:
            connection.sendall(request("GET", path, headers))
            assert read_response(connection).status == status
        # after a refusal the rest of what was sent would be read as a request
        assert connection.recv(1) == b""


def test_a_bug_is_reported_without_its_details(serving: Serving, monkeypatch, caplog) -> None:
    def fail(*args: object) -> bytes:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(server_module, "answer_picture", fail)
    failed = serving.post(b"x")
    assert failed.status == 500 and "secret" not in failed.error
    assert "ZeroDivisionError" in caplog.text
    assert serving.get("/").status == 200


def test_a_hundred_silent_connections_hold_nobody_up(serving: Serving) -> None:
    silent = [serving.connect() for _ in range(100)]
    try:
        for connection in silent[::2]:
            connection.sendall(b"POST /answer HTTP/1.1\r\nHost: ")
        start = time.monotonic()
        assert serving.get("/").status == 200
        assert serving.post(PAPER).status == 200
        assert time.monotonic() - start < 5
        # the first ones had to go
        assert is_closed(silent[0])
    finally:
        for connection in silent:
            connection.close()


def test_a_connection_that_stays_silent_is_closed(serving: Serving, monkeypatch) -> None:
    monkeypatch.setattr(server_module, "HEAD_SECONDS", 0.05)
    with serving.connect() as connection:
        assert is_closed(connection)


def test_a_body_that_does_not_come_is_not_waited_for(serving: Serving, monkeypatch) -> None:
    monkeypatch.setattr(server_module, "BODY_SECONDS", 0.05)
    headers = {"Host": f"127.0.0.1:{serving.port}", "Content-Length": "1000"}
    with serving.connect() as connection:
        connection.sendall(request("POST", "/answer", headers) + b"some")
        assert is_closed(connection)


def test_only_few_large_pictures_are_in_memory(serving: Serving) -> None:
    headers = {"Host": f"127.0.0.1:{serving.port}", "Content-Length": str(2 << 20), "Expect": "100-continue"}
    begun = [serving.connect() for _ in range(2)]
    try:
        for connection in begun:
            connection.sendall(request("POST", "/answer", headers))
            assert read_response(connection).status == 100
        refused = serving.post(b"", **{"Content-Length": str(2 << 20)})
        assert (refused.status, refused.error) == (503, "other pictures are being read")
        assert serving.post(PAPER).status == 200
    finally:
        for connection in begun:
            connection.close()


def test_a_port_that_is_taken_is_named() -> None:
    with listen(0) as first:
        port = first.getsockname()[1]
        with pytest.raises(CnnError, match=f"port {port} cannot be used: address already in use") as caught:
            listen(port)
        assert caught.value.hint == "`port=0` takes a free one"


def test_without_a_port_the_usual_one_is_tried_first() -> None:
    with listen() as first, listen() as second:
        ports = [each.getsockname() for each in (first, second)]
    assert {host for host, _ in ports} == {"127.0.0.1"}
    # another program on this machine may have it
    assert ports[1][1] not in (ports[0][1], PORT)
