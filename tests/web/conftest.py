"""Opens pages in Chromium, and lets no test pass whose page reports an error or asks another place for something."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

    OpenPage = Callable[..., Page]

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
"""The names that Chromium has on different systems. Playwright's own copy is never downloaded."""

TIMEOUT = 10_000
"""Milliseconds until a page that does not do what a test waits for fails it."""


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """Chromium, started once for all tests; a skip with the reason where it or playwright is missing."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed (extra browser)"
    )
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip(f"no Chromium is on the PATH ({', '.join(PROGRAMS)})")
    with playwright.sync_playwright() as started:
        # Chromium refuses its sandbox to root
        as_root = hasattr(os, "geteuid") and os.geteuid() == 0
        browser = started.chromium.launch(
            executable_path=program, args=["--no-sandbox"] if as_root else [], timeout=30_000
        )
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: "Browser") -> "Iterator[OpenPage]":
    """A function that opens an address in a window of its own and returns playwright's `Page`.

    Further arguments go to playwright's `new_context`: `viewport={"width": 390, "height": 844}`, `has_touch=True`,
    `color_scheme="dark"` and so on. At the end of the test, the pages must have written no error or warning to the
    console, raised no exception, and asked for nothing but what lies at the same address: for a file, that file; for
    a server, what it serves.
    """
    complaints: list[str] = []
    contexts = []

    def open_page(address: str, **options: Any) -> "Page":
        context = browser.new_context(**options)
        contexts.append(context)
        context.set_default_timeout(TIMEOUT)
        home = urlsplit(address)

        def check_request(url: str) -> None:
            asked = urlsplit(url)
            same = asked[:2] == home[:2] and (home.scheme != "file" or asked.path == home.path)
            if not same and asked.scheme not in ("data", "blob"):
                complaints.append(f"asked for {url}")

        def check_message(message: "ConsoleMessage") -> None:
            if message.type in ("error", "warning"):
                complaints.append(f"console {message.type}: {message.text}")

        # also what the context's workers ask for
        context.on("request", lambda request: check_request(request.url))
        page = context.new_page()
        page.on("console", check_message)
        page.on("pageerror", lambda error: complaints.append(f"exception: {error}"))
        page.on("websocket", lambda socket: check_request(socket.url))
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        # a test may have closed it
        with suppress(Exception):
            context.close()
    assert not complaints, "\n".join(complaints)
