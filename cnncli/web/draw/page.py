"""The files of the page that `cnn draw` serves, all in memory: no request reaches the disk."""

from collections.abc import Mapping
from typing import Any

from cnncli.training.model import Model
from cnncli.web.single_file import json_in_html, read_asset

TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
}

SCRIPTS = ("pen.js", "show.js", "backend_server.js", "draw.js")

File = tuple[str, bytes]
"""The type of the content, and the content."""


def describe_model(model: Model) -> dict[str, Any]:
    """Return what the page says about a model: `cnnBackend.model` in docs/draw.md."""
    channels, *size = model.network.input_shape
    return {
        "name": model.name,
        "classes": list(model.classes),
        "size": size,
        "channels": channels,
        "unknown": model.calibration.unknown_threshold is not None,
        "parameters": model.network.get_num_parameters(),
    }


def with_model(page: str, description: Mapping[str, Any]) -> str:
    """Return the page with the description of a model before its first script."""
    before, first, after = page.partition("<script ")
    return f"{before}{json_in_html('model', description)}\n{first}{after}"


def page_files(model: Model) -> dict[str, File]:
    """Return each path of the server that can be read, and what is there."""
    page = with_model(read_asset("draw.html"), describe_model(model))
    texts = {"/": page} | {f"/{name}": read_asset(name) for name in ("draw.css", *SCRIPTS)}
    return {
        path: (TYPES[path.rpartition(".")[2] if "." in path else "html"], text.encode())
        for path, text in texts.items()
    }
