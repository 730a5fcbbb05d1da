"""Reading pictures: what is found, what is said about it, and that one bad picture stops no other."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from cnncli.errors import UsageError
from cnncli.nn import Network, build_network
from cnncli.pictures import digits
from cnncli.training.model import Model
from cnncli.training.predict import (
    iter_predictions,
    predict_pictures,
)
from cnncli.training.predictions import PicturePrediction, predictions_document


def model_of(network: Network, classes: tuple[str, ...], normalize: Any = None) -> Model:
    return Model(network, classes, normalize, "run-7", Path("best.npz"), "best", {})


def constant_model(probabilities: list[float], shape: tuple[int, ...] = (1, 28, 28)) -> Model:
    """A network that answers the same to everything."""
    k = len(probabilities)
    network = build_network([("flatten", {}), ("linear", {"units": k})], shape, rng=np.random.default_rng(0))
    network.layers[1].weight = np.zeros((k, int(np.prod(shape))))
    network.layers[1].bias = np.log(probabilities)
    return model_of(network, tuple(map(str, range(k))))


def ink_model() -> Model:
    """A network that tells a wide digit ("0") from a narrow one ("1") by the ink outside the middle columns."""
    network = build_network(
        [("flatten", {}), ("linear", {"units": 2})], (1, 28, 28), rng=np.random.default_rng(0)
    )
    outside = np.ones((28, 28))
    outside[:, 10:19] = 0
    network.layers[1].weight = np.stack([outside.ravel(), np.zeros(784)])
    network.layers[1].bias = np.array([0.0, 6.0])
    return model_of(network, ("0", "1"))


def draw(path: Path, digits: str, rows: int = 1) -> Path:
    """Draw rings for 0 and strokes for 1 on white paper."""
    picture = Image.new("L", (100 * len(digits) + 60, 160 * rows + 40), 255)
    pen = ImageDraw.Draw(picture)
    for row in range(rows):
        for place, digit in enumerate(digits):
            left, top = 40 + 100 * place, 30 + 160 * row
            if digit == "0":
                pen.ellipse((left, top, left + 70, top + 110), outline=0, width=12)
            else:
                pen.line((left + 35, top, left + 35, top + 110), fill=0, width=12)
    picture.save(path)
    return path


def test_one_digit(tmp_path: Path) -> None:
    path = draw(tmp_path / "a.png", "0")
    (found,) = predict_pictures([path], ink_model(), top=2)
    assert (found.path, found.text, found.error) == (str(path), "0", None)
    (digit,) = found.digits
    assert digit.label == "0" and digit.probability > 0.99
    assert [name for name, _ in digit.top] == ["0", "1"]
    assert sum(p for _, p in digit.top) == pytest.approx(1, rel=1e-5)
    assert digit.pixels.shape == (28, 28) and digit.pixels.dtype == np.uint8
    left, top, right, bottom = digit.box
    assert abs(left - 40) < 6 and abs(top - 30) < 6 and abs(right - 110) < 6 and abs(bottom - 140) < 6


def scan(path: Path, pages: list[Path | None]) -> Path:
    """Write a TIFF with one page per picture; None is a blank page."""
    pictures = [Image.open(page) if page else Image.new("L", (160, 200), 255) for page in pages]
    pictures[0].save(path, save_all=True, append_images=pictures[1:])
    return path


def test_every_page_of_a_tiff_has_an_entry_and_a_blank_one_hides_no_other(tmp_path: Path) -> None:
    zero, one = draw(tmp_path / "0.png", "0"), draw(tmp_path / "1.png", "1")
    path = scan(tmp_path / "scan.tif", [None, zero, None, one])
    found = predict_pictures([path, one], ink_model())
    assert [entry.path for entry in found] == [*(f"{path}[{page}]" for page in (1, 2, 3, 4)), str(one)]
    assert [entry.text for entry in found] == ["", "0", "", "1", "1"]
    assert [entry.error for entry in found] == [None] * 5
    for blank in (found[0], found[2]):
        assert "blank" in blank.warnings[0]
        assert blank.to_json()["warnings"] == list(blank.warnings)


def test_a_file_of_blank_pages_alone_is_an_error_for_each(tmp_path: Path) -> None:
    found = predict_pictures([scan(tmp_path / "scan.tif", [None, None])], ink_model())
    assert len(found) == 2
    assert all(entry.error and "blank" in entry.error for entry in found)


def test_frames_that_are_not_read_are_said_also_when_the_first_one_is_blank(tmp_path: Path) -> None:
    blank, ring = Image.new("L", (160, 200), 255), Image.open(draw(tmp_path / "0.png", "0"))
    for name, frames in (("a.gif", [ring, blank, ring]), ("b.gif", [blank, ring, blank])):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], duration=50)
        (found,) = predict_pictures([tmp_path / name], ink_model())
        assert found.text == ("0" if name == "a.gif" else "")
        assert (found.error is None) == (name == "a.gif")
        assert any("3 frames" in warning for warning in found.warnings)


def test_several_digits_make_a_text_line_by_line(tmp_path: Path) -> None:
    (found,) = predict_pictures([draw(tmp_path / "a.png", "0110", rows=2)], ink_model())
    assert found.text == "0110\n0110"
    assert len(found.digits) == 8


@pytest.mark.parametrize("small", [0, 1000])
def test_boxes_of_a_large_photo_are_in_its_own_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: int
) -> None:
    """A large JPEG is decoded at half its size, and again in full if its digits are small."""
    path = draw(tmp_path / "p.png", "0110")
    Image.open(path).save(tmp_path / "p.jpg", quality=95)
    (whole,) = predict_pictures([tmp_path / "p.jpg"], ink_model())
    monkeypatch.setattr("cnncli.pictures.read.QUICK_PIXELS", 10_000)
    monkeypatch.setattr("cnncli.pictures.digits._SMALL", small)
    (quick,) = predict_pictures([tmp_path / "p.jpg"], ink_model())
    assert quick.text == whole.text == "0110"
    boxes = np.array([[digit.box for digit in read.digits] for read in (quick, whole)])
    assert np.abs(boxes[0] - boxes[1]).max() <= (0 if small else 4)
    assert (boxes[0] % 2 == 0).all() or small


def test_what_is_lost_in_a_halved_photo_is_found_in_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "p.jpg"
    Image.open(draw(tmp_path / "p.png", "10")).save(path, quality=95)
    monkeypatch.setattr("cnncli.pictures.read.QUICK_PIXELS", 10_000)
    find = digits.find_digits

    def blind_to_small_pictures(picture: Image.Image, invert: Any = "auto") -> Any:
        if picture.width < 200:
            raise digits.NothingToRead("blank", None)
        return find(picture, invert)

    monkeypatch.setattr(digits, "find_digits", blind_to_small_pictures)
    (read,) = predict_pictures([path], ink_model())
    assert (read.text, read.error) == ("10", None)


def test_a_whole_photo_is_read_in_full_as_in_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "p.jpg"
    Image.open(draw(tmp_path / "p.png", "10")).save(path, quality=95)
    (usual,) = predict_pictures([path], ink_model(), prepare="as_is")
    monkeypatch.setattr("cnncli.pictures.read.QUICK_PIXELS", 10_000)
    (large,) = predict_pictures([path], ink_model(), prepare="as_is")
    np.testing.assert_array_equal(large.digits[0].pixels, usual.digits[0].pixels)
    assert large.digits[0].box == usual.digits[0].box == (0, 0, 260, 200)


def test_normalisation_is_applied(tmp_path: Path) -> None:
    path = draw(tmp_path / "a.png", "0")
    plain = ink_model()
    shifted = model_of(plain.network, plain.classes, normalize=(0.0, 100.0))  # inputs 100 times smaller
    assert predict_pictures([path], plain)[0].text == "0"
    assert predict_pictures([path], shifted)[0].text == "1"


def test_a_picture_that_cannot_be_read_has_its_error_and_stops_no_other(tmp_path: Path) -> None:
    blank = tmp_path / "blank.png"
    Image.new("L", (50, 50), 255).save(blank)
    text = tmp_path / "notes.png"
    text.write_text("no picture")
    good = draw(tmp_path / "good.png", "1")
    found = predict_pictures([tmp_path / "missing.png", blank, text, good], ink_model())
    assert [bool(prediction.error) for prediction in found] == [True, True, True, False]
    assert "does not exist" in (found[0].error or "")
    assert "blank" in (found[1].error or "")
    assert found[3].text == "1"
    assert found[0].digits == () and found[0].text == ""


def test_content_from_elsewhere_has_a_name() -> None:
    buffer = io.BytesIO()
    Image.new("L", (28, 28), 0).save(buffer, "PNG")
    (found,) = predict_pictures([("stdin", buffer.getvalue())], constant_model([0.9, 0.1]), raw=True)
    assert (found.path, found.text) == ("stdin", "0")
    (broken,) = predict_pictures([("stdin", b"nothing")], constant_model([0.9, 0.1]))
    assert (broken.error or "").startswith("stdin is ")


def test_an_unsure_answer_is_called_so(tmp_path: Path) -> None:
    one = draw(tmp_path / "one.png", "1")
    (found,) = predict_pictures([one], constant_model([0.2, 0.45, 0.35]))
    assert "unsure what this is (1 45 %, 2 35 %, 0 20 %)" in found.warnings
    (sure,) = predict_pictures([one], constant_model([0.2, 0.55, 0.25]))
    assert not any("unsure" in warning for warning in sure.warnings)
    (many,) = predict_pictures([draw(tmp_path / "two.png", "10")], constant_model([0.2, 0.45, 0.35]))
    assert "unsure of 2 of the 2: no. 1: 1 45 %, 2 35 %; no. 2: 1 45 %, 2 35 %" in many.warnings
    (less,) = predict_pictures([tmp_path / "two.png"], constant_model([0.15, 0.78, 0.07]))
    assert "unsure of 2 of the 2: no. 1: 1 78 %, 0 15 %; no. 2: 1 78 %, 0 15 %" in less.warnings
    (certain,) = predict_pictures([tmp_path / "two.png"], constant_model([0.1, 0.82, 0.08]))
    assert certain.warnings == ()


def test_top_is_no_longer_than_there_are_classes(tmp_path: Path) -> None:
    path = draw(tmp_path / "a.png", "1")
    model = constant_model([0.2, 0.5, 0.3])
    assert [len(predict_pictures([path], model, top=n)[0].digits[0].top) for n in (1, 2, 9)] == [1, 2, 3]
    assert predict_pictures([path], model, top=9)[0].digits[0].top[1][0] == "2"


def test_several_networks_answer_with_their_mean_probabilities(tmp_path: Path) -> None:
    path = draw(tmp_path / "a.png", "0")
    first, second = constant_model([0.7, 0.2, 0.1]), constant_model([0.1, 0.6, 0.3])
    second = replace(second, path=Path("other.npz"), name="run-8")
    ((digit,),) = (each.digits for each in predict_pictures([path], [first, second]))
    assert dict(digit.top) == pytest.approx({"0": 0.4, "1": 0.4, "2": 0.2}, abs=1e-6)
    assert predictions_document([first, second], [])["model"] == "run-7+run-8"
    (alone,) = predict_pictures([path], [second])
    assert alone.text == "1"


def test_networks_that_cannot_answer_together_are_refused() -> None:
    first = constant_model([0.7, 0.2, 0.1])
    other = replace(first, path=Path("other.npz"), name="run-8")
    wide = replace(constant_model([0.7, 0.2, 0.1], (1, 28, 30)), path=Path("wide.npz"))
    whole = {"form": "as_is", "size": [28, 28], "colour": False, "background": "dark", "mean": None}
    for models, message in (
        ([first, first], "run-7 is named twice"),
        ([first, replace(other, classes=("a", "b", "c"))], "do not have the same classes: 0, 1, 2; a, b, c"),
        ([first, wide], r"run-7 takes images of \(1, 28, 28\)"),
        ([first, replace(other, meta={"preparation": whole})], "run-8 on whole pictures"),
        ([], "found none"),
        (["run-7"], "found str"),
    ):
        with pytest.raises(UsageError, match=message):
            predict_pictures([], models)


def test_a_single_picture_need_not_be_in_a_list(tmp_path: Path) -> None:
    path = draw(tmp_path / "a.png", "01")
    assert [each.text for each in predict_pictures(path, ink_model())] == ["01"]
    assert [each.text for each in predict_pictures(str(path), ink_model())] == ["01"]


def test_the_document_is_the_one_of_predict_json(tmp_path: Path) -> None:
    model = ink_model()
    document = predictions_document(
        model, predict_pictures([draw(tmp_path / "a.png", "01"), "none.png"], model)
    )
    assert json.loads(json.dumps(document)) == document
    assert set(document) == {"model", "images"} and document["model"] == "run-7"
    good, bad = document["images"]
    assert set(good) == set(bad) == {"path", "text", "spaced", "digits", "warnings", "error"}
    assert set(good["digits"][0]) == {"class", "probability", "unknown", "box", "top"}
    assert good["error"] is None and bad["digits"] == []
    assert [entry[0] for entry in good["digits"][0]["top"]] == ["0", "1"]


def test_a_colour_network_gets_the_picture_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "red.png"
    Image.new("RGB", (40, 20), (255, 0, 0)).save(path)
    (found,) = predict_pictures([path], constant_model([0.9, 0.1], shape=(3, 8, 10)))
    assert found.digits[0].pixels.shape == (8, 10, 3)
    assert (found.digits[0].pixels == [255, 0, 0]).all()
    assert found.digits[0].box == (0, 0, 40, 20)
    assert found.warnings == ()


def test_a_network_that_takes_no_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"takes inputs of shape \(2, 8, 8\)"):
        predict_pictures([draw(tmp_path / "a.png", "1")], constant_model([0.9, 0.1], shape=(2, 8, 8)))


def test_long_class_names_are_told_apart(tmp_path: Path) -> None:
    model = constant_model([0.9, 0.1])
    named = model_of(model.network, ("Ankle boot", "Bag"))
    assert predict_pictures([draw(tmp_path / "a.png", "11")], named)[0].text == "Ankle boot Ankle boot"


def test_predictions_come_one_at_a_time(tmp_path: Path) -> None:
    predictions = iter_predictions(iter([draw(tmp_path / "a.png", "1"), "none.png"]), ink_model())
    assert isinstance(next(predictions), PicturePrediction)
    assert next(predictions).error
