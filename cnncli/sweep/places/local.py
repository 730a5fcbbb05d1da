"""Runs trials on this machine, each in a process of its own with its share of the processors."""

import subprocess
import sys
import time
from contextlib import suppress

from cnncli.processors import available_processors
from cnncli.sweep.places.place import (
    Ended,
    Job,
    read_outcome,
    trial_command,
    trial_environment,
)

_LOOK_EVERY = 0.02
_PATIENCE = 60.0
"""Seconds that trials get to save before they are killed."""


class LocalPlace:
    """Processes on this machine.

    Args:
        jobs: how many run at once; None for one on each processor.
    """

    def __init__(self, jobs: int | None = None) -> None:
        processors = available_processors()
        self.slots = processors if jobs is None else jobs
        self.workers = max(processors // self.slots, 1)
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, job: Job) -> None:
        self._processes[job.number] = subprocess.Popen(
            [sys.executable, *trial_command(job, self.workers)],
            # the trial ends when this pipe does, which is when this process is gone
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=trial_environment(1),
            # Ctrl-C is for this process alone, which then ends the trials in order
            start_new_session=True,
        )

    def wait(self, seconds: float) -> list[Ended]:
        until = time.monotonic() + seconds
        while True:
            ended = [self._end(number) for number in list(self._processes) if self._is_over(number)]
            if ended or time.monotonic() >= until:
                return ended
            time.sleep(_LOOK_EVERY)

    def close(self) -> None:
        for process in self._processes.values():
            with suppress(OSError):
                assert process.stdin is not None
                process.stdin.close()
        until = time.monotonic() + _PATIENCE
        for number, process in list(self._processes.items()):
            try:
                process.wait(max(until - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            self._end(number)

    def _is_over(self, number: int) -> bool:
        return self._processes[number].poll() is not None

    def _end(self, number: int) -> Ended:
        process = self._processes.pop(number)
        assert process.stdin is not None and process.stdout is not None
        with suppress(OSError):
            process.stdin.close()
        with process.stdout:
            output = process.stdout.read()
        return read_outcome(number, output, process.returncode)
