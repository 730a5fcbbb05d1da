"""Downloads against a real server on loopback that fails in the ways servers and networks do."""

import gzip
import io
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest

from cnncli.data.download.fetch import download
from cnncli.data.download.local_files import verify_dataset
from cnncli.data.load import load_dataset
from cnncli.data.registry import DATASETS
from cnncli.errors import DownloadError, StorageError, UsageError
from tests.data.download import mirror as web
from tests.data.download.mirror import IMPATIENT, Mirror, small_set

IMAGES = "train-images-idx3-ubyte.gz"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def published(tmp_path):
    return small_set(tmp_path)


@pytest.fixture
def served(published):
    spec, files, _ = published
    with Mirror(files) as mirror:
        yield replace(spec, mirrors=(mirror.url,)), mirror


def fetch(spec, data_dir, **options):
    options = {"limits": IMPATIENT, "progress": False, **options}
    return download(spec.name, data_dir, table={spec.name: spec}, **options)


def content(data_dir, name="mnist"):
    return {path.name: path.read_bytes() for path in (data_dir / name).iterdir()}


def test_every_file_arrives_under_its_published_name_and_nothing_else(served, tmp_path):
    spec, mirror = served
    paths = fetch(spec, tmp_path / "data")
    assert [path.name for path in paths] == [file.name for file in spec.files]
    assert content(tmp_path / "data") == mirror.files


def test_what_is_here_and_right_is_not_fetched_again(served, tmp_path):
    spec, mirror = served
    first = fetch(spec, tmp_path)
    mirror.seen.clear()
    assert fetch(spec, tmp_path) == first
    assert mirror.seen == []


def test_force_fetches_everything_again(served, tmp_path):
    spec, mirror = served
    fetch(spec, tmp_path)
    mirror.seen.clear()
    fetch(spec, tmp_path, force=True)
    assert sorted(mirror.seen) == sorted((name, None) for name in mirror.files)


def test_only_the_wrong_file_is_fetched_again(served, tmp_path):
    spec, mirror = served
    fetch(spec, tmp_path)
    (tmp_path / "mnist" / IMAGES).write_bytes(b"<html>")
    mirror.seen.clear()
    fetch(spec, tmp_path)
    assert mirror.seen == [(IMAGES, None)]
    assert content(tmp_path) == mirror.files


def test_a_cut_connection_goes_on_where_it_broke_off(served, tmp_path):
    spec, mirror = served
    mirror.plan(IMAGES, web.cut(10_000), web.cut(5_000))
    fetch(spec, tmp_path)
    assert mirror.ranges(IMAGES) == [None, "bytes=10000-", "bytes=15000-"]
    assert content(tmp_path) == mirror.files


def test_a_reset_connection_is_replaced(served, tmp_path):
    spec, mirror = served
    mirror.plan(IMAGES, web.cut(10_000, reset=True))
    fetch(spec, tmp_path)
    assert len(mirror.ranges(IMAGES)) == 2
    assert content(tmp_path) == mirror.files


@pytest.mark.parametrize("seed", range(6))
def test_cut_at_random_bytes_the_content_is_right_in_the_end(served, tmp_path, seed):
    spec, mirror = served
    dice = random.Random(seed)
    for name, body in mirror.files.items():
        cuts = [dice.randint(1, max(2, len(body) // 4)) for _ in range(dice.randint(1, 12))]
        mirror.plan(name, *(web.cut(after) for after in cuts))
    fetch(spec, tmp_path)
    assert content(tmp_path) == mirror.files


def test_a_hundred_cuts_of_one_file_are_survived(served, tmp_path):
    spec, mirror = served
    mirror.plan(IMAGES, *(web.cut(len(mirror.files[IMAGES]) // 101) for _ in range(100)))
    fetch(spec, tmp_path)
    assert len(mirror.ranges(IMAGES)) >= 101
    assert content(tmp_path) == mirror.files


def test_a_download_given_up_goes_on_with_the_next_call(served, tmp_path):
    spec, mirror = served
    mirror.plan(IMAGES, web.cut(20_000), *[web.status(503)] * 3)
    with pytest.raises(DownloadError, match="HTTP 503"):
        fetch(spec, tmp_path)
    assert [path.name for path in (tmp_path / "mnist").iterdir()] == [IMAGES + ".part"]
    mirror.seen.clear()
    fetch(spec, tmp_path)
    assert mirror.ranges(IMAGES) == ["bytes=20000-"]
    assert content(tmp_path) == mirror.files


def test_a_server_that_ignores_ranges_starts_the_file_again(served, tmp_path):
    spec, mirror = served
    mirror.plan(IMAGES, web.cut(10_000), web.ignoring_ranges)
    fetch(spec, tmp_path)
    assert mirror.ranges(IMAGES) == [None, "bytes=10000-"]
    assert content(tmp_path) == mirror.files


@pytest.mark.parametrize("answer", [web.status(416), web.another_range])
def test_a_range_that_cannot_be_had_starts_the_file_again(served, tmp_path, answer):
    spec, mirror = served
    mirror.plan(IMAGES, web.cut(10_000), answer)
    fetch(spec, tmp_path)
    assert mirror.ranges(IMAGES) == [None, "bytes=10000-", None]
    assert content(tmp_path) == mirror.files


def test_pieces_of_two_different_files_are_thrown_away_and_fetched_whole(served, tmp_path):
    spec, mirror = served
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / f"{IMAGES}.part").write_bytes(bytes(1000))
    fetch(spec, tmp_path)
    assert mirror.ranges(IMAGES) == ["bytes=1000-", None]
    assert content(tmp_path) == mirror.files


def test_a_part_file_that_is_already_whole_is_only_renamed(served, tmp_path):
    spec, mirror = served
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / f"{IMAGES}.part").write_bytes(mirror.files[IMAGES])
    fetch(spec, tmp_path)
    assert mirror.ranges(IMAGES) == []
    assert content(tmp_path) == mirror.files


FAULTS = {
    "missing": (web.status(404), "HTTP 404"),
    "forbidden": (web.status(403), "HTTP 403"),
    "web page": (web.page(b"<!DOCTYPE html><title>Sign in</title>"), "what it sent is a web page"),
    "empty": (web.page(b""), "what it sent is empty"),
    "another file": (
        web.page(gzip.compress(b"\0\0\x08\x01\0\0\0\x01\x07")),
        "holds 1 values, expected 60 x 28",
    ),
    "git lfs": (web.page(b"version https://git-lfs.github.com/spec/v1\n"), "Git LFS pointer"),
    "drip": (web.drip, "bytes per second"),
    "endless": (web.endless, "it sends more than"),
    "gigantic": (web.announcing(10**15), "it announces 1,000,000,000,000,000 bytes"),
    "circle": (web.redirect(f"/{IMAGES}"), "redirects in a circle"),
    "elsewhere": (web.redirect("http://127.0.0.1:9/gone"), "no connection"),
    "not http": (web.redirect("ftp://127.0.0.1/x"), "no request is possible"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_next_mirror_is_tried_and_the_reason_kept(published, tmp_path, fault):
    spec, files, _ = published
    behaviour, reason = FAULTS[fault]
    told = []
    with Mirror(files) as bad, Mirror(files) as good:
        bad.plan(IMAGES, *[behaviour] * 40)
        spec = replace(spec, mirrors=(bad.url, good.url))
        fetch(spec, tmp_path / "a", notify=told.append, limits=replace(IMPATIENT, read=0.3))
        assert content(tmp_path / "a") == files
        assert reason in told[0] and bad.url in told[0]
        rest = [name for name in files if name != IMAGES]
        assert [bad.ranges(name) for name in rest] == [[], [], []], "the mirror that worked comes first now"

        bad.plan(IMAGES, *[behaviour] * 40)
        with pytest.raises(DownloadError) as caught:
            fetch(replace(spec, mirrors=(bad.url,)), tmp_path / "b", limits=replace(IMPATIENT, read=0.3))
        assert reason in caught.value.message and f"{bad.url}{IMAGES}" in caught.value.message
        assert not list((tmp_path / "b" / "mnist").glob("*.gz")), "nothing wrong gets a final name"


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [(web.stall(0), "nothing came for 0.2 s"), (web.status(503), "HTTP 503"), (web.cut(0), "connection")],
)
def test_what_brings_nothing_is_retried_and_given_up(served, tmp_path, behaviour, reason):
    spec, mirror = served
    mirror.plan(IMAGES, *[behaviour] * 10)
    with pytest.raises(DownloadError, match=reason):
        fetch(spec, tmp_path, limits=replace(IMPATIENT, read=0.2, retries=2))
    assert len(mirror.ranges(IMAGES)) == 3


def test_a_stalled_connection_goes_on_in_another(served, tmp_path):
    spec, mirror = served
    mirror.plan(IMAGES, web.stall(7_000))
    fetch(spec, tmp_path, limits=replace(IMPATIENT, read=0.5))
    assert mirror.ranges(IMAGES) == [None, "bytes=7000-"]
    assert content(tmp_path) == mirror.files


def test_a_failing_server_is_asked_again(served, tmp_path):
    spec, mirror = served
    mirror.plan(IMAGES, web.status(503), web.status(500))
    fetch(spec, tmp_path)
    assert content(tmp_path) == mirror.files


def test_nobody_listening_is_said_without_retrying(published, tmp_path):
    spec, _, _ = published
    with pytest.raises(DownloadError, match=r"no connection: .*refused"):
        fetch(replace(spec, mirrors=("http://127.0.0.1:9/",)), tmp_path)


def test_a_redirect_is_followed(published, tmp_path):
    spec, files, _ = published
    with Mirror(files) as there, Mirror(files) as here:
        here.plan(IMAGES, web.redirect(there.url + IMAGES))
        fetch(replace(spec, mirrors=(here.url,)), tmp_path)
        assert there.ranges(IMAGES) == [None]
    assert content(tmp_path) == files


def test_an_answer_without_a_length_is_judged_by_its_content(served, tmp_path):
    spec, mirror = served
    mirror.plan(IMAGES, web.without_length)
    fetch(spec, tmp_path)
    assert content(tmp_path) == mirror.files


def test_a_flipped_bit_is_found(published, tmp_path):
    spec, files, _ = published
    raw = bytearray(gzip.decompress(files[IMAGES]))
    raw[5000] ^= 1
    with Mirror({**files, IMAGES: gzip.compress(raw)}) as mirror:
        with pytest.raises(DownloadError, match="wrong content: it hashes to sha256"):
            fetch(replace(spec, mirrors=(mirror.url,)), tmp_path)


def test_the_right_content_compressed_otherwise_is_accepted(published, tmp_path):
    spec, files, _ = published
    again = {name: gzip.compress(gzip.decompress(body), 1) for name, body in files.items()}
    with Mirror(again) as mirror:
        fetch(replace(spec, mirrors=(mirror.url,)), tmp_path)
    assert content(tmp_path) == again


def test_without_a_known_content_the_published_file_is_wanted(tmp_path):
    spec, files, _ = small_set(tmp_path, content_hashes=False)
    again = {name: gzip.compress(gzip.decompress(body), 1) for name, body in files.items()}
    with Mirror(again) as bad, Mirror(files) as good:
        with pytest.raises(DownloadError, match="is not the published file"):
            fetch(replace(spec, mirrors=(bad.url,)), tmp_path)
        fetch(replace(spec, mirrors=(bad.url, good.url)), tmp_path)
    assert content(tmp_path) == files
    assert all(
        "the published file" in report.detail
        for report in verify_dataset("mnist", tmp_path, table={"mnist": spec})
    )


def test_a_mirror_that_serves_unpacked_files_gives_raw_files(published, tmp_path):
    spec, files, _ = published
    raw = {name: gzip.decompress(body) for name, body in files.items()}
    with Mirror(raw) as mirror:
        paths = fetch(spec, tmp_path, source=mirror.url.rstrip("/"))
    assert [path.name for path in paths] == [name.removesuffix(".gz") for name in raw]
    assert {path.name + ".gz": path.read_bytes() for path in paths} == raw


def test_the_message_says_what_to_do_by_hand(published, tmp_path):
    spec, _, _ = published
    with pytest.raises(DownloadError) as caught:
        fetch(spec, tmp_path / "my data")
    assert caught.value.call == ("mnist", f"{tmp_path}/my data", "FOLDER")
    assert f"`download('mnist', '{tmp_path}/my data', source='FOLDER')`" in caught.value.hint
    assert all(file.name in caught.value.hint for file in spec.files)
    assert spec.homepage in caught.value.hint


def test_eight_processes_at_once_give_one_good_copy_fetched_once(served, tmp_path):
    spec, mirror = served
    for name in mirror.files:
        mirror.plan(name, *[web.slowly] * 8)
    processes = get_context("forkserver")
    processes.set_forkserver_preload(["cnncli.data.download.fetch"])  # imported once, not eight times
    with ProcessPoolExecutor(8, mp_context=processes) as pool:
        jobs = [pool.submit(web.fetch_in_a_process, spec, tmp_path / "data", None) for _ in range(8)]
        results = [job.result(60) for job in jobs]
    assert results == [[web.sha256(mirror.files[file.name]) for file in spec.files]] * 8
    assert content(tmp_path / "data") == mirror.files
    assert [len(mirror.ranges(name)) for name in mirror.files] == [1, 1, 1, 1]


def test_a_killed_download_blocks_nobody_and_is_gone_on_with(served, tmp_path):
    spec, mirror = served
    mirror.plan(IMAGES, web.stall(30_000))
    part = tmp_path / "mnist" / f"{IMAGES}.part"
    code = "import pickle, sys, mirror; mirror.fetch_in_a_process(*pickle.loads(sys.stdin.buffer.read()))"
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(web.__file__).parent), *sys.path])},
    )
    with child:
        child.stdin.write(pickle.dumps((spec, tmp_path, None)))
        child.stdin.close()
        while not (part.exists() and part.stat().st_size == 30_000):
            assert child.poll() is None
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
    fetch(spec, tmp_path)
    assert mirror.ranges(IMAGES) == [None, "bytes=30000-"]
    assert content(tmp_path) == mirror.files


def test_a_process_that_does_nothing_is_not_waited_for_for_ever(served, tmp_path):
    fcntl = pytest.importorskip("fcntl")
    spec, mirror = served
    (tmp_path / "mnist").mkdir()
    told = []
    with open(tmp_path / "mnist" / f"{IMAGES}.part", "wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        fetch(spec, tmp_path, limits=replace(IMPATIENT, waiting=0.2), notify=told.append)
        assert told == [f"another process is fetching {IMAGES}: waiting for it"]
        got = content(tmp_path)
        assert got.pop(f"{IMAGES}.part") == b""
        assert got == mirror.files


def test_a_full_disk_is_said_plainly(served, tmp_path):
    spec, _ = served
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / f"{IMAGES}.part").symlink_to("/dev/full")
    with pytest.raises(StorageError, match=f"cannot write .*{IMAGES}: the disk is full"):
        fetch(spec, tmp_path)


def test_a_data_folder_that_cannot_be_made_is_said_plainly(served, tmp_path):
    spec, _ = served
    (tmp_path / "file").write_text("")
    with pytest.raises(
        StorageError, match=r"cannot create the folder .*file/mnist: a part of that path is a file"
    ):
        fetch(spec, tmp_path / "file")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("progress", "terminal", "shown"), [(True, True, True), (False, True, False), (True, False, False)]
)
def test_the_bar_is_for_terminals_and_can_be_turned_off(
    served, tmp_path, monkeypatch, progress, terminal, shown
):
    spec, _ = served
    stderr = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    fetch(spec, tmp_path, progress=progress)
    assert ("train-images" in stderr.getvalue()) == shown
    assert bool(stderr.getvalue()) == shown


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("ftp://host/mnist", "cannot download from 'ftp://host/mnist'"),
        ("nowhere/at/all", "there is no such folder"),
    ],
)
def test_a_source_that_is_neither_folder_nor_web_address_is_refused(published, tmp_path, source, message):
    with pytest.raises(UsageError, match=message):
        fetch(published[0], tmp_path / "data", source=source)
    assert not (tmp_path / "data").exists()


def test_sets_without_files_are_not_downloaded(tmp_path):
    with pytest.raises(UsageError, match="made by this program"):
        download("synthetic", tmp_path)
    with pytest.raises(UsageError, match="no data set is called 'minst'") as caught:
        download("minst", tmp_path)
    assert caught.value.hint == "did you mean 'mnist'?"


def test_the_real_mnist_arrives_and_loads(mnist_dir, tmp_path):
    files = {file.name: (mnist_dir / file.name).read_bytes() for file in DATASETS["mnist"].files}
    dice = random.Random(1)
    with Mirror(files) as mirror:
        for name, body in files.items():
            mirror.plan(name, *(web.cut(dice.randint(1, len(body) // 8)) for _ in range(4)))
        download("mnist", tmp_path, source=mirror.url, limits=IMPATIENT, progress=False)
    assert content(tmp_path) == files
    assert {report.status for report in verify_dataset("mnist", tmp_path)} == {"ok"}
    assert load_dataset("mnist", tmp_path, splits=["test"]).test.labels[:5].tolist() == [7, 2, 1, 0, 4]
