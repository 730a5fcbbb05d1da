"""A page that reports an error, or that asks for anything outside of itself, fails its test."""

from pathlib import Path

import pytest

from .conftest import open_page as open_page_fixture

pytestmark = pytest.mark.browser

GOOD = "<p>seen</p><img alt='' src='data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEAAAAALAAAAAABAAEAAAI='>"


@pytest.mark.parametrize(
    ("html", "complaint"),
    [
        (GOOD, None),
        ("<script>throw new Error('oh')</script>", "exception: oh"),
        ("<script>console.error('oh')</script>", "console error: oh"),
        ("<script>console.warn('oh')</script>", "console warning: oh"),
        ("<img alt='' src='other.png'>", "asked for file://"),
    ],
    ids=["good", "exception", "error", "warning", "request"],
)
def test_what_a_page_may_not_do_is_noticed(browser, tmp_path: Path, html: str, complaint: str | None) -> None:
    (tmp_path / "page.html").write_text(f"<!doctype html><html lang='en'><title>t</title>{html}")
    fixture = open_page_fixture.__wrapped__(browser)
    page = next(fixture)((tmp_path / "page.html").as_uri(), viewport={"width": 300, "height": 200})
    assert page.viewport_size == {"width": 300, "height": 200} and page.title() == "t"
    if complaint is None:
        assert list(fixture) == []
    else:
        with pytest.raises(AssertionError, match=complaint):
            next(fixture)
