"""Creates and saves the figures of all pictures, without pyplot or global state, and with an atomic write.

matplotlib is imported inside the functions: only commands that draw import it. All lengths are in inches.
"""

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnncli.storage import write_bytes_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#1f2933"
FAINT = "#9aa5b1"
TRAIN = "#e07b39"
VALIDATION = "#2a6f97"
RIGHT = "#2d7d46"
WRONG = "#c0392b"

_TITLE, _SUBTITLE = 13.0, 9.0
_SPACING = 1.4  # from one line to the next, in font sizes
_MARGIN = 0.12


@contextmanager
def own_style() -> Iterator[None]:
    """Use the default settings of matplotlib while a picture is made, whatever a file or the user's program has set.

    It decorates each function that makes or saves a picture.
    """
    matplotlib = _import_matplotlib()
    kept = ("backend", "interactive", "toolbar", "date.epoch")  # of the whole program, and not of a picture
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some defaults are deprecated
        defaults = {
            key: value for key, value in matplotlib.rcParamsDefault.items() if not key.startswith(kept)
        }
    with matplotlib.rc_context(defaults):
        yield


@cache
def _import_matplotlib() -> Any:
    """Import matplotlib even if MPLBACKEND names a backend that is not installed: no backend is needed."""
    backend = os.environ.pop("MPLBACKEND", None)
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it warns of folders and settings that do not matter here
    try:
        import matplotlib
    finally:
        logger.setLevel(level)
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    if backend:
        with suppress(ValueError):
            matplotlib.rcParams["backend"] = backend  # for the program that calls us
    return matplotlib


def new_figure(width: float, height: float, title: str = "", subtitle: str = "") -> "Figure":
    """Return a figure with wrapped headings above an empty area; Agg draws it, whatever backend the user has chosen.

    Args:
        width: of the figure.
        height: of the area below the headings.
        title: what the picture shows.
        subtitle: how to read it, in smaller letters.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    titles, subtitles = (
        wrapped(text, points, width - 2 * _MARGIN, 4) if text else []
        for text, points in ((title, _TITLE), (subtitle, _SUBTITLE))
    )
    below_title = len(titles) * _TITLE * _SPACING / 72
    heading = (
        below_title + len(subtitles) * _SUBTITLE * _SPACING / 72 + (2 * _MARGIN if title or subtitle else 0)
    )
    figure = Figure(figsize=(width, height + heading), dpi=120, facecolor="white")
    FigureCanvasAgg(figure)
    for lines, points, top in ((titles, _TITLE, 0.0), (subtitles, _SUBTITLE, below_title)):
        y = 1 - (_MARGIN + top) / (height + heading)
        figure.text(0.5, y, escaped("\n".join(lines)), ha="center", va="top", fontsize=points, color=INK)
    return figure


def add_axes(figure: "Figure", left: float, bottom: float, width: float, height: float) -> "Axes":
    """Return new axes at a position from the lower left corner of the figure.

    Fixed positions are five times faster than matplotlib's layout, which measures every label.
    """
    whole_width, whole_height = figure.get_size_inches()
    return figure.add_axes(
        (left / whole_width, bottom / whole_height, width / whole_width, height / whole_height)
    )


def quiet_axes(axes: "Axes") -> None:
    """Remove what carries no data: the upper and right frame, and dark ticks."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)
    axes.tick_params(which="both", colors=INK, labelsize=9)


def without_frame(axes: "Axes") -> None:
    """Remove the frame and the tick marks, and keep the tick labels."""
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(which="both", length=0, colors=INK)


@lru_cache(maxsize=4096)
def text_inches(text: str, points: float) -> float:
    """Return the width of a line of text in this font size."""
    from matplotlib.font_manager import FontProperties

    with _missing_glyphs_allowed():
        width, _, _ = _renderer().get_text_width_height_descent(text, FontProperties(size=points), False)
    return float(width) / 72


@cache
def _renderer() -> Any:
    from matplotlib.backends import backend_agg

    agg: Any = backend_agg  # this part of matplotlib has no types
    return agg.RendererAgg(1, 1, 72)


def label_inches(names: Sequence[str], points: float) -> float:
    """Return the width of the longest name in this font size."""
    return max((text_inches(name, points) for name in names), default=0.0)


def shortened(text: str, points: float, inches: float) -> str:
    """Return the text with its middle replaced by an ellipsis where it is wider than that.

    Example:
        >>> shortened("a name that is much too long", 9, 1.0)
        'a name … long'
    """
    kept = len(text)
    short = text
    while kept > 2 and (width := text_inches(short, points)) > inches:
        kept = min(kept - 1, int(kept * inches / width) + 1)
        short = f"{text[: kept - kept // 2].rstrip()} … {text[len(text) - kept // 2 :].lstrip()}"
    return short


def wrapped(text: str, points: float, inches: float, most: int) -> list[str]:
    """Return the words of a text in lines of at most this width; what exceeds the last line is shortened.

    Args:
        text: without line breaks.
        points: the font size.
        inches: the width of a line.
        most: how many lines at most.
    """
    return joined(text.split(" "), points, inches, most)


def joined(pieces: Sequence[str], points: float, inches: float, most: int) -> list[str]:
    """Return pieces of text in lines, as `wrapped` does; a line break comes only between two pieces."""
    lines: list[str] = []
    for piece in pieces:
        if lines and (len(lines) == most or text_inches(f"{lines[-1]} {piece}", points) <= inches):
            lines[-1] += f" {piece}"
        else:
            lines.append(piece)
    return [shortened(line, points, inches) for line in lines]


def percent(share: float, decimals: int = 2) -> str:
    """Return 0.98765 as '98.77 %'."""
    return f"{100 * share:.{decimals}f} %"


def escaped(text: str) -> str:
    """Return the text with dollar signs escaped, because matplotlib reads `a$b$` as a formula."""
    return text.replace("$", r"\$")


@contextmanager
def _missing_glyphs_allowed() -> Iterator[None]:
    """Silence the warning of a character that the font lacks; matplotlib draws a box in its place."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        yield


@own_style()
def save_png(figure: "Figure", path: Path) -> Path:
    """Write the figure as PNG in one atomic write, and return the path.

    Raises:
        StorageError: the file cannot be written.
    """
    buffer = BytesIO()
    with _missing_glyphs_allowed():
        figure.savefig(buffer, format="png", metadata={"Software": "cnncli"})
    write_bytes_atomic(path, buffer.getvalue())
    return path
