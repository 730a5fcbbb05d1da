"""Draws pictures of a run and of a data set; matplotlib is imported when the first one is drawn."""

from cnncli.report.comparison import draw_comparison
from cnncli.report.confusion import draw_confusion
from cnncli.report.curves import draw_curves
from cnncli.report.figures import save_png
from cnncli.report.mistakes import Mistake, draw_mistakes, find_mistakes
from cnncli.report.samples import draw_samples
from cnncli.report.sweep import draw_importance, draw_parallel

__all__ = [
    "Mistake",
    "draw_comparison",
    "draw_confusion",
    "draw_curves",
    "draw_importance",
    "draw_mistakes",
    "draw_parallel",
    "draw_samples",
    "find_mistakes",
    "save_png",
]
