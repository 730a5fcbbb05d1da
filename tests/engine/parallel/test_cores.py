"""How many workers "auto" means, and what they are where processes are impossible."""

import multiprocessing
import os

import numpy as np
import pytest

from cnncli.engine.parallel import cores
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
    monkeypatch.setattr(multiprocessing, "Semaphore", refuse)
    cores.has_semaphores.cache_clear()
    try:
        processes, found = gradients(pool="processes")
    finally:
        cores.has_semaphores.cache_clear()
    assert (processes, found) == (False, expected)
    assert (
        "the workers are threads, which are slower than processes: this system offers no sem" in caplog.text
    )
