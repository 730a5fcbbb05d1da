"""The result of one kind of fault."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """A row of the table in docs/reliability.md.

    Attributes:
        fault: what was done.
        tried: how often.
        came_to: how it ended, in a few words with the figures measured.
        lost: what went wrong, a sentence each; nothing should.
    """

    fault: str
    tried: int
    came_to: str
    lost: tuple[str, ...] = ()
