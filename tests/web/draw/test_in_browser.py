"""The page in Chromium: strokes of a mouse and a finger, the keyboard, pictures, undo, sizes and colors."""

import base64
import json
import math
from collections.abc import Iterator
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cnncli.cli.app import app
from cnncli.training.model import Model

from .conftest import Serving, running
from .test_answers import DRAWINGS, as_file, draw, make_model

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

WIDE = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}

SEVEN = [(0.27, 0.24), (0.68, 0.24), (0.45, 0.8)]
ONE = [(0.5, 0.2), (0.5, 0.8)]

NOTHING = "\u2013"
"""What stands in place of an answer."""


@pytest.fixture
def page(open_page, serving: Serving) -> "Page":
    return open_page(serving.address, viewport=WIDE)


def points_of(page: "Page", stroke: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the places in the window of a stroke that is given in parts of the drawing area."""
    box = page.locator("#paper").bounding_box()
    assert box is not None
    return [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]


def draw_with_mouse(page: "Page", *strokes: list[tuple[float, float]], steps: int = 2) -> None:
    for stroke in strokes:
        first, *others = points_of(page, stroke)
        page.mouse.move(*first)
        page.mouse.down()
        for point in others:
            page.mouse.move(*point, steps=steps)
        page.mouse.up()


BYTES = """(read) => {
  let text = '';
  const bytes = read();
  for (let start = 0; start < bytes.length; start += 32768) {
    text += String.fromCharCode(...bytes.subarray(start, start + 32768));
  }
  return btoa(text);
}"""


def plane_of(page: "Page", read: str) -> np.ndarray:
    """Return the bytes that a function in the page reads, (336, 336)."""
    return np.frombuffer(base64.b64decode(page.evaluate(f"() => ({BYTES})({read})")), np.uint8).reshape(
        336, 336
    )


def ink_of(page: "Page") -> np.ndarray:
    """Return the ink of the drawing, (336, 336), uint8."""
    return plane_of(page, "() => cnnPage.drawing.ink")


def shown_ink(page: "Page") -> np.ndarray:
    """Return what the canvas shows: how opaque each of its pixels is."""
    read = "document.getElementById('paper').getContext('2d').getImageData(0, 0, 336, 336).data"
    return plane_of(page, f"() => {read}.filter((value, index) => index % 4 === 3)")


def wait_for_reading(page: "Page", text: str) -> None:
    page.wait_for_function("text => document.getElementById('reading').textContent === text", arg=text)


def wait_until_answered(page: "Page") -> None:
    page.wait_for_function("() => !cnnPage.isAsking()")


def test_strokes_of_a_mouse_are_answered_and_explained(page: "Page") -> None:
    assert page.title() == "Draw a digit \u00b7 bundled"
    assert page.locator("#said").text_content() == "Nothing drawn yet."
    first, second, third = points_of(page, SEVEN)
    page.mouse.move(*first)
    page.mouse.down()
    page.mouse.move(*second, steps=4)
    page.mouse.move(*third, steps=4)
    # the answer comes while the pen is down
    wait_for_reading(page, "7")
    assert page.evaluate("cnnPage.drawing.stroke !== null")
    page.mouse.up()
    wait_until_answered(page)
    assert page.locator("#said").text_content().endswith("% sure")
    assert page.locator("#classes .best .name").text_content() == "7"
    names = page.locator("#layers h3").all_text_contents()
    assert names[:3] == ["conv1", "relu1", "maxpool1"] and names[-1] == "linear1"
    assert not [name for name in names if name.startswith("dropout")]
    # a layer is drawn when it comes on the screen, and says the number under the pointer
    layer = page.locator("#layers section").first
    layer.locator("canvas").hover(position={"x": 5, "y": 5})
    place, _, number = layer.locator(".value").text_content().partition(" = ")
    assert place.startswith("conv1[0,") and abs(float(number.replace("\u2212", "-"))) < 100
    script = """() => [...document.querySelectorAll('button, input, canvas, img, summary')].filter((each) =>
      !(each.getAttribute('aria-label') || each.textContent.trim() || each.labels?.length || each.alt))
      .map((each) => each.outerHTML)"""
    assert page.evaluate(script) == []


def test_a_scribble_is_no_digit_and_a_screen_reader_hears_it(page: "Page") -> None:
    page.evaluate("""() => {
      const spoken = document.getElementById('announcement');
      window.said = [];
      new MutationObserver(() => said.push(spoken.textContent)).observe(spoken, {childList: true});
    }""")
    assert page.locator("#announcement").get_attribute("aria-live") == "polite"
    draw_with_mouse(page, [(0.2 + 37 * i % 210 / 350, 0.2 + 53 * i % 200 / 350) for i in range(11)], steps=1)
    wait_for_reading(page, "?")
    assert page.locator("#said").text_content().startswith("No digit. The nearest class is ")
    page.wait_for_function("() => said.at(-1) === 'No digit'")
    # of answers that follow each other fast, the last one is said
    page.evaluate("for (const text of ['1', '2', '3']) cnnPage.answers.announce(text)")
    page.wait_for_function("() => said.at(-1) === '3'")
    assert not {"1", "2"} & set(page.evaluate("said"))


def test_a_saved_drawing_is_answered_by_predict_as_on_the_page(page: "Page", tmp_path: Path) -> None:
    draw_with_mouse(page, SEVEN)
    wait_until_answered(page)
    with page.expect_download() as download:
        page.locator("#save").click()
    assert download.value.suggested_filename == "drawing.png"
    path = tmp_path / "drawing.png"
    download.value.save_as(path)
    np.testing.assert_array_equal(np.asarray(Image.open(path).convert("L")), 255 - ink_of(page))
    result = CliRunner().invoke(app, ["predict", str(path), "--run", "bundled", "--top", "10", "--json"])
    [digit] = json.loads(result.stdout)["images"][0]["digits"]
    shown = dict(
        zip(
            page.locator("#classes .name").all_text_contents(),
            page.locator("#classes .share").all_text_contents(),
            strict=True,
        )
    )
    assert shown == {name: f"{100 * p:.1f}\u00a0%" for name, p in digit["top"]}


def test_a_stroke_in_pieces_equals_the_same_stroke_at_once(page: "Page") -> None:
    """However often the pointer reports, and also where it reports the same place twice."""
    script = """() => {
      const points = Array.from({length: 60}, (_, i) => [60 + 3 * i, 150 + 80 * Math.sin(i / 6)]);
      const make = (times, look) => {
        const drawing = new cnnPen.Drawing(336);
        for (let time = 0; time < times; time++) {
          drawing.begin(...points[0], 13, false);
          for (const point of points) {
            drawing.extend(...point, 13);
            if (look) drawing.takeDirty();
          }
          drawing.end();
        }
        return drawing.ink;
      };
      const whole = make(1, false);
      return [make(1, true), make(2, false)].map((ink) => ink.every((value, index) => value === whole[index]));
    }"""
    assert page.evaluate(script) == [True, True]


def test_a_pen_that_is_pressed_harder_draws_thicker(page: "Page") -> None:
    script = """([x, y, pressure]) => {
      const options = {pointerId: 7, pointerType: 'pen', pressure, button: 0, bubbles: true};
      const paper = document.getElementById('paper');
      paper.setPointerCapture = () => {};
      paper.dispatchEvent(new PointerEvent('pointerdown', {...options, clientX: x, clientY: y}));
      paper.dispatchEvent(new PointerEvent('pointerup', {...options, clientX: x, clientY: y}));
    }"""
    [place] = points_of(page, [(0.5, 0.5)])
    areas = []
    for pressure in (0.1, 0.5, 0.9):
        page.evaluate(script, [*place, pressure])
        areas.append(ink_of(page).sum() / 255)
        page.keyboard.press("Control+z")
    assert areas[1] == pytest.approx(math.pi * 14**2, rel=0.02)
    assert areas[0] == pytest.approx(areas[1] * 0.36, rel=0.05)
    assert areas[2] == pytest.approx(areas[1] * 1.96, rel=0.05)


def test_undo_and_redo_are_exact(page: "Page") -> None:
    def shares() -> list[str]:
        wait_until_answered(page)
        return page.locator("#classes .share").all_text_contents()

    states = [ink_of(page)]
    draw_with_mouse(page, SEVEN)
    states.append(ink_of(page))
    answer = shares()
    draw_with_mouse(page, [(0.1, 0.1), (0.9, 0.9)])
    states.append(ink_of(page))
    assert shares() != answer
    page.locator("#eraser").click()
    draw_with_mouse(page, [(0.3, 0.3), (0.6, 0.6)])
    states.append(ink_of(page))
    page.locator("#clear").click()
    states.append(ink_of(page))
    sums = [int(state.sum()) for state in states]
    assert sums[0] == 0 and sums[1] < sums[2] > sums[3] > 0 and sums[4] == 0
    for state in states[-2::-1]:
        page.keyboard.press("Control+z")
        np.testing.assert_array_equal(ink_of(page), state)
    assert page.locator("#undo").is_disabled()
    wait_for_reading(page, NOTHING)
    for state in states[1:]:
        page.keyboard.press("Control+Shift+z")
        np.testing.assert_array_equal(ink_of(page), state)
    assert page.locator("#redo").is_disabled()
    for _ in range(3):
        page.locator("#undo").click()
    page.wait_for_function("() => !cnnPage.isPainting()")
    np.testing.assert_array_equal(shown_ink(page), states[1])
    assert shares() == answer


def touch(page: "Page", stroke: list[tuple[float, float]]) -> None:
    """Draw with a finger: touch events from below the page, as a screen sends them."""
    session = page.context.new_cdp_session(page)

    def send(kind: str, points: list[dict[str, Any]]) -> None:
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    places = [{"x": x, "y": y, "id": 1} for x, y in points_of(page, stroke)]
    send("touchStart", [places[0]])
    for place in places[1:]:
        send("touchMove", [place])
    send("touchEnd", [])


def test_a_finger_draws_and_the_page_stays_where_it_is(open_page, serving: Serving) -> None:
    page = open_page(serving.address, viewport=PHONE, has_touch=True, is_mobile=True)
    corners = [(0.27, 0.24), (0.68, 0.24), (0.45, 0.8)]
    path = [
        (a[0] + (b[0] - a[0]) * k / 8, a[1] + (b[1] - a[1]) * k / 8)
        for a, b in pairwise(corners)
        for k in range(9)
    ]
    touch(page, path)
    wait_for_reading(page, "7")
    assert page.evaluate("scrollY") == 0
    ink = ink_of(page) > 128
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    # from the first point to the last: the stroke did not break off
    assert rows[0] < 0.24 * 336 and rows[-1] > 0.8 * 336 - 2
    assert columns[0] < 0.27 * 336 and columns[-1] > 0.68 * 336 - 2


def test_a_resized_window_keeps_the_drawing(page: "Page") -> None:
    draw_with_mouse(page, ONE)
    before = ink_of(page)
    for width in (800, 390, 320):
        page.set_viewport_size({"width": width, "height": 700})
        np.testing.assert_array_equal(ink_of(page), before)
        # nothing sticks out to the side
        assert page.evaluate("document.documentElement.scrollWidth") == width
    page.evaluate("scrollTo(0, 0)")
    draw_with_mouse(page, [(0.25, 0.1), (0.25, 0.2)])
    drawn = np.flatnonzero((ink_of(page) != before).any(axis=0))
    assert abs((drawn[0] + drawn[-1]) / 2 - 0.25 * 336) < 2


def luminance(color: str) -> float:
    channels = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Return the ratio of two colors as WCAG 2.2 defines it."""
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def test_colors_follow_the_system_and_can_be_read(page: "Page") -> None:
    names = "page surface paper ink text quiet edge accent accent-soft warn".split()
    read_colors = (
        "names => names.map((n) => getComputedStyle(document.documentElement).getPropertyValue('--' + n))"
    )
    read_ink = """() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {
      const copy = new OffscreenCanvas(1, 1).getContext('2d');
      copy.drawImage(document.getElementById('paper'), -168, -168);
      done([...copy.getImageData(0, 0, 1, 1).data]);
    })))"""
    draw_with_mouse(page, ONE)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        color = dict(zip(names, map(str.strip, page.evaluate(read_colors, names)), strict=True))
        assert (luminance(color["paper"]) < luminance(color["ink"])) is (scheme == "dark")
        for text, below in [
            ("text", "page"),
            ("text", "surface"),
            ("quiet", "page"),
            ("quiet", "paper"),
            ("warn", "page"),
            ("accent", "accent-soft"),
            ("ink", "paper"),
        ]:
            assert contrast(color[text], color[below]) >= 4.5, (scheme, text, below)
        for part in ("edge", "accent"):
            assert contrast(color[part], color["page"]) >= 3, (scheme, part)
        red, green, blue, opaque = page.evaluate(read_ink)
        assert (f"#{red:02x}{green:02x}{blue:02x}", opaque) == (color["ink"], 255)


def test_a_chosen_picture_is_answered_and_shown(page: "Page") -> None:
    content = as_file(draw(DRAWINGS["two digits"]), "PNG")
    page.locator("#file").set_input_files({"name": "two.png", "mimeType": "image/png", "buffer": content})
    wait_for_reading(page, "71")
    assert page.locator("#picture").is_visible()
    assert page.locator("#boxes text").all_text_contents() == ["7", "1"]
    assert page.locator("#said").text_content().startswith("2 digits. Below is the largest, which is 7")
    # the next stroke starts a drawing, and undo brings the picture back
    draw_with_mouse(page, ONE)
    wait_for_reading(page, "1")
    assert page.locator("#picture").is_hidden()
    page.keyboard.press("Control+z")
    wait_for_reading(page, "71")
    assert page.locator("#picture").is_visible()
    page.keyboard.press("Control+z")
    wait_for_reading(page, NOTHING)


PICTURE_EVENT = """([kind, text, name]) => {
  const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], name));
  const event = kind === 'paste'
    ? new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true})
    : new DragEvent(kind, {dataTransfer: data, bubbles: true, cancelable: true});
  return document.body.dispatchEvent(event);
}"""


def test_pictures_are_dropped_and_pasted(page: "Page") -> None:
    def give(kind: str, name: str, content: bytes) -> bool:
        return page.evaluate(PICTURE_EVENT, [kind, base64.b64encode(content).decode(), name])

    four, seven = (as_file(draw(DRAWINGS[name]), "PNG") for name in ("four", "seven"))
    # false: the browser would open the file in place of the page
    assert give("dragover", "a.png", four) is False
    assert give("drop", "a.png", four) is False
    wait_for_reading(page, "4")
    assert give("paste", "b.png", seven) is False
    wait_for_reading(page, "7")
    # only the server can read it
    give("drop", "scan.tif", as_file(draw(DRAWINGS["four"]), "TIFF"))
    wait_for_reading(page, "4")
    page.locator("#picture-name").wait_for()
    assert page.locator("#picture-name").text_content() == "scan.tif cannot be shown here."
    give("drop", "notes.txt", b"no picture")
    page.wait_for_function("() => document.getElementById('said').textContent.includes('of a known format')")
    assert page.locator("#reading").text_content() == NOTHING
    draw_with_mouse(page, ONE)
    wait_for_reading(page, "1")


def test_the_keyboard_is_enough(page: "Page") -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "paper"
    for key, times in [("ArrowUp", 8), (" ", 1), ("ArrowDown", 16), (" ", 1)]:
        for _ in range(times):
            page.keyboard.press(key)
    wait_for_reading(page, "1")
    page.keyboard.press("Delete")
    wait_for_reading(page, NOTHING)
    # single keys choose a tool, on the drawing area only
    pen, eraser = page.locator("#pen"), page.locator("#eraser")
    before = int(page.locator("#thickness").input_value())
    page.keyboard.press("e")
    page.keyboard.press("]")
    assert (pen.get_attribute("aria-pressed"), eraser.get_attribute("aria-pressed")) == ("false", "true")
    assert int(page.locator("#thickness").input_value()) == before + 4
    page.keyboard.press("p")
    page.locator("#open").focus()
    page.keyboard.press("e")
    assert (pen.get_attribute("aria-pressed"), eraser.get_attribute("aria-pressed")) == ("true", "false")
    # undo and redo can be reached when there is something to undo and to redo
    draw_with_mouse(page, SEVEN, ONE)
    page.keyboard.press("Control+z")
    reached = []
    for _ in range(10):
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
        page.keyboard.press("Tab")
    assert reached == "paper pen eraser undo redo clear thickness open save SUMMARY".split()


def test_two_tabs_do_not_disturb_each_other(open_page, serving: Serving) -> None:
    one, two = open_page(serving.address, viewport=WIDE), open_page(serving.address, viewport=WIDE)
    draw_with_mouse(one, SEVEN)
    draw_with_mouse(two, ONE)
    wait_for_reading(one, "7")
    wait_for_reading(two, "1")


@pytest.fixture
def fruit() -> Iterator[Serving]:
    """A network of another kind: colored pictures, many classes with long names."""
    layers = [("conv", {"filters": 4, "kernel": 3}), ("globalavgpool", {}), ("linear", {"units": 20})]
    names = [
        f"{color} {kind}"
        for color in ("red", "green", "dark blue", "grey")
        for kind in ("apple", "pear", "pomegranate", "plum", "fig")
    ]
    model: Model = make_model(layers, (3, 40, 32), names)
    with running(model) as serving:
        yield serving


def test_a_network_of_other_pictures_is_served(open_page, fruit: Serving) -> None:
    page = open_page(fruit.address, viewport={"width": 320, "height": 640})
    assert page.title() == "Draw a picture · mine"
    content = BytesIO()
    Image.new("RGB", (90, 60), (200, 30, 30)).save(content, "PNG")
    page.locator("#file").set_input_files(
        {"name": "a.png", "mimeType": "image/png", "buffer": content.getvalue()}
    )
    page.wait_for_function("() => document.getElementById('said').textContent.endsWith('sure')")
    assert page.locator("#classes li").count() == 12
    assert page.evaluate(
        "[document.getElementById('seen').width, document.getElementById('seen').height]"
    ) == [32, 40]
    assert page.evaluate("document.documentElement.scrollWidth") == 320
