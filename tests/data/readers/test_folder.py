"""Folders of the user's own pictures become a data set, whatever else lies in them."""

import logging

import numpy as np
import pytest
from PIL import Image

from cnncli.data.load import load_dataset
from cnncli.data.readers.folder import list_folder, load_folder
from cnncli.errors import DataError, UsageError


def picture(path, value=100, size=(28, 28), mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path)


def class_folders(root, classes=("0", "1"), count=5, **options):
    for label, name in enumerate(classes):
        for number in range(count):
            picture(root / name / f"{number}.png", 10 * label + number, **options)
    return root


def test_every_picture_is_in_training_or_test_with_the_class_of_its_folder(tmp_path):
    dataset = load_folder(class_folders(tmp_path, ("cat", "dog", "owl"), 10))
    assert dataset.classes == ("cat", "dog", "owl")
    assert (len(dataset.train), len(dataset.test)) == (24, 6)
    assert np.bincount(dataset.test.labels).tolist() == [2, 2, 2]
    values = np.concatenate([dataset.train.images, dataset.test.images])[:, 0, 0]
    labels = np.concatenate([dataset.train.labels, dataset.test.labels])
    assert sorted(values) == sorted(10 * c + n for c in range(3) for n in range(10))
    assert np.array_equal(values // 10, labels)
    assert dataset.train.images.dtype == np.uint8 and dataset.train.labels.dtype == np.int64


def test_the_test_part_depends_on_the_seed_alone(tmp_path):
    class_folders(tmp_path, count=20)
    first, again, other = (load_folder(tmp_path, seed=seed).test.images[:, 0, 0] for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_train_and_test_folders_are_kept_apart(tmp_path):
    class_folders(tmp_path / "train", count=4)
    picture(tmp_path / "test" / "1" / "a.png", 200)
    dataset = load_folder(tmp_path)
    assert len(dataset.train) == 8
    assert dataset.test.labels.tolist() == [1]
    assert dataset.test.images[0, 0, 0] == 200


def test_a_train_folder_alone_gives_the_test_part_too(tmp_path):
    class_folders(tmp_path / "train", count=5)
    dataset = load_folder(tmp_path)
    assert (len(dataset.train), len(dataset.test)) == (8, 2)


def test_folders_called_train_and_test_may_be_classes(tmp_path):
    assert list_folder(class_folders(tmp_path, ("train", "test", "tram"))).classes == (
        "test",
        "train",
        "tram",
    )


def test_numbers_are_in_numeric_order_before_names(tmp_path):
    class_folders(tmp_path, ("10", "9", "b", "a", "1"), 1)
    assert list_folder(tmp_path).classes == ("1", "9", "10", "a", "b")


def test_any_size_becomes_the_wanted_one_in_grey_or_colour(tmp_path):
    for name, colour in (("red", (255, 0, 0)), ("blue", (0, 0, 255))):
        for number, size in enumerate([(200, 50), (5, 7), (28, 28)]):
            picture(tmp_path / name / f"{number}.png", colour, size, "RGB")
    grey = load_folder(tmp_path, size=12)
    assert grey.train.images.shape[1:] == (12, 12)
    assert set(np.unique(grey.train.images)) <= {29, 76}, "the luma of pure blue and pure red"
    coloured = load_folder(tmp_path, size=12, colour=True)
    assert coloured.input_shape == (3, 12, 12)
    assert coloured.classes == ("blue", "red")
    for image, label in zip(coloured.train.images, coloured.train.labels, strict=True):
        assert np.all(image == ((0, 0, 255), (255, 0, 0))[label])


def test_shrinking_averages_instead_of_dropping_lines(tmp_path):
    stripes = np.zeros((56, 56), np.uint8)
    stripes[::2] = 200
    for name in "ab":
        for number in range(2):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(stripes).save(tmp_path / name / f"{number}.png")
    images = load_folder(tmp_path).train.images
    assert np.all(np.abs(images[:, 2:-2].astype(int) - 100) < 30)


def test_statistics_are_those_of_the_training_pictures(tmp_path):
    dataset = load_folder(class_folders(tmp_path))
    assert dataset.mean == pytest.approx((dataset.train.images / 255).mean())
    assert dataset.std == pytest.approx((dataset.train.images / 255).std())


@pytest.mark.parametrize("prefix", ["folder:", ""])
def test_a_folder_loads_by_name_and_by_path(tmp_path, prefix):
    dataset = load_dataset(f"{prefix}{class_folders(tmp_path)}")
    assert dataset.name == f"folder:{tmp_path}"
    assert len(dataset.train) == 8


def test_hidden_files_are_ignored_and_foreign_ones_left_out_with_a_warning(tmp_path, caplog):
    class_folders(tmp_path)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "0" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "README.txt").write_text("x")
    (tmp_path / "1" / "notes.md").write_text("x")
    (tmp_path / "1" / "deeper").mkdir()
    listing = list_folder(tmp_path)
    assert {path.name for path in listing.foreign} == {"README.txt", "notes.md", "deeper"}
    with caplog.at_level(logging.WARNING):
        assert len(load_folder(tmp_path).train) == 8
    assert len(caplog.records) == 3
    assert "notes.md is not a picture: left out" in caplog.text
    assert ".DS_Store" not in caplog.text


def test_many_foreign_files_give_few_warnings(tmp_path, caplog):
    class_folders(tmp_path)
    for number in range(50):
        (tmp_path / "0" / f"{number}.txt").write_text("x")
    with caplog.at_level(logging.WARNING):
        load_folder(tmp_path)
    assert len(caplog.records) == 4
    assert "47 more files" in caplog.text


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n and no more"])
def test_a_bad_picture_is_named(tmp_path, content):
    class_folders(tmp_path)
    (tmp_path / "1" / "bad.png").write_bytes(content)
    with pytest.raises(DataError, match=r"1/bad\.png"):
        load_folder(tmp_path)


def test_a_folder_without_classes_is_refused_with_the_layout(tmp_path):
    picture(tmp_path / "a.png")
    with pytest.raises(DataError, match="holds no class folders") as caught:
        load_folder(tmp_path)
    assert "PATH/train/cat/1.png" in caught.value.hint


def test_one_class_is_not_enough(tmp_path):
    with pytest.raises(DataError, match="holds only the class 'a'"):
        load_folder(class_folders(tmp_path, ("a",)))


def test_an_empty_class_is_named(tmp_path):
    class_folders(tmp_path)
    (tmp_path / "2").mkdir()
    with pytest.raises(DataError, match=r"class folder .*/2 holds no pictures"):
        load_folder(tmp_path)


def test_a_class_of_one_picture_cannot_be_split(tmp_path):
    class_folders(tmp_path)
    picture(tmp_path / "2" / "a.png")
    with pytest.raises(DataError, match=r"the class '2' of .* has one picture"):
        load_folder(tmp_path)


def test_a_test_class_that_nothing_was_learnt_of_is_refused(tmp_path):
    class_folders(tmp_path / "train")
    class_folders(tmp_path / "test", ("0", "7"))
    with pytest.raises(DataError, match=r"test/7 is a class that is not in .*train"):
        load_folder(tmp_path)


def test_too_many_pixels_are_refused_before_any_picture_is_read(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        for number in range(200):
            (tmp_path / name / f"{number}.png").touch()
    with pytest.raises(DataError, match=r"need 1,258,291,200 bytes of memory"):
        load_folder(tmp_path, size=1024, colour=True)


@pytest.mark.parametrize("size", [0, -1, 1025])
def test_an_impossible_size_is_refused(tmp_path, size):
    with pytest.raises(UsageError, match="cannot be resized"):
        load_folder(class_folders(tmp_path), size)
