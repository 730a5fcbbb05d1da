"""Files of a set that are on this machine: copied from a folder, taken out of a zip, and judged again."""

import gzip
import hashlib
import io
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from cnncli.data.download.fetch import download
from cnncli.data.download.local_files import verify_dataset
from cnncli.data.load import load_dataset
from cnncli.data.registry import DATASETS, Archive
from cnncli.errors import DownloadError, StorageError, UsageError
from tests.data.download.mirror import IMPATIENT, Mirror, cut, page, sha256, small_set

IMAGES = "train-images-idx3-ubyte.gz"
RAW = "train-images-idx3-ubyte"


@pytest.fixture
def published(tmp_path):
    return small_set(tmp_path)


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


def fill(folder, files):
    for name, body in files.items():
        (folder / name).write_bytes(body)


def fetch(spec, data_dir, **options):
    return download(spec.name, data_dir, limits=IMPATIENT, table={spec.name: spec}, **options)


def check(spec, data_dir):
    return {report.name: report for report in verify_dataset(spec.name, data_dir, table={spec.name: spec})}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_of_published_files_is_copied(published, source, tmp_path):
    spec, files, _ = published
    fill(source, files)
    paths = fetch(spec, tmp_path / "data", source=source)
    assert {path.name: path.read_bytes() for path in paths} == files
    assert names(tmp_path / "data" / "mnist") == sorted(files)


@pytest.mark.parametrize("dotted", [False, True])
def test_unpacked_files_are_copied_under_their_published_names(published, source, tmp_path, dotted):
    spec, files, _ = published
    for name, body in files.items():
        raw = name.removesuffix(".gz")
        (source / (raw.replace("-idx", ".idx") if dotted else raw)).write_bytes(gzip.decompress(body))
    paths = fetch(spec, tmp_path / "data", source=f"{source}/")
    assert [path.name for path in paths] == [name.removesuffix(".gz") for name in files]
    assert check(spec, tmp_path / "data")[IMAGES].status == "ok"


def test_a_folder_of_that_name_inside_comes_first(published, source, tmp_path):
    spec, files, _ = published
    fill(source, dict.fromkeys(files, b"the files of another set"))
    (source / "mnist").mkdir()
    fill(source / "mnist", files)
    fetch(spec, tmp_path / "data", source=source)
    assert check(spec, tmp_path / "data")[IMAGES].status == "ok"


def test_a_file_address_is_a_folder(published, source, tmp_path):
    spec, files, _ = published
    fill(source, files)
    fetch(spec, tmp_path / "data", source=source.as_uri())
    assert names(tmp_path / "data" / "mnist") == sorted(files)


def test_files_may_already_lie_where_they_belong(published, tmp_path):
    spec, files, _ = published
    (tmp_path / "data" / "mnist").mkdir(parents=True)
    fill(tmp_path / "data" / "mnist", files)
    fetch(spec, tmp_path / "data", source=tmp_path / "data", force=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "data" / "mnist").iterdir()} == files


def test_what_is_missing_in_the_folder_is_named(published, source, tmp_path):
    spec, files, _ = published
    fill(source, {name: body for name, body in files.items() if name != IMAGES})
    with pytest.raises(DownloadError, match=f"holds no {IMAGES} or {RAW}"):
        fetch(spec, tmp_path / "data", source=source)


def test_a_wrong_file_in_the_folder_is_named_and_not_copied(published, source, tmp_path):
    spec, files, _ = published
    fill(source, {**files, IMAGES: files[IMAGES][:-100]})
    with pytest.raises(DownloadError, match=f"source/{IMAGES} is a truncated gzip file"):
        fetch(spec, tmp_path / "data", source=source)
    assert names(tmp_path / "data" / "mnist") == []


def test_a_right_raw_file_takes_the_place_of_a_wrong_gzipped_one(published, source, tmp_path):
    spec, files, _ = published
    folder = tmp_path / "data" / "mnist"
    folder.mkdir(parents=True)
    fill(folder, {**files, IMAGES: b"<html>"})
    (source / RAW).write_bytes(gzip.decompress(files[IMAGES]))
    fetch(spec, tmp_path / "data", source=source)
    assert RAW in names(folder) and IMAGES not in names(folder)
    assert check(spec, tmp_path / "data")[IMAGES].status == "ok"


def test_a_bare_mnist_folder_needs_no_download_and_is_never_written(published, source):
    spec, files, _ = published
    fill(source, files)
    assert [path.parent for path in fetch(spec, source)] == [source] * 4
    assert names(source) == sorted(files)


def test_a_wrong_file_in_a_bare_folder_is_left_to_its_owner(published, tmp_path, source):
    spec, files, _ = published
    bare = tmp_path / "bare"
    bare.mkdir()
    fill(bare, {**files, IMAGES: b"<html>"})
    fill(source, files)
    paths = fetch(spec, bare, source=source)
    assert [path.parent for path in paths] == [bare / "mnist"] * 4
    assert (bare / IMAGES).read_bytes() == b"<html>"


def test_verify_tells_whole_missing_and_wrong_files_apart(published, tmp_path):
    spec, files, _ = published
    folder = tmp_path / "mnist"
    folder.mkdir()
    labels, test_images, test_labels = list(files)[1:]
    fill(
        folder, {IMAGES: files[IMAGES], test_images: b"<html><body>404", test_labels: files[test_labels][:-3]}
    )
    reports = check(spec, tmp_path)
    assert list(reports) == list(files)
    assert (reports[IMAGES].status, reports[IMAGES].path) == ("ok", folder / IMAGES)
    assert reports[IMAGES].detail.startswith("content hashes to sha256:")
    assert (reports[labels].status, reports[labels].path) == ("missing", None)
    assert reports[test_images].status == reports[test_labels].status == "wrong content"
    assert reports[test_images].detail == "is a web page (HTML), not an IDX file"
    assert reports[test_labels].detail.startswith("is a truncated gzip file")


def test_verify_finds_a_flipped_bit_and_changes_nothing(published, tmp_path):
    spec, files, _ = published
    (tmp_path / "mnist").mkdir()
    raw = bytearray(gzip.decompress(files[IMAGES]))
    raw[-1] ^= 1
    (tmp_path / "mnist" / RAW).write_bytes(raw)
    assert check(spec, tmp_path)[IMAGES].status == "wrong content"
    assert (tmp_path / "mnist" / RAW).read_bytes() == raw


def test_verify_is_honest_where_no_hash_is_known(tmp_path):
    spec, files, _ = small_set(tmp_path, content_hashes=False)
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / RAW).write_bytes(gzip.decompress(files[IMAGES]))
    report = check(spec, tmp_path)[IMAGES]
    assert (report.status, report.detail) == ("ok", "shape, length and values are right; no hash is known")


def test_verify_wants_a_set_with_files(tmp_path):
    with pytest.raises(UsageError, match="made by this program"):
        verify_dataset("synthetic", tmp_path)


def zipped(files):
    """The files in a folder of a zip, among others."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in files.items():
            archive.writestr(f"inside/{name}", body)
        archive.writestr("inside/another-set-ubyte.gz", bytes(1000))
    return packed.getvalue()


def in_a_zip(spec, content, **fields):
    packed = zipped(content)
    hashed = "md5:" + hashlib.md5(packed).hexdigest()
    return packed, replace(spec, archive=Archive("all.zip", "inside", hashed, max_bytes=1 << 20), **fields)


def test_a_set_inside_a_zip_is_fetched_once_unpacked_and_the_zip_removed(published, tmp_path):
    packed, spec = in_a_zip(published[0], published[1])
    with Mirror({"all.zip": packed}) as mirror:
        mirror.plan("all.zip", cut(20_000), cut(20_000))
        fetch(replace(spec, mirrors=(mirror.url,)), tmp_path)
        assert mirror.ranges("all.zip") == [None, "bytes=20000-", "bytes=40000-"]
    assert {path.name: path.read_bytes() for path in (tmp_path / "mnist").iterdir()} == published[1]


def test_a_zip_in_a_folder_is_unpacked_and_kept(published, source, tmp_path):
    packed, spec = in_a_zip(published[0], published[1])
    (source / "all.zip").write_bytes(packed)
    fetch(spec, tmp_path / "data", source=source)
    assert names(tmp_path / "data" / "mnist") == sorted(published[1])
    assert names(source) == ["all.zip"]


def test_unpacked_files_of_a_zip_are_copied_as_well(published, source, tmp_path):
    _, spec = in_a_zip(published[0], published[1])
    fill(source, published[1])
    fetch(spec, tmp_path / "data", source=source)
    assert names(tmp_path / "data" / "mnist") == sorted(published[1])


def test_another_zip_than_the_published_one_is_refused(published, source, tmp_path):
    packed, spec = in_a_zip(published[0], published[1])
    (source / "all.zip").write_bytes(packed[:-1] + b"x")
    with pytest.raises(DownloadError, match=r"is not the published all\.zip: it hashes to md5:"):
        fetch(spec, tmp_path / "data", source=source)
    with Mirror({"all.zip": packed}) as mirror:
        mirror.plan("all.zip", page(b"<html>no such file</html>"))
        with pytest.raises(DownloadError, match=r"no mirror gave all\.zip of MNIST") as caught:
            fetch(replace(spec, mirrors=(mirror.url,)), tmp_path / "data")
    assert "fetch all.zip by hand" in caught.value.hint


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (None, f"holds no inside/{IMAGES}"),
        (bytes(1 << 20), r"is larger than [0-9,]+ bytes"),
        (b"<html>", "is a web page"),
        (gzip.compress(b"\0\0\x08\x01\0\0\0\x01\x07", mtime=0), "holds 1 values, expected 60 x 28 x 28"),
    ],
)
def test_a_wrong_file_inside_a_zip_is_refused(published, source, tmp_path, changed, message):
    content = {name: body for name, body in published[1].items() if name != IMAGES}
    packed, spec = in_a_zip(published[0], {**content, **({IMAGES: changed} if changed else {})})
    (source / "all.zip").write_bytes(packed)
    with pytest.raises(DownloadError, match=message):
        fetch(spec, tmp_path / "data", source=source)
    assert names(tmp_path / "data" / "mnist") == []


@pytest.mark.parametrize("broken", [b"PK not really", b""])
def test_what_is_no_zip_is_refused(published, source, tmp_path, broken):
    _, spec = in_a_zip(published[0], published[1])
    spec = replace(spec, archive=replace(spec.archive, published_hash=None))
    (source / "all.zip").write_bytes(broken)
    with pytest.raises(DownloadError, match=r"all\.zip cannot be unpacked"):
        fetch(spec, tmp_path / "data", source=source)


def test_transposed_images_are_stood_up_when_they_are_loaded(tmp_path, source):
    spec, files, arrays = small_set(tmp_path, name="emnist", transposed=True)
    fill(source, files)
    fetch(spec, tmp_path / "data", source=source)
    images = load_dataset("emnist", tmp_path / "data", table={"emnist": spec}).train.images
    assert np.array_equal(images, arrays["train", "images"].transpose(0, 2, 1))
    assert images.flags.c_contiguous


def test_a_full_disk_is_said_plainly(published, source, tmp_path):
    spec, files, _ = published
    fill(source, files)
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(StorageError, match="a part of that path is a file"):
        fetch(spec, tmp_path / "data", source=source)


def test_the_real_files_are_copied_and_verified(mnist_dir, tmp_path):
    paths = download("mnist", tmp_path, source=mnist_dir)
    assert [path.name for path in paths] == [file.name for file in DATASETS["mnist"].files]
    published = {file.name: file.published_hash for file in DATASETS["mnist"].files}
    labels = tmp_path / "mnist" / "train-labels-idx1-ubyte.gz"
    assert "md5:" + hashlib.md5(labels.read_bytes()).hexdigest() == published[labels.name]
    assert {report.status for report in verify_dataset("mnist", tmp_path)} == {"ok"}


def test_the_hashes_of_these_tests_are_those_of_the_files(published):
    spec, files, _ = published
    assert [file.published_hash for file in spec.files] == [sha256(body) for body in files.values()]
