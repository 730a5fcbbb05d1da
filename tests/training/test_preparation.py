"""A run remembers how its pictures became images, and new pictures are prepared the same way."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import cnncli
from cnncli.checkpoint import load_checkpoint
from cnncli.data.readers.idx import write_idx
from cnncli.data.synthetic.draw import draw_digits, make_synthetic
from cnncli.errors import CheckpointError, UsageError
from cnncli.training.ensemble import measure_runs
from cnncli.training.model import Model, load_model
from cnncli.training.predict import LabeledImage, predict_pictures
from cnncli.training.preparation import Preparation, read_preparation

DENSE = "[flatten, {linear: 60}, relu, {linear: 10}]"


def clothes(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Grey 28x28 images of four classes on black: wide, high, checked and ringed, off center and up to the border."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 4
    images = np.zeros((count, 28, 28), np.uint8)
    for image, label in zip(images, labels, strict=True):
        grey, at = rng.integers(110, 256), rng.integers(0, 6)
        if label == 0:
            image[10 + at : 16 + at, 1:27] = grey
        elif label == 1:
            image[:26, 8 + at : 14 + at] = grey
        elif label == 2:
            image[2:26:3, 2 + at : 22 + at : 3] = grey
        else:
            image[4:24, 2 + at : 22 + at] = grey
            image[9:19, 7 + at : 17 + at] = grey // 3
    return images, labels


def write_set(
    folder: Path, draw: Callable[[int, int], tuple[np.ndarray, np.ndarray]], train: int, test: int
) -> None:
    """Write four IDX files under the names of MNIST."""
    folder.mkdir(parents=True)
    for name, count, seed in (("train", train, 0), ("t10k", test, 1)):
        images, labels = draw(count, seed)
        write_idx(folder / f"{name}-images-idx3-ubyte", images)
        write_idx(folder / f"{name}-labels-idx1-ubyte", labels.astype(np.uint8))


def write_pictures(folder: Path, images: np.ndarray, labels: np.ndarray, scale: int = 1) -> list[Path]:
    """Write a PNG for each image into a folder of its class, and return the paths in the order of the images."""
    paths = []
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = folder / str(label) / f"{number:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(image)
        picture.resize((scale * picture.width, scale * picture.height)).save(path)
        paths.append(path)
    return paths


def train(dataset: str, *changes: str, model: str = DENSE, name: str = "run") -> Model:
    """Train a few epochs in ./runs and return the model."""
    config = cnncli.parse_config(
        f"data: {{dataset: '{dataset}', validation: 20}}\nmodel: {model}\n"
        "train: {epochs: 6, batch_size: 20, optimizer: {name: adam, lr: 0.003}}\nengine: {kind: plain}\n"
    ).with_overrides(changes)
    list(cnncli.train_run(config, cnncli.create_run("runs", name), plots=False))
    return load_model(f"runs/{name}")


def assert_predict_is_eval(model: Model, paths: list[Path], least: float) -> None:
    """Check that predict has the probabilities of eval on the same test images, in the same order, and is right."""
    measured = measure_runs([f"runs/{model.name}"]).evaluation
    found = predict_pictures(paths, model, top=len(model.classes))
    assert [prediction.warnings for prediction in found if "invert" in str(prediction.warnings)] == []
    p = np.array([[dict(each.digits[0].top)[name] for name in model.classes] for each in found])
    np.testing.assert_allclose(p, measured.probabilities, atol=1e-5)
    assert measured.accuracy >= least


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def recorded(model: Model) -> dict[str, Any]:
    """Return the entry of run.json, which is also that of both checkpoints."""
    entry = json.loads(Path(f"runs/{model.name}/run.json").read_text())["preparation"]
    for name in ("best", "last"):
        assert load_checkpoint(Path(f"runs/{model.name}/checkpoints/{name}.npz")).meta["preparation"] == entry
    return entry


def test_digits_are_read_as_eval_reads_them(place: Path) -> None:
    model = train("synthetic", "data.limit=4500")
    entry = recorded(model)
    assert entry.pop("mean") == pytest.approx(0.1424, abs=1e-3)
    assert entry == {"form": "digits", "size": [28, 28], "colour": False, "background": "dark"}
    test = make_synthetic().test
    paths = write_pictures(place / "seen", test.images, test.labels)
    assert_predict_is_eval(model, paths, least=0.8)


def test_clothes_are_read_as_eval_reads_them(place: Path) -> None:
    write_set(place / "clothes", clothes, 200, 60)
    model = train("clothes", model="[flatten, {linear: 4}]")
    entry = recorded(model)
    assert (entry["form"], entry["background"]) == ("as_is", "dark")
    images, labels = clothes(60, 1)
    assert_predict_is_eval(model, write_pictures(place / "seen", images, labels), least=0.95)


def test_a_photo_on_white_is_inverted_for_clothes_on_black_and_said_so(place: Path) -> None:
    write_set(place / "clothes", clothes, 200, 60)
    model = train("clothes", model="[flatten, {linear: 4}]")
    images, labels = clothes(60, 2)
    paths = write_pictures(place / "photos", 255 - images, labels, scale=5)
    found = predict_pictures(paths, model)
    assert np.mean([each.text == str(label) for each, label in zip(found, labels, strict=True)]) >= 0.95
    assert all(
        "its background is bright, and those of the pictures that run was trained on are dark, so it was inverted; "
        "`invert='no'` prevents that" in each.warnings
        for each in found
    )
    (kept,) = predict_pictures(paths[:1], model, invert="no")
    assert kept.warnings == () and np.median(kept.digits[0].pixels[0]) == 255
    (raw,) = predict_pictures(paths[:1], model, raw=True)
    assert (raw.digits[0].pixels == kept.digits[0].pixels).all() and raw.warnings == ()
    small = write_pictures(place / "small", 255 - images[:1], labels[:1])
    (exact,) = predict_pictures(small, model)
    assert (exact.digits[0].pixels == 255 - images[0]).all()  # the size of the training images: never changed


@pytest.mark.parametrize("scale", [1, 3])
def test_a_folder_of_black_on_white_digits_is_read_as_eval_reads_it(place: Path, scale: int) -> None:
    digits = make_synthetic(train=1400, test=100)
    write_pictures(place / "ink/train", 255 - digits.train.images, digits.train.labels, scale)
    write_pictures(place / "ink/test", 255 - digits.test.images, digits.test.labels, scale)
    changes = ("data.normalize={mean: 0.86, std: 0.3}", "train.epochs=12", "train.schedule=one_cycle")
    model = train("folder:ink", *changes)
    entry = recorded(model)
    assert (entry["form"], entry["size"], entry["background"]) == ("as_is", [28, 28], "bright")
    paths = sorted(Path("ink/test").rglob("*.png"), key=lambda path: (int(path.parent.name), path.name))
    assert_predict_is_eval(model, paths, least=0.7)


def test_the_own_form_of_a_set_is_seen_in_its_images(place: Path) -> None:
    def digits(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        part = make_synthetic(train=count, test=10, seed=seed).train
        return part.images, part.labels

    write_set(place / "mine", digits, 200, 20)
    assert recorded(train("mine", name="a"))["form"] == "digits"
    assert recorded(train("mine", "data.prepare=as_is", name="b"))["form"] == "as_is"
    write_set(place / "negative", lambda *a: (255 - digits(*a)[0], digits(*a)[1]), 200, 20)
    assert recorded(train("negative", name="c")) == {
        "form": "as_is",
        "size": [28, 28],
        "colour": False,
        "background": "bright",
        "mean": pytest.approx(0.86, abs=0.01),
    }


def test_the_preparation_can_be_chosen_for_new_pictures(place: Path) -> None:
    write_set(place / "clothes", clothes, 60, 20)
    model = train("clothes", model="[flatten, {linear: 4}]")
    picture = np.zeros((200, 200), np.uint8)
    picture[60:140, 90:110] = 255
    Image.fromarray(picture).save("stroke.png")
    (whole,) = predict_pictures(["stroke.png"], model)
    assert whole.digits[0].box == (0, 0, 200, 200)
    (found,) = predict_pictures(["stroke.png"], model, prepare="digits")
    assert found.digits[0].box == (90, 60, 110, 140)


def test_an_image_of_a_set_is_read_with_exactly_its_pixels(place: Path) -> None:
    write_set(place / "clothes", clothes, 60, 20)
    model = train("clothes", model="[flatten, {linear: 4}]")
    (image,) = clothes(1, 5)[0]
    (found,) = predict_pictures([LabeledImage("clothes:3", 255 - image, "3")], model)
    assert (found.digits[0].pixels == 255 - image).all()
    assert (found.path, found.label, found.to_json()["label"]) == ("clothes:3", "3", "3")


def ink_on_white(folder: Path, count: int, seed: int, *, noise: int = 0) -> list[Path]:
    """Write pictures of 90x120 pixels of drawn digits, dark on light, off center, a folder for each class."""
    rng = np.random.default_rng(seed)
    images, labels = [], np.arange(count) % 10
    for digit in draw_digits(labels, rng):
        page = np.full((90, 120), 235, np.int64)
        top, left = rng.integers(3, 28), rng.integers(3, 58)
        ink = np.asarray(Image.fromarray(digit).resize((60, 60)), np.int64)
        page[top : top + 60, left : left + 60] -= ink * 200 // 255
        images.append((page + rng.integers(-noise, noise + 1, page.shape)).clip(0, 255).astype(np.uint8))
    return write_pictures(folder, np.stack(images), labels)


def test_eval_finds_the_digits_of_a_folder_as_predict_does(place: Path) -> None:
    model = train("synthetic", "data.limit=5000")
    paths = ink_on_white(place / "ink", 60, seed=3)
    said: list[str] = []
    measured = measure_runs(["runs/run"], dataset="folder:ink", notify=said.append)
    read = predict_pictures(paths, model)
    right = [each.text == path.parent.name for each, path in zip(read, paths, strict=True)]
    assert measured.evaluation.count == 60 and measured.document["split"] == "all"
    assert measured.evaluation.accuracy == np.mean(right) >= 0.8
    assert any(
        "are not in the form of MNIST (mean 0.8" in text and "bright background" in text for text in said
    )
    assert measured.document["warnings"] == []  # prepared, they are as those of the training
    raw = measure_runs(["runs/run"], dataset="folder:ink", prepare="as_is")
    assert raw.evaluation.accuracy < 0.5
    (warning,) = raw.document["warnings"]
    assert "have a bright background (mean 0.8" in warning
    assert "that run was trained on a dark one (mean 0.14)" in warning


def test_a_set_that_is_much_brighter_is_said_to_be(place: Path) -> None:
    write_set(place / "clothes", clothes, 60, 20)
    train("clothes", model="[flatten, {linear: 4}]")
    write_set(place / "faint", lambda *a: (clothes(*a)[0] // 8, clothes(*a)[1]), 60, 20)
    warnings = measure_runs(["runs/run"], dataset="faint").document["warnings"]
    assert "the images of faint have mean 0.02, and those that run was trained on 0.16" in warnings
    write_set(place / "negative", lambda *a: (255 - clothes(*a)[0], clothes(*a)[1]), 60, 20)
    warning = measure_runs(["runs/run"], dataset="negative").document["warnings"][-1]
    assert "have a bright background (mean 0.84)" in warning and "a dark one (mean 0.16)" in warning


def test_photos_of_digits_can_train_in_the_form_of_mnist(place: Path) -> None:
    paths = ink_on_white(place / "photos", 60, seed=4, noise=4)
    Image.new("L", (120, 90), 240).save("photos/3/blank.png")
    two = np.hstack([np.asarray(Image.open(path)) for path in paths[:2]])
    Image.fromarray(two).save("photos/0/two.png")
    model = train("folder:photos", "data.prepare=digits")
    entry = recorded(model)
    assert (entry["form"], entry["background"]) == ("digits", "dark") and 0.08 < entry["mean"] < 0.2
    info = json.loads(Path("runs/run/run.json").read_text())
    assert (
        info["left_out"]["pictures without a digit"] == info["left_out"]["pictures with several digits"] == 1
    )
    assert any("1 pictures with several digits are left out" in note for note in info["data_notes"])
    measured = measure_runs(["runs/run"])
    assert measured.evaluation.count == 12
    x, y = measured.images.images, measured.images.labels
    by_pixels = {
        digit.pixels.tobytes(): each.text for each in predict_pictures(paths, model) for digit in each.digits
    }
    answers = [by_pixels[image.tobytes()] for image in x]
    assert (
        np.mean([answer == str(label) for answer, label in zip(answers, y, strict=True)])
        == measured.evaluation.accuracy
    )


def test_the_folder_of_the_training_is_known_by_any_name(place: Path) -> None:
    images, labels = clothes(60, 0)
    write_pictures(place / "things", images, labels)
    train("folder:things", "data.validation=10", model="[flatten, {linear: 4}]")
    for name in ("folder:things", "things", "things/", f"folder:{place}/things"):
        measured = measure_runs(["runs/run"], dataset=name)
        assert (measured.document["split"], measured.evaluation.count) == ("test", 12)


def shapes(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Colour 64x64 pictures: a red disc, a green square or a blue triangle, anywhere on a varied light ground."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = rng.integers(170, 255, (count, 1, 1, 3)) + rng.integers(-15, 16, (count, 64, 64, 3))
    y, x = np.mgrid[:64, :64]
    for image, label in zip(images, labels, strict=True):
        size, (top, left) = rng.integers(12, 22), rng.integers(22, 42, 2)
        far = [
            np.hypot(y - top, x - left),
            np.maximum(abs(y - top), abs(x - left)),
            np.maximum(abs(x - left) * 2 - (y - top), y - top),
        ]
        image[far[label] <= size] = np.eye(3)[label] * 180 + 30
    return images.clip(0, 255).astype(np.uint8), labels


@pytest.mark.parametrize("size", [64, 32])
def test_colour_pictures_of_shapes_are_read_as_eval_reads_them(place: Path, size: int) -> None:
    write_pictures(place / "shapes/train", *shapes(120, 0))
    write_pictures(place / "shapes/test", *shapes(45, 1))
    changes = (f"data.size={size}", "data.colour=true", "data.validation=12", "train.optimizer.lr=0.05")
    changes += ("data.normalize={mean: 0.75, std: 0.2}", "train.epochs=12")
    model = train(
        "folder:shapes", *changes, model="[{conv: {filters: 8, kernel: 1}}, relu, globalavgpool, {linear: 3}]"
    )
    entry = recorded(model)
    assert (entry["form"], entry["size"], entry["colour"]) == ("as_is", [size, size], True)
    paths = sorted(Path("shapes/test").rglob("*.png"), key=lambda path: (path.parent.name, path.name))
    assert_predict_is_eval(model, paths, least=0.9)


@pytest.mark.parametrize(
    ("meta", "shape", "form", "background"),
    [
        ({"dataset": "mnist"}, (1, 28, 28), "digits", "dark"),
        ({"dataset": "fashion-mnist"}, (1, 28, 28), "as_is", "dark"),
        ({"dataset": "folder:shapes"}, (1, 28, 28), "as_is", "mixed"),
        ({"dataset": "sets/mine"}, (1, 28, 28), "digits", "mixed"),
        ({"dataset": "sets/mine", "classes": ["cat", "dog"]}, (1, 28, 28), "as_is", "mixed"),
        ({"dataset": "sets/mine"}, (3, 28, 28), "as_is", "mixed"),
        ({}, (1, 28, 28), "digits", "mixed"),
        ({}, (1, 8, 8), "as_is", "mixed"),
    ],
)
def test_an_older_checkpoint_is_prepared_as_its_set_suggests(
    meta: dict[str, Any], shape: tuple[int, ...], form: str, background: str
) -> None:
    found = read_preparation({"classes": list("0123456789"), **meta}, shape)
    assert (found.form, found.background, found.size, found.mean) == (form, background, shape[1:], None)
    assert found.colour == (shape[0] == 3)


def test_what_is_written_is_read_back_and_anything_else_refused() -> None:
    written = Preparation("as_is", (8, 9), True, "mixed", 0.4)
    assert read_preparation({"preparation": written.to_json()}, (3, 8, 9)) == written
    for change in ({"form": "else"}, {"size": [9, 8]}, {"colour": 1}, {"background": None}, {"mean": "0.1"}):
        with pytest.raises(CheckpointError, match="preparation"):
            read_preparation({"preparation": {**written.to_json(), **change}}, (3, 8, 9))
    with pytest.raises(CheckpointError):
        read_preparation({"preparation": [1]}, (1, 28, 28))


def test_digits_cannot_be_asked_of_a_network_for_other_images(place: Path) -> None:
    write_set(
        place / "small",
        lambda count, seed: (clothes(count, seed)[0][:, ::2, ::2].copy(), np.arange(count) % 4),
        60,
        20,
    )
    model = train("small", model="[flatten, {linear: 4}]")
    with pytest.raises(UsageError, match=r"takes images of \(1, 14, 14\)"):
        predict_pictures([], model, prepare="digits")
