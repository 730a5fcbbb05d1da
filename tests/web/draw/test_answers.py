"""The page answers what `cnn predict` answers, and shows what the network computed for it."""

import json
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps
from typer.testing import CliRunner

from cnncli import build_network
from cnncli.batches.batches import to_input
from cnncli.cli.app import app
from cnncli.nn.losses import softmax
from cnncli.training.lines import LIKE_NONE
from cnncli.training.model import Model
from cnncli.web.draw.answers import MAX_CHANNELS, MAX_SIDE, answer_drawing, answer_maps, answer_picture
from cnncli.web.draw.page import describe_model, with_model

from .conftest import Response, Serving, unpack

SIZE = 336
"""Pixels of a side of the page's drawing."""

DRAWINGS = {
    "seven": [[(90, 80), (230, 80), (150, 270)]],
    "one": [[(168, 60), (168, 280)]],
    "two digits": [[(60, 90), (140, 90), (90, 260)], [(240, 90), (240, 260)]],
    "four": [[(120, 60), (90, 190), (240, 190)], [(200, 100), (190, 290)]],
    "scribble": [[(60 + 37 * i % 210, 70 + 53 * i % 200) for i in range(20)]],
    "small": [[(20, 20), (44, 20), (30, 60)]],
    "at the edge": [[(-20, 150), (150, 150), (40, 400)]],
}


def draw(strokes, width: int = 26) -> Image.Image:
    """Return dark strokes with soft edges on white paper."""
    large = Image.new("L", (4 * SIZE, 4 * SIZE), 255)
    pen = ImageDraw.Draw(large)
    for stroke in strokes:
        points = [(4 * x, 4 * y) for x, y in stroke]
        pen.line(points, fill=0, width=4 * width, joint="curve")
        for x, y in points:
            pen.ellipse([x - 2 * width, y - 2 * width, x + 2 * width, y + 2 * width], fill=0)
    return large.resize((SIZE, SIZE), Image.Resampling.BOX)


def as_sent(drawing: Image.Image) -> bytes:
    """Return a drawing in the form in which the page sends it."""
    return f"P5 {drawing.width} {drawing.height} 255\n".encode() + drawing.tobytes()


def as_file(picture: Image.Image, form: str) -> bytes:
    file = BytesIO()
    picture.save(file, form)
    return file.getvalue()


@pytest.fixture(scope="module")
def predicted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """What `cnn predict` says about the PNG of each drawing."""
    folder = tmp_path_factory.mktemp("drawings")
    for name, strokes in DRAWINGS.items():
        draw(strokes).save(folder / f"{name}.png")
    files = [str(folder / f"{name}.png") for name in DRAWINGS]
    result = CliRunner().invoke(app, ["predict", *files, "--run", "bundled", "--top", "10", "--json"])
    assert result.exit_code == 0, result.stderr
    return dict(zip(DRAWINGS, json.loads(result.stdout)["images"], strict=True))


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_is_answered_as_predict_reads_its_png(
    serving: Serving, predicted: dict[str, dict], name: str
) -> None:
    answer, expected = serving.answer(as_sent(draw(DRAWINGS[name])), drawn=True), predicted[name]
    assert answer["text"] == expected["text"]
    assert [each["box"] for each in answer["digits"]] == [each["box"] for each in expected["digits"]]
    for digit, other in zip(answer["digits"], expected["digits"], strict=True):
        assert (digit["label"], digit["unknown"]) == (other["class"], other["unknown"])
        assert digit["probability"] == pytest.approx(other["probability"], abs=1e-6)
    # the page says this itself, with the nearest class
    assert answer["warnings"] == [each for each in expected["warnings"] if each != LIKE_NONE]


def test_the_drawings_are_of_all_kinds(predicted: dict[str, dict]) -> None:
    assert {each["text"] for each in predicted.values()} >= {"7", "1", "71", "4", "?"}


def test_the_largest_of_several_is_shown_in_detail(serving: Serving) -> None:
    strokes = [[(60, 120), (60, 200)], [(150, 60), (290, 60), (200, 290)]]
    answer = serving.answer(as_sent(draw(strokes)), drawn=True)
    assert answer["text"] == "17"
    assert answer["top"][0][0] == 7
    assert answer["size"] == [SIZE, SIZE]


def test_the_maps_are_those_of_this_answer(serving: Serving, bundled: Model) -> None:
    answer = serving.answer(as_sent(draw(DRAWINGS["seven"])), drawn=True)
    network = bundled.network
    maps = serving.maps(answer["seen"]["pixels"].tobytes())
    assert [each["name"] for each in maps] == list(network.names)
    assert [each["kind"] for each in maps] == [layer.kind for layer in network.layers]
    pixels = answer["seen"]["pixels"].reshape(1, 28, 28)
    x = to_input(pixels, bundled.normalize, network.dtype)
    for layer, each in zip(network.layers, maps, strict=True):
        x = layer.forward(x)
        np.testing.assert_array_equal(each["values"].ravel(), x[0].ravel())
    temperature = bundled.calibration.temperature
    probabilities = softmax(x / np.float32(temperature))[0]
    np.testing.assert_allclose(answer["probabilities"], probabilities, atol=1e-6)
    assert [p for _, p in answer["top"]] == sorted(map(float, answer["probabilities"]), reverse=True)


@pytest.mark.parametrize("length", [0, 783, 785])
def test_an_image_of_another_size_has_no_maps(serving: Serving, length: int) -> None:
    response = serving.post(bytes(length), "/maps")
    assert (response.status, response.error) == (400, f"an image of this network has 784 bytes, not {length}")


def test_an_empty_drawing_is_blank(serving: Serving) -> None:
    answer = serving.answer(as_sent(Image.new("L", (SIZE, SIZE), 255)), drawn=True)
    assert answer == {"blank": True, "warnings": ["there is nothing to read in the picture: it is blank"]}


def test_what_is_ink_is_known(serving: Serving) -> None:
    """A 7 that is left white is read from a picture. In a drawing it is a hole in a blot."""
    white_seven = as_sent(ImageOps.invert(draw(DRAWINGS["seven"])))
    assert serving.answer(white_seven)["text"] == "7"
    assert serving.answer(white_seven, drawn=True)["text"] == "?"


@pytest.mark.parametrize("form", ["PNG", "TIFF", "JPEG", "WEBP"])
def test_a_picture_is_read_as_predict_reads_it(serving: Serving, form: str) -> None:
    answer = serving.answer(as_file(draw(DRAWINGS["two digits"]).convert("RGB"), form))
    assert answer["text"] == "71"


@pytest.mark.skipif(find_spec("pi_heif") is None, reason="pi-heif is not installed (extra photos)")
def test_a_photo_of_a_phone_is_read(serving: Serving, tmp_path: Path) -> None:
    path = Path(__file__).parents[2] / "pictures/stored.heic"
    answer = serving.answer(path.read_bytes())
    result = CliRunner().invoke(app, ["predict", str(path), "--run", "bundled", "--json"])
    [expected] = json.loads(result.stdout)["images"]
    assert answer["text"] == expected["text"]


def test_the_first_page_with_something_on_it_is_answered(serving: Serving) -> None:
    file = BytesIO()
    blank, seven = Image.new("L", (SIZE, SIZE), 255), draw(DRAWINGS["seven"])
    blank.save(file, "TIFF", save_all=True, append_images=[seven])
    answer = serving.answer(file.getvalue())
    assert (answer["text"], answer["warnings"][0]) == ("7", "this is page 2")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the picture is empty"),
        (b"no picture", "the picture is not a picture of a known format"),
        (
            as_file(Image.new("L", (50, 50), 255), "PNG"),
            "there is nothing to read in the picture: it is blank",
        ),
        (as_file(draw(DRAWINGS["seven"]), "PNG")[:300], "the picture is damaged"),
    ],
    ids=["empty", "text", "blank", "damaged"],
)
def test_what_cannot_be_read_is_said(serving: Serving, content: bytes, message: str) -> None:
    error = serving.answer(content)["error"]
    assert error.startswith(message)
    assert "`" not in error


def make_model(layers: list, shape: tuple[int, ...], classes: list[str], form: str = "as_is") -> Model:
    network = build_network(layers, shape, rng=np.random.default_rng(0))
    preparation = {
        "form": form,
        "size": list(shape[1:]),
        "colour": shape[0] == 3,
        "background": "dark",
        "mean": 0.3,
    }
    return Model(
        network, tuple(classes), None, "mine", Path("mine.npz"), "best", {"preparation": preparation}
    )


def test_a_network_of_colored_pictures_of_another_size_answers() -> None:
    layers = [("conv", {"filters": 70, "kernel": 3}), ("globalavgpool", {}), ("linear", {"units": 2})]
    model = make_model(layers, (3, 200, 180), ["cat", "dog"])
    picture = Image.new("RGB", (300, 200), (200, 30, 30))
    answer = unpack(Response(200, {"content-type": ""}, answer_picture(model, as_file(picture, "PNG"))))
    assert answer["seen"]["channels"] == 3
    np.testing.assert_array_equal(answer["seen"]["pixels"].reshape(-1, 3)[0], [200, 30, 30])
    content = answer_maps(model, answer["seen"]["pixels"].tobytes())
    conv, mean, _ = unpack(Response(200, {"content-type": ""}, content))["maps"]
    assert (conv["total"], conv["channels"], conv["full"]) == (70, MAX_CHANNELS, [198, 178])
    assert max(conv["height"], conv["width"]) <= MAX_SIDE
    # all windows but those at the border see the same, so their mean is that of a map
    np.testing.assert_allclose(conv["values"].mean(axis=(1, 2)), mean["values"].ravel(), rtol=1e-4)


def test_a_drawing_for_whole_pictures_is_inverted_as_in_training() -> None:
    model = make_model([("flatten", {}), ("linear", {"units": 2})], (1, 28, 28), ["shirt", "shoe"])
    content = answer_drawing(model, as_sent(draw(DRAWINGS["seven"])))
    answer = unpack(Response(200, {"content-type": ""}, content))
    assert answer["seen"]["pixels"][0] == 0 and answer["seen"]["pixels"].max() == 255
    # the page has no background that the user could have chosen
    assert not [warning for warning in answer["warnings"] if "background" in warning]


def test_the_name_of_a_model_ends_no_element_of_the_page() -> None:
    model = make_model([("flatten", {}), ("linear", {"units": 2})], (1, 8, 8), ["</script><b>", "a"])
    page = with_model("<p></p><script src='a'></script>", describe_model(model))
    assert page.count("</script>") == 2
    text = page.partition('id="model">')[2].partition("</script>")[0]
    assert json.loads(text)["classes"] == ["</script><b>", "a"]
