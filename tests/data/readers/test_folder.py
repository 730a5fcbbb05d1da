"""Folders of the user's own pictures become a data set, whatever else lies in them."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from cnncli.data.load import load_dataset
from cnncli.data.readers.folder import list_folder, load_folder
from cnncli.data.readers.form import MAX_PIXEL_BYTES, shown_size
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


def test_every_image_knows_its_file_in_every_part(tmp_path):
    class_folders(tmp_path / "train", count=6)
    class_folders(tmp_path / "val", count=2)
    first, second = (Image.new("L", (28, 28), value) for value in (50, 150))
    ImageDraw.Draw(first).point((5, 5), 255)  # not blank
    ImageDraw.Draw(second).point((5, 5), 255)
    first.save(tmp_path / "train/0/two.tif", save_all=True, append_images=[second])
    dataset = load_folder(tmp_path)
    expected = {f"train/{c}/{n}.png": 10 * c + n for c in (0, 1) for n in range(6)}
    expected |= {f"val/{c}/{n}.png": 10 * c + n for c in (0, 1) for n in range(2)}
    expected |= {"train/0/two.tif[1]": 50, "train/0/two.tif[2]": 150}
    found = dataset.all_images
    assert dict(zip(found.files, found.images[:, 0, 0].tolist(), strict=True)) == expected
    assert all(f"/{label}/" in file for file, label in zip(found.files, found.labels, strict=True))
    for part in (dataset.train, dataset.validation, dataset.test):
        values = [expected[file] for file in part.files]
        assert values == part.images[:, 0, 0].tolist()
        assert part.part(slice(1, 3)).files == part.files[1:3]
        assert part.part(np.array([1, 0])).files == part.files[1::-1]


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


@pytest.mark.parametrize(
    ("sizes", "mode", "shape"),
    [
        ([(20, 12)], "RGB", (3, 12, 20)),
        ([(20, 12)], "L", (1, 12, 20)),
        ([(960, 480)], "L", (1, 48, 96)),
        ([(300, 600), (300, 600), (600, 300)], "RGB", (3, 96, 48)),
        ([(2000, 1)], "L", (1, 1, 96)),
    ],
)
def test_pictures_are_looked_at_in_about_their_own_form(tmp_path, sizes, mode, shape):
    for name in "ab":
        for number, size in enumerate(sizes * 3):
            picture(tmp_path / name / f"{number}.png", 90 if mode == "L" else (200, 90, 20), size, mode)
    dataset = load_folder(tmp_path, None, colour=None)
    assert dataset.input_shape == shape
    assert load_folder(tmp_path, 8, colour=None).input_shape == (shape[0], 8, 8)
    assert load_folder(tmp_path, None).input_shape == (1, *shape[1:])
    (note,) = notes_of(dataset, "shown as") or [""]
    assert bool(note) == (sizes[0] != (20, 12) or mode == "RGB")
    assert not notes_of(dataset, "proportions")


def test_pictures_of_a_large_set_are_looked_at_at_a_smaller_size():
    assert shown_size([(400, 300)] * 9, count=1000) == (72, 96)
    for count in (50_000, 200_000):
        height, width = shown_size([(400, 300)], count)
        assert 28 <= width < 96 and count * height * width * 3 <= MAX_PIXEL_BYTES


def test_without_a_test_part_all_pictures_are_in_order_and_one_class_is_enough(tmp_path):
    dataset = load_folder(class_folders(tmp_path), test_fraction=0)
    assert dataset.train.images[:, 0, 0].tolist() == [0, 1, 2, 3, 4, 10, 11, 12, 13, 14]
    assert len(dataset.test) == 0 and not dataset.test_drawn
    assert not notes_of(dataset, "test set")
    class_folders(tmp_path / "one", ("pear",))
    assert load_folder(tmp_path / "one", test_fraction=0).classes == ("pear",)
    with pytest.raises(DataError, match="holds only the class 'pear'"):
        load_folder(tmp_path / "one")


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


def notes_of(dataset, mark):
    return [note for note in dataset.notes if mark in note]


def test_what_is_left_out_is_counted_by_reason_and_said_once(tmp_path):
    class_folders(tmp_path)
    (tmp_path / "README.txt").write_text("x")
    (tmp_path / "1" / "notes.md").write_text("x")
    (tmp_path / "1" / "photo.PSD").write_bytes(b"x")
    picture(tmp_path / "1" / ".hidden.png")
    picture(tmp_path / "loose.png")
    dataset = load_folder(tmp_path)
    assert len(dataset.train) + len(dataset.test) == 10
    assert dataset.left_out == {
        "not a picture": 2,
        "in a format that is not read: .psd": 1,
        "hidden": 1,
        "outside of the class folders": 1,
    }
    assert notes_of(dataset, "left out: 2 not a picture (1/notes.md, README.txt)")
    assert notes_of(dataset, "left out: 1 outside of the class folders (loose.png)")
    assert len(notes_of(dataset, "left out")) == 4


def test_many_foreign_files_give_one_note(tmp_path):
    class_folders(tmp_path)
    for number in range(50):
        (tmp_path / "0" / f"{number}.txt").write_text("x")
    dataset = load_folder(tmp_path)
    assert dataset.left_out == {"not a picture": 50}
    assert notes_of(dataset, "left out") == ["left out: 50 not a picture (0/0.txt, 0/1.txt, 0/10.txt, ...)"]


def test_what_systems_leave_behind_is_neither_read_nor_counted(tmp_path):
    class_folders(tmp_path)
    for folder in ("__MACOSX", "1/@eaDir", "0/.ipynb_checkpoints", ".git", "__pycache__"):
        picture(tmp_path / folder / "0.png")
    for file in ("Thumbs.db", "1/desktop.ini", "0/.DS_Store", "0/._0.png"):
        (tmp_path / file).write_bytes(b"x")
    dataset = load_folder(tmp_path)
    assert dataset.classes == ("0", "1")
    assert len(dataset.train) + len(dataset.test) == 10
    assert dataset.left_out == {}


@pytest.mark.parametrize(
    ("train", "test"),
    [("Train", "Test"), ("training", "testing"), ("Training", "Testing"), ("TRAIN", "test")],
)
def test_train_and_test_have_their_usual_names_in_any_case(tmp_path, train, test):
    class_folders(tmp_path / train, count=4)
    class_folders(tmp_path / test, count=3)
    dataset = load_folder(tmp_path)
    assert dataset.classes == ("0", "1")
    assert (len(dataset.train), len(dataset.test), dataset.validation) == (8, 6, None)


@pytest.mark.parametrize("name", ["val", "Valid", "validation"])
def test_a_validation_folder_is_the_validation_set(tmp_path, name):
    class_folders(tmp_path / "train", count=10)
    class_folders(tmp_path / name, count=3)
    dataset = load_folder(tmp_path)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (16, 6, 4)
    assert dataset.validation.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert dataset.left_out == {}
    class_folders(tmp_path / "test", count=5)
    dataset = load_folder(tmp_path)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (20, 6, 10)


def test_two_folders_for_the_same_part_are_refused(tmp_path):
    class_folders(tmp_path / "train")
    class_folders(tmp_path / "training")
    with pytest.raises(DataError, match=r"train and .*training are the same part"):
        load_folder(tmp_path)


def test_a_folder_beside_train_is_left_out_with_its_count(tmp_path):
    class_folders(tmp_path / "train")
    class_folders(tmp_path / "extra", count=3)
    picture(tmp_path / "test" / "1.png")  # test pictures without classes
    dataset = load_folder(tmp_path)
    assert dataset.left_out == {"outside of the class folders": 7}


def test_a_test_folder_alone_is_a_set_to_evaluate_on(tmp_path):
    class_folders(tmp_path / "test", ("3", "7"))
    dataset = load_folder(tmp_path)
    assert (len(dataset.train), len(dataset.test), dataset.classes) == (0, 10, ("3", "7"))
    assert dataset.input_shape == (1, 28, 28)


def test_a_test_folder_may_lack_classes_and_the_labels_follow_the_names(tmp_path):
    class_folders(tmp_path / "train", ("a", "b", "c"))
    class_folders(tmp_path / "test", ("c",), count=2)
    dataset = load_folder(tmp_path)
    assert dataset.test.labels.tolist() == [2, 2]
    assert notes_of(dataset, "test has no pictures of a, b")


def test_the_classes_are_found_at_the_depth_where_they_are(tmp_path):
    class_folders(tmp_path / "unpacked" / "digits" / "train", count=4)
    class_folders(tmp_path / "unpacked" / "digits" / "test", count=2)
    (tmp_path / "__MACOSX" / "digits").mkdir(parents=True)
    dataset = load_folder(tmp_path)
    assert (dataset.classes, len(dataset.train), len(dataset.test)) == (("0", "1"), 8, 4)
    assert notes_of(dataset, "unpacked/digits")


def test_pictures_deeper_in_a_class_folder_are_read(tmp_path):
    class_folders(tmp_path, count=3)
    for number in range(2):
        picture(tmp_path / "1" / "more" / f"{number}.png", 200)
    picture(tmp_path / "1" / "more" / "deep" / "9.png", 200)
    dataset = load_folder(tmp_path)
    assert len(dataset.train) + len(dataset.test) == 9
    labels = np.concatenate([dataset.train.labels, dataset.test.labels])
    images = np.concatenate([dataset.train.images, dataset.test.images])
    assert np.all(labels[images[:, 0, 0] == 200] == 1) and np.sum(images[:, 0, 0] == 200) == 3
    assert notes_of(dataset, "subfolders of the classes are read too (more)")


def test_train_and_test_inside_the_classes_are_refused(tmp_path):
    for name in "ab":
        class_folders(tmp_path / name, ("train", "test"))
    with pytest.raises(DataError, match=r"a is a class that holds (train|test)/"):
        load_folder(tmp_path)


def test_a_link_to_a_folder_above_ends(tmp_path):
    class_folders(tmp_path)
    (tmp_path / "1" / "loop").symlink_to(tmp_path)
    with pytest.raises(DataError, match="link to a folder above"):
        load_folder(tmp_path)


def test_larger_or_coloured_pictures_are_said_in_one_note(tmp_path):
    root = class_folders(tmp_path / "shapes", size=(64, 64), mode="RGB")
    for name in "01":
        picture(root / name / "red.png", (250, 20, 20), (64, 64), "RGB")
    taken = "taken as 28x28 gray (data.size, data.colour)"
    assert notes_of(load_folder(root), "64x64") == [f"shapes: 64x64 color pictures, {taken}"]
    assert not notes_of(load_folder(root, 64, colour=True), "taken as")
    (note,) = notes_of(load_folder(root, 64), "64x64")
    assert "color pictures, taken as 64x64 gray" in note


def test_squeezed_pictures_are_counted_in_one_note(tmp_path):
    class_folders(tmp_path, size=(28, 28))
    picture(tmp_path / "0" / "wide.png", size=(56, 28))
    dataset = load_folder(tmp_path)
    assert notes_of(dataset, "are squeezed") == [
        "1 of 11 pictures have other proportions and are squeezed to 28x28 gray"
    ]
    assert not notes_of(
        load_folder(class_folders(tmp_path / "wide", size=(56, 28)), (14, 28)), "are squeezed"
    )


def test_size_may_be_height_and_width(tmp_path):
    dataset = load_folder(class_folders(tmp_path), (12, 20), colour=True)
    assert dataset.input_shape == (3, 12, 20)


def test_every_page_of_a_tiff_is_an_image_of_its_class(tmp_path):
    class_folders(tmp_path / "train")
    pages = [Image.fromarray(np.pad(np.full((20, 20), value, np.uint8), 4)) for value in (100, 150)]
    blank = Image.new("L", (28, 28), 9)
    pages[0].save(tmp_path / "train" / "1" / "scan.tif", save_all=True, append_images=[blank, pages[1]])
    class_folders(tmp_path / "test")
    dataset = load_folder(tmp_path)
    assert len(dataset.train) == 12
    assert dataset.train.labels[dataset.train.images[:, 14, 14] >= 100].tolist() == [1, 1]
    assert dataset.left_out == {"blank pages": 1}


def test_frames_of_an_animation_that_are_not_read_are_counted(tmp_path):
    class_folders(tmp_path)
    frames = [
        Image.fromarray(np.pad(np.full((8, 8), 255, np.uint8), ((8, 12), (x, 20 - x)))) for x in (0, 9, 20)
    ]
    frames[0].save(tmp_path / "1" / "a.gif", save_all=True, append_images=frames[1:], duration=50)
    dataset = load_folder(tmp_path)
    assert dataset.left_out == {"frames of animations": 2}
    assert notes_of(dataset, "1 of the pictures: an animation of 3 frames")


def test_pictures_of_12_bits_are_as_bright_as_the_others(tmp_path):
    class_folders(tmp_path, count=2)
    for name in "01":
        Image.fromarray(np.full((28, 28), 4095, np.uint16)).save(tmp_path / name / "wide.png")
    dataset = load_folder(tmp_path)
    assert np.sum(np.concatenate([dataset.train.images, dataset.test.images]).max(axis=(1, 2)) == 255) == 2
    assert notes_of(dataset, "2 use 12 bits")


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


def test_a_folder_of_training_runs_is_no_set(tmp_path):
    for name in ("run-1", "run-2"):
        (tmp_path / name / "checkpoints").mkdir(parents=True)
        (tmp_path / name / "run.json").touch()
        Image.new("L", (8, 8)).save(tmp_path / name / "curves.png")
    with pytest.raises(DataError, match="holds training runs such as run-1"):
        load_folder(tmp_path)


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
