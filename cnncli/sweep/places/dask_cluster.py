"""Runs trials on the workers of a Dask cluster that see the same folders as this machine.

A worker starts each trial as a process of its own, as this machine does, because workers of Dask may not have children
of `multiprocessing`. The process ends when its worker is gone, because its standard input ends. Dask then gives the
trial to another worker, where it waits for the lock of the run folder and goes on from the last checkpoint. After a few
dead workers Dask gives a trial up, whatever the reason; then it is submitted again, as long as it makes progress.
"""

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from cnncli.errors import CnnError, UsageError
from cnncli.sweep.places.place import LOST, Ended, Job, read_outcome, trial_command, trial_environment
from cnncli.sweep.trial import STOP_FILE

_CONNECT_SECONDS = 15
_LOOK_EVERY = 0.05
_PATIENCE = 60.0
"""Seconds that trials get to save at the end."""


def require_package() -> None:
    """Refuse a cluster if the package for it is missing.

    Raises:
        UsageError: distributed is not installed.
    """
    from importlib.util import find_spec

    if find_spec("distributed") is None:
        raise UsageError(
            "trials on a Dask cluster need distributed, which is not installed",
            'install the extra, here and on the workers: pip install "cnncli[dask]"',
        )


class DaskPlace:
    """The workers of a Dask cluster.

    Args:
        address: of its scheduler, HOST:PORT.
        jobs: trials at once; None for one on each thread of a worker.

    Raises:
        UsageError: distributed is not installed.
        CnnError: no scheduler answers there, or it has no workers.
    """

    def __init__(self, address: str, jobs: int | None = None) -> None:
        require_package()
        import distributed

        client: Any = distributed.Client
        try:
            self._client: Any = client(
                f"tcp://{address}" if "://" not in address else address,
                timeout=_CONNECT_SECONDS,
                set_as_default=False,
            )
        except (OSError, ValueError) as error:
            raise CnnError(
                f"no Dask scheduler answers at {address}: {error}",
                "start one: dask scheduler; and workers: dask worker HOST:PORT",
            ) from None
        workers = self._client.scheduler_info(n_workers=-1)["workers"]
        if not workers:
            self._client.close()
            raise CnnError(
                f"the Dask scheduler at {address} has no workers",
                f"start some: dask worker {address}",
            )
        self.slots = sum(worker["nthreads"] for worker in workers.values()) if jobs is None else jobs
        self._address = address
        self._seen = time.monotonic()
        self._futures: dict[int, Any] = {}
        self._jobs: dict[int, Job] = {}

    def start(self, job: Job) -> None:
        self._jobs[job.number] = job
        self._futures[job.number] = self._client.submit(
            run_on_worker,
            str(job.folder.absolute()),
            os.getcwd(),
            job.test,
            job.number,
            key=f"{job.folder.parent.name}-{job.folder.name}-{os.getpid()}-{time.monotonic_ns()}",
            pure=False,
            retries=0,
        )

    def wait(self, seconds: float) -> list[Ended]:
        until = time.monotonic() + seconds
        while True:
            over = [number for number, future in self._futures.items() if _is_over(future)]
            self._check_scheduler()
            if over or time.monotonic() >= until:
                return [self._end(number) for number in over]
            time.sleep(_LOOK_EVERY)

    def close(self) -> None:
        for job in self._jobs.values():
            with suppress(OSError):
                (job.folder / STOP_FILE).touch()
        until = time.monotonic() + (_PATIENCE if self._client.status == "running" else 0.0)
        while time.monotonic() < until and not all(map(_is_over, self._futures.values())):
            time.sleep(_LOOK_EVERY)
        with suppress(Exception):
            self._client.cancel(list(self._futures.values()), force=True)
        self._futures.clear()
        self._client.close()

    def _check_scheduler(self) -> None:
        """Raise CnnError if the scheduler is gone and does not come back."""
        now = time.monotonic()
        if self._client.status == "running":
            self._seen = now
        elif self._client.status == "closed" or now - self._seen > _CONNECT_SECONDS:
            raise CnnError(
                f"the Dask scheduler at {self._address} is gone",
                "finished trials are kept; start it again, and go on with the same command",
            )

    def _end(self, number: int) -> Ended:
        future = self._futures.pop(number)
        del self._jobs[number]
        try:
            output, code = future.result()
            return read_outcome(number, output, code)
        except Exception as error:  # the cluster's own: workers that died, a scheduler that is gone
            return Ended(number, LOST, f"{type(error).__name__} on the cluster: {_first_line(error)}")
        finally:
            future.release()


def run_on_worker(folder: str, home: str, test: bool, number: int) -> tuple[bytes, int]:
    """Run a trial in a process of this worker, and return its standard output and its exit code.

    Args:
        folder: the run folder.
        home: the working folder, where relative paths of the config start.
        test: measure on the test images at the end.
        number: of the trial.
    """
    process = subprocess.Popen(
        [sys.executable, *trial_command(Job(number, Path(folder), test), 1)],
        stdin=subprocess.PIPE,  # it ends with this worker, and then the trial does, too
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=trial_environment(1),
        cwd=home,
        start_new_session=True,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        # not `communicate`, which would close standard input first
        with process.stdout:
            output = process.stdout.read()
        return output, process.wait()
    finally:
        with suppress(OSError):
            process.stdin.close()


def _is_over(future: Any) -> bool:
    """Return whether a task has ended, or was forgotten by the scheduler."""
    return future.done() or future.status in ("lost", "cancelled")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:200]
