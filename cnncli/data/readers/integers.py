"""Parses lines of whole numbers by array operations, many times faster than one number after the other."""

import numpy as np
import numpy.typing as npt

from cnncli.types import BoolArray, ByteArray

NEWLINE = 10
LONGEST = 9
"""The most digits of a number, so that it fits into int32."""


def parse_integers(
    block: bytes, delimiter: bytes, columns: int
) -> npt.NDArray[np.uint8] | npt.NDArray[np.int32] | None:
    """Return the numbers of some lines, or None if one of them is no whole number or a line has another length.

    Args:
        block: whole lines, each with its line end.
        delimiter: one byte.
        columns: how many numbers a line has.

    Returns:
        (lines, columns), uint8 if no number is above 255.

    Example:
        >>> parse_integers(b"5,0,255\\n10,7,1234\\n", b",", 3).tolist()
        [[5, 0, 255], [10, 7, 1234]]
    """
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n")
    # three line ends in front, so that the three bytes before every byte exist
    text = np.frombuffer(b"\n\n\n" + block, np.uint8)
    digits: ByteArray = text - np.uint8(48)  # wraps around for what is below "0"
    is_digit = digits < 10
    digits *= is_digit
    # where a number ends; positions, since NumPy takes those six times as fast as what a mask selects
    ends = np.flatnonzero(is_digit[3:-1] > is_digit[4:])
    count = len(text) - 3 - np.count_nonzero(is_digit[3:])
    if len(ends) != count or count % columns:
        return None  # a number is missing, or a line has another length
    marks = np.full(columns, delimiter[0], np.uint8)
    marks[-1] = NEWLINE
    if not (text[4:].take(ends).reshape(-1, columns) == marks).all():
        return None
    low = digits[3:-1] + np.uint8(10) * digits[2:-2]
    has_hundreds = is_digit[1:-3] & is_digit[2:-2]
    high = digits[1:-3] * has_hundreds
    is_large = (high > 2) | ((high == 2) & (low > 55)) | (has_hundreds & is_digit[:-4])
    if not is_large.any():
        small: ByteArray = (low + np.uint8(100) * high).take(ends)
        return small.reshape(-1, columns)
    low, high, has_hundreds = low[ends], high[ends], has_hundreds[ends]
    is_long = np.flatnonzero(is_digit[ends] & has_hundreds)
    values = low.astype(np.int32) + np.int32(100) * high
    if _add_thousands(values, ends, is_long, digits, is_digit):
        return None
    return values.reshape(-1, columns)


def _add_thousands(
    values: npt.NDArray[np.int32],
    ends: npt.NDArray[np.intp],
    positions: npt.NDArray[np.intp],
    digits: ByteArray,
    is_digit: BoolArray,
) -> bool:
    """Add the digits above the hundreds to the numbers at some positions; return whether one has too many."""
    at = ends[positions]  # of the thousands in `digits`, which has three bytes in front
    for place in range(3, LONGEST + 1):
        if len(at) == 0:
            return False
        if place == LONGEST:
            return True
        values[positions] += np.int32(10**place) * digits[at]
        further = (at > 0) & is_digit[at - 1]
        positions, at = positions[further], at[further] - 1
    return False
