"""Workers that die or fail, or whose caller dies: an error, never a hang, and no process stays."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from cnncli import engine
from cnncli.engine.parallel import early
from cnncli.engine.parallel.caller import FastExecutor
from cnncli.engine.parallel.fork_pool import ForkPool
from cnncli.engine.parallel.spawn_pool import SpawnPool
from cnncli.engine.parallel.worker_pool import InlinePool, ThreadPool
from cnncli.errors import DataError, ModelError, WorkerError
from cnncli.nn.build import build_network
from tests.engine.conftest import start_methods
from tests.engine.oracle import batch
from tests.engine.parallel.tasks import two_steps

MODEL = [("conv", {"filters": 4, "kernel": 3}), ("batchnorm", {}), ("flatten", {}), ("linear", {"units": 4})]
ROOT = Path(__file__).parents[3]
POOLS = {
    "fork": ForkPool,
    "spawn": partial(SpawnPool, method="spawn"),
    "forkserver": partial(SpawnPool, method="forkserver"),
}
EVERY_START = pytest.mark.parametrize("method", start_methods())


@pytest.fixture(scope="module")
def pools():
    """Pools of three workers, by what the workers are; each is made when it is first asked for."""
    made = {}

    def pool(kind):
        if kind not in made:
            made[kind] = {"threads": ThreadPool, **POOLS}[kind](3, two_steps)
        return made[kind]

    yield pool
    for each in made.values():
        each.close()


@pytest.mark.parametrize("kind", ["threads", *start_methods()])
@pytest.mark.parametrize("when", ["fail", "fail late"])
@pytest.mark.parametrize("worker", [0, 1, 2])
def test_an_error_of_any_worker_reaches_the_caller_and_the_pool_continues(kind, when, worker, pools):
    pool = pools(kind)
    pool.run("fine", 3)
    for _ in range(3):
        with pytest.raises(DataError, match=f"worker {worker} found"):
            pool.run((when, worker), 3)
        pool.run("fine", 3)
        pool.run("fine", 1)


@pytest.mark.parametrize("kind", ["threads", *start_methods()])
def test_a_defect_in_a_worker_comes_with_its_traceback(kind, pools):
    with pytest.raises(WorkerError, match="ValueError: a defect"):
        pools(kind).run(("break", 1), 2)
    pools(kind).run("fine", 3)


@EVERY_START
def test_a_worker_that_dies_is_an_error_and_the_others_are_stopped(method):
    pool = POOLS[method](3, two_steps)
    processes = list(pool._processes.values())
    with pytest.raises(WorkerError, match="died"):
        pool.run(("die", 1), 3)
    with pytest.raises(WorkerError, match="closed"):
        pool.run("fine", 3)
    pool.close()
    assert not any(process.is_alive() for process in processes)


@EVERY_START
def test_a_worker_killed_between_steps_is_an_error(method):
    network = build_network(MODEL, (1, 8, 8), rng=np.random.default_rng(0))
    x, labels = batch((1, 8, 8), 16, 4)
    executor = FastExecutor(network, workers=2, shards=2, pool="processes", start_method=method)
    executor.loss_and_gradients(x, labels)
    (process,) = executor._pool._processes.values()
    process.kill()
    with pytest.raises(WorkerError, match="died"):
        executor.loss_and_gradients(x, labels)
    executor.close()


@EVERY_START
def test_closing_leaves_no_process_and_the_network_stays_usable(method):
    network = build_network(MODEL, (1, 8, 8), rng=np.random.default_rng(0))
    x, labels = batch((1, 8, 8), 16, 4)
    with FastExecutor(network, workers=2, shards=2, pool="processes", start_method=method) as executor:
        executor.loss_and_gradients(x, labels)
        (process,) = executor._pool._processes.values()
        assert process.is_alive()
    assert not process.is_alive()
    assert np.isfinite(network.forward(x)).all()
    executor.close()


@pytest.mark.skipif(sys.platform == "win32", reason="there a signal ends a process")
@EVERY_START
def test_a_signal_to_the_whole_group_does_not_end_a_worker(method):
    pool = POOLS[method](2, two_steps)
    (process,) = pool._processes.values()
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(process.pid, number)
    pool.run("fine", 2)
    pool.close()


def test_workers_that_are_started_early_are_taken_and_the_others_end_with_the_program():
    engine.start_workers_early(workers=3, shards=4, start_method="spawn")
    first, second = early._early
    pool = SpawnPool(2, two_steps)
    assert list(pool._processes.values()) == [second]
    pool.run("fine", 2)
    pool.close()
    early.stop_early()
    assert not first.is_alive() and not early._early


@pytest.mark.parametrize("options", [{"workers": 1}, {"start_method": "fork"}, {"kind": "plain"}], ids=str)
def test_nothing_is_started_early_that_will_not_be_used(options):
    engine.start_workers_early(**{"workers": 2, "shards": 2, "start_method": "spawn", **options})
    assert not early._early


def test_an_error_of_the_caller_leaves_the_workers_in_step():
    network = build_network(MODEL, (1, 8, 8), rng=np.random.default_rng(0))
    x, labels = batch((1, 8, 8), 16, 4)
    with FastExecutor(network, workers=2, shards=2) as executor:
        first = executor.loss_and_gradients(x, labels)
        with pytest.raises(ModelError):
            executor.loss_and_gradients(x[:, :, 1:], labels)
        assert executor.loss_and_gradients(x, labels) == first


FORGETFUL = """
import os, sys, time
sys.path.insert(0, {root!r})
from functools import partial
from cnncli.engine.parallel.{module} import {pool}
from tests.engine.parallel.tasks import two_steps
pool = {pool}(3, two_steps{method})
pool.run("fine", 3)
print(*[process.pid for process in pool._processes.values()], flush=True)
time.sleep({seconds})
"""


def forgetful_program(folder, method, seconds):
    """Write a program that makes a pool and never closes it."""
    script = folder / "forgetful.py"
    module, pool, more = ("fork_pool", "ForkPool", "")
    if method != "fork":
        module, pool, more = ("spawn_pool", "SpawnPool", f", {method!r}")
    script.write_text(
        FORGETFUL.format(root=str(ROOT), module=module, pool=pool, method=more, seconds=seconds)
    )
    return [sys.executable, str(script)]


@EVERY_START
def test_a_program_that_forgets_to_close_still_ends_and_its_script_runs_once(tmp_path, method):
    done = subprocess.run(
        forgetful_program(tmp_path, method, 0), timeout=60, check=True, capture_output=True, text=True
    )
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes and memory in /proc")
@EVERY_START
@pytest.mark.parametrize("whom", ["caller", "group"])
def test_nothing_is_left_when_the_caller_or_the_whole_group_is_killed(tmp_path, method, whom):
    caller = subprocess.Popen(
        forgetful_program(tmp_path, method, 60), stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    pids = [int(pid) for pid in caller.stdout.readline().split()]
    assert len(pids) == 2
    names = _names_of_shared_memory([caller.pid, *pids])
    (os.kill if whom == "caller" else os.killpg)(caller.pid, signal.SIGKILL)
    caller.wait()
    caller.stdout.close()
    deadline = time.monotonic() + 20
    while any(_running(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(_running(pid) for pid in pids)
    assert not [name for name in names if os.path.exists(name)]


WITHOUT_A_GUARD = """
import sys
sys.path.insert(0, {root!r})
import numpy as np
import cnncli
network = cnncli.build_network([("flatten", {{}}), ("linear", {{"units": 3}})], (1, 8, 8), rng=np.random.default_rng(0))
with cnncli.compile(network, workers=2, shards=2, pool="processes", start_method="spawn") as executor:
    executor.loss_and_gradients(np.ones((4, 1, 8, 8), np.float32), np.arange(4) % 3)
    print("trained by processes:", executor.processes)
"""


@pytest.mark.parametrize("way", ["-c", "-"])
def test_a_program_without_a_file_trains_once(way):
    program = WITHOUT_A_GUARD.format(root=str(ROOT))
    arguments = {"args": [sys.executable, "-c", program], "stdin": subprocess.DEVNULL}
    if way == "-":
        arguments = {"args": [sys.executable, "-"], "input": program}
    done = subprocess.run(**arguments, timeout=60, check=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("trained by processes: True\n", "")


def _names_of_shared_memory(pids):
    """Return the files of shared memory that some processes have mapped and that have a name."""
    lines = [line for pid in pids for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
    paths = {line.split(maxsplit=5)[-1] for line in lines if "/dev/shm/" in line}
    return {path for path in paths if not path.endswith(" (deleted)")}


def _running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_single_worker_needs_no_pool():
    pool = InlinePool(1, two_steps)
    pool.run("fine", 1)
    with pytest.raises(DataError):
        pool.run(("fail late", 0), 1)
    pool.run("fine", 1)
    pool.close()
