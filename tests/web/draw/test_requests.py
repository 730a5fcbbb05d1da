"""A request is read strictly, and only what a page of ours sends is let in."""

from http import HTTPStatus

import pytest

from cnncli.web.draw.requests import (
    MAX_BODY,
    Refused,
    Request,
    body_length,
    check_no_body,
    check_sender,
    parse_head,
)

OWN = {"host": "127.0.0.1:2828"}


def status_of(call, *args) -> HTTPStatus | None:
    try:
        call(*args)
    except Refused as refusal:
        return refusal.status
    return None


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"GET\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/2\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"GET http://evil/ HTTP/1.1\r\n\r\n",
        b"GET * HTTP/1.1\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\n\r\n",
        b"G@T / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a\n\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: \xff\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\ncontent-length: 2\r\n\r\n",
    ],
)
def test_a_head_of_another_form_is_refused(head: bytes) -> None:
    assert status_of(parse_head, head) == HTTPStatus.BAD_REQUEST


def test_a_head_is_read() -> None:
    head = b"POST /answer?a=b HTTP/1.1\r\nHost:  x:1 \r\nContent-Type: Image/PNG; a=b\r\nExpect: 100-Continue\r\n\r\n"
    request = parse_head(head)
    assert (request.method, request.path, request.headers["host"]) == ("POST", "/answer", "x:1")
    assert request.content_type == "image/png"
    assert request.waits_for_continue and request.keeps_alive


@pytest.mark.parametrize(
    ("version", "connection", "keeps"),
    [("1.1", "Close, x", False), ("1.0", "", False), ("1.0", "keep-alive", True), ("1.1", "", True)],
)
def test_the_client_says_whether_the_connection_stays(version: str, connection: str, keeps: bool) -> None:
    head = f"GET / HTTP/{version}\r\nConnection: {connection}\r\n\r\n".encode()
    assert parse_head(head).keeps_alive is keeps


@pytest.mark.parametrize("host", ["127.0.0.1:2828", "localhost:2828", "LocalHost:2828"])
def test_this_server_is_called_by_its_own_names(host: str) -> None:
    check_sender(Request("GET", "/", {"host": host}), 2828)
    check_sender(Request("POST", "/answer", {"host": host, "origin": "http://localhost:2828"}), 2828)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:2828", "127.0.0.1", "127.0.0.1:80", "localhost", "[::1]:2828", ""]
)
def test_another_host_is_refused(host: str) -> None:
    assert status_of(check_sender, Request("GET", "/", {"host": host}), 2828) == HTTPStatus.FORBIDDEN


def test_a_request_names_its_host() -> None:
    assert status_of(check_sender, Request("GET", "/"), 2828) == HTTPStatus.BAD_REQUEST


def test_the_usual_port_need_not_be_named() -> None:
    check_sender(Request("GET", "/", {"host": "localhost"}), 80)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "https://127.0.0.1:2828"},
        {"origin": "http://127.0.0.1:8080"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
    ],
)
def test_a_post_of_another_page_is_refused(headers: dict[str, str]) -> None:
    assert status_of(check_sender, Request("POST", "/answer", OWN | headers), 2828) == HTTPStatus.FORBIDDEN


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, HTTPStatus.LENGTH_REQUIRED),
        ({"content-length": "-1"}, HTTPStatus.BAD_REQUEST),
        ({"content-length": "+1"}, HTTPStatus.BAD_REQUEST),
        ({"content-length": "1e3"}, HTTPStatus.BAD_REQUEST),
        ({"content-length": "²"}, HTTPStatus.BAD_REQUEST),
        ({"content-length": "9" * 5000}, HTTPStatus.BAD_REQUEST),
        ({"content-length": str(MAX_BODY + 1)}, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
        ({"content-length": "1", "transfer-encoding": "chunked"}, HTTPStatus.NOT_IMPLEMENTED),
        ({"content-length": str(MAX_BODY)}, None),
    ],
)
def test_a_body_has_a_known_and_moderate_length(headers: dict[str, str], status: HTTPStatus | None) -> None:
    assert status_of(body_length, Request("POST", "/answer", headers)) == status


@pytest.mark.parametrize("headers", [{"content-length": "3"}, {"transfer-encoding": "chunked"}])
def test_a_page_is_asked_for_without_a_body(headers: dict[str, str]) -> None:
    assert status_of(check_no_body, Request("GET", "/", headers)) == HTTPStatus.BAD_REQUEST
    assert status_of(check_no_body, Request("GET", "/", {"content-length": "0"})) is None
