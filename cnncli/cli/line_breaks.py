"""Breaks long lines at the width of the terminal, but never inside a path or a command that can be copied from it."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

COMMANDS = ("download", "train", "eval", "predict", "draw", "inspect", "sweep", "runs", "report", "export")
"""The words after `cnn` that make it a command."""

_UNBROKEN = re.compile(rf"`[^`]*`\S*|\bcnn (?:{'|'.join(COMMANDS)})\b[^;,]*?(?=[;,]| \(|$)|\S+")
"""A word, a command up to the end of its clause, or what stands in backticks."""

_LESS_INDENT = 2


def break_lines(text: "Text", width: int, indent: int = 2) -> "Text":
    """Return a text with line breaks between its words, so that it is at most `width` columns wide.

    A word or a command that is wider than that alone is not broken: the terminal continues it on its next line, and
    copies it as one line.

    Args:
        text: one line or several.
        width: of the terminal, in columns.
        indent: columns before each line but the first, or fewer for a command that fits only then.

    Example:
        >>> from rich.text import Text
        >>> print(break_lines(Text("it is stopped; go on with: cnn train --resume run-2"), 32).plain)
        it is stopped; go on with:
          cnn train --resume run-2
    """
    from rich.text import Text

    return Text("\n").join(
        piece for line in text.split("\n", allow_blank=True) for piece in _pieces(line, width, indent)
    )


def _pieces(line: "Text", width: int, indent: int) -> "list[Text]":
    """Return the lines that one line becomes."""
    from rich.cells import cell_len
    from rich.text import Text

    plain, start, margin = line.plain, 0, 0
    pieces: list[Text] = []
    for found in _UNBROKEN.finditer(plain):
        if margin + cell_len(plain[start : found.end()]) <= width or not plain[start : found.start()].strip():
            continue
        size = cell_len(found[0])
        fitting = next((each for each in (indent, _LESS_INDENT) if each + size <= width), None)
        if fitting is None:  # it is wider than any line, so a break before it gains nothing
            continue
        pieces.append(Text(" " * margin) + line[start : found.start()])
        start, margin = found.start(), fitting
    pieces.append(Text(" " * margin) + line[start:])
    for piece in pieces[:-1]:
        piece.rstrip()
    return pieces
