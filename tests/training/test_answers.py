"""All images of a data file are answered as they would be one by one, as a table or in Kaggle's form."""

import csv
import io

import numpy as np
import pytest

from cnncli.data.load import load_dataset
from cnncli.errors import DataError
from cnncli.training.answers import answer_file, answers_document
from cnncli.training.lookup import holds_images
from cnncli.training.model import load_model
from cnncli.training.predict import LabeledImage, predict_pictures

N = 40


@pytest.fixture(scope="module")
def images():
    return load_dataset("synthetic").test.images[:N]


@pytest.fixture(scope="module")
def model():
    return load_model("bundled")


@pytest.fixture
def table(tmp_path, images):
    path = tmp_path / "test.csv"
    rows = (",".join(map(str, row)) for row in images.reshape(N, -1).tolist())
    path.write_text("\n".join([",".join(f"pixel{i}" for i in range(784)), *rows]))
    return path


def test_each_image_is_answered_as_it_would_be_alone(table, images, model):
    answers = answer_file(table, model)
    alone = predict_pictures([LabeledImage(str(i), each, "?") for i, each in enumerate(images)], model)
    assert answers.labels == [each.digits[0].label for each in alone]
    assert answers.unknown.tolist() == [each.digits[0].unknown for each in alone]
    expected = [each.digits[0].probability for each in alone]
    np.testing.assert_allclose(answers.probabilities.max(axis=1), expected, atol=1e-5)


def test_kaggle_takes_ids_from_one(table, model):
    answers = answer_file(table, model)
    rows = list(csv.reader(io.StringIO(answers.to_csv("kaggle"))))
    assert rows[0] == ["ImageId", "Label"]
    assert rows[1:] == [[str(i + 1), label] for i, label in enumerate(answers.labels)]
    plain = list(csv.DictReader(io.StringIO(answers.to_csv())))
    assert [row["class"] for row in plain] == answers.labels and plain[3]["index"] == "3"


@pytest.mark.parametrize("form", ["npy", "npz", "float.npz", "csv with labels"])
def test_other_forms_and_labels_change_nothing(table, images, model, tmp_path, form):
    expected = answer_file(table, model)
    path = tmp_path / form.replace(" ", "_")
    if form == "npy":
        with open(path, "wb") as stream:
            np.save(stream, images)
    elif form == "npz":
        with open(path, "wb") as stream:
            np.savez(stream, x_train=images[:3], x_test=images, y_test=np.arange(N))
    elif form == "float.npz":
        with open(path, "wb") as stream:
            np.savez(stream, images=images.reshape(N, -1) / 255)
    else:
        rows = (",".join(map(str, row)) for row in images.reshape(N, -1).tolist())
        path.write_text("".join(f"{i % 10},{row}\n" for i, row in enumerate(rows)))
    assert holds_images(path)
    answers = answer_file(path, model)
    np.testing.assert_allclose(answers.probabilities, expected.probabilities, atol=1e-6)
    assert any("not looked at" in note for note in answers.notes) == (form in ("npz", "csv with labels"))


def test_the_document_has_an_entry_for_each_image(table, model):
    document = answers_document(model, [answer_file(table, model)], top=2)
    assert document["model"] == "bundled" and len(document["images"]) == N
    first = document["images"][0]["digits"][0]
    assert first["class"] == first["top"][0][0] and len(first["top"]) == 2


def test_inverted_images_are_told_and_inverted_on_request(images, model, tmp_path):
    np.save(tmp_path / "a.npy", 255 - images)
    told = answer_file(tmp_path / "a.npy", model)
    assert any(note.startswith("warning: the images have a bright background") for note in told.notes)
    np.save(tmp_path / "b.npy", images)
    right = answer_file(tmp_path / "b.npy", model)
    assert answer_file(tmp_path / "a.npy", model, invert=True).labels == right.labels


def test_a_file_without_images_is_refused(model, tmp_path):
    np.savez(tmp_path / "a.npz", labels=np.arange(9))
    with pytest.raises(DataError, match="has no images"):
        answer_file(tmp_path / "a.npz", model)
