"""Answers a drawing or a picture as `cnn predict` does, and shows what every layer of the network computed for it.

Axis letters: C channels, H and W a map.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnncli.batches.batches import to_input
from cnncli.errors import CnnError
from cnncli.inside.activations import layer_outputs
from cnncli.training.lines import LIKE_NONE, DigitPrediction
from cnncli.training.model import Model
from cnncli.training.predict import Invert, iter_predictions
from cnncli.training.predictions import PicturePrediction
from cnncli.types import ByteArray, FloatArray

MAX_CHANNELS = 64
"""More channels of a layer are not sent."""

MAX_SIDE = 128
"""Larger maps are shrunk by a whole factor before they are sent."""


class UnreadablePicture(CnnError):
    """A picture that the network gives no answer for, and why."""


def answer_drawing(model: Model, content: bytes) -> bytes:
    """Answer a drawing; see `pack_answer` for the form.

    Args:
        model: from `load_model`.
        content: a picture file, dark ink on white paper.
    """
    # what is ink is known, also where the ink covers most of the paper
    form = model.preparation
    dark = form.form == "digits" or (form.background == "dark" and not form.colour)
    invert: Invert = "yes" if dark else "auto"
    read = next(iter_predictions([("the drawing", content)], model, invert=invert, top=len(model.classes)))
    if read.error is not None:
        return pack_answer({"blank": True, "warnings": [_without_settings(read.error)]}, [])
    return _answer(model, read, ())


def answer_picture(model: Model, content: bytes) -> bytes:
    """Answer a picture in any format that `cnn predict` reads; see `pack_answer` for the form.

    Of a file with several pages, the first one that has something to read is answered.

    Raises:
        UnreadablePicture: it cannot be decoded, or there is nothing to read in it.
    """
    pages = iter_predictions([("the picture", content)], model, top=len(model.classes))
    first = None
    for number, page in enumerate(pages, start=1):
        first = first or page
        if page.digits:
            return _answer(model, page, [f"this is page {number}"] if number > 1 else [])
    assert first is not None
    raise UnreadablePicture(_without_settings(first.error or "there is nothing to read in the picture"))


def _answer(model: Model, read: PicturePrediction, notes: tuple[str, ...] | list[str]) -> bytes:
    largest = max(read.digits, key=_area)
    order = {name: index for index, name in enumerate(model.classes)}
    top = [(order[name], p) for name, p in largest.top]
    probabilities = np.zeros(len(order), np.float32)
    for index, p in top:
        probabilities[index] = p
    height, width = largest.pixels.shape[:2]
    facts = {
        "blank": False,
        "unknown": largest.unknown,
        "text": read.text,
        "top": top,
        # the page says of a single unknown thing what it is like
        "warnings": [*notes, *(_without_settings(each) for each in read.warnings if each != LIKE_NONE)],
        "digits": [
            {"label": each.label, "probability": each.probability, "unknown": each.unknown, "box": each.box}
            for each in read.digits
        ],
        "size": read.size,
        "seen": {"height": height, "width": width, "channels": largest.pixels.size // (height * width)},
    }
    return pack_answer(facts, [probabilities, largest.pixels])


def answer_maps(model: Model, content: bytes) -> bytes:
    """Return what every layer computes of an image that an answer came with; see `pack_answer` for the form.

    The maps are no part of the answer, which so is there sooner.

    Args:
        model: from `load_model`.
        content: its pixels, (H, W) or (H, W, 3), uint8, row by row, of the network's size.
    """
    channels, height, width = model.network.input_shape
    shape = (height, width) if channels == 1 else (height, width, channels)
    maps, arrays = _maps_of(model, np.frombuffer(content, np.uint8).reshape(shape))
    return pack_answer({"maps": maps}, arrays)


def _area(digit: DigitPrediction) -> int:
    left, top, right, bottom = digit.box
    return (right - left) * (bottom - top)


def _maps_of(model: Model, pixels: ByteArray) -> tuple[list[dict[str, Any]], list[FloatArray]]:
    """Return what every layer computed of an image: a description of each, and its maps (C, H, W)."""
    described, arrays = [], []
    x = to_input(pixels[None], model.normalize, model.network.dtype)
    for name, kind, values in layer_outputs(model.network, x):
        maps = values[0] if values.ndim == 4 else values[0].reshape(-1, 1, 1)  # (C, H, W)
        total, *size = maps.shape
        maps = _shrink(maps[:MAX_CHANNELS])
        channels, height, width = maps.shape
        entry = {"name": name, "kind": kind, "channels": channels, "height": height, "width": width}
        if channels < total:
            entry["total"] = total
        if [height, width] != size:
            entry["full"] = size
        described.append(entry)
        arrays.append(np.nan_to_num(maps, posinf=0, neginf=0))
    return described, arrays


def _shrink(maps: FloatArray) -> FloatArray:
    """Return maps whose sides are at most `MAX_SIDE`, as means of squares; what is left at the end is cut off."""
    channels, height, width = maps.shape
    step = -(-max(height, width) // MAX_SIDE)
    if step == 1 or min(height, width) < step:
        return maps
    rows, columns = height // step, width // step
    blocks = maps[:, : rows * step, : columns * step].reshape(channels, rows, step, columns, step)
    means: FloatArray = blocks.mean(axis=(2, 4))
    return means


def pack_answer(facts: dict[str, Any], arrays: Sequence[FloatArray | ByteArray]) -> bytes:
    """Return an answer as bytes: the length of a JSON text (4 bytes, little endian), the text, the arrays.

    Spaces at the end of the text place the arrays at a multiple of 4 bytes, where a browser can read them without a
    copy. The arrays of an answer are the probabilities, float32, and the image that the network saw; those of maps are
    the maps of each layer, float32.

    Args:
        facts: what JSON can hold.
        arrays: of floating-point numbers, and of bytes at the end.

    Example:
        >>> pack_answer({"blank": True}, [])
        b'\\x10\\x00\\x00\\x00{"blank": true} '
    """
    text = json.dumps(facts).encode("ascii")
    text += b" " * (-len(text) % 4)
    parts = [len(text).to_bytes(4, "little"), text]
    for array in arrays:
        kind = np.uint8 if array.dtype == np.uint8 else np.dtype("<f4")
        parts.append(np.ascontiguousarray(array, kind).tobytes())
    return b"".join(parts)


def _without_settings(sentence: str) -> str:
    """Return a sentence without the clauses that name settings of the command line."""
    return "; ".join(clause for clause in sentence.split("; ") if "`" not in clause)
