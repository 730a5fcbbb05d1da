"""The page that `cnn export --to html` writes opens from a file, answers while one draws, and needs nothing else."""

import re
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnncli.export.html.write import write
from cnncli.export.subject import Subject
from cnncli.training.model import load_model
from tests.export.networks import MEANS, make_subject

from .exported import as_text, draw_large, write_page

pytestmark = pytest.mark.browser


def expect(locator: Any) -> Any:
    """Return what playwright checks again and again until it is true."""
    from playwright.sync_api import expect

    return expect(locator)


def draw_seven(page: Any) -> None:
    """Draw a 7 with the mouse."""
    box = page.locator("#paper").bounding_box()
    points = [(0.3, 0.22), (0.7, 0.22), (0.55, 0.5), (0.45, 0.8)]
    spots = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*spots[0])
    page.mouse.down()
    for spot in spots[1:]:
        page.mouse.move(*spot, steps=6)
    page.mouse.up()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_drawn_seven_is_read_without_a_server(open_page, tmp_path, scheme: str) -> None:
    address = write_page(Subject(load_model("bundled"), "net"), tmp_path)
    assert address.startswith("file://")
    page = open_page(address, color_scheme=scheme, viewport={"width": 900, "height": 900})
    draw_seven(page)
    reading = page.locator("#reading")
    expect(reading).to_have_text("7")
    assert page.locator("#classes li").count() == 10
    assert "ms" in page.locator("#time").inner_text()
    assert page.locator("#layers section").count() > 4
    page.locator("#clear").click()
    expect(reading).not_to_have_text("7")


def test_a_dropped_picture_is_read(open_page, tmp_path) -> None:
    page = open_page(write_page(Subject(load_model("bundled"), "net"), tmp_path))
    buffer = BytesIO()
    Image.fromarray(255 - draw_large(4)).save(buffer, "PNG")
    page.evaluate(
        """(text) => {
          const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
          const moved = new DataTransfer();
          moved.items.add(new File([bytes], 'digit.png', {type: 'image/png'}));
          for (const type of ['dragover', 'drop']) {
            document.body.dispatchEvent(new DragEvent(type, {dataTransfer: moved, bubbles: true, cancelable: true}));
          }
        }""",
        as_text(np.frombuffer(buffer.getvalue(), np.uint8)),
    )
    expect(page.locator("#reading")).to_have_text(re.compile("^[0-9?]$"))
    assert page.locator("#picture").is_visible()


def test_names_of_classes_cannot_break_out_of_the_page(open_page, tmp_path) -> None:
    names = ["</script><script>throw 1</script>", "<b>", "&amp;", "\u2028", "<!--<script>"]
    subject = make_subject(MEANS, classes=5)
    model = replace(subject.model, classes=tuple(names), name="<i>net</i>")
    page = open_page(write_page(Subject(model, "net"), tmp_path))
    assert page.evaluate("cnnBackend.model.classes") == names
    assert page.evaluate("cnnBackend.model.name") == "<i>net</i>"


def test_the_page_forbids_everything_that_it_does_not_need() -> None:
    page = write(make_subject(MEANS, classes=5))[".html"].decode()
    policy = re.search(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', page)[1]
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy and "http" not in policy
    assert page.index("Content-Security-Policy") < page.index("<style") < page.index("<script")
    assert not re.search(r'(src|href)="(?!data:|#)', page)


def test_the_script_of_the_documentation_runs_on_the_page(open_page, tmp_path) -> None:
    text = (Path(__file__).parents[2] / "docs/interop.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"```js\n(.*?)```", text, re.DOTALL)
    page = open_page(write_page(Subject(load_model("bundled"), "net"), tmp_path))
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.evaluate(f"(async () => {{ {script} }})()")
    assert said[0] == "conv1 16x28x28" and said[-2] == "linear1 10" and "Float32Array(10)" in said[-1]
