"""A name becomes checked arrays, or an error that says what to type."""

import gzip
import re
from urllib.parse import urlsplit

import numpy as np
import pytest

from cnncli.data.dataset import Dataset, Split, pixel_statistics
from cnncli.data.load import is_available, load_dataset
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
    assert len(set(spec.classes)) == len(spec.classes) == 10
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
