"""Tells whether an MPI launcher has started this process, without MPI: by what launchers leave in the environment."""

import os

_RANKS = ("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "MPI_LOCALRANKID")
"""Set by the launchers of Open MPI, PMIx, MPICH and Intel MPI."""

_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE")


def launcher_variable() -> str | None:
    """Return the name of a variable that a launcher has set for this process; None if no launcher started it."""
    return next((name for name in _RANKS if name in os.environ), None)


def has_other_ranks() -> bool:
    """Return whether a launcher may have started further processes together with this one."""
    return launcher_variable() is not None and not any(os.environ.get(name) == "1" for name in _SIZES)


def is_first_rank() -> bool:
    """Return whether the launcher counts this process first, or does not tell."""
    return next((os.environ[name] for name in _RANKS if name in os.environ), "0") == "0"
