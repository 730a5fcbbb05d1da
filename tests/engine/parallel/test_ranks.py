"""One training run in several processes of an MPI program: the weights of one process, and an end whatever dies."""

import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from cnncli.config.load import parse_config
from cnncli.engine.parallel import ranks
from cnncli.errors import UsageError
from cnncli.runs import Run
from cnncli.training.session import train_run

MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]]))
mpi = pytest.mark.skipif(
    not MPIEXEC or not find_spec("mpi4py"), reason="mpi4py or mpiexec is missing: pip install 'cnncli[mpi]'"
)
ROOT = Path(__file__).parents[3]
# the last batch has three images, fewer than there are shards
CONFIG = """
data: {dataset: synthetic, limit: 253, validation: 50, augment: [affine]}
model:
  - conv: {filters: 4, kernel: 5, stride: 2}
  - batchnorm
  - relu
  - flatten
  - dropout: 0.2
  - linear: 10
train: {epochs: 2, batch_size: 50, optimizer: {name: adam, lr: 3e-3}, average: ema, clip_norm: 0.5}
engine: {shards: 4}
"""


def start(count: int, folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """Start `cnn train` in several processes."""
    (folder / "few.yaml").write_text(CONFIG)
    # Open MPI wants to be asked before it runs as root, or with more processes than cores
    asked = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    environment = {
        **os.environ,
        **asked,
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
        "PYTHONPATH": str(ROOT),
        "CNNCLI_TEST_FOLDER": str(folder),
    }
    command = [
        str(MPIEXEC),
        "-n",
        str(count),
        sys.executable,
        "-m",
        "cnncli",
        "train",
        "few.yaml",
        "-q",
        "--no-plots",
    ]
    return subprocess.Popen(
        [*command, *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The SHA-256 of the weights that one process reaches."""
    run = Run(tmp_path_factory.mktemp("alone"))
    for _ in train_run(parse_config(CONFIG), run, plots=False):
        pass
    return str(run.read_info()["weights_sha256"])


@mpi
@pytest.mark.parametrize("count", [3, *(pytest.param(count, marks=pytest.mark.slow) for count in (2, 4))])
def test_several_processes_reach_the_weights_of_one(count: int, tmp_path: Path, alone: str) -> None:
    process = start(count, tmp_path, "--name", "several")
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert out.count("validation") == 1
    assert Run(tmp_path / "runs/several").read_info()["weights_sha256"] == alone
    assert os.listdir(tmp_path / "runs") == ["several"]


def rank_processes(folder: Path) -> dict[int, int]:
    """Return the process number of each rank that `start` started in a folder."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                lines = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            variables = dict(line.split(b"=", 1) for line in lines if b"=" in line)
            number = variables.get(b"PMI_RANK", variables.get(b"OMPI_COMM_WORLD_RANK"))
            # the launcher and its helpers have other words
            own = words[1:3] == [b"-m", b"cnncli"] and variables.get(b"CNNCLI_TEST_FOLDER") == bytes(folder)
            if own and number is not None:
                found[int(number)] = int(entry.name)
    return found


@mpi
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize("whom", ["rank 0", "rank 2", "launcher", "everyone, by Ctrl-C"])
def test_a_rank_or_the_launcher_that_dies_ends_all_and_the_run_can_be_resumed(
    whom: str, tmp_path: Path, alone: str
) -> None:
    process = start(3, tmp_path, "--name", "broken", "--epochs", "200", "--save-every", "1")
    run = Run(tmp_path / "runs/broken")
    while process.poll() is None and not run.last_path.exists():
        time.sleep(0.01)
    found = rank_processes(tmp_path)
    assert sorted(found) == [0, 1, 2]
    if whom == "everyone, by Ctrl-C":
        os.killpg(process.pid, signal.SIGINT)
    else:
        os.kill({"launcher": process.pid, "rank 0": found[0], "rank 2": found[2]}[whom], signal.SIGKILL)
    process.communicate(timeout=20)
    deadline = time.monotonic() + 5
    while (rank_processes(tmp_path) or run.status() == "running") and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not rank_processes(tmp_path)
    assert process.returncode == (130 if "Ctrl-C" in whom else process.returncode) != 0
    assert run.status() == ("interrupted" if "Ctrl-C" in whom else "interrupted (killed)")
    for _ in train_run(None, run, resume=True, epochs=4, plots=False):
        pass
    whole = Run(tmp_path / "whole")
    whole.path.mkdir()
    for _ in train_run(parse_config(CONFIG).with_overrides(["train.epochs=4"]), whole, plots=False):
        pass
    assert run.read_info()["weights_sha256"] == whole.read_info()["weights_sha256"]


@mpi
@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        (["engine.shards=1"], 2, "error: 3 ranks cannot share 1 shards"),
        (["data.dataset=no-such-set"], 2, "no-such-set"),
        (["train.optimizer={name: sgd, lr: 1e30}", "train.clip_norm=null"], 1, "a lower learning rate"),
    ],
)
def test_an_error_of_rank_0_ends_all_with_one_message(
    changes: list[str], code: int, words: str, tmp_path: Path
) -> None:
    process = start(3, tmp_path, *(word for change in changes for word in ("--set", change)))
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert err.count("error: ") == 1 and words in err


def test_ranks_without_mpi4py_are_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PMI_SIZE", "2")
    monkeypatch.setenv("PMI_RANK", "0")
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(UsageError, match="mpi4py cannot be loaded"):
        ranks.join_ranks()
    monkeypatch.setenv("PMI_RANK", "1")
    with pytest.raises(SystemExit):
        ranks.join_ranks()


@pytest.mark.parametrize("variables", [{}, {"PMI_RANK": "0", "PMI_SIZE": "1"}], ids=str)
def test_one_process_needs_no_mpi4py(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    assert ranks.join_ranks()
    assert ranks.current_ranks() is None
