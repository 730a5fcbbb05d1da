"""Makes one file of a page: its scripts and styles are put into it, so that it opens without a server or a network."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

_SCRIPT = re.compile(r'<script src="([\w.-]+)"></script>')
_STYLE = re.compile(r'<link rel="stylesheet" href="([\w.-]+)">')
_CHARSET = '<meta charset="utf-8">'


def read_asset(name: str) -> str:
    """Return the text of a file in the folder assets: HTML, CSS or JavaScript.

    Example:
        >>> "cnnNetwork" in read_asset("network.js")
        True
    """
    return files("cnncli.web").joinpath("assets", name).read_text("utf-8")


def single_file(page: str, data: Mapping[str, Any], instead: Mapping[str, Sequence[str]]) -> str:
    """Return a page with everything that it needs.

    A policy in its head forbids the browser to load anything, and to run other scripts than these.

    Args:
        page: the name of its HTML file; scripts and styles are named in it as `<script src="NAME"></script>` and
            `<link rel="stylesheet" href="NAME">`.
        data: JSON values, by the id of the element that holds them.
        instead: the scripts that take the place of one that the page names.
    """
    hashes: dict[str, list[str]] = {"script": [], "style": []}

    def inlined(tag: str, text: str) -> str:
        if f"</{tag}" in text.lower():
            raise ValueError(f"a {tag} that contains </{tag} would end early")
        text = f"\n{text}"
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        hashes[tag].append(f"'sha256-{digest}'")
        return f"<{tag}>{text}</{tag}>"

    def scripts(found: re.Match[str]) -> str:
        name = found[1]
        return "\n".join(inlined("script", read_asset(each)) for each in instead.get(name, [name]))

    html = _STYLE.sub(lambda found: inlined("style", read_asset(found[1])), read_asset(page))
    head, first, rest = html.partition("<script ")
    values = "".join(f"{json_in_html(name, value)}\n" for name, value in data.items())
    html = head + values + _SCRIPT.sub(scripts, first + rest)
    allowed = {tag: " ".join(found) or "'none'" for tag, found in hashes.items()}
    policy = (
        f"default-src 'none'; img-src data: blob:; script-src {allowed['script']}; "
        f"style-src {allowed['style']}; base-uri 'none'; form-action 'none'"
    )
    # the policy holds for what comes after it
    meta = f'{_CHARSET}\n<meta http-equiv="Content-Security-Policy" content="{policy}">'
    return html.replace(_CHARSET, meta, 1)


def json_in_html(name: str, value: Any) -> str:
    """Return an element with JSON for the scripts of a page; no text in it can end the element.

    Args:
        name: the id of the element.
        value: what JSON can hold.

    Example:
        >>> json_in_html("model", {"name": "</script>"})
        '<script type="application/json" id="model">{"name":"\\\\u003c/script>"}</script>'
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{text}</script>'
