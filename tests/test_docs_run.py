"""The tutorial's commands and the code of the other pages run as they are written, in an empty folder."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from cnncli.cli.app import app
from cnncli.data import load
from cnncli.data.synthetic.draw import make_synthetic
from cnncli.sweep.places import local
from cnncli.training import session
from tests.sweep.places import Here

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def blocks(page: str) -> list[tuple[str, str]]:
    """Return (language, content) of the fenced blocks of a page."""
    return re.findall(r"```(\w+)\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, cwd=cwd, env=environment, timeout=300
    )


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty folder with a picture of a digit in it."""
    picture = Image.new("L", (300, 300), 255)
    ImageDraw.Draw(picture).line([(150, 60), (150, 240)], fill=0, width=16)
    picture.save(tmp_path / "digit.png")
    return tmp_path


@pytest.fixture
def few_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw a quarter of the built-in digits: commands and code stay as they are, and take less time."""
    few = make_synthetic(train=1500, test=300)
    monkeypatch.setattr(load, "_draw_synthetic", lambda: few)


def test_the_tutorial_runs_from_top_to_bottom(few_digits: None, place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(place)
    monkeypatch.setenv("COLUMNS", "80")
    commands = 0
    for language, content in blocks("tutorial.md"):
        if language == "yaml":
            (place / content.split()[1]).write_text(content)  # its first line is "# NAME"
            continue
        for line in content.splitlines():
            program, *arguments = shlex.split(line)
            assert program == "cnn"
            done = CliRunner().invoke(app, arguments, prog_name="cnn")
            assert done.exit_code == 0, f"{line}\n{done.stdout}{done.stderr}"
            assert max(map(len, done.stdout.splitlines()), default=0) <= 80, line
            commands += 1
    assert commands == 10
    runs = sorted(path.name for path in (place / "runs").iterdir())
    assert runs == ["first", "turned", "wider"]
    assert len((place / "runs/first/metrics.csv").read_text().splitlines()) == 1 + 3


def test_the_page_on_many_runs_runs_from_top_to_bottom(few_digits: None, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(local, "LocalPlace", lambda jobs: Here(2))  # processes would draw all digits each
    monkeypatch.setattr(session, "draw_results", lambda *results: None)
    for language, content in blocks("scale.md"):
        if language == "yaml":
            Path(content.split()[1]).write_text(content)  # its first line is "# NAME"
            continue
        for line in content.splitlines():
            program, *arguments = shlex.split(line)
            assert program == "cnn"
            done = CliRunner().invoke(app, arguments, prog_name="cnn")
            assert done.exit_code == 0, f"{line}\n{done.stdout}{done.stderr}"
            assert max(map(len, done.stdout.splitlines()), default=0) <= 80, line
    assert {path.name for path in Path("runs").iterdir()} == {
        *("first", "wide", "few-seeds", "chosen", "lr", "tuned")
    }


FRUIT = {"apple": (200, 40, 40), "banana": (235, 205, 60), "pear": (130, 180, 60)}


def photograph(fruit: str, rng: np.random.Generator) -> Image.Image:
    """A fruit on a table: anywhere, of any size, in varied light."""
    table = rng.integers(60, 190, 3)
    picture = Image.new("RGB", (160, 120), tuple(int(value) for value in table))
    brush = ImageDraw.Draw(picture)
    color = tuple(int(value) for value in np.clip(rng.normal(FRUIT[fruit], 15), 0, 255))
    x, y, r = rng.uniform(55, 105), rng.uniform(50, 70), rng.uniform(22, 38)
    if fruit == "apple":
        brush.ellipse([x - r, y - r, x + r, y + r], fill=color)
    elif fruit == "banana":
        brush.arc([x - 1.5 * r, y - 1.6 * r, x + 1.5 * r, y + r], 20, 160, fill=color, width=int(0.7 * r))
    else:
        brush.ellipse([x - r, y - 0.3 * r, x + r, y + 1.3 * r], fill=color)
        brush.ellipse([x - 0.5 * r, y - 1.2 * r, x + 0.5 * r, y + 0.6 * r], fill=color)
    light = np.linspace(*rng.uniform(0.7, 1.2, 2), 160)[None, :, None]
    pixels = np.asarray(picture) * light + rng.normal(0, 8, (120, 160, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def test_the_page_on_own_classes_leads_to_right_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    rng = np.random.default_rng(4)
    for fruit in FRUIT:
        (tmp_path / "fruit" / fruit).mkdir(parents=True)
        for number in range(40):
            photograph(fruit, rng).save(f"fruit/{fruit}/{number}.jpg")
    photograph("pear", rng).save("new.jpg")
    answers = {}
    for language, content in blocks("your-own-classes.md"):
        if language == "yaml":
            Path(content.split()[1]).write_text(content)  # its first line is "# NAME"
        for line in content.splitlines() if language == "sh" else []:
            _, *arguments = shlex.split(line)
            done = CliRunner().invoke(app, arguments, prog_name="cnn")
            assert done.exit_code == 0, f"{line}\n{done.stdout}{done.stderr}"
            answers[arguments[0]] = done.stdout + done.stderr
    assert re.search(r"^new\.jpg: pear", answers["predict"], re.M)
    assert re.search(r"pear +32 .* 8 ", answers["inspect"]) and "test-mistakes.png" in answers["eval"]
    Path("seen").mkdir()
    truth = [fruit for fruit in FRUIT for _ in range(10)]
    for number, fruit in enumerate(truth):
        photograph(fruit, rng).save(f"seen/{number:02}.jpg")
    done = CliRunner().invoke(app, ["predict", "seen", "--run", "fruit", "--json"], prog_name="cnn")
    found = [image["text"] for image in json.loads(done.stdout)["images"]]
    assert sum(a == b for a, b in zip(found, truth, strict=True)) >= 28


def test_the_figures_of_the_tutorial_are_those_of_its_config(place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(place)
    monkeypatch.setenv("COLUMNS", "80")
    (config,) = [content for language, content in blocks("tutorial.md") if language == "yaml"]
    Path("first.yaml").write_text(config)
    shown = CliRunner().invoke(app, ["inspect", "first.yaml"], prog_name="cnn").stdout
    text = (DOCS / "tutorial.md").read_text(encoding="utf-8")
    assert re.search(r"conv1.*\b80\b.*56,448", shown), shown
    assert "80 parameters" in text and "56,448 multiply-adds" in text


def code_of(page: str) -> str:
    return "\n".join(content for language, content in blocks(page) if language == "python")


@pytest.mark.parametrize("page", ["backward-passes.md", "how-to.md"])
def test_the_code_of_a_page_runs_as_one_program(page: str, place: Path):
    done = run("-W", "error", "-c", code_of(page), cwd=place)
    assert done.returncode == 0, done.stderr


def test_the_code_for_python_runs_as_one_program(
    few_digits: None, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(place)
    exec(compile(code_of("api.md"), "api.md", "exec"), {"__name__": "__main__"})
    assert (place / "curves.png").is_file() and "digit.png" in capsys.readouterr().out


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md")))
def test_every_link_of_a_page_leads_somewhere(page: str):
    for link in re.findall(r"\]\(([^)#]+)\)", (DOCS / page).read_text(encoding="utf-8")):
        assert (DOCS / link).exists(), link


def sections(page: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md")))
def test_every_link_to_a_section_leads_to_one(page: str):
    for target, anchor in re.findall(
        r"\]\(([\w-]*\.md|)#([^)]+)\)", (DOCS / page).read_text(encoding="utf-8")
    ):
        assert anchor in sections(target or page), f"{target}#{anchor}"


def test_every_layer_and_the_loss_name_the_section_that_derives_them():
    named = {}
    for path in sorted((ROOT / "cnncli").rglob("*.py")):
        if found := re.findall(r"docs/([\w-]+\.md)#([\w-]+)", path.read_text(encoding="utf-8")):
            named[path.stem] = {anchor for _, anchor in found}
            assert all(anchor in sections(page) for page, anchor in found), path
    layers = {path.stem for path in (ROOT / "cnncli/nn/layers").glob("*.py")}
    assert set(named) >= layers - {"__init__", "base", "sequence", "windows"} | {
        "losses",
        "initializers",
        "optimizers",
        "summary",
    }


def test_the_pages_name_every_part_of_the_python_interface():
    import cnncli

    code = (DOCS / "api.md").read_text(encoding="utf-8")
    rest = {
        "__version__",
        "CnnError",
        "Config",
        "Dataset",
        "Split",
        "StepRecord",
        "EpochRecord",
        "TrainResult",
    }
    rest |= {"Network", "Model", "Evaluation", "PicturePrediction", "Run"}  # what the calls return
    assert set(cnncli.__all__) - rest <= set(re.findall(r"\w+", code))


def test_the_api_page_names_only_what_it_says_it_names():
    import cnncli

    page = (DOCS / "api.md").read_text(encoding="utf-8")
    table = "\n".join(line for line in page.splitlines() if line.startswith("|"))
    assert set(re.findall(r"`(\w+)`", table)) <= set(cnncli.__all__)


def test_the_house_of_contributing_is_the_package():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    package = {path.parent for path in (ROOT / "cnncli").glob("*/__init__.py")}
    assert {ROOT / path for path in re.findall(r"^    (cnncli/\w+)/ ", text, re.M)} == package
    inner: dict[str, set[str]] = {}
    for line in text.splitlines():
        if found := re.match(r"    (cnncli/\w+)/ ", line):
            outer = found[1]
        elif found := re.match(r"        (\w+)/ ", line):
            inner.setdefault(outer, set()).add(found[1])
    assert inner == {
        path.relative_to(ROOT).as_posix(): folders
        for path in package
        if (folders := {one.parent.name for one in path.glob("*/__init__.py")})
    }


def test_the_engine_page_names_every_file_of_the_engine():
    text = (DOCS / "engine.md").read_text(encoding="utf-8")
    tables = dict(re.findall(r"^\| file in `(cnncli/[\w/]+/)` .*\n((?:\|.*\n)+)", text, re.M))
    named = {
        ROOT / folder / path
        for folder, rows in tables.items()
        for row in rows.splitlines()
        for path in re.findall(r"`([\w/]+\.py|\w+/)`", row.split("|")[1])
    }
    assert not {path for path in named if not path.exists()}
    engine = ROOT / "cnncli/engine"
    here = {path for path in engine.rglob("*.py") if path.parent == engine or path.name != "__init__.py"}
    assert here - named == set()


PAGES = [*sorted(DOCS.glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_file_that_a_page_names_is_there(page: Path):
    text = page.read_text(encoding="utf-8")
    for path in re.findall(r"\b(?:cnncli|tests|benchmarks|configs)/[\w./-]*\w", text):
        assert "NAME" in path or (ROOT / path).exists(), path


@pytest.mark.parametrize("name", sorted(path.name for path in DOCS.glob("*.svg")))
def test_the_text_of_a_picture_can_be_read_in_a_column_of_a_page(name: str):
    picture = (DOCS / name).read_text(encoding="utf-8")
    (width,) = re.findall(r'viewBox="0 0 (\d+) ', picture)
    assert int(width) <= 800  # a page shows it at its own size, or larger
    assert min(map(float, re.findall(r'font-size="([\d.]+)"', picture))) >= 12


def test_the_glossary_is_sorted_and_has_every_word_that_the_engine_page_explains():
    parts = (DOCS / "glossary.md").read_text(encoding="utf-8").split("\n## ")[1:]
    words = [re.findall(r"^\| ([^|]+) \|", part, re.M)[1:] for part in parts]
    for part in words:
        assert part == sorted(part, key=str.lower)
    text, _, _ = (DOCS / "engine.md").read_text(encoding="utf-8").partition("\n## What was tried")
    known = " ".join(word for part in words for word in part)
    for word in re.findall(r"\*\*([^*]+)\*\*", text):
        if word.startswith("F(") or not word[0].isupper():  # the others are the heads of paragraphs
            assert " ".join(word.split()).removesuffix("s") in known, word


def test_the_figures_of_no_digits_are_those_of_the_benchmark():
    page = (DOCS / "pictures.md").read_text(encoding="utf-8")
    found = json.loads((ROOT / "benchmarks/results/no_digits.json").read_text(encoding="utf-8"))
    for kind, row in found["kinds"].items():
        assert f"| {kind} | {row['marked']} of {row['pictures']} |" in page
    marked, digits = (
        f"{100 * found['marked']:.1f} %",
        f"{100 * found['digits_marked']:.2f} %",
    )
    assert f"marks {marked} of them, and {digits} of the MNIST test digits" in page
