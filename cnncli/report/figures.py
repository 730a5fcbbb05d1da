"""Creates and saves the figures of all pictures, without pyplot or global state, and with an atomic write.

matplotlib is imported inside the functions, so that only drawing pays for its import.
"""

import warnings
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

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

_TITLE_INCHES = 0.4


def new_figure(width: float, height: float, title: str = "") -> "Figure":
    """Return an empty figure of this size in inches; Agg draws it, whatever backend the user has chosen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, facecolor="white")
    FigureCanvasAgg(figure)
    if title:
        figure.suptitle(
            escaped(title), fontsize=13, color=INK, y=1 - 0.5 * _TITLE_INCHES / height, va="center"
        )
    return figure


def place_axes(
    figure: "Figure", *, left: float, right: float, top: float, bottom: float, columns: int = 1
) -> "list[Axes]":
    """Return a row of axes with these margins in inches; a title gets extra space above the top margin.

    Fixed margins are five times faster than matplotlib's layout, which measures every label.
    """
    width, height = figure.get_size_inches()
    top += _TITLE_INCHES if figure.get_suptitle() else 0.0
    each = (width - columns * (left + right)) / columns
    return [
        figure.add_axes(
            (
                (column * (left + each + right) + left) / width,
                bottom / height,
                each / width,
                (height - top - bottom) / height,
            )
        )
        for column in range(columns)
    ]


def quiet_axes(axes: "Axes") -> None:
    """Remove what carries no data: the upper and right frame, and dark ticks."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=9)


def without_frame(axes: "Axes") -> None:
    """Remove the frame and the tick marks, and keep the tick labels."""
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0, colors=INK)


def label_inches(names: "list[str] | tuple[str, ...]", points: float) -> float:
    """Return the approximate width in inches of the longest name in this font size."""
    return max((len(name) for name in names), default=0) * points * 0.62 / 72


def escaped(text: str) -> str:
    """Return the text with dollar signs escaped, because matplotlib reads `a$b$` as a formula."""
    return text.replace("$", r"\$")


def save_png(figure: "Figure", path: Path) -> Path:
    """Write the figure as PNG in one atomic write, and return the path.

    Raises:
        StorageError: the file cannot be written.
    """
    buffer = BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "Glyph .* missing from", UserWarning
        )  # matplotlib draws a box instead
        figure.savefig(buffer, format="png", metadata={"Software": "cnncli"})
    write_bytes_atomic(path, buffer.getvalue())
    return path
