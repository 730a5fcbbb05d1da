"""Writes a report as one HTML file: fills the template with figures, charts and pictures.

K classes, F filters.
"""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import PurePath
from typing import Any, NamedTuple

import jinja2
import numpy as np
from markupsafe import Markup

from cnncli._version import __version__
from cnncli.inside.filters import filter_pictures
from cnncli.inside.patches import Patches, patch_tile
from cnncli.nn.summary import summarize, totals
from cnncli.report.inside import with_heat
from cnncli.report.mistakes import Mistake
from cnncli.training.calibration import reliability
from cnncli.types import ByteArray
from cnncli.web.report.charts import FEW, accuracy_chart, calibration_chart, loss_chart, map_chart
from cnncli.web.report.collect import FILTERS, Findings, mistakes_by_cell, unfinished
from cnncli.web.report.made import duration, facts, repeat
from cnncli.web.report.pictures import data_uri, in_a_row, small

MATRIX = 64
"""With more classes than this the worst pairs are listed instead of the matrix."""

PAIRS = 100

PER_CELL = 24
"""Pictures of one cell of the matrix."""

BUDGET = 1_200_000
"""Bytes of all pictures of the cells together; the most confident mistakes of every cell come first."""

FIRST_FILTERS = 128

BEYOND = 64
"""The gray of what lies beyond the border of a patch."""


class Picture(NamedTuple):
    """A picture in the page: its address, and its size in its own pixels."""

    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class ShownMistake:
    """A mistake with its words."""

    picture: Picture
    heat: Picture | None
    true: str
    answer: str
    confidence: str
    where: str
    alt: str


@dataclass
class Cell:
    """A cell of the confusion matrix, or a pair of classes."""

    true: str
    answer: str
    count: int
    anchor: str = ""
    is_hit: bool = False
    pictures: tuple[ShownMistake, ...] = ()

    @property
    def text(self) -> str:
        return f"{self.count:,}" if self.count else "·"

    @property
    def shown(self) -> int:
        return len(self.pictures)

    @property
    def words(self) -> str:
        times = "once" if self.count == 1 else f"{self.count:,} times"
        return f"{self.true} taken for {self.answer}, {times}"


def make_page(found: Findings) -> str:
    """Return the report as HTML that needs no other file, no script and no network.

    Args:
        found: from `collect`.
    """
    assets = files("cnncli.web") / "assets"
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string((assets / "report.html").read_text(encoding="utf-8"))
    return template.render(
        style=Markup((assets / "report.css").read_text(encoding="utf-8")), **_content(found)
    )


def _content(found: Findings) -> dict[str, Any]:
    """Return the value of each name in the template."""
    evaluation, classes, info = found.measured.evaluation, found.measured.classes, found.info
    document = found.measured.document
    cells = _cells(found)
    gallery = [
        _shown(found, each, found.heat[number])
        for number, each in enumerate(found.mistakes[: len(found.heat)])
    ]
    best_epoch = info.get("best_epoch")
    history = found.history
    rows = summarize(found.model.network)
    sums = totals(rows)
    content: dict[str, Any] = {
        "version": __version__,
        "made_on": datetime.date.today().isoformat(),
        "title": f"{document['run']} on {document['dataset']}",
        "subtitle": _subtitle(found),
        "warnings": [*document["warnings"], *filter(None, [unfinished(found.run)])],
        "headline": _headline(found),
        "loss_chart": loss_chart(history, best_epoch) if history else "",
        "accuracy_chart": accuracy_chart(history, best_epoch) if history else "",
        "best_epoch": best_epoch,
        "classes": classes,
        "matrix": _matrix(found, cells) if len(classes) <= MATRIX else None,
        "pairs": sorted(_pairs(found, cells), key=lambda cell: -cell.count)[:PAIRS],
        "cells": sorted((cell for cell in cells.values() if cell.shown), key=lambda cell: -cell.count),
        "gallery": gallery,
        "wrong": f"{len(found.mistakes):,}",
        "count": f"{evaluation.count:,}",
        "heat_words": _heat_words(found.heat_layer),
        "class_rows": [
            (name, *(f"{100 * value:.2f} %" for value in each[:3]), f"{each.support:,}")
            for name, each in zip(classes, evaluation.per_class, strict=True)
        ],
        "map_chart": map_chart(found.projection, found.measured.images.labels, classes, found.mistakes),
        "map_words": _map_words(found),
        "calibration_words": _calibration_words(found),
        **_reliability(found),
        "filters": _first_filters(found),
        "layers_of_patches": [_patch_rows(found, each) for each in found.patches.values()],
        "layer_rows": [
            (
                row.name,
                ", ".join(f"{size:,}" for size in row.output_shape),
                f"{row.parameters:,}" if row.parameters else "",
                f"{row.multiply_adds:,}" if row.multiply_adds else "",
                "whole image" if row.receptive_field is None else "x".join(map(str, row.receptive_field)),
            )
            for row in rows
        ],
        "totals": (f"{sums.parameters:,}", f"{sums.multiply_adds:,}"),
        "facts": list(facts(found)),
        "repeat": repeat(found),
        "config": found.config,
    }
    return {**content, "sections": list(_sections(content))}


def _sections(content: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if content["loss_chart"]:
        yield "curves", "Curves"
    yield from (("confusion", "Confusion"), ("mistakes", "Mistakes"), ("classes", "Classes"))
    yield from (("plane", "Plane"), ("calibration", "Calibration"))
    if content["filters"] or content["layers_of_patches"]:
        yield "filters", "Filters"
    yield from (("network", "Network"), ("made", "How it was made"))


def _subtitle(found: Findings) -> str:
    document = found.measured.document
    part = "all" if document["split"] == "all" else f"the {document['split']}"
    return (
        f"Measured on {part} images of {document['dataset']}: {found.measured.evaluation.count:,}, "
        f"with the {document['checkpoint']} checkpoint."
    )


def _headline(found: Findings) -> list[tuple[str, str]]:
    evaluation = found.measured.evaluation
    facts = [
        (f"{100 * evaluation.accuracy:.2f} %", f"accuracy, {len(found.mistakes):,} wrong"),
        (f"{evaluation.loss:.4f}", "cross-entropy loss"),
        (f"{100 * evaluation.calibration_error:.2f} %", "expected calibration error"),
        (f"{found.model.network.get_num_parameters():,}", "parameters"),
    ]
    if found.history:
        epochs = "1 epoch" if len(found.history) == 1 else f"{len(found.history)} epochs"
        seconds = found.info.get("seconds")
        took = f"of training, {duration(seconds)}" if isinstance(seconds, int | float) else "of training"
        facts.append((epochs, took))
    return facts


def _cells(found: Findings) -> dict[tuple[int, int], Cell]:
    """Return the cells with mistakes, and their pictures within the budget."""
    classes = found.measured.classes
    by_cell = mistakes_by_cell(found.mistakes)
    cells = {
        (label, answer): Cell(classes[label], classes[answer], len(mistakes))
        for (label, answer), mistakes in by_cell.items()
    }
    shown: dict[tuple[int, int], list[ShownMistake]] = {key: [] for key in cells}
    spent = 0
    # one picture of every cell, then a second one, so that a frequent mistake takes no other's place
    order = sorted(by_cell, key=lambda key: -len(by_cell[key]))
    for rank in range(PER_CELL):
        for key in order:
            if rank < len(by_cell[key]) and spent < BUDGET:
                mistake = _shown(found, by_cell[key][rank])
                spent += len(mistake.picture.uri)
                shown[key].append(mistake)
    for key, pictures in shown.items():
        cells[key].pictures = tuple(pictures)
        cells[key].anchor = f"m{key[0]}-{key[1]}" if pictures else ""
    return cells


def _matrix(found: Findings, cells: dict[tuple[int, int], Cell]) -> list[list[Cell]]:
    classes, confusion = found.measured.classes, found.measured.evaluation.confusion.tolist()
    return [
        [
            cells.get((label, answer), Cell(classes[label], classes[answer], count, is_hit=label == answer))
            for answer, count in enumerate(row)
        ]
        for label, row in enumerate(confusion)
    ]


def _pairs(found: Findings, cells: dict[tuple[int, int], Cell]) -> list[Cell]:
    return [] if len(found.measured.classes) <= MATRIX else list(cells.values())


def _shown(found: Findings, mistake: Mistake, heat: Any = None) -> ShownMistake:
    images, classes = found.measured.images, found.measured.classes
    pixels = images.images[mistake.index]
    true, answer = classes[mistake.label], classes[mistake.predicted]
    return ShownMistake(
        picture=_picture(pixels),
        heat=None if heat is None else _picture(with_heat(pixels, heat)),
        true=true,
        answer=answer,
        confidence=f"{100 * mistake.confidence:.1f} %",
        where=PurePath(images.files[mistake.index]).name if images.files else f"#{mistake.index}",
        alt=f"{true}, taken for {answer}",
    )


def _picture(pixels: ByteArray) -> Picture:
    pixels = small(pixels)
    return Picture(data_uri(pixels), pixels.shape[1], pixels.shape[0])


def _heat_words(layer: str | None) -> str:
    if layer is None:
        return "how much each pixel changes the answer, by the gradient of its logit."
    return (
        f"where it looked, by Grad-CAM on {layer}. The more orange a place, the more it speaks for the wrong answer. "
        "Each picture has a scale of its own."
    )


def _map_words(found: Findings) -> str:
    first, second = found.projection.shares
    return (
        "Each point is one image: the direction of what the last layer reads, on the two principal components that "
        f"show most of the differences ({100 * first:.0f} and {100 * second:.0f} % of them). Images that are close "
        "together look alike to the network. A ring is a mistake, and leads to the pictures of its kind."
    )


def _calibration_words(found: Findings) -> str:
    evaluation = found.measured.evaluation
    words = (
        f"Of all answers with a probability of 90 %, about 90 % should be right. On average the two differ by "
        f"{100 * evaluation.calibration_error:.2f} %, the expected calibration error. "
        f"Pale bars have fewer than {FEW} answers."
    )
    if evaluation.unknown is not None:
        words += f" {100 * evaluation.unknown:.2f} % of the images are taken for none of the classes."
    return words


def _reliability(found: Findings) -> dict[str, Any]:
    bins = reliability(found.measured.evaluation.probabilities, found.measured.images.labels)
    width = 1 / len(bins)
    return {
        "calibration_chart": calibration_chart(bins),
        "bins": [
            (
                f"{100 * each.low:.0f} to {100 * (each.low + width):.0f} %",
                f"{each.size:,}",
                f"{100 * each.confidence:.1f} %",
                f"{100 * each.accuracy:.1f} %",
            )
            for each in bins
            if each.size
        ],
    }


def _first_filters(found: Findings) -> dict[str, Any] | None:
    filters = found.filters
    if filters is None or filters.weights.shape[1] not in (1, 3):
        return None
    shown = filter_pictures(filters.weights)[:FIRST_FILTERS]
    f, _, height, width = filters.weights.shape
    words = f"{f} filters of {height}x{width}. Gray is 0, white the largest weight, black its negative."
    if f > len(shown):
        words += f" The first {len(shown)} are shown."
    return {"layer": filters.layer, "words": words, "pictures": [_picture(each) for each in shown]}


def _patch_rows(found: Findings, patches: Patches) -> dict[str, Any]:
    images = found.measured.images.images[found.searched]
    height, width = patches.window
    f = len(patches.values)
    rows: list[dict[str, Any]] = []
    for number in range(min(f, FILTERS)):
        if patches.silent[number]:
            rows.append({"number": number, "picture": None, "alt": "silent: its ReLU lets nothing through"})
            continue
        tiles = [
            patch_tile(images[image], patches, number, rank, BEYOND)
            for rank, image in enumerate(patches.images[number].tolist())
            if image >= 0
        ]
        shown = in_a_row(tiles) if tiles else np.zeros((1, 1), np.uint8)
        # not made smaller: a row is wider than a picture
        picture = Picture(data_uri(shown, largest=None), shown.shape[1], shown.shape[0])
        rows.append(
            {"number": number, "picture": picture, "alt": f"{len(tiles)} patches for filter {number}"}
        )
    words = (
        f"For each filter the {patches.values.shape[1]} patches of {height}x{width} pixels to which it "
        f"answers most, in {len(images):,} of the images."
    )
    if f > len(rows):
        words += f" The first {len(rows)} of {f} filters are shown."
    return {"name": patches.layer, "words": words, "rows": rows}
