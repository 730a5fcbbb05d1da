"""Writes arrays and names as C constants."""

import re
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from cnncli.export.folded import Weights

GROUP = 16
"""A float program computes so many filters together, and their weights are neighbors."""

WIDTH = 110

TYPES = {"float32": "float", "int8": "int8_t", "uint8": "uint8_t"}


def prefix_of(name: str) -> str:
    """Return what all names of the program of a file begin with: letters, digits and underscores, in lower case.

    Example:
        >>> prefix_of("run-3"), prefix_of("3 digits")
        ('run_3', 'net_3_digits')
    """
    word = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    return word if word[:1].isalpha() else f"net_{word}".rstrip("_")


def plain(text: str) -> str:
    """Return a text that can stand in a comment: ASCII without the signs that end a comment or begin a trigraph."""
    ascii_only = text.encode("ascii", "backslashreplace").decode()
    return re.sub(r"[\x00-\x1f\x7f]", " ", ascii_only).replace("*/", "* /").replace("??", "? ?")


def string(text: str) -> str:
    """Return a text as a C string, in UTF-8.

    Example:
        >>> string('a"b?'), string("é1")
        ('"a\\\\"b\\\\?"', '"\\\\303\\\\2511"')
    """
    bytes_ = text.encode("utf-8", "surrogateescape")
    letters = (
        f"\\{chr(byte)}" if chr(byte) in '"\\?' else chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}"
        for byte in bytes_
    )
    return '"' + "".join(letters) + '"'


def number(value: float) -> str:
    """Return a number as a C constant of type float that has exactly its float32.

    Example:
        >>> number(1), number(0.1)
        ('1.0f', '0.100000001f')
    """
    text = f"{np.float32(value):.9g}"
    return f"{text}f" if set(text) & set(".e") else f"{text}.0f"


def array(name: str, values: npt.NDArray[np.generic], dtype: str, note: str = "") -> str:
    """Return the definition of an array.

    Args:
        name: with the prefix.
        values: of any shape, in C order.
        dtype: a key of `TYPES`.
        note: a comment before it.
    """
    flat = values.astype(dtype).reshape(-1).tolist()
    texts: Iterable[str] = map(number, flat) if dtype == "float32" else map(str, flat)
    lines, line = [], "   "
    for text in texts:
        if len(line) + len(text) + 2 > WIDTH:
            lines.append(line)
            line = "   "
        line += f" {text},"
    lines.append(line)
    head = f"/* {plain(note)} */\n" if note else ""
    body = "\n".join(lines)
    return f"{head}static const {TYPES[dtype]} {name}[{len(flat)}] NET_PROGMEM = {{\n{body}\n}};\n"


def in_groups(weight: Weights) -> Weights:
    """Return (F, ...) as (groups, ..., 16), with zeros for the filters that the last group lacks."""
    count = -(-len(weight) // GROUP) * GROUP
    padded = np.zeros((count, *weight.shape[1:]), np.float32)
    padded[: len(weight)] = weight
    return np.moveaxis(padded.reshape(-1, GROUP, *weight.shape[1:]), 1, -1)
