"""`cnn predict` as a user meets it: drawn digits of every kind, files and folders, and pictures that are none."""

import csv
import io
import json
import math
import os
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from cnncli.cli.predict_output import Problems, write_csv
from cnncli.training.predictions import PicturePrediction

# Each digit as the strokes of a pen, in a box of width 0.6 and height 1.
STROKES = {
    "0": [[(0.3 + 0.27 * math.sin(a / 16 * math.tau), 0.5 - 0.48 * math.cos(a / 16 * math.tau)) for a in range(17)]],
    "1": [[(0.3, 0.0), (0.3, 1.0)]],
    "2": [[(0.05, 0.2), (0.15, 0.05), (0.35, 0.0), (0.53, 0.12), (0.53, 0.32), (0.05, 1.0), (0.6, 1.0)]],
    "3": [
        [(0.05, 0.08), (0.3, 0.0), (0.53, 0.12), (0.5, 0.36), (0.25, 0.48)],
        [(0.25, 0.48), (0.55, 0.62), (0.55, 0.85), (0.32, 1.0), (0.03, 0.92)],
    ],
    "4": [[(0.1, 0.0), (0.02, 0.52), (0.58, 0.52)], [(0.47, 0.1), (0.47, 1.0)]],
    "5": [
        [(0.52, 0.0), (0.1, 0.0), (0.08, 0.42), (0.35, 0.42), (0.55, 0.6)],
        [(0.55, 0.6), (0.53, 0.85), (0.3, 1.0), (0.03, 0.92)],
    ],
    "6": [
        [(0.45, 0.0), (0.15, 0.3), (0.04, 0.65), (0.1, 0.92), (0.3, 1.0), (0.52, 0.9)],
        [(0.52, 0.9), (0.55, 0.7), (0.42, 0.55), (0.2, 0.58), (0.06, 0.72)],
    ],
    "7": [[(0.0, 0.0), (0.58, 0.0), (0.22, 1.0)]],
    "8": [
        [(0.3, 0.46), (0.1, 0.3), (0.12, 0.1), (0.3, 0.0), (0.48, 0.1), (0.5, 0.3), (0.3, 0.46)],
        [(0.3, 0.46), (0.06, 0.68), (0.08, 0.92), (0.3, 1.0), (0.52, 0.92), (0.54, 0.68), (0.3, 0.46)],
    ],
    "9": [
        [(0.52, 0.28), (0.42, 0.45), (0.2, 0.47), (0.07, 0.3), (0.15, 0.08), (0.35, 0.0), (0.52, 0.12)],
        [(0.52, 0.12), (0.52, 0.28), (0.45, 1.0)],
    ],
}  # fmt: skip


def pen(picture: Image.Image, digit: str, at: tuple[int, int], height: int, width: int, ink: object) -> None:
    """Draw a digit with round ends; `at` is its upper left corner."""
    brush = ImageDraw.Draw(picture)
    for stroke in STROKES[digit]:
        points = [(at[0] + x * height, at[1] + y * height) for x, y in stroke]
        brush.line(points, fill=ink, width=width, joint="curve")
        for x, y in (points[0], points[-1]):
            brush.ellipse([x - width / 2, y - width / 2, x + width / 2, y + width / 2], fill=ink)


def drawn(digit: str, mode: str = "L", ink: object = 0, paper: object = 255) -> Image.Image:
    """A digit of 150 pixels in a picture of 300x300, off center."""
    picture = Image.new(mode, (300, 300), paper)
    pen(picture, digit, (165, 40), 150, 14, ink)
    return picture


def black_on_white(digit: str) -> Image.Image:
    return drawn(digit)


def white_on_black(digit: str) -> Image.Image:
    return drawn(digit, ink=255, paper=0)


def blue_on_yellow(digit: str) -> Image.Image:
    return drawn(digit, "RGB", (30, 40, 160), (250, 240, 170))


def transparent(digit: str) -> Image.Image:
    return drawn(digit, "RGBA", (0, 0, 0, 255), (0, 0, 0, 0))


def palette(digit: str) -> Image.Image:
    return drawn(digit, "RGB", (200, 0, 0), (255, 255, 255)).convert("P", palette=Image.Palette.ADAPTIVE)


def sixteen_bits(digit: str) -> Image.Image:
    return Image.fromarray(np.asarray(drawn(digit)).astype(np.uint16) * 257)


def cmyk(digit: str) -> Image.Image:
    return drawn(digit, "RGB", (20, 20, 20), (255, 255, 255)).convert("CMYK")


def in_shadow(digit: str) -> Image.Image:
    """The light falls off to a third from left to right, and the camera is noisy."""
    light = np.linspace(1, 0.35, 300)[None, :] * np.linspace(1, 0.9, 300)[:, None]
    noise = np.random.default_rng(0).normal(0, 4, (300, 300))
    grey = np.asarray(drawn(digit, ink=60, paper=240), np.float64) * light + noise
    return Image.fromarray(grey.clip(0, 255).astype(np.uint8))


def on_squared_paper(digit: str) -> Image.Image:
    picture = Image.new("RGB", (300, 300), (250, 250, 250))
    brush = ImageDraw.Draw(picture)
    for place in range(10, 300, 30):
        brush.line([(place, 0), (place, 300)], fill=(190, 205, 230), width=1)
        brush.line([(0, place), (300, place)], fill=(190, 205, 230), width=1)
    pen(picture, digit, (165, 40), 150, 12, (30, 30, 60))
    return picture


def in_a_frame(digit: str) -> Image.Image:
    picture = drawn(digit)
    ImageDraw.Draw(picture).rectangle([0, 0, 299, 299], outline=0, width=6)
    return picture


def one_pixel_lines(digit: str) -> Image.Image:
    picture = Image.new("L", (300, 300), 255)
    pen(picture, digit, (60, 70), 160, 1, 0)
    return picture


def felt_pen(digit: str) -> Image.Image:
    picture = Image.new("L", (300, 300), 255)
    pen(picture, digit, (80, 60), 170, 28, 0)
    return picture


def tiny_in_a_large_picture(digit: str) -> Image.Image:
    picture = Image.new("L", (1500, 1100), 255)
    pen(picture, digit, (940, 190), 100, 9, 0)
    return picture


LOOKS = [
    black_on_white,
    white_on_black,
    blue_on_yellow,
    transparent,
    palette,
    sixteen_bits,
    cmyk,
    in_shadow,
    on_squared_paper,
    in_a_frame,
    one_pixel_lines,
    felt_pen,
    tiny_in_a_large_picture,
]  # fmt: skip


@pytest.fixture(scope="module")
def reader(cnn: Callable[..., object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with one in it: a small network that has learned the built-in digits."""
    runs = tmp_path_factory.mktemp("reader") / "runs"
    options = ["--set", "data.dataset=synthetic", "--epochs", "2", "--no-plots", "--quiet"]
    result = cnn("train", "-c", "speedrun", *options, "--runs-dir", str(runs))
    assert result.exit_code == 0, result.stderr
    return runs


@pytest.fixture
def read(cnn: Callable[..., object], reader: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Call `cnn predict` in an empty folder, with that run."""
    monkeypatch.chdir(tmp_path)

    def call(*args: str, stdin: bytes | None = None):
        return cnn("predict", *args, "--runs-dir", str(reader), stdin=stdin)

    return call


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.__name__)
def test_a_drawn_digit_is_read(read, look: Callable[[str], Image.Image]) -> None:
    for digit in STROKES:
        picture = look(digit)
        picture.save(f"{digit}.tif" if picture.mode in ("CMYK", "I;16") else f"{digit}.png")
    result = read(".", "--json")
    images = json.loads(result.stdout)["images"]
    assert [image["error"] for image in images] == [None] * 10
    assert [image["text"] for image in images] == list("0123456789")
    assert result.exit_code == 0


def test_a_photo_taken_sideways_is_turned(read) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera's top was on the right: turn by 90 degrees clockwise to see it upright
    drawn("7").rotate(90).save("sideways.jpg", exif=exif)
    assert json.loads(read("sideways.jpg", "--json").stdout)["images"][0]["text"] == "7"


def test_a_number_is_read_from_left_to_right_and_a_page_line_by_line(read) -> None:
    page = Image.new("L", (700, 500), 255)
    for row, number in enumerate(["3142", "7085"]):
        for place, digit in enumerate(number):
            pen(page, digit, (60 + 150 * place, 50 + 230 * row + 9 * (place % 2)), 140, 13, 0)
    page.save("page.png")
    (image,) = json.loads(read("page.png", "--json").stdout)["images"]
    assert image["text"] == "3142\n7085"
    assert len(image["digits"]) == 8
    for digit in image["digits"]:
        left, top, right, bottom = digit["box"]
        assert 0 <= left < right <= 700 and 0 <= top < bottom <= 500


def test_the_answer_is_drawn_with_what_the_network_saw(read) -> None:
    drawn("3").save("digit.png")
    result = read("digit.png", "--top", "2")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith("digit.png: 3 (")
    assert sum("%" in line for line in lines[1:]) == 2  # a bar for each of the best two
    assert 14 <= len(lines) <= 29  # 28 rows, one or two of them in a line of text
    assert max(map(len, lines)) <= 80
    assert "model run-1" in result.stderr


def test_many_pictures_get_a_line_each(read) -> None:
    for digit in "01234":
        drawn(digit).save(f"{digit}.png")
    result = read("[0-4].png")
    assert [line.split("(")[0] for line in result.stdout.splitlines()] == [f"{d}.png: {d} " for d in "01234"]


def test_equal_warnings_are_summed_up_and_the_table_has_them_all(capsys, tmp_path: Path) -> None:
    predictions = [
        PicturePrediction(f"{number}.png", warnings=(f"unsure what this is (1 {40 + number} %)",))
        for number in range(7)
    ]
    predictions += [PicturePrediction("page.png", warnings=("unsure of 2 of the 15: no. 1: 7 58 %",))]
    problems = Problems()
    for prediction in predictions:
        problems.print(prediction)
    problems.sum_up()
    assert capsys.readouterr().err.splitlines() == [
        *(f"warning: {each.path}: {each.warnings[0]}" for each in (*predictions[:3], predictions[7])),
        "warning: 4 more like 0.png: unsure what this is; --json and --csv have all",
    ]
    write_csv(predictions, tmp_path / "out.csv")
    rows = csv.DictReader((tmp_path / "out.csv").read_text().splitlines())
    assert [row["warnings"] for row in rows] == [each.warnings[0] for each in predictions]


def test_files_folders_and_stdin_in_the_order_given(read) -> None:
    Path("scans/deep").mkdir(parents=True)
    drawn("4").save("scans/b.png")
    drawn("0").save("scans/deep/a.JPG")
    drawn("1").save("scans/.hidden.png")
    Path("scans/notes.txt").write_text("no picture")
    drawn("6").save("z.png")
    content = io.BytesIO()
    drawn("7").save(content, "PNG")
    result = read("z.png", "scans", "-", "--json", stdin=content.getvalue())
    found = [(image["path"], image["text"]) for image in json.loads(result.stdout)["images"]]
    assert found == [("z.png", "6"), ("scans/b.png", "4"), ("scans/deep/a.JPG", "0"), ("stdin", "7")]


def test_a_table_and_the_inputs_as_files(read) -> None:
    drawn("3").save("a.png")
    Path("b.png").write_bytes(b"\x89PNG but no more")
    result = read("a.png", "b.png", "--csv", "out.csv", "--save-input", "seen")
    assert result.exit_code == 1
    good, bad = csv.DictReader(Path("out.csv").read_text().splitlines())
    assert (good["path"], good["number"], good["class"], good["error"]) == ("a.png", "1", "3", "")
    assert float(good["probability"]) > 0.5
    assert bad["path"] == "b.png" and "picture" in bad["error"]
    (seen,) = Path("seen").iterdir()
    assert seen.name == "a.png"
    with Image.open(seen) as picture:
        assert (picture.size, picture.mode) == ((224, 224), "L")
        large = np.asarray(picture)
    read("a.png", "--save-input", "seen", "--save-scale", "1")
    with Image.open(seen) as picture:
        assert (picture.size, picture.mode) == ((28, 28), "L")
        assert (np.asarray(picture).repeat(8, axis=0).repeat(8, axis=1) == large).all()
    assert json.loads(read("seen/a.png", "--raw", "--json").stdout)["images"][0]["text"] == "3"


def test_a_form_is_read_cell_by_cell(read) -> None:
    form = Image.new("L", (540, 420), 255)
    brush = ImageDraw.Draw(form)
    for row in range(4):
        brush.line([60, 60 + 100 * row, 480, 60 + 100 * row], fill=0, width=3)
    for column in range(5):
        brush.line([60 + 105 * column, 60, 60 + 105 * column, 360], fill=0, width=3)
    written = {(1, 1): "3", (1, 2): "7", (2, 4): "4", (3, 1): "12"}
    for (row, column), digits in written.items():
        for place, digit in enumerate(digits):
            pen(
                form,
                digit,
                (105 * column - 15 + 40 * place - 22 * len(digits) + 22, 100 * row - 17),
                52,
                6,
                0,
            )
    form.save("form.png")
    rows = [["3", "7", "", ""], ["", "", "", "4"], ["12", "", "", ""]]
    (image,) = json.loads(read("form.png", "--json").stdout)["images"]
    assert image["table"] == rows
    assert image["text"] == image["spaced"] == " 3 7 . .\n . . . 4\n12 . . ."
    places = [(digit["class"], digit["row"], digit["column"]) for digit in image["digits"]]
    assert places == [("3", 1, 1), ("7", 1, 2), ("4", 2, 4), ("1", 3, 1), ("2", 3, 1)]
    read("form.png", "--csv", "out.csv")
    table = list(csv.DictReader(Path("out.csv").read_text().splitlines()))
    assert [(row["class"], row["row"], row["column"]) for row in table if row["class"]] == [
        (digit, str(row), str(column)) for digit, row, column in places
    ]
    empty = [(int(row["row"]), int(row["column"])) for row in table if not row["class"]]
    assert empty == [
        (r + 1, c + 1) for r, cells in enumerate(rows) for c, cell in enumerate(cells) if not cell
    ]
    lines = read("form.png").stdout.splitlines()
    assert lines[0].startswith("form.png: (table of 3 x 4 cells, 5 digits, the least sure ")
    assert [line.strip() for line in lines[1:4]] == ["3 7 . .", ". . . 4", "12 . . ."]


@pytest.mark.parametrize("link", [None, os.symlink, os.link])
@pytest.mark.parametrize("option", ["--csv", "--save-input"])
def test_an_output_never_replaces_a_picture_that_is_read(read, option, link) -> None:
    Path("in").mkdir()
    Path("out").mkdir()
    drawn("3").save("in/a.png")
    if link:
        link(Path("in/a.png").absolute(), "out/a.png")
    folder = "out" if link else "in"
    before = Path("in/a.png").read_bytes()
    result = read("in/a.png", option, f"{folder}/a.png" if option == "--csv" else folder)
    assert result.exit_code == 2
    assert f"writing {folder}/a.png would destroy" in result.stderr
    assert Path("in/a.png").read_bytes() == before


def test_the_table_never_replaces_the_checkpoint(read, reader: Path) -> None:
    drawn("3").save("a.png")
    checkpoint = reader / "run-1/checkpoints/best.npz"
    before = checkpoint.read_bytes()
    assert read("a.png", "--csv", str(checkpoint)).exit_code == 2
    assert checkpoint.read_bytes() == before


def test_inputs_are_saved_beside_pictures_with_other_names(read) -> None:
    drawn("3").save("a.bmp")
    assert read("a.bmp", "--save-input", ".").exit_code == 0
    assert Path("a.png").is_file() and Path("a.bmp").is_file()
    assert read("a.bmp", "--save-input", ".").exit_code == 0


def test_inputs_that_cannot_be_saved_are_a_warning(read) -> None:
    drawn("3").save("a.png")
    Path("taken").write_text("a file")
    result = read("a.png", "--save-input", "taken", "--csv", "out.csv")
    assert result.exit_code == 0
    assert "warning: what the network saw is not saved" in result.stderr
    assert Path("out.csv").exists()


def test_several_runs_are_averaged(read) -> None:
    drawn("3").save("a.png")

    def shares(*runs: str) -> dict[str, float]:
        named = [word for run in runs for word in ("--run", run)]
        result = read("a.png", "--json", "--top", "10", *named)
        assert ("averaged" in result.stderr) == (len(runs) > 1)
        document = json.loads(result.stdout)
        assert document["model"] == "+".join(runs)
        return dict(document["images"][0]["digits"][0]["top"])

    one, other, both = shares("run-1"), shares("bundled"), shares("run-1", "bundled")
    assert both == pytest.approx({label: (one[label] + other[label]) / 2 for label in one}, abs=1e-6)
    assert read("a.png", "--run", "run-1", "--run", "run-1").exit_code == 2


def test_a_dash_is_the_table_on_stdout(read) -> None:
    drawn("3").save("a.png")
    result = read("a.png", "--csv", "-")
    assert result.exit_code == 0
    (row,) = csv.DictReader(result.stdout.splitlines())
    assert (row["path"], row["class"]) == ("a.png", "3")
    assert not Path("-").exists()
    assert read("a.png", "--csv", "-", "--json").exit_code == 2


def test_a_blank_page_has_its_line_in_the_table_and_is_no_failure(read) -> None:
    blank = Image.new("L", (300, 300), 255)
    blank.save("scan.tif", save_all=True, append_images=[drawn("7")])
    result = read("scan.tif", "--csv", "out.csv")
    assert result.exit_code == 0
    assert result.stdout.startswith("scan.tif[2]: 7 (")
    empty, seven = csv.DictReader(Path("out.csv").read_text().splitlines())
    assert (empty["path"], empty["class"]) == ("scan.tif[1]", "") and "blank" in empty["error"]
    assert (seven["path"], seven["class"], seven["error"]) == ("scan.tif[2]", "7", "")


def test_one_bad_picture_stops_no_other(read) -> None:
    drawn("1").save("good.png")
    Image.new("L", (300, 300), 255).save("blank.png")
    Path("words.png").write_text("this is no picture")
    whole = io.BytesIO()
    drawn("2").save(whole, "PNG")
    Path("cut.png").write_bytes(whole.getvalue()[:-200])
    Path("empty.png").touch()
    Path("folder.png").mkdir()
    drawn("5").save("folder.png/inside.png")
    names = ["blank.png", "words.png", "cut.png", "empty.png", "missing.png", "good.png", "folder.png"]
    result = read(*names, "--json")
    assert result.exit_code == 1
    errors = {image["path"]: image["error"] for image in json.loads(result.stdout)["images"]}
    assert errors["good.png"] is None and errors["folder.png/inside.png"] is None
    for name, words in [
        ("blank.png", "blank"),
        ("words.png", "is not a picture"),
        ("cut.png", "is damaged"),
        ("empty.png", "is empty"),
        ("missing.png", "does not exist"),
    ]:
        assert words in errors[name]
        assert f"error: {name}" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        (["hollow"], "there is no picture in hollow"),
        (["*.webp"], "no file matches *.webp"),
        (["-"], "there is nothing on stdin"),
    ],
)
def test_nothing_to_read_is_an_error(read, sources: list[str], words: str) -> None:
    Path("hollow").mkdir()
    result = read(*sources, stdin=b"")
    assert result.exit_code == 1
    assert words in result.stderr and not result.stdout


def test_a_picture_of_too_many_pixels_is_refused_by_its_header(read) -> None:
    header = struct.pack(">II5B", 30_000, 30_000, 1, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")]
    Path("bomb.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            for kind, body in chunks
        )
    )
    result = read("bomb.png")
    assert result.exit_code == 1
    assert "bomb.png is too large" in result.stderr


def test_dark_on_light_can_be_said(read) -> None:
    drawn("2", ink=255, paper=0).save("light.png")
    wrong, right = (read("light.png", "--invert", choice, "--json") for choice in ("yes", "no"))
    (seen,) = json.loads(right.stdout)["images"]
    assert seen["text"] == "2"
    (image,) = json.loads(wrong.stdout)["images"]
    assert (
        image["error"] or image["digits"][0]["box"] != seen["digits"][0]["box"]
    )  # the black paper is the ink


def test_the_run_can_be_named_or_be_a_checkpoint_file(read, reader: Path) -> None:
    drawn("1").save("digit.png")
    shutil.copy(reader / "run-1" / "checkpoints" / "best.npz", "taken.npz")
    for name in ("run-1", "latest", "taken.npz"):
        assert json.loads(read("digit.png", "--run", name, "--json").stdout)["images"][0]["text"] == "1"
    refused = read("digit.png", "--run", "run-11")
    assert refused.exit_code == 1
    assert "run-11" in refused.stderr and "run-1" in refused.stderr


def test_groups_of_digits_are_kept_apart_in_the_spaced_text(read) -> None:
    page = Image.new("L", (1300, 420), 255)
    for row, number in enumerate(["0171 5534928", "31 42 7"]):
        for place, digit in enumerate(number):
            if digit != " ":
                pen(page, digit, (40 + 100 * place, 40 + 200 * row), 120, 11, 0)
    page.save("phone.png")
    (image,) = json.loads(read("phone.png", "--json").stdout)["images"]
    assert image["text"] == "01715534928\n31427"
    assert image["spaced"] == "0171 5534928\n31 42 7"
    lines = [line.strip() for line in read("phone.png").stdout.splitlines()]
    assert lines[1:3] == ["0171 5534928", "31 42 7"]


def test_several_digits_are_drawn_at_half_size_a_row_for_each_line_with_the_runner_up(read) -> None:
    page = Image.new("L", (700, 500), 255)
    for row, number in enumerate(["314", "70"]):
        for place, digit in enumerate(number):
            pen(page, digit, (60 + 150 * place, 50 + 230 * row), 140, 13, 0)
    page.save("page.png")
    lines = read("page.png").stdout.splitlines()
    assert len(lines) == 3 + 2 * (7 + 2)  # half of 28 rows, two in a line of text; two guesses
    assert [line.split()[:2] for line in lines if ": " in line and "%" in line][1:] == [
        ["1:", "3"],
        ["4:", "7"],
    ]
    assert max(map(len, lines)) <= 80


def test_one_digit_that_is_wider_than_high_may_be_two(read) -> None:
    page = Image.new("L", (400, 300), 255)
    brush = ImageDraw.Draw(page)
    for left in (60, 160):
        brush.ellipse([left, 60, left + 110, 200], outline=0, width=14)
    page.save("touching.png")
    result = read("touching.png", "--json")
    (image,) = json.loads(result.stdout)["images"]
    assert len(image["digits"]) == 1
    assert "this may be two digits that touch" in image["warnings"]
    drawn("3").save("single.png")
    assert json.loads(read("single.png", "--json").stdout)["images"][0]["warnings"] == []


def test_an_image_of_a_set_is_read_and_its_label_shown(read, cnn) -> None:
    from cnncli.data.synthetic.draw import make_synthetic

    test = make_synthetic().test
    (image,) = json.loads(read("synthetic:17", "--json", "--save-input", "seen").stdout)["images"]
    assert (image["path"], image["label"]) == ("synthetic:17", str(test.labels[17]))
    with Image.open("seen/synthetic-17.png") as picture:
        assert (np.asarray(picture)[4::8, 4::8] == test.images[17]).all()
    assert f"the label is {test.labels[17]}" in read("synthetic:17").stdout.splitlines()[0]
    shown = json.loads(cnn("inspect", "synthetic:train:5", "--json").stdout)
    train = make_synthetic().train
    assert (shown["kind"], shown["label"]) == ("image", str(train.labels[5]))
    assert (np.array(shown["pixels"]) == train.images[5]).all()
    missing = read("synthetic:1000")
    assert missing.exit_code == 1
    assert "synthetic has no test image 1000: there are 1,000, counted from 0" in missing.stderr


def test_the_address_of_a_picture_is_answered_with_the_way_to_read_it(read, cnn) -> None:
    for result in (read("https://example.org/7.png"), cnn("inspect", "https://example.org/7.png")):
        assert result.exit_code == 2
        assert "curl -L https://example.org/7.png | cnn predict -" in result.stderr
