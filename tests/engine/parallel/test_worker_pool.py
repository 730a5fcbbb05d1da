"""Workers that die or fail, or whose caller dies: an error, never a hang, and no process stays."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from cnncli.engine.parallel.caller import FastExecutor
from cnncli.engine.parallel.process_pool import ProcessPool
from cnncli.engine.parallel.worker_pool import InlinePool, ThreadPool
from cnncli.errors import DataError, ModelError, WorkerError
from cnncli.nn.build import build_network
from tests.engine.oracle import batch

MODEL = [("conv", {"filters": 4, "kernel": 3}), ("batchnorm", {}), ("flatten", {}), ("linear", {"units": 4})]


def two_steps(worker, task):
    if task == ("fail", worker):
        raise DataError(f"worker {worker} found no data")
    if task == ("break", worker):
        raise ValueError("a defect")
    if task == ("die", worker):
        os.kill(os.getpid(), signal.SIGKILL)
    yield
    if task == ("fail late", worker):
        raise DataError(f"worker {worker} found no data")
    yield


@pytest.mark.parametrize("kind", [ThreadPool, ProcessPool])
@pytest.mark.parametrize("when", ["fail", "fail late"])
@pytest.mark.parametrize("worker", [0, 1, 2])
def test_an_error_of_any_worker_reaches_the_caller_and_the_pool_continues(kind, when, worker, forks):
    pool = kind(3, two_steps)
    pool.run("fine", 3)
    for _ in range(3):
        with pytest.raises(DataError, match=f"worker {worker} found"):
            pool.run((when, worker), 3)
        pool.run("fine", 3)
        pool.run("fine", 1)
    pool.close()


@pytest.mark.parametrize("kind", [ThreadPool, ProcessPool])
def test_a_defect_in_a_worker_comes_with_its_traceback(kind, forks):
    pool = kind(2, two_steps)
    with pytest.raises(WorkerError, match="ValueError: a defect"):
        pool.run(("break", 1), 2)
    pool.close()


def test_a_worker_that_dies_is_an_error_and_the_others_are_stopped(forks):
    pool = ProcessPool(3, two_steps)
    processes = list(pool._processes.values())
    with pytest.raises(WorkerError, match="died"):
        pool.run(("die", 1), 3)
    with pytest.raises(WorkerError, match="closed"):
        pool.run("fine", 3)
    pool.close()
    assert not any(process.is_alive() for process in processes)


def test_a_worker_killed_between_steps_is_an_error(forks):
    network = build_network(MODEL, (1, 8, 8), rng=np.random.default_rng(0))
    x, labels = batch((1, 8, 8), 16, 4)
    executor = FastExecutor(network, workers=2, shards=2, pool="processes")
    executor.loss_and_gradients(x, labels)
    (process,) = executor._pool._processes.values()
    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(WorkerError, match="died"):
        executor.loss_and_gradients(x, labels)
    executor.close()


def test_closing_leaves_no_process_and_the_network_stays_usable(forks):
    network = build_network(MODEL, (1, 8, 8), rng=np.random.default_rng(0))
    x, labels = batch((1, 8, 8), 16, 4)
    with FastExecutor(network, workers=2, shards=2, pool="processes") as executor:
        executor.loss_and_gradients(x, labels)
        (process,) = executor._pool._processes.values()
        assert process.is_alive()
    assert not process.is_alive()
    assert np.isfinite(network.forward(x)).all()
    executor.close()


def test_an_error_of_the_caller_leaves_the_workers_in_step():
    network = build_network(MODEL, (1, 8, 8), rng=np.random.default_rng(0))
    x, labels = batch((1, 8, 8), 16, 4)
    with FastExecutor(network, workers=2, shards=2) as executor:
        first = executor.loss_and_gradients(x, labels)
        with pytest.raises(ModelError):
            executor.loss_and_gradients(x[:, :, 1:], labels)
        assert executor.loss_and_gradients(x, labels) == first


def test_a_program_that_forgets_to_close_still_ends(tmp_path, forks):
    script = tmp_path / "forgetful.py"
    script.write_text(
        "from cnncli.engine.parallel.process_pool import ProcessPool\n"
        "def work(worker, task):\n"
        "    yield\n"
        "pool = ProcessPool(3, work)\n"
        "pool.run('fine', 3)\n"
    )
    assert subprocess.run([sys.executable, str(script)], timeout=60).returncode == 0


def test_workers_end_when_their_caller_is_killed(tmp_path, forks):
    script = tmp_path / "caller.py"
    script.write_text(
        "import os, time\n"
        "from cnncli.engine.parallel.process_pool import ProcessPool\n"
        "def work(worker, task):\n"
        "    yield\n"
        "pool = ProcessPool(3, work)\n"
        "pool.run('fine', 3)\n"
        "print(*[p.pid for p in pool._processes.values()], flush=True)\n"
        "time.sleep(60)\n"
    )
    caller = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    pids = [int(pid) for pid in caller.stdout.readline().split()]
    assert len(pids) == 2
    caller.kill()
    caller.wait()
    caller.stdout.close()
    deadline = time.monotonic() + 20
    while any(_running(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_running(pid) for pid in pids)


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
