"""Reads the head of an HTTP request strictly, and refuses what no page of ours sends.

A server on this computer is within reach of every page that the user has open. What keeps them out: `Host` must name
this server, which a name that was pointed at 127.0.0.1 does not (DNS rebinding), and so must the `Origin` of a POST,
which a browser always sends with one.

Sources: RFC 9110 (methods and status codes), RFC 9112 (the form of a message).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

MAX_HEAD = 16 << 10
"""Bytes of a request line and its headers."""

MAX_BODY = 64 << 20
"""Bytes of a picture; as many as `cnn predict -` takes."""

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST_LINE = re.compile(rf"({_TOKEN}) (/[!-~]*) HTTP/1\.([01])")
_HEADER = re.compile(rf"({_TOKEN}):[ \t]*([ -~\t]*?)[ \t]*")


class Refused(Exception):
    """A request that is not answered.

    Args:
        status: of the response.
        message: one sentence for who sent it.
        headers: further headers of the response.
    """

    def __init__(self, status: HTTPStatus, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})


@dataclass(frozen=True)
class Request:
    """The head of a request.

    Attributes:
        method: such as "GET".
        path: such as "/", without a query.
        headers: their names in lower case.
        keeps_alive: whether another request may follow on the same connection.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    keeps_alive: bool = True

    @property
    def content_type(self) -> str:
        """The type of the body, in lower case, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def waits_for_continue(self) -> bool:
        """Whether the client sends the body only after it was told to."""
        return self.headers.get("expect", "").lower() == "100-continue"


def parse_head(head: bytes) -> Request:
    r"""Return the head of a request.

    Args:
        head: all bytes up to the blank line, and that line.

    Raises:
        Refused: it has another form than RFC 9112 demands, or it is of another version than HTTP/1.

    Example:
        >>> parse_head(b"GET /?x=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        Request(method='GET', path='/', headers={'host': 'localhost'}, keeps_alive=True)
    """
    try:
        first, *lines = head.decode("ascii").removesuffix("\r\n\r\n").split("\r\n")
    except UnicodeDecodeError:
        raise Refused(HTTPStatus.BAD_REQUEST, "the headers are not ASCII") from None
    parts = _REQUEST_LINE.fullmatch(first)
    if parts is None:
        raise Refused(HTTPStatus.BAD_REQUEST, "the request line is not one of HTTP/1.1")
    headers: dict[str, str] = {}
    for line in lines:
        pair = _HEADER.fullmatch(line)
        if pair is None:
            raise Refused(HTTPStatus.BAD_REQUEST, "a header is not of the form `name: value`")
        name = pair[1].lower()
        if name in headers and name in ("host", "origin", "content-length", "content-type", "expect"):
            raise Refused(HTTPStatus.BAD_REQUEST, f"the header {name} is there twice")
        headers[name] = pair[2]
    wishes = {wish.strip().lower() for wish in headers.get("connection", "").split(",")}
    keeps_alive = "close" not in wishes if parts[3] == "1" else "keep-alive" in wishes
    return Request(parts[1], parts[2].partition("?")[0], headers, keeps_alive)


def check_sender(request: Request, port: int) -> None:
    """Check that a request is meant for this server, and does not come from a page of another one.

    A program that is no browser need not send an `Origin`.

    Raises:
        Refused: it names another host, or comes from another page.
    """
    hosts = [f"{name}:{port}" for name in ("127.0.0.1", "localhost")]
    if port == 80:
        hosts += ["127.0.0.1", "localhost"]
    host = request.headers.get("host")
    if host is None:
        raise Refused(HTTPStatus.BAD_REQUEST, "the header host is missing")
    if host.lower() not in hosts:
        raise Refused(
            HTTPStatus.FORBIDDEN, f"this server answers at http://{hosts[0]}/ and http://{hosts[1]}/ only"
        )
    if request.method != "POST":
        return
    origin = request.headers.get("origin")
    foreign = origin is not None and origin.lower() not in {f"http://{name}" for name in hosts}
    # "none" is what the user typed, and no form of ours is sent that way
    if foreign or request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise Refused(HTTPStatus.FORBIDDEN, "this request comes from a page of another server")


def body_length(request: Request) -> int:
    """Return the number of bytes of the body of a POST.

    Raises:
        Refused: it is not known, or too large.
    """
    if "transfer-encoding" in request.headers:
        raise Refused(HTTPStatus.NOT_IMPLEMENTED, "a body in chunks is not read; send Content-Length")
    length = request.headers.get("content-length")
    if length is None:
        raise Refused(HTTPStatus.LENGTH_REQUIRED, "the header content-length is missing")
    if not (length.isascii() and length.isdigit() and len(length) <= 15):
        raise Refused(HTTPStatus.BAD_REQUEST, "the header content-length is no number")
    if int(length) > MAX_BODY:
        raise Refused(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the picture is too large: more than {MAX_BODY >> 20} MiB"
        )
    return int(length)


def check_no_body(request: Request) -> None:
    """Check that a request that asks for a page has no body, which would be taken for the next request.

    Raises:
        Refused: it has one.
    """
    if "transfer-encoding" in request.headers or request.headers.get("content-length", "0") != "0":
        raise Refused(HTTPStatus.BAD_REQUEST, f"a {request.method} request has no body")
