"""Every form in which people have data sets is read as the same images and labels, or refused by name."""

import bz2
import gzip
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnncli.data.load import has_pictures, load_dataset
from cnncli.data.readers.idx import write_idx
from cnncli.data.reading import Reading
from cnncli.errors import DataError, UsageError

N, M = 60, 20
rng = np.random.default_rng(5)
X, TX = (np.pad(rng.integers(0, 256, (n, 24, 24)), ((0, 0), (2, 2), (2, 2))).astype(np.uint8) for n in (N, M))
Y, TY = np.arange(N) % 10, np.arange(M) % 10
PIXELS = ",".join(f"pixel{i}" for i in range(784))


def rows(images, labels=None, *, last=False):
    for position, row in enumerate(images.reshape(len(images), -1).tolist()):
        cells = list(map(str, row))
        if labels is not None:
            cells.insert(len(cells) if last else 0, str(labels[position]))
        yield ",".join(cells)


def png(image) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


def write_table(path: Path, lines, header: str | None = None, end: str = "\n"):
    content = end.join([*([header] if header else []), *lines]) + end
    path.write_bytes(gzip.compress(content.encode()) if path.suffix == ".gz" else content.encode())


def write_svm(path: Path, images, labels):
    lines = []
    for row, label in zip(images.reshape(len(images), -1).tolist(), labels, strict=True):
        lines.append(f"{label} " + " ".join(f"{i + 1}:{value:g}" for i, value in enumerate(row) if value))
    content = ("\n".join(lines) + "\n").encode()
    path.write_bytes(bz2.compress(content) if path.suffix == ".bz2" else content)


def write_tar(path: Path, members: dict[str, bytes]):
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def kaggle(here):
    write_table(here / "train.csv", rows(X, Y), f"label,{PIXELS}")
    write_table(here / "test.csv", rows(TX), PIXELS)
    (here / "sample_submission.csv").write_text("ImageId,Label\n1,0\n2,0\n")


def mnist_in_csv(here):
    write_table(here / "mnist_train.csv", rows(X, Y), end="\r\n")
    write_table(here / "mnist_test.csv.gz", rows(TX, TY))


def keras(here):
    np.savez_compressed(here / "mnist.npz", x_train=X, y_train=Y, x_test=TX, y_test=TY)


def medmnist(here):
    arrays = {"train": (X, Y), "val": (TX, TY), "test": (TX, TY)}
    np.savez(
        here / "pathmnist.npz",
        **{f"{k}_images": x for k, (x, _) in arrays.items()},
        **{f"{k}_labels": y[:, None] for k, (_, y) in arrays.items()},
    )


def kannada(here):
    for part, images, labels in (("train", X, Y), ("test", TX, TY)):
        np.savez(here / f"X_kannada_MNIST_{part}.npz", images)
        np.savez(here / f"y_kannada_MNIST_{part}.npz", labels)


def k49(here):
    for part, images, labels in (("train", X, Y), ("test", TX, TY)):
        np.savez(here / f"k49-{part}-imgs.npz", images)
        np.savez(here / f"k49-{part}-labels.npz", labels)
    (here / "k49_classmap.csv").write_text("index,codepoint,char\n0,U+3042,a\n1,U+3044,i\n")


def mnist_c(here):
    for name, array in (("train_images", X[..., None]), ("train_labels", Y)):
        np.save(here / f"{name}.npy", array)
    for name, array in (("test_images", TX[..., None]), ("test_labels", TY)):
        np.save(here / f"{name}.npy", array)


def floats(here):
    np.savez(here / "a.npz", train_x=X.reshape(N, -1) / 255, train_y=Y * 1.0, test_x=TX / 255, test_y=TY)


def minus_one_to_one(here):
    np.savez(here / "a.npz", train_x=X / 127.5 - 1, train_y=Y, test_x=TX / 127.5 - 1, test_y=TY)


def one_hot(here):
    np.savez(here / "a.npz", train_x=X, train_y=np.eye(10)[Y], test_x=TX, test_y=np.eye(10)[TY])


def images_last(here):
    np.savez(here / "a.npz", x_train=X.transpose(1, 2, 0), y_train=Y, x_test=TX.transpose(1, 2, 0), y_test=TY)


def libsvm(here):
    write_svm(here / "mnist.bz2", X, Y)
    write_svm(here / "mnist.t.bz2", TX, TY)


def emnist_mat(here):
    from scipy.io import savemat

    def part(images, labels):
        flat = images.swapaxes(1, 2).reshape(len(images), -1)
        return {"images": flat, "labels": labels[:, None], "writers": labels[:, None] + 500}

    content = {"train": part(X, Y), "test": part(TX, TY), "mapping": np.arange(20).reshape(10, 2)}
    savemat(here / "emnist-digits.mat", {"dataset": content}, do_compression=True)


def hdf5(here):
    import h5py

    with h5py.File(here / "usps.h5", "w") as file:
        for part, images, labels in (("train", X, Y), ("test", TX, TY)):
            file[f"{part}/data"] = (images / 255).reshape(len(images), -1).astype(np.float32)
            file[f"{part}/target"] = labels


def mat_73(here):
    import h5py

    with h5py.File(here / "set.mat", "w", userblock_size=512) as file:
        for name, array in (("train_x", X), ("train_y", Y), ("test_x", TX), ("test_y", TY)):
            stored = file.create_dataset(name, data=array.T)
            stored.attrs["MATLAB_class"] = np.bytes_("uint8")
    with open(here / "set.mat", "r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\2IM")


def webdataset(here):
    for part, images, labels in (("train", X, Y), ("test", TX, TY)):
        members = {}
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            # the key of a sample ends at the first dot
            picture = f"{i:04}.png" if i % 2 else f"{i:04}.input.png"
            members |= {picture: png(image), f"{i:04}.cls": str(label).encode()}
        write_tar(here / f"mnist-{part}-00000.tar", members)


def tar_of_folders(here):
    parts = (("training", X, Y), ("testing", TX, TY))
    write_tar(
        here / "mnist_png.tar.gz",
        {
            f"mnist_png/{part}/{label}/{i}.png": png(image)
            for part, images, labels in parts
            for i, (image, label) in enumerate(zip(images, labels, strict=True))
        },
    )


def parquet(here):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    features = {"label": {"names": [str(i) for i in range(10)], "_type": "ClassLabel"}}
    for part, images, labels in (("train", X, Y), ("test", TX, TY)):
        stored = [{"bytes": png(image), "path": None} for image in images]
        table = pa.table({"image": stored, "label": labels.tolist()})
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
        pq.write_table(table, here / f"{part}-00000-of-00001.parquet")


def arff(here):
    names = "".join(f"@ATTRIBUTE pixel{i} real\n" for i in range(784))
    for part, images, labels in (("train", X, Y), ("test", TX, TY)):
        head = f"% a comment\n@RELATION mnist_784\n\n{names}@ATTRIBUTE class {{0,1,2,3,4,5,6,7,8,9}}\n\n@DATA"
        write_table(here / f"{part}.arff", rows(images, labels, last=True), head)


def idx_by_other_names(here):
    for part, images, labels in (("train", X, Y), ("t10k", TX, TY)):
        write_idx(here / f"{part}.images", images)
        write_idx(here / f"{part}.labels.gz", labels.astype(np.uint8))


ALONE = (kaggle,)
"""Forms without test labels."""

FORMS: list[Callable[[Path], None]] = [
    kaggle,
    mnist_in_csv,
    keras,
    medmnist,
    kannada,
    k49,
    mnist_c,
    floats,
    minus_one_to_one,
    one_hot,
    images_last,
    libsvm,
    emnist_mat,
    hdf5,
    mat_73,
    webdataset,
    tar_of_folders,
    parquet,
    arff,
    idx_by_other_names,
]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_every_form_gives_the_same_images_and_labels(tmp_path, form):
    if form in (emnist_mat,):
        pytest.importorskip("scipy")
    if form in (hdf5, mat_73):
        pytest.importorskip("h5py")
    form(tmp_path)
    dataset = load_dataset(str(tmp_path), draw_test=form not in ALONE)
    assert dataset.classes == tuple(map(str, range(10)))
    order, test_order = (np.argsort(labels, kind="stable") for labels in (dataset.train.labels, TY))
    np.testing.assert_array_equal(dataset.train.labels[order], np.sort(Y))
    np.testing.assert_array_equal(dataset.train.images[order], X[np.argsort(Y, kind="stable")])
    if form not in ALONE:
        test = dataset.test
        np.testing.assert_array_equal(test.images[np.argsort(test.labels, kind="stable")], TX[test_order])
    if form is medmnist:
        assert len(dataset.validation) == M


@pytest.mark.parametrize("compressed", [False, True])
def test_a_single_file_is_a_set(tmp_path, compressed):
    name = "train.csv.gz" if compressed else "train.csv"
    write_table(tmp_path / name, rows(X, [*"ABCDEFGHIJ"] * 6), f"label,{PIXELS}")
    dataset = load_dataset(str(tmp_path / name))
    assert dataset.classes == tuple("ABCDEFGHIJ") and dataset.test_drawn
    assert (len(dataset.train), len(dataset.test)) == (48, 12)


@pytest.mark.parametrize("last", [False, True])
def test_without_a_header_the_label_is_the_end_that_varies(tmp_path, last):
    write_table(tmp_path / "a.csv", rows(X, Y, last=last))
    dataset = load_dataset(str(tmp_path / "a.csv"), draw_test=False)
    np.testing.assert_array_equal(dataset.train.images, X)
    np.testing.assert_array_equal(dataset.train.labels, Y)
    assert any("there is no header" in note for note in dataset.notes)


def test_a_gap_in_the_labels_is_no_class(tmp_path):
    kept = Y != 4
    write_table(tmp_path / "sign.csv", rows(X[kept], Y[kept]), f"label,{PIXELS}")
    dataset = load_dataset(str(tmp_path / "sign.csv"), draw_test=False)
    assert dataset.classes == tuple("012356789")
    assert [dataset.classes[label] for label in dataset.train.labels] == [str(label) for label in Y[kept]]


def test_one_file_per_class_is_named_by_its_file(tmp_path):
    for label, name in enumerate(["cat", "full_numpy_bitmap_dog"]):
        np.save(tmp_path / f"{name}.npy", X[label::2].reshape(-1, 784))
    dataset = load_dataset(str(tmp_path), draw_test=False)
    assert dataset.classes == ("cat", "dog")
    np.testing.assert_array_equal(dataset.train.images, np.concatenate([X[0::2], X[1::2]]))


def test_the_digits_of_svhn_and_usps_have_their_names(tmp_path):
    pytest.importorskip("scipy")
    from scipy.io import savemat

    ten = np.where(Y == 0, 10, Y)
    colours = np.repeat(np.pad(X, ((0, 0), (2, 2), (2, 2)))[..., None], 3, axis=3)
    savemat(tmp_path / "train_32x32.mat", {"X": colours.transpose(1, 2, 3, 0), "y": ten[:, None]})
    svhn = load_dataset(str(tmp_path), draw_test=False)
    np.testing.assert_array_equal(svhn.train.labels, Y)
    np.testing.assert_array_equal(svhn.train.images, colours)
    assert svhn.input_shape == (3, 32, 32)
    inside = X[:, 6:22, 6:22] / 127.5 - 1
    write_svm(tmp_path / "usps", inside + 0.0001, Y + 1)
    usps = load_dataset(str(tmp_path / "usps"), draw_test=False)
    np.testing.assert_array_equal(usps.train.labels, Y)
    assert usps.classes == tuple("0123456789") and usps.input_shape == (1, 16, 16)


@pytest.mark.parametrize("planes", [True, False])
def test_flat_colours_are_read_in_the_smoother_order(tmp_path, planes):
    ramp = np.add.outer(np.arange(32), np.arange(32)).astype(np.uint8)
    image = np.stack([ramp, 255 - ramp, np.full_like(ramp, 9)], axis=2)
    images = np.stack([image] * 20)
    flat = (images.transpose(0, 3, 1, 2) if planes else images).reshape(20, -1)
    np.savez(tmp_path / "a.npz", images=flat, labels=np.arange(20) % 2)
    np.testing.assert_array_equal(load_dataset(str(tmp_path / "a.npz"), draw_test=False).train.images, images)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": X, "labels": np.ones((N, 14), int)}, "multi-label"),
        ({"images": np.zeros((9, 28, 28, 28), np.uint8), "labels": Y[:9]}, "volumes"),
        ({"images": X, "labels": Y[:-1]}, "60 images, but there are 59 labels"),
        ({"images": X}, "no labels"),
        ({"images": X, "labels": Y + 0.5}, "no whole numbers"),
        ({"images": X * np.nan, "labels": Y}, "no finite numbers"),
        ({"images": X, "labels": Y * 0}, "only one label"),
        ({"a": X, "b": X, "labels": Y}, "which array holds the train images is not clear"),
        (
            {"images": X[:, :, :20].reshape(N, -1), "labels": Y},
            "560 values for each image, which is no square",
        ),
        ({"images": np.array([X[0], None], dtype=object), "labels": Y}, "Python objects"),
    ],
)
def test_what_is_not_clear_is_refused_by_name(tmp_path, arrays, message):
    np.savez(tmp_path / "set.npz", **arrays)
    with pytest.raises(DataError, match=message) as caught:
        load_dataset(str(tmp_path / "set.npz"))
    assert "set.npz" in caught.value.message


def test_keys_of_the_config_say_what_the_files_do_not(tmp_path):
    np.savez(tmp_path / "a.npz", one=X[:, :, 4:24].reshape(N, -1), two=X, truth=Y, other=Y)
    reading = Reading(images="one", labels="truth")
    dataset = load_dataset(str(tmp_path / "a.npz"), size=(28, 20), reading=reading, draw_test=False)
    np.testing.assert_array_equal(dataset.train.images, X[:, :, 4:24])
    reading = Reading(images="two", labels="other", transpose=True, invert=True)
    dataset = load_dataset(str(tmp_path / "a.npz"), reading=reading, draw_test=False)
    np.testing.assert_array_equal(dataset.train.images, 255 - X.swapaxes(1, 2))


def test_arrays_keep_their_size_unless_another_is_asked_for(tmp_path):
    np.savez(tmp_path / "a.npz", x=X[:, 2:26, 2:26], y=Y)
    assert load_dataset(str(tmp_path / "a.npz")).input_shape == (1, 24, 24)
    brought = load_dataset(str(tmp_path / "a.npz"), size=28, colour=True)
    assert brought.input_shape == (3, 28, 28)
    assert any("are brought to 28x28 color" in note for note in brought.notes)


def test_pictures_in_one_folder_are_labeled_by_name_or_table(tmp_path):
    for i in range(20):
        Image.fromarray(X[i]).save(tmp_path / f"{Y[i]}_{i}.png")
    with pytest.raises(DataError, match="no class folders") as caught:
        load_dataset(str(tmp_path))
    assert "labels_from" in caught.value.hint
    by_name = load_dataset(str(tmp_path), reading=Reading(labels_from="name"), draw_test=False)
    np.testing.assert_array_equal(by_name.train.labels, np.sort(Y[:20]))
    (tmp_path / "truth.csv").write_text("id,label\n" + "".join(f"{Y[i]}_{i},n{i % 2}\n" for i in range(19)))
    by_table = load_dataset(str(tmp_path), reading=Reading(labels_from="truth.csv"), draw_test=False)
    assert by_table.classes == ("n0", "n1") and len(by_table.train) == 19
    assert by_table.left_out == {"pictures without a label": 1}
    with pytest.raises(DataError, match=r"there is no table lost\.csv"):
        load_dataset(str(tmp_path), reading=Reading(labels_from="lost.csv"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("3,1,2", r"line 3 has 3 values, expected 785"),
        ("1," + ",".join(["x"] * 784), r"line 3, column 2: 'x' is no number"),
        ("1," + ",".join([""] * 784), r"line 3, column 2: a value is missing"),
    ],
)
def test_a_bad_row_of_a_table_is_named_by_its_line(tmp_path, line, message):
    write_table(tmp_path / "a.csv", [next(rows(X, Y)), line], f"label,{PIXELS}")
    with pytest.raises(DataError, match=message):
        load_dataset(str(tmp_path / "a.csv"))


def test_an_archive_member_outside_of_its_folder_is_refused(tmp_path):
    write_tar(tmp_path / "a.tar", {"../cat/1.png": png(X[0]), "dog/1.png": png(X[1])})
    with pytest.raises(DataError, match="outside of its folder"):
        load_dataset(str(tmp_path / "a.tar"))


def test_few_damaged_pictures_are_left_out_and_many_refuse_the_set(tmp_path):
    for i in range(200):
        folder = tmp_path / str(i % 2)
        folder.mkdir(exist_ok=True)
        Image.fromarray(X[i % N]).save(folder / f"{i}.png")
    (tmp_path / "0" / "broken.png").write_bytes(b"")
    dataset = load_dataset(str(tmp_path), draw_test=False)
    assert dataset.left_out == {"damaged pictures": 1} and len(dataset.train) == 200
    for i in range(4):
        (tmp_path / "0" / f"broken{i}.png").write_bytes(b"")
    with pytest.raises(DataError, match="broken"):
        load_dataset(str(tmp_path))


def test_a_pickle_is_refused_with_the_way_to_convert_it(tmp_path):
    (tmp_path / "set.bin").write_bytes(b"\x80\x04\x95more")
    with pytest.raises(DataError, match="can run any code") as caught:
        load_dataset(str(tmp_path / "set.bin"))
    assert "np.savez" in caught.value.hint


def test_what_holds_pictures_is_told_without_reading_them(tmp_path):
    keras(tmp_path)
    assert not has_pictures(str(tmp_path))
    tar_of_folders(tmp_path)
    assert has_pictures(str(tmp_path / "mnist_png.tar.gz"))
    with pytest.raises(DataError, match="several kinds"):
        load_dataset(str(tmp_path))


@pytest.mark.parametrize("key", ["images", "labels", "transpose", "invert", "labels_from"])
def test_a_published_set_takes_no_keys_of_reading(key):
    with pytest.raises(UsageError, match=f"data.{key} is for files of your own"):
        load_dataset("synthetic", reading=Reading(**{key: True if key in ("transpose", "invert") else "x"}))
