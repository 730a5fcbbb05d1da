"""The report holds what was measured, is valid HTML without a script, and can be read by everyone."""

import base64
import io
import re
from collections.abc import Callable
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cnncli.cli.app import app
from cnncli.errors import RunError, StorageError
from cnncli.runs import Run
from cnncli.training.ensemble import measure_runs
from cnncli.web.report import Findings, collect, make_page, write_report
from cnncli.web.report.page import MATRIX

if TYPE_CHECKING:
    from playwright.sync_api import Page

VOID = {"meta", "img", "br", "link", "hr", "input"}


class Outline(HTMLParser):
    """Reads a page strictly: every element is closed in order, and no id stands twice."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), attrs
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID and not (self.rawdata[: self.rawdata.find(">") + 1]).endswith("/>"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, (tag, self.open)

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.text))


@pytest.fixture(scope="module")
def page(findings: Findings) -> Outline:
    return Outline(make_page(findings))


def test_every_link_leads_somewhere_and_every_id_is_there_once(page: Outline) -> None:
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    links = [attributes["href"] for attributes in page.all("a")]
    assert links
    assert {(link or "")[1:] for link in links} <= set(ids)
    assert all((link or "").startswith("#") for link in links)
    named = [a["aria-labelledby"] for _, a in page.elements if "aria-labelledby" in a]
    assert set(named) <= set(ids)


def test_it_needs_nothing_but_itself(page: Outline) -> None:
    assert not page.all("script") and not page.all("link") and not page.all("iframe")
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    sources = [attributes["src"] or "" for attributes in page.all("img")]
    assert sources and all(source.startswith("data:image/png;base64,") for source in sources)
    assert "url(" not in (files("cnncli.web") / "assets" / "report.css").read_text(encoding="utf-8")
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_the_figures_are_those_of_an_evaluation(page: Outline, trained: Run) -> None:
    measured = measure_runs([str(trained.path)])
    assert f"{100 * measured.evaluation.accuracy:.2f} %" in page.words
    assert f"{measured.evaluation.loss:.4f}" in page.words
    confusion = measured.evaluation.confusion
    for label, row in enumerate(confusion.tolist()):
        for answer, count in enumerate(row):
            if label != answer and count:
                times = "once" if count == 1 else f"{count} times"
                assert f"{label} taken for {answer}, {times}" in page.words


def test_each_cell_of_the_matrix_opens_the_pictures_behind_it(findings: Findings, page: Outline) -> None:
    images, labels = findings.measured.images.images, findings.measured.images.labels
    answers = findings.measured.evaluation.predictions
    text = make_page(findings)
    for anchor in {a["href"] for a in page.all("a") if (a["href"] or "").startswith("#m")}:
        found = re.fullmatch(r"#m(\d+)-(\d+)", anchor or "")
        if found is None:
            continue
        label, answer = int(found[1]), int(found[2])
        section = text.split(f'id="m{label}-{answer}"', 1)[1].split("</section>", 1)[0]
        shown = [
            np.asarray(Image.open(io.BytesIO(base64.b64decode(each))))
            for each in re.findall(r"base64,([^\"]+)", section)
        ]
        wrong = np.flatnonzero((labels == label) & (answers == answer))
        sure = findings.measured.evaluation.probabilities[wrong, answer]
        expected = images[wrong[np.argsort(-sure, kind="stable")]]
        np.testing.assert_array_equal(shown, expected)


def test_pictures_have_a_text_and_tables_a_heading_for_each_row(page: Outline) -> None:
    assert all(attributes.get("alt") for attributes in page.all("img"))
    assert all(attributes.get("aria-label") for attributes in page.all("svg"))
    assert all(attributes.get("scope") in ("col", "row") for attributes in page.all("th"))
    assert page.all("html")[0]["lang"] == "en"
    # what scrolls can be reached with the keyboard
    assert all(
        a.get("tabindex") == "0" and a.get("aria-label")
        for a in page.all("div")
        if a.get("class") == "scroll"
    )


def test_names_of_classes_are_text_whatever_they_are(with_names: Callable[..., Findings]) -> None:
    names = ("<b>", 'a"b', "<script>alert(1)</script>")
    page = Outline(make_page(with_names(names)))
    assert not page.all("script") and not page.all("b")
    for name in names:
        assert name in page.words


def test_many_classes_are_listed_in_pairs(findings: Findings) -> None:
    from types import SimpleNamespace

    k = MATRIX + 1
    confusion = np.zeros((k, k), np.int64)
    confusion[:3, :3] = findings.measured.evaluation.confusion
    evaluation = SimpleNamespace(**vars(findings.measured.evaluation))
    evaluation.confusion = confusion
    evaluation.per_class = [*evaluation.per_class] * (k // 3) + list(evaluation.per_class)[: k % 3]
    names = tuple(f"class {number}" for number in range(k))
    measured = SimpleNamespace(**{**vars(findings.measured), "classes": names, "evaluation": evaluation})
    page = Outline(make_page(Findings(**{**vars(findings), "measured": measured})))
    assert not [a for a in page.all("table") if a.get("class") == "confusion"]
    assert f"With {k} classes" in page.words and "class 0 taken for class 1" in page.words


def test_a_network_without_mistakes_says_so(findings: Findings) -> None:
    page = Outline(make_page(Findings(**{**vars(findings), "mistakes": [], "heat": findings.heat[:0]})))
    assert "There are none" in page.words


def test_who_made_the_run_is_not_told(findings: Findings, trained: Run) -> None:
    info = {
        **findings.info,
        "host": "a-name-of-a-machine",
        "command_line": ["/home/ann/bin/cnn", "train", "/home/ann/x.yaml"],
    }
    page = Outline(make_page(Findings(**{**vars(findings), "info": info})))
    assert "a-name-of-a-machine" not in page.words and "/home/ann" not in page.words
    assert "cnn train x.yaml" in page.words
    assert str(trained.path) not in page.words


def test_the_file_is_written_into_the_folder_of_the_run(findings: Findings, trained: Run) -> None:
    made = write_report(findings)
    path = trained.path / "report.html"
    assert made.path == str(path) and made.bytes == path.stat().st_size
    assert Outline(path.read_text(encoding="utf-8")).words
    made = write_report(collect(str(trained.path), split="val"))
    assert made.path == str(trained.path / "report-val.html")


def test_what_cannot_be_reported_on_is_refused(findings: Findings, trained: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="nothing"):
        collect("nothing", tmp_path)
    with pytest.raises(StorageError, match="missing"):
        write_report(findings, tmp_path / "missing" / "report.html")
    data = trained.path.parent.parent / "noise"
    target = data / "t10k-images-idx3-ubyte"
    before = target.read_bytes()
    arguments = ["report", str(trained.path), "--dataset", str(data), "-o", str(target)]
    done = CliRunner().invoke(app, arguments, prog_name="cnn")
    assert done.exit_code == 2 and "would destroy" in done.stderr
    assert target.read_bytes() == before


def colors(block: str) -> dict[str, tuple[float, ...]]:
    """Return the colors of a block of CSS, each channel from 0 to 1."""
    return {
        name: tuple(int(value[place : place + 2], 16) / 255 for place in (0, 2, 4))
        for name, value in re.findall(r"--([\w-]+):\s*#([0-9a-f]{6})", block)
    }


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Return the contrast of two colors as WCAG 2.2 defines it, 1 to 21."""

    def luminance(color: tuple[float, ...]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("mode", ["light", "dark", "print"])
def test_the_contrasts_are_those_of_wcag_aa(mode: str) -> None:
    css = (files("cnncli.web") / "assets" / "report.css").read_text(encoding="utf-8")
    light, dark, printed = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    shown = colors(light) | {"light": {}, "dark": colors(dark), "print": colors(printed)}[mode]
    text = [("ink", "paper"), ("ink", "sheet"), ("quiet", "paper"), ("quiet", "sheet"), ("link", "paper")]
    text += [
        ("link", "sheet"),
        ("right", "paper"),
        ("wrong", "paper"),
        ("ink", "shade"),
        ("ink", "shade-right"),
    ]
    for front, back in text:
        assert contrast(shown[front], shown[back]) >= 4.5, (front, back)
    lines = ["train", "validation", "wrong", *(f"c{number}" for number in range(10))]
    for front in lines:
        assert contrast(shown[front], shown["paper"]) >= 3, front


def test_an_html_checker_finds_nothing(findings: Findings, with_names: Callable[..., Findings]) -> None:
    html5lib = pytest.importorskip("html5lib", reason="html5lib is not installed (extra browser)")
    for shown in (findings, with_names(("<b>", "&amp;", "'"))):
        html5lib.HTMLParser(strict=True).parse(make_page(shown))


@pytest.mark.browser
def test_a_browser_shows_it_and_a_cell_opens_its_pictures(
    findings: Findings, tmp_path: Path, open_page: "Callable[..., Page]"
) -> None:
    path = tmp_path / "report.html"
    path.write_text(make_page(findings), encoding="utf-8")
    page = open_page(path.as_uri(), viewport={"width": 1000, "height": 800})
    cell = page.locator(".confusion td a").first
    section = page.locator(cell.get_attribute("href") or "")
    assert not section.is_visible()
    cell.focus()
    page.keyboard.press("Enter")
    section.wait_for(state="visible")
    assert section.locator("img").first.evaluate("image => image.naturalWidth") == 10
    page.go_back()
    section.wait_for(state="hidden")
    ring = page.locator("#plane ~ figure a").first
    ring.dispatch_event("click")
    page.locator(ring.get_attribute("href") or "").wait_for(state="visible")


@pytest.mark.browser
@pytest.mark.parametrize("width", [320, 390, 768])
def test_nothing_is_wider_than_a_small_screen(
    width: int, with_names: Callable[..., Findings], tmp_path: Path, open_page: "Callable[..., Page]"
) -> None:
    path = tmp_path / "report.html"
    text = make_page(
        with_names(("Ankle boot", "a name that is far longer than any column is wide", "T-shirt/top"))
    )
    path.write_text(text, encoding="utf-8")
    page = open_page(path.as_uri(), viewport={"width": width, "height": 800}, color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == "rgb(20, 24, 29)"


@pytest.mark.browser
def test_the_name_of_a_class_leaves_room_and_stays_in_view(
    with_names: Callable[..., Findings], tmp_path: Path, open_page: "Callable[..., Page]"
) -> None:
    path = tmp_path / "report.html"
    names = ("a name of many words that is far longer than any column", "onewordthatgoesonandon" * 3, "x")
    path.write_text(make_page(with_names(names)), encoding="utf-8")
    page = open_page(path.as_uri(), viewport={"width": 220, "height": 800})
    name = page.locator(".confusion tbody th").first
    before = name.bounding_box()
    assert before is not None and before["width"] < 220 * 0.6
    scrolled = "table => { table.parentElement.scrollLeft = 80; return table.parentElement.scrollLeft; }"
    assert page.locator(".confusion").evaluate(scrolled) == 80
    after = name.bounding_box()
    assert after is not None and after["x"] == before["x"]


@pytest.mark.browser
def test_all_pictures_are_printed(
    findings: Findings, tmp_path: Path, open_page: "Callable[..., Page]"
) -> None:
    path = tmp_path / "report.html"
    path.write_text(make_page(findings), encoding="utf-8")
    page = open_page(path.as_uri(), color_scheme="dark")
    page.emulate_media(media="print")
    cells = page.locator(".cell")
    assert cells.count() > 0
    assert all(cells.nth(number).is_visible() for number in range(cells.count()))
    assert not page.locator("nav").is_visible()
