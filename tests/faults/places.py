"""Full disks, folders without write permission, and mirrors that cut, lie and stall."""

import os
import random
import subprocess
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

from cnncli.checkpoint import load_checkpoint
from cnncli.data.download.fetch import download
from cnncli.errors import DownloadError
from cnncli.runs import Run

from .bounded import cnn
from .outcome import Outcome
from .training_runs import write_config


def full_disks(folder: Path, count: int) -> Outcome:
    """Train on a small tmpfs with a random amount of free space, so that any write can be the one that fails."""
    config = write_config(folder, epochs=3)
    dice, lost, ended, finished = random.Random(6), [], 0, 0
    disk = folder / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True, check=False
    ).returncode:
        return Outcome("a disk that is full", 0, "not tried: this system allows no mount")
    try:
        for number in range(count):
            runs = disk / f"runs-{number}"
            first = cnn(
                "train",
                "-c",
                str(config),
                "--runs-dir",
                str(runs),
                "--epochs",
                "1",
                "-q",
                "--no-plots",
                cwd=folder,
            )
            if first.code:
                raise RuntimeError(first.stderr)
            run = Run(runs / "run-1")
            free = os.statvfs(disk)
            room = dice.randrange(0, 160_000)
            (disk / "filler").write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - room)))
            done = cnn(
                "train", "--resume", "run-1", "--runs-dir", str(runs), "--epochs", "3", "-q", cwd=folder
            )
            (disk / "filler").unlink()
            ended += done.code == 1
            finished += done.code == 0
            if done.code not in (0, 1) or "Traceback" in done.stderr:
                lost.append(f"{room} bytes: exit code {done.code}, {done.stderr[-300:]!r}")
            if done.code == 1 and "space" not in done.stderr and "full" not in done.stderr:
                lost.append(f"{room} bytes: the message is {done.stderr[-300:]!r}")
            for path in (run.last_path, run.best_path):
                load_checkpoint(path)
            if done.code == 1:  # with room again it goes on
                again = cnn(
                    "train",
                    "--resume",
                    "run-1",
                    "--epochs",
                    "3",
                    "--runs-dir",
                    str(runs),
                    "-q",
                    "--no-plots",
                    cwd=folder,
                )
                if again.code or run.status() != "done":
                    lost.append(f"{room} bytes: the resume ended with {again.code}, {again.stderr[-300:]!r}")
            for path in sorted(runs.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    return Outcome(
        "a disk that is full after a random number of bytes",
        count,
        f"{ended} stopped with exit 1 and said why, {finished} had room enough; every old checkpoint loads, every run "
        "goes on once there is room",
        tuple(lost),
    )


def cut_downloads(folder: Path, count: int) -> Outcome:
    """Cut connections at random bytes; lie, stall and refuse in between."""
    os.environ["NO_PROXY"] = "127.0.0.1"
    from tests.data.download import mirror as web

    spec, files, _ = web.small_set(folder)
    dice, lost, cuts = random.Random(8), [], 0
    for number in range(count):
        with web.Mirror(files) as served:
            table = {spec.name: replace(spec, mirrors=(served.url,))}
            for name, body in files.items():
                faults = [web.cut(dice.randint(1, max(2, len(body) // 3))) for _ in range(dice.randint(1, 3))]
                if dice.random() < 0.3:
                    faults.insert(dice.randrange(len(faults)), web.status(503))
                if dice.random() < 0.2:
                    faults.append(web.ignoring_ranges)
                cuts += len(faults)
                served.plan(name, *faults)
            place = folder / f"data-{number}"
            for _ in range(5):  # a user types the command again
                try:
                    download(spec.name, place, table=table, limits=web.IMPATIENT, progress=False)
                    break
                except DownloadError:
                    continue
            found = {path.name: path.read_bytes() for path in (place / spec.name).iterdir()}
            if found != files:
                lost.append(f"download {number} has other files: {sorted(found)}")
    return Outcome(
        "downloads with connections cut at random bytes, refused and restarted",
        count,
        f"{cuts} faults; every file has the right content in the end, and nothing else is left",
        tuple(lost),
    )


def lying_mirrors(folder: Path, count: int) -> Outcome:
    """Serve a web page, other bytes, less or endlessly more under the name of a file."""
    os.environ["NO_PROXY"] = "127.0.0.1"
    from tests.data.download import mirror as web

    spec, files, _ = web.small_set(folder)
    dice, lost = random.Random(9), []
    lies = (
        web.page(b"<html>sign in</html>"),
        web.status(404),
        web.endless,
        web.announcing(1 << 40),
        web.stall(0),
    )
    for number in range(count):
        with web.Mirror(files) as served:
            table = {spec.name: replace(spec, mirrors=(served.url,))}
            lie = dice.choice(lies)
            for name in files:
                served.plan(name, *[lie] * 50)
            place = folder / f"lied-{number}"
            try:
                download(
                    spec.name, place, table=table, limits=replace(web.IMPATIENT, read=0.2), progress=False
                )
                lost.append(f"{lie} was believed")
            except DownloadError:
                pass
            kept = [
                path.name for path in (place / spec.name).glob("*") if path.suffix not in (".part", ".lock")
            ]
            if kept:
                lost.append(f"{lie} left {kept}")
    return Outcome(
        "mirrors with wrong content, that stall, or that never end",
        count,
        "nothing is kept under a file's name",
        tuple(lost),
    )


def eight_at_once(folder: Path, count: int) -> Outcome:
    """Download the same set from eight processes into one folder."""
    os.environ["NO_PROXY"] = "127.0.0.1"
    from tests.data.download import mirror as web

    spec, files, _ = web.small_set(folder)
    lost = []
    context = get_context("forkserver")
    for number in range(count):
        with web.Mirror(files) as served:
            one = replace(spec, mirrors=(served.url,))
            for name in files:
                served.plan(name, *[web.slowly] * 8)
            place = folder / f"shared-{number}"
            with ProcessPoolExecutor(8, mp_context=context) as pool:
                jobs = [pool.submit(web.fetch_in_a_process, one, place, None) for _ in range(8)]
                results = [job.result(60) for job in jobs]
            found = {path.name: path.read_bytes() for path in (place / spec.name).iterdir()}
            if results != [[web.sha256(files[file.name]) for file in spec.files]] * 8 or found != files:
                lost.append(f"round {number}: {sorted(found)}")
    return Outcome("eight downloads of one set at once", count, "one good copy each time", tuple(lost))
