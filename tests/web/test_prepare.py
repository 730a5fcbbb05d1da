"""The page sees in a drawing or a picture what `cnn predict` sees in the same picture."""

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageDraw, ImageFilter
from PIL.PngImagePlugin import PngInfo

from cnncli.data.synthetic.draw import draw_digits
from cnncli.export.subject import Subject
from cnncli.training.model import Model, load_model
from cnncli.training.predict import predict_pictures
from cnncli.training.predictions import PicturePrediction
from tests.export.networks import MEANS, make_subject

from .exported import BYTES_OF, SIDE, as_text, draw_large, write_page

pytestmark = pytest.mark.browser

ANSWER = f"""async ([kind, content, side]) => {{
  const bytes = ({BYTES_OF})(content);
  const answer = kind === 'drawing'
    ? await cnnBackend.answerDrawing(new Float32Array(bytes).map((v) => v / 255), side, side)
    : await cnnBackend.answerPicture(new Blob([bytes]));
  const {{text, digits, unknown, warnings, blank, size}} = answer;
  const pixels = answer.seen ? Array.from(answer.seen.pixels) : null;
  const probabilities = answer.probabilities && Array.from(answer.probabilities);
  return {{text, digits, unknown, warnings, blank, size, pixels, probabilities, maps: answer.maps.map((m) => m.name)}};
}}"""


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model("bundled")


@pytest.fixture
def page(open_page, model, tmp_path) -> Any:
    return open_page(write_page(Subject(model, "net"), tmp_path))


def answer_drawing(page: Any, ink: np.ndarray) -> dict[str, Any]:
    return page.evaluate(ANSWER, ["drawing", as_text(ink), len(ink)])


def answer_picture(page: Any, content: bytes) -> dict[str, Any]:
    return page.evaluate(ANSWER, ["picture", as_text(np.frombuffer(content, np.uint8)), 0])


def as_file(pixels: np.ndarray, form: str = "PNG", **options: Any) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, form, **options)
    return buffer.getvalue()


def assert_same(found: dict[str, Any], read: PicturePrediction, most: int = 1, surer: float = 1e-3) -> None:
    """Check that an answer of the page is the prediction, with pixels that differ by at most so many of 255."""
    assert not read.error and found["text"] == read.text
    assert [digit["box"] for digit in found["digits"]] == [list(digit.box) for digit in read.digits]
    largest = max(
        read.digits, key=lambda digit: (digit.box[2] - digit.box[0]) * (digit.box[3] - digit.box[1])
    )
    difference = np.abs(np.array(found["pixels"]) - largest.pixels.ravel().astype(int)).max()
    assert difference <= most
    assert found["unknown"] == largest.unknown
    assert abs(max(found["probabilities"]) - largest.probability) <= surer


def scribble(seed: int) -> np.ndarray:
    """Return the ink of a few random strokes, thick or thin, (SIDE, SIDE)."""
    rng = np.random.default_rng(seed)
    picture = Image.new("L", (4 * SIDE, 4 * SIDE))
    pen = ImageDraw.Draw(picture)
    width = 4 * int(rng.integers(3, 40))
    for _ in range(rng.integers(1, 4)):
        points = 4 * rng.uniform(20, SIDE - 20, (rng.integers(2, 5), 2))
        pen.line([tuple(point) for point in points.tolist()], fill=255, width=width, joint="curve")
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX))


def test_drawings_become_the_images_that_predict_makes_of_them(page, model) -> None:
    inks = [draw_large(seed) for seed in range(12)]
    inks += [draw_large(seed, count=2 + seed % 2, soft=30) for seed in range(4)]
    inks += [scribble(seed) for seed in range(8)]
    files = [(str(number), as_file(255 - ink)) for number, ink in enumerate(inks)]
    read = predict_pictures(files, model, invert="yes")
    for ink, prediction in zip(inks, read, strict=True):
        assert_same(answer_drawing(page, ink), prediction)
    assert {len(prediction.digits) for prediction in read} >= {1, 2, 3}


def test_nothing_drawn_is_blank(page) -> None:
    found = answer_drawing(page, np.zeros((SIDE, SIDE), np.uint8))
    assert found["blank"] and found["probabilities"] is None and found["maps"] == []
    specks = np.zeros((SIDE, SIDE), np.uint8)
    specks[100:103, 100:103] = 255
    assert answer_drawing(page, specks)["blank"]


def gray_pictures() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    ink = draw_large(3).astype(np.float32) / 255
    light = np.linspace(250, 150, SIDE)[:, None] + np.linspace(0, -20, SIDE)
    noise = rng.normal(0, 6, ink.shape)
    small = np.asarray(Image.fromarray(draw_large(5)).resize((120, 90), Image.Resampling.BILINEAR))
    return {
        "black on white": 255 - draw_large(7),
        "white on black": draw_large(7),
        "in uneven light": (light * (1 - 0.7 * ink)).clip(0, 255).astype(np.uint8),
        "with noise": (light * (1 - 0.7 * ink) + noise).clip(0, 255).astype(np.uint8),
        "small": 255 - small,
        "large": np.repeat(np.repeat(255 - draw_large(9), 6, axis=0), 5, axis=1),
        "an image of the set": draw_digits(np.array([3]), rng)[0],
    }


def test_gray_pictures_are_read_as_predict_reads_them(page, model) -> None:
    for name, pixels in gray_pictures().items():
        content = as_file(pixels)
        assert_same(answer_picture(page, content), predict_pictures([(name, content)], model)[0])


def test_colored_and_transparent_pictures_are_read_as_predict_reads_them(page, model) -> None:
    ink = draw_large(11).astype(np.float32)[..., None] / 255
    blue_on_yellow = ((1 - ink) * [250, 240, 180] + ink * [30, 40, 200]).astype(np.uint8)
    strokes = np.concatenate([np.zeros((SIDE, SIDE, 3)), 255 * ink], axis=2).astype(np.uint8)
    bright = np.concatenate([np.full((SIDE, SIDE, 3), 255), 255 * ink], axis=2).astype(np.uint8)
    white = Image.fromarray((ink[..., 0] > 0.5).astype(np.uint8) * 255)
    # a program has made the black around it transparent
    dark_edge = np.stack(
        [np.asarray(white)] * 3 + [np.asarray(white.filter(ImageFilter.MaxFilter(3)))], axis=2
    )
    sheet = np.concatenate([np.repeat(255 - 255 * ink, 3, axis=2), np.full_like(ink, 255)], axis=2).astype(
        np.uint8
    )
    sheet[:20, :, 3] = 0
    for pixels in (blue_on_yellow, strokes, bright, dark_edge, sheet):
        content = as_file(pixels)
        assert_same(answer_picture(page, content), predict_pictures([("picture", content)], model)[0])
    # two decoders of JPEG may differ by a little
    content = as_file(blue_on_yellow, "JPEG", quality=90)
    assert_same(answer_picture(page, content), predict_pictures([("photo", content)], model)[0], 4, 0.01)


def test_a_gamma_is_ignored_and_a_turned_photo_is_upright_as_for_predict(page, model) -> None:
    notes = PngInfo()
    notes.add(b"gAMA", (100_000).to_bytes(4, "big"))
    light = gray_pictures()["in uneven light"]
    turn = Image.Exif()
    turn[ExifTags.Base.Orientation] = 6  # it is to be turned right by a quarter
    for content, most in (
        (as_file(light, pnginfo=notes), 1),
        (as_file(255 - draw_large(3), "JPEG", quality=95, exif=turn), 4),
    ):
        (read,) = predict_pictures([("picture", content)], model)
        assert_same(answer_picture(page, content), read, most, 0.01)


def test_a_file_that_is_no_picture_and_an_empty_one_are_refused(page) -> None:
    for content, message in (
        (b"not a picture", "the browser cannot read this as a picture: PNG, JPEG"),
        (as_file(np.full((50, 50), 255, np.uint8)), "there is nothing to read in the picture"),
    ):
        said = page.evaluate(
            f"""(text) => cnnBackend.answerPicture(new Blob([({BYTES_OF})(text)]))
              .then(() => 'no error', (error) => error.message)""",
            as_text(np.frombuffer(content, np.uint8)),
        )
        assert message in said


@pytest.mark.parametrize(
    ("colour", "background"), [(False, "dark"), (False, "bright"), (True, "dark"), (True, "mixed")]
)
def test_a_network_for_whole_pictures_gets_them_as_in_training(
    open_page, tmp_path, colour: bool, background: str
) -> None:
    shape = (3, 20, 31) if colour else (1, 24, 18)
    form = {"form": "as_is", "size": list(shape[1:]), "colour": colour, "background": background, "mean": 0.3}
    config = {"data": {"transpose": not colour}}
    subject = make_subject(MEANS, shape, 5, preparation=form, config=config)
    page = open_page(write_page(subject, tmp_path))
    ink = draw_large(2)
    content = as_file(255 - ink)
    (read,) = predict_pictures([("picture", content)], subject.model)
    found = answer_drawing(page, ink)
    assert_same(found, read)
    assert found["maps"] == ["conv1", "globalavgpool1"]
    said = [warning for warning in found["warnings"] if "background" in warning]
    assert bool(said) == (colour and background == "dark"), said
    rng = np.random.default_rng(1)
    content = as_file(rng.integers(0, 256, (50, 70, 3), np.uint8))
    assert_same(answer_picture(page, content), predict_pictures([("p", content)], subject.model)[0])
