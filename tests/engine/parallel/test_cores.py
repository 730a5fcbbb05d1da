"""How many workers "auto" means, and what they are where processes are impossible."""

import multiprocessing
import os

import numpy as np
import pytest

from cnncli.engine.parallel import cores, started
from cnncli.engine.parallel.caller import FastExecutor
from cnncli.nn import build_network


def small_network():
    layers = [("conv", {"filters": 4, "kernel": 3}), ("relu", {}), ("flatten", {}), ("linear", {"units": 3})]
    return build_network(layers, (1, 8, 8), rng=np.random.default_rng(0))


def gradients(**options) -> tuple[bool, bytes]:
    """Return whether the workers are processes, and the gradients of one batch."""
    x = np.random.default_rng(1).random((12, 1, 8, 8), dtype=np.float32)
    with FastExecutor(small_network(), shards=2, workers=2, **options) as executor:
        executor.loss_and_gradients(x, np.arange(12) % 3)
        return executor.processes, executor.network.parameters.grads.tobytes()


@pytest.mark.parametrize(
    ("value", "workers"),
    [
        ("1", 1),
        ("3", 3),
        ("2,1", 2),
        (" 2 ", 2),
        ("64", 4),
        ("", 4),
        ("0", 4),
        ("-1", 4),
        ("many", 4),
        ("²", 4),
    ],
)
def test_omp_num_threads_lowers_the_number_of_workers(value, workers, monkeypatch):
    monkeypatch.setattr(cores, "available_processors", lambda: 4)
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert cores.default_workers() == workers


def test_omp_num_threads_does_not_change_the_shards(monkeypatch):
    monkeypatch.setattr(cores, "available_processors", lambda: 4)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert cores.default_shards() == 4


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity of processes")
def test_the_affinity_of_the_process_limits_the_workers(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert cores.default_workers() == 1
    finally:
        os.sched_setaffinity(0, before)


# threads of other tests may still be there, and since 3.12 Python warns about a fork beside threads
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_daemonic_process_has_threads_as_workers_and_the_same_gradients(forks, caplog):
    context = multiprocessing.get_context("fork")
    with context.Pool(1) as pool:
        processes, found = pool.apply(gradients)
    assert (processes, found) == (False, gradients()[1])
    assert gradients()[0]


def test_a_system_without_semaphores_has_threads_as_workers(monkeypatch, caplog):
    def refuse(*arguments):
        raise PermissionError(13, "Permission denied")

    expected = gradients()[1]
    monkeypatch.setattr(cores.semaphore_context(), "Semaphore", refuse)
    cores.has_semaphores.cache_clear()
    try:
        processes, found = gradients(pool="processes", start_method="fork")
    finally:
        cores.has_semaphores.cache_clear()
    assert (processes, found) == (False, expected)
    assert (
        "the workers are threads, which are slower than processes: this system offers no sem" in caplog.text
    )


@pytest.mark.parametrize(
    ("platform", "asked", "expected"),
    [
        ("linux", "auto", "fork"),
        ("darwin", "auto", "spawn"),
        ("win32", "auto", "spawn"),
        ("darwin", "forkserver", "forkserver"),
        ("linux", "spawn", "spawn"),
    ],
)
def test_auto_forks_where_that_is_safe_and_starts_new_interpreters_elsewhere(
    platform, asked, expected, monkeypatch
):
    monkeypatch.setattr(cores.sys, "platform", platform)
    assert cores.choose_start_method(asked) == expected


@pytest.mark.parametrize("asked", ["fork", "forkserver"])
def test_a_system_without_fork_starts_new_interpreters(asked, monkeypatch):
    monkeypatch.delattr(os, "fork", raising=False)
    assert cores.choose_start_method(asked) == "spawn"


def test_a_rank_of_an_mpi_program_has_threads_as_workers(monkeypatch, caplog):
    expected = gradients(start_method="spawn")
    monkeypatch.setenv("PMI_RANK", "1")
    assert gradients(pool="processes") == (False, expected[1])
    assert "this process was started by an MPI launcher, as PMI_RANK tells" in caplog.text


def test_a_program_that_is_no_interpreter_has_threads_as_workers(monkeypatch, caplog):
    monkeypatch.setattr(started, "get_executable", lambda: "")
    processes, found = gradients(pool="processes", start_method="spawn")
    assert (processes, found) == (False, gradients(pool="threads")[1])
    assert "not run by a Python interpreter" in caplog.text


def test_an_interpreter_that_does_not_start_leaves_threads_as_workers(monkeypatch, caplog):
    monkeypatch.setattr(started, "get_executable", lambda: "/no/python")
    assert not gradients(pool="processes", start_method="spawn")[0]
    assert "/no/python cannot be started" in caplog.text


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="this system has one kind of memory only")
def test_shared_memory_of_other_systems_has_no_name_either(monkeypatch):
    monkeypatch.delattr(os, "memfd_create")
    expected = gradients(start_method="fork")
    before = set(os.listdir("/dev/shm"))
    assert gradients(start_method="forkserver", pool="processes") == (True, expected[1])
    assert not [name for name in set(os.listdir("/dev/shm")) - before if name.startswith("cnn-")]
