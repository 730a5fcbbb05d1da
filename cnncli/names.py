"""Finds what a user means by a name: an exact match, else a unique prefix, else a similar name for a hint."""

from collections.abc import Sequence
from pathlib import Path

LEAST_BEGINNING = 3
"""With so many letters the only name that begins with a word is the one that was meant."""


def matching(text: str, names: Sequence[str]) -> list[str]:
    """Return the names that a text can stand for: the exact match alone, else all that begin with it.

    Example:
        >>> matching("run-1", ["run-1", "run-12"]), matching("run", ["run-1", "run-12"])
        (['run-1'], ['run-1', 'run-12'])
    """
    return [text] if text in names else [name for name in names if name.startswith(text)]


def did_you_mean(word: str, known: Sequence[str], kind: str = "") -> str | None:
    """Return a hint such as "did you mean 'maxpool'?"; when no name is close, a list of all known ones.

    Args:
        word: as the user wrote it.
        known: the possible names.
        kind: what they name, "layer" for example: words of Keras and PyTorch for these are known too.

    Example:
        >>> did_you_mean("max_pool", ["conv", "maxpool"])
        "did you mean 'maxpool'?"
    """
    # a command without a mistake starts faster without these
    from difflib import get_close_matches

    from cnncli.foreign_words import translated

    if hint := translated(word, kind, known):
        return hint
    begun = [name for name in known if len(word) >= LEAST_BEGINNING and name.startswith(word)]
    near = begun if len(begun) == 1 else get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f"did you mean '{near[0]}'?"
    return "known: " + ", ".join(known) if known else None


def user_path(text: str) -> Path:
    """Return the path that a user means, with the home folder in place of a leading `~`.

    A shell replaces only a `~` that begins a word, and so neither the one in `--runs-dir=~/runs` nor one in a config.

    Example:
        >>> user_path("runs/run-3").as_posix()
        'runs/run-3'
    """
    try:
        return Path(text).expanduser()
    except RuntimeError:  # there is no such user, so it is the name of a file
        return Path(text)
