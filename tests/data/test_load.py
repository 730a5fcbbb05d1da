"""A name becomes checked arrays, or an error that says what to type."""

import gzip
import re
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from cnncli.data.dataset import Dataset, Split, pixel_statistics
from cnncli.data.load import find_again, is_available, load_dataset, set_path
from cnncli.data.readers.idx import write_idx
from cnncli.data.registry import DATASETS, find_spec
from cnncli.errors import DataError, UsageError
from tests.data.download.mirror import small_set

IMAGES = "train-images-idx3-ubyte.gz"


@pytest.fixture
def here(tmp_path):
    """A data folder with a small MNIST in it."""
    spec, files, arrays = small_set(tmp_path)
    (tmp_path / "mnist").mkdir()
    for name, body in files.items():
        (tmp_path / "mnist" / name).write_bytes(body)
    return tmp_path, {"mnist": spec}, arrays


def test_a_set_loads_with_its_published_statistics_or_those_of_its_training_images(here):
    data_dir, table, arrays = here
    dataset = load_dataset("mnist", data_dir, table=table)
    assert np.array_equal(dataset.train.images, arrays["train", "images"])
    assert np.array_equal(dataset.train.labels, arrays["train", "labels"])
    assert np.array_equal(dataset.test.images, arrays["test", "images"])
    assert np.array_equal(dataset.test.labels, arrays["test", "labels"])
    assert dataset.train.labels.dtype == np.int64
    assert (dataset.name, dataset.input_shape, len(dataset.train)) == ("mnist", (1, 28, 28), 60)
    pixels = arrays["train", "images"] / 255
    assert dataset.mean == pytest.approx(pixels.mean(), rel=1e-12)
    assert dataset.std == pytest.approx(pixels.std(), rel=1e-12)


def test_only_the_wanted_part_needs_to_be_there(here):
    data_dir, table, arrays = here
    whole = load_dataset("mnist", data_dir, table=table)
    test = load_dataset("mnist", data_dir, table=table, splits=["test"])
    assert np.array_equal(test.test.images, arrays["test", "images"])
    assert (len(test.train), test.input_shape) == (0, (1, 28, 28))
    assert (test.mean, test.std) == (whole.mean, whole.std)
    for name in ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"):
        (data_dir / "mnist" / name).unlink()
    train = load_dataset("mnist", data_dir, table=table, splits=["train"])
    assert np.array_equal(train.train.images, arrays["train", "images"])


def test_a_missing_file_is_named_with_the_command_that_fetches_it(here):
    data_dir, table, _ = here
    (data_dir / "mnist" / IMAGES).unlink()
    assert not is_available("mnist", data_dir, table=table)
    with pytest.raises(
        DataError, match=f"MNIST is not in {re.escape(str(data_dir))}/mnist: {IMAGES} is missing"
    ) as e:
        load_dataset("mnist", data_dir, table=table)
    assert e.value.hint == f"fetch it with: `download('mnist', '{data_dir}')`"


def test_the_command_of_the_default_folder_is_short(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="Fashion-MNIST is not in data/fashion-mnist") as caught:
        load_dataset("fashion-mnist")
    assert caught.value.hint == "fetch it with: `download('fashion-mnist', 'data')`"


def test_raw_files_load_like_gzipped_ones(here):
    data_dir, table, arrays = here
    packed = data_dir / "mnist" / IMAGES
    packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
    packed.unlink()
    assert is_available("mnist", data_dir, table=table)
    assert np.array_equal(
        load_dataset("mnist", data_dir, table=table).train.images, arrays["train", "images"]
    )


def test_the_four_files_may_lie_in_the_data_folder_itself_for_mnist_only(here):
    data_dir, table, arrays = here
    other = table["mnist"].__class__(**{**vars(table["mnist"]), "name": "other"})
    bare = data_dir / "mnist"
    assert is_available("mnist", bare, table=table)
    assert np.array_equal(load_dataset("mnist", bare, table=table).train.images, arrays["train", "images"])
    assert not is_available("other", bare, table={"other": other})
    with pytest.raises(DataError, match="is missing"):
        load_dataset("other", bare, table={"other": other})


def test_content_that_is_not_the_published_one_is_refused_when_it_is_loaded(here):
    data_dir, table, arrays = here
    changed = arrays["train", "images"].copy()
    changed[3, 3, 3] ^= 1
    write_idx(data_dir / "mnist" / IMAGES, changed)
    with pytest.raises(DataError, match="wrong content"):
        load_dataset("mnist", data_dir, table=table)


def test_another_set_under_the_same_file_names_is_refused(here):
    data_dir, _, _ = here
    with pytest.raises(DataError, match="holds 60 values, expected 60,000") as caught:
        load_dataset("mnist", data_dir)
    assert caught.value.hint.startswith("fetch it again: `download('mnist', ")


def test_labels_outside_the_classes_are_refused(tmp_path):
    spec, files, arrays = small_set(tmp_path, content_hashes=False, published_hashes=False)
    (tmp_path / "mnist").mkdir()
    for name, body in files.items():
        (tmp_path / "mnist" / name).write_bytes(body)
    labels = arrays["train", "labels"].copy()
    labels[7] = 10
    write_idx(tmp_path / "mnist" / "train-labels-idx1-ubyte.gz", labels)
    with pytest.raises(DataError, match="the label 10 at position 7, expected 0 to 9"):
        load_dataset("mnist", tmp_path, table={"mnist": spec})


@pytest.mark.parametrize("prefix", ["folder:", ""])
def test_own_idx_files_load_from_any_folder(here, prefix):
    data_dir, _, arrays = here
    dataset = load_dataset(f"{prefix}{data_dir / 'mnist'}")
    assert np.array_equal(dataset.train.images, arrays["train", "images"])
    assert dataset.classes == tuple("0123456789")
    assert dataset.mean == pytest.approx(0.5, abs=0.02)


def test_own_idx_files_have_to_fit_each_other(here):
    data_dir, _, arrays = here
    write_idx(data_dir / "mnist" / IMAGES, arrays["train", "images"][:50])
    with pytest.raises(DataError, match="has 50 images, but there are 60 labels"):
        load_dataset(f"folder:{data_dir / 'mnist'}")
    write_idx(data_dir / "mnist" / IMAGES, arrays["train", "images"][:, :20])
    with pytest.raises(DataError, match=r"training images \(20, 28\) and test images \(28, 28\)"):
        load_dataset(f"folder:{data_dir / 'mnist'}")
    write_idx(data_dir / "mnist" / IMAGES, arrays["train", "images"])
    write_idx(data_dir / "mnist" / "train-labels-idx1-ubyte.gz", np.full((60, 1), 5000, np.int32))
    with pytest.raises(DataError, match="labels up to 5,000, more than 1,000 classes"):
        load_dataset(f"folder:{data_dir / 'mnist'}")


def write_own(folder, names, count=40):
    """Write images and labels under two names, and return both."""
    folder.mkdir(parents=True, exist_ok=True)
    images = np.random.default_rng(len(names[0])).integers(0, 256, (count, 9, 9), dtype=np.uint8)
    labels = (np.arange(count) % 4).astype(np.uint8)
    write_idx(folder / names[0], images)
    write_idx(folder / names[1], labels)
    return images, labels


@pytest.mark.parametrize(
    ("train", "test"),
    [
        (
            ("train-images.idx3-ubyte", "train-labels.idx1-ubyte"),
            ("t10k-images.idx3-ubyte", "t10k-labels.idx1-ubyte"),
        ),
        (
            ("train-images.idx3-ubyte.gz", "train-labels.idx1-ubyte.gz"),
            ("test-images.idx", "test-labels.idx"),
        ),
        (("Train_Images-idx3-ubyte", "Train_Labels-idx1-ubyte"), ("t10k_images.idx3", "t10k_labels.idx1")),
        (
            ("set-train-images-idx3-ubyte", "set-train-labels-idx1-ubyte"),
            ("set-test-images-idx3", "set-test-labels-idx1"),
        ),
        (("images-idx3-ubyte", "labels-idx1-ubyte"), ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")),
    ],
)
def test_own_idx_files_may_have_other_usual_names(tmp_path, train, test):
    images, labels = write_own(tmp_path / "MNIST" / "raw", train)
    test_images, _ = write_own(tmp_path / "MNIST" / "raw", test, count=12)
    dataset = load_dataset(f"folder:{tmp_path}")
    assert np.array_equal(dataset.train.images, images)
    assert np.array_equal(dataset.train.labels, labels)
    assert np.array_equal(dataset.test.images, test_images)


def test_own_idx_files_without_a_test_part_give_a_fifth_of_each_class(tmp_path):
    write_own(tmp_path, ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"))
    dataset = load_dataset(f"folder:{tmp_path}")
    assert np.bincount(dataset.train.labels).tolist() == [8] * 4
    assert np.bincount(dataset.test.labels).tolist() == [2] * 4
    assert dataset.test_drawn
    assert any("no test files" in note for note in dataset.notes)
    undivided = load_dataset(f"folder:{tmp_path}", draw_test=False)
    assert (len(undivided.train), len(undivided.test), undivided.test_drawn) == (40, 0, False)
    assert len(undivided.all_images) == len(dataset.all_images) == 40
    assert not undivided.notes


def test_own_idx_files_may_have_a_validation_part_or_a_test_part_alone(tmp_path):
    write_own(tmp_path / "a", ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"))
    write_own(tmp_path / "a", ("val-images-idx3-ubyte", "val-labels-idx1-ubyte"), count=8)
    assert len(load_dataset(f"folder:{tmp_path / 'a'}").validation) == 8
    write_own(tmp_path / "b", ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"))
    alone = load_dataset(f"folder:{tmp_path / 'b'}")
    assert (len(alone.train), len(alone.test)) == (0, 40)


def test_two_sets_in_one_folder_and_images_without_labels_are_refused(tmp_path):
    write_own(tmp_path, ("a-train-images-idx3-ubyte", "a-train-labels-idx1-ubyte"))
    write_own(tmp_path, ("b-train-images-idx3-ubyte", "b-train-labels-idx1-ubyte"))
    with pytest.raises(DataError, match=r"a-train-images.* and b-train-images.* are both the train images"):
        load_dataset(f"folder:{tmp_path}")
    for path in tmp_path.glob("b-*"):
        path.unlink()
    (tmp_path / "a-train-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="there are no train labels in"):
        load_dataset(f"folder:{tmp_path}")


def test_own_emnist_files_are_turned_as_the_published_ones(tmp_path):
    names = ("emnist-letters-train-images-idx3-ubyte", "emnist-letters-train-labels-idx1-ubyte")
    images, labels = write_own(tmp_path, names)
    write_idx(tmp_path / names[1], labels + np.uint8(1))
    write_own(tmp_path, tuple(name.replace("train", "test") for name in names))
    dataset = load_dataset(f"folder:{tmp_path}")
    assert np.array_equal(dataset.train.images, images.swapaxes(1, 2))
    assert any("transposed" in note for note in dataset.notes)
    assert any("the labels go from 1 to 4: there is no class 0" in note for note in dataset.notes)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32])
def test_one_hot_labels_are_read_as_their_column(here, dtype):
    data_dir, _, arrays = here
    one_hot = np.eye(10, dtype=dtype)[arrays["train", "labels"]]
    write_idx(data_dir / "mnist" / "train-labels-idx1-ubyte.gz", one_hot)
    dataset = load_dataset(f"folder:{data_dir / 'mnist'}")
    assert np.array_equal(dataset.train.labels, arrays["train", "labels"])
    assert any("train-labels-idx1-ubyte.gz is one-hot" in note for note in dataset.notes)


@pytest.mark.parametrize(
    "rows",
    [
        np.arange(60 * 8).reshape(60, 8).astype(np.int32) % 7,  # QMNIST's columns under another name
        np.ones((60, 10), np.uint8),
        np.zeros((60, 10), np.uint8),
        np.full((60, 10), 0.1, np.float32),
        np.eye(10, dtype=np.int32)[np.arange(60) % 10] * 2,
        np.zeros((60, 1), np.float32),
    ],
)
def test_other_labels_of_two_axes_are_refused_with_their_shape(here, rows):
    data_dir, _, _ = here
    write_idx(data_dir / "mnist" / "train-labels-idx1-ubyte.gz", rows)
    with pytest.raises(DataError, match=rf"labels of shape 60 x {rows.shape[1]}, which are no class numbers"):
        load_dataset(f"folder:{data_dir / 'mnist'}")


@pytest.mark.parametrize(
    ("name", "content", "what", "hint"),
    [
        ("mnist.npz", b"x", "is no data set that is known", "what is read"),
        ("cut.npz", b"PK\3\4x", "is a damaged file of NumPy", "what is read"),
        ("set.zip", b"PK\3\4x", "is a ZIP archive", "unpack it"),
        ("set.pt", b"x", "is a pickle, which can run any code", "np.savez"),
        ("thing", b"x", "is no data set that is known", "what is read"),
        ("page.csv", b"<html>,,</html>", "is no data set that is known", "what is read"),
    ],
)
@pytest.mark.parametrize("prefix", ["folder:", ""])
def test_a_file_that_is_no_set_is_named(tmp_path, name, content, what, hint, prefix):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=what) as caught:
        load_dataset(f"{prefix}{tmp_path / name}")
    assert caught.value.hint is None or hint in caught.value.hint
    with pytest.raises(DataError):
        load_dataset(f"{prefix}{tmp_path}")


@pytest.mark.parametrize("options", [{"size": 32}, {"size": (28, 20)}, {"colour": True}])
def test_published_sets_have_a_fixed_size_and_colours(here, options):
    data_dir, table, _ = here
    for name in ("mnist", "synthetic"):
        with pytest.raises(UsageError, match=f"the size and the colors of {re.escape(name)} are fixed"):
            load_dataset(name, data_dir, table=table, **options)
    for size in (28, (28, 28)):
        assert load_dataset("mnist", data_dir, table=table, size=size).input_shape == (1, 28, 28)


def test_pictures_get_the_size_and_colours_asked_for(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        for number in range(3):
            Image.new("RGB", (40, 30), (200, 10, 10)).save(tmp_path / name / f"{number}.png")
    assert load_dataset(f"folder:{tmp_path}").input_shape == (1, 28, 28)
    assert load_dataset(f"folder:{tmp_path}", size=(30, 40), colour=True).input_shape == (3, 30, 40)


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match="no data set is called 'fashion'") as caught:
        load_dataset("fashion")
    assert caught.value.hint == "did you mean 'fashion-mnist'?"
    with pytest.raises(UsageError, match="no data set is called 'zzz'") as caught:
        find_spec("zzz")
    assert all(name in caught.value.hint for name in [*DATASETS, "synthetic", "folder:PATH"])


def test_a_folder_that_is_not_there_is_said(tmp_path):
    assert not is_available(f"folder:{tmp_path / 'gone'}")
    with pytest.raises(DataError, match="there is no folder"):
        load_dataset(f"folder:{tmp_path / 'gone'}")


def test_the_built_in_set_is_always_available(tmp_path):
    assert is_available("synthetic", tmp_path)
    dataset = load_dataset("synthetic", tmp_path)
    assert dataset.input_shape == (1, 28, 28)
    assert dataset.classes == tuple("0123456789")


def test_pixel_statistics_are_those_of_all_pixels():
    images = np.random.default_rng(0).integers(0, 256, (2000, 28, 28), dtype=np.uint8)
    mean, std = pixel_statistics(images)
    assert mean == pytest.approx((images / 255).mean(), rel=1e-12)
    assert std == pytest.approx((images / 255).std(), rel=1e-12)


def test_the_shape_of_a_colour_image_has_its_colours_first():
    split = Split(np.zeros((2, 8, 6, 3), np.uint8), np.zeros(2, np.int64))
    assert Dataset("x", split, split, ("a", "b"), 0.0, 1.0).input_shape == (3, 8, 6)


@pytest.mark.parametrize("name", DATASETS)
def test_every_entry_of_the_table_is_complete_and_well_formed(name):
    spec = DATASETS[name]
    assert spec.name == name
    assert [(file.split, file.kind) for file in spec.files] == [
        ("train", "images"),
        ("train", "labels"),
        ("test", "images"),
        ("test", "labels"),
    ]
    assert len(set(spec.classes)) == len(spec.classes)
    letters = {"emnist-letters": 26, "emnist-balanced": 47, "emnist-bymerge": 47, "emnist-byclass": 62}
    assert len(spec.classes) == letters.get(name, 10)
    assert spec.title and spec.licence and spec.homepage and spec.mirrors
    for mirror in spec.mirrors:
        assert mirror.endswith("/") and urlsplit(mirror).scheme in ("http", "https")
    hashes = [spec.archive.published_hash] if spec.archive else []
    for images, labels in (spec.files[:2], spec.files[2:]):
        assert images.shape[0] == labels.shape[0]
        assert images.shape[1:] == (28, 28)
    for file in spec.files:
        assert file.name.endswith("-ubyte.gz") or file.name.endswith("-int.gz")
        if not spec.archive:
            assert file.published_hash
        hashes += [one for one in (file.content_hash, file.published_hash) if one]
    for one in hashes:
        assert re.fullmatch(r"sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}", one)
    assert len(set(hashes)) == len(hashes)
    assert (spec.mean is None) == (spec.std is None)


def test_the_real_mnist_loads_from_its_bare_folder(mnist_dir):
    dataset = load_dataset("mnist", mnist_dir)
    assert np.bincount(dataset.train.labels).tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949,
    ]  # fmt: skip
    assert (len(dataset.train), len(dataset.test), dataset.input_shape) == (60_000, 10_000, (1, 28, 28))
    mean, std = pixel_statistics(dataset.train.images)
    assert (round(mean, 4), round(std, 4)) == (dataset.mean, dataset.std)


def test_a_published_set_is_found_again_where_it_was_unless_the_user_says_otherwise(here, monkeypatch):
    data_dir, table, _ = here
    monkeypatch.chdir(data_dir.parent)
    recorded = set_path("mnist", data_dir.name, table=table)
    assert recorded == str(data_dir)
    monkeypatch.chdir("/")
    assert find_again("mnist", data_dir.name, recorded, table=table) == ("mnist", recorded)
    assert find_again("mnist", "data", recorded, moved_to="new", table=table) == ("mnist", "new")
    assert find_again("mnist", "data", "/gone", table=table) == ("mnist", "data")
    assert set_path("synthetic") is None
    assert find_again("synthetic", "data", None) == ("synthetic", "data")
