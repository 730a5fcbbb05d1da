"""What a place where trials run has to do, and how a trial is started there."""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from cnncli.sweep.trial import DIVERGED, DONE, FAILED, IMPOSSIBLE, STOPPED

LOST = "lost"
"""The outcome of a trial whose process ended without a word: it was killed, or its machine is gone."""

OUTCOMES = (DONE, FAILED, IMPOSSIBLE, DIVERGED, STOPPED, LOST)

_FOREIGN = ("PMI", "PMIX", "OMPI", "MPI", "HYDI", "PRTE")
"""How variables start that would make a trial think that it is a rank of somebody else's job."""

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class Job(NamedTuple):
    """A trial to run.

    Attributes:
        number: of the trial.
        folder: its run folder, with a config.yaml; what is in it is continued.
        test: whether it measures on the test images at its end.
    """

    number: int
    folder: Path
    test: bool = False


class Ended(NamedTuple):
    """A trial that no longer runs.

    Attributes:
        number: of the trial.
        outcome: one of OUTCOMES.
        message: why, or None.
    """

    number: int
    outcome: str
    message: str | None = None


class Place(Protocol):
    """Runs trials, several at once. What a trial has reached is in its run folder, and only there.

    A place may run a trial on any machine that sees the folders of this one under the same paths.
    """

    slots: int
    """How many trials run at once."""

    def start(self, job: Job) -> None:
        """Start a trial."""
        ...

    def wait(self, seconds: float) -> list[Ended]:
        """Return the trials that have ended; wait so long for the first one."""
        ...

    def close(self) -> None:
        """Ask all trials to save and stop, and return when none runs any more."""
        ...


def trial_command(job: Job, workers: int) -> list[str]:
    """Return the arguments after the interpreter that run a trial."""
    return ["-m", "cnncli.sweep.trial", str(job.folder), str(workers), *(["test"] if job.test else [])]


def trial_environment(threads: int) -> dict[str, str]:
    """Return the environment of a trial: so many threads for each library, and this very package.

    Args:
        threads: that a library may use.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith(_FOREIGN)}
    package = str(Path(__file__).parents[3])
    paths = [package, *filter(None, [kept.get("PYTHONPATH")])]
    return {**kept, **dict.fromkeys(_THREADS, str(threads)), "PYTHONPATH": os.pathsep.join(paths)}


def read_outcome(number: int, output: bytes, code: int | None) -> Ended:
    """Return how a trial ended, from its standard output and its exit code."""
    lines = output.decode(errors="replace").splitlines()
    try:
        said: Any = json.loads(lines[-1])
        if said["outcome"] in OUTCOMES:
            return Ended(number, said["outcome"], said["message"])
    except (IndexError, ValueError, KeyError, TypeError):
        pass
    how = (
        "ended"
        if code is None
        else f"was killed by signal {-code}"
        if code < 0
        else f"ended with code {code}"
    )
    return Ended(number, LOST, f"the process {how}")
