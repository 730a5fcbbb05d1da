"""Prints what `cnn inspect` shows of the inside of a trained network: of its own, or for a picture."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.text import Text

from cnncli.batches.batches import to_input
from cnncli.cli.console import note, out, print_json
from cnncli.cli.drawing import has_colors
from cnncli.cli.hints import option_hint
from cnncli.cli.inside_drawing import filter_lines, heading, looked_lines, map_lines, patch_lines
from cnncli.cli.one_value_text import value_json, value_lines
from cnncli.cli.predict_output import Problems, print_prediction
from cnncli.errors import PictureError, RunError, UsageError
from cnncli.inside import explain_value, layer_outputs, read_position
from cnncli.names import did_you_mean
from cnncli.training.explained import Insides, Looked, insides_of, is_large, where_it_looked
from cnncli.training.lookup import find_model, find_pictures, load_set_for
from cnncli.training.model import Model
from cnncli.training.predict import predict_pictures
from cnncli.types import FloatArray

if TYPE_CHECKING:
    from rich.console import Console

    from cnncli.training.lines import DigitPrediction
    from cnncli.training.predictions import PicturePrediction

PIPE_WIDTH = 80
"""Columns of what is drawn if it is not printed on a terminal."""

QUICK_BYTES = 32 << 20
"""A larger folder of pictures is read only if it is asked for."""


def find_insides(
    name: str, runs_dir: Path, data_dir: Path | None, save: Path | None, layers: Sequence[str] = ()
) -> Insides | None:
    """Return the filters of a trained network with what excites them, and draw them into `save`.

    Args:
        name: of a run, a checkpoint, or `bundled`.
        runs_dir: where names of runs are looked up.
        data_dir: where data sets are; None for where they were in training.
        save: a PNG, or None.
        layers: names of the layers to look at; none for all.

    Returns:
        None, with a note, for a run without a checkpoint.

    Raises:
        RunError: there is no checkpoint, and `save` wants one.
        UsageError: there is no such layer, or nothing to show of it.
    """
    try:
        model = find_model(name, runs_dir)
    except RunError as error:
        if save is not None:
            raise
        note(f"its filters are not shown: {error.message}")
        return None
    _check_layers(model, layers)
    asked_for = bool(layers) or save is not None
    insides = insides_of(
        model,
        data_dir,
        lambda line: note(option_hint(line)),
        layers,
        most_bytes=None if asked_for else QUICK_BYTES,
    )
    if save is not None:
        from cnncli.cli.inside_figures import insides_figure
        from cnncli.report import save_png

        save_png(insides_figure(model, insides), save)
        note(f"wrote {save}")
    return insides


def _check_layers(model: Model, layers: Sequence[str]) -> None:
    """Raise a UsageError if a network has no layer of a name."""
    names = model.network.names
    if wrong := [layer for layer in layers if layer not in names]:
        raise UsageError(f"the network has no layer {wrong[0]!r}", did_you_mean(wrong[0], names))


def print_insides(insides: Insides, *, chosen: bool = False) -> None:
    """Print the filters and the patches of a network on stdout.

    Args:
        insides: from `find_insides`.
        chosen: whether its layers were asked for, so that more of each is shown.
    """
    console = out()
    width = drawing_width(console)
    filters, sample = insides.filters, insides.sample
    if filters is not None:
        console.print()
        for line in filter_lines(filters, console, width):
            console.print(line, no_wrap=True, overflow="crop")
    if sample is None or not insides.patches:
        return
    title = f"What excites each filter most, in {sample.title}; all in one picture: --save FILE.png"
    for line in heading(Text(title), width):
        console.print(line)
    console.print()
    for line in patch_lines(insides.patches, sample, insides.classes, console, width, chosen=chosen):
        console.print(line, no_wrap=True, overflow="crop")


def drawing_width(console: "Console") -> int:
    """Return how many columns a drawing may take: those of the terminal; 80 at most in a pipe."""
    return console.width if console.is_terminal else min(console.width, PIPE_WIDTH)


@dataclass(frozen=True)
class Look:
    """One digit of a picture, or one whole picture, as a network sees it.

    Attributes:
        model: the network.
        prediction: what it read, with that digit alone.
        label: the class that is explained, by its number.
    """

    model: Model
    prediction: "PicturePrediction"
    label: int

    @property
    def digit(self) -> "DigitPrediction":
        """What was read."""
        return self.prediction.digits[0]

    @property
    def x(self) -> FloatArray:
        """What the network gets, (C, H, W)."""
        x: FloatArray = to_input(
            self.digit.pixels[np.newaxis], self.model.normalize, self.model.network.dtype
        )[0]
        return x


def find_look(
    name: str, image: str, runs_dir: Path, data_dir: Path | None, digit: int | None, label: str | None
) -> Look:
    """Return what a network sees of a picture.

    Args:
        name: of a run, a checkpoint, or `bundled`.
        image: the picture, as for `cnn predict`.
        runs_dir: where names of runs are looked up.
        data_dir: where data sets are.
        digit: which digit of the picture, from 1; None for the first.
        label: the name of the class to explain; None for the answer.

    Raises:
        PictureError: the picture cannot be read.
        UsageError: several pictures, or no such digit or class.
    """
    from cnncli.cli.predict import read_stdin

    model = find_model(name, runs_dir)
    if label is not None and label not in model.classes:
        raise UsageError(f"{model.name} has no class {label!r}", did_you_mean(label, model.classes))
    sources = find_pictures([image], read_stdin, partial(load_set_for, model, data_dir=data_dir), note)
    if len(sources) > 1:
        raise UsageError(f"{image} stands for {len(sources):,} pictures", "name one of them")
    pages = predict_pictures(sources, model)
    read = [page for page in pages if page.digits]
    if not read:
        error = pages[0].error or "there is nothing to read in the picture"
        named = error if pages[0].path in error else f"{pages[0].path}: {error}"
        raise PictureError(named, pages[0].hint and _hint_of_predict(pages[0].hint))
    page = replace(read[0], warnings=tuple(map(_hint_of_predict, read[0].warnings)))
    if len(pages) > 1:
        note(f"{image} has {len(pages)} pages; this is {page.path}")
    Problems().print(page)
    count, chosen = len(page.digits), digit or 1
    if chosen > count:
        raise UsageError(f"{page.path} has {count} digit{'s' * (count > 1)}, and no digit {chosen}")
    if count > 1:
        page = replace(page, path=f"{page.path}, digit {chosen} of {count}")
        if digit is None:
            note(f"{image} has {count} digits, and this is the first; another one: --digit 2")
    seen = page.digits[chosen - 1]
    alone = replace(page, digits=(replace(seen, line=0),), text=seen.shown, table=None)
    return Look(model, alone, model.classes.index(seen.label if label is None else label))


def _hint_of_predict(hint: str) -> str:
    """Return a hint of `predict_pictures` with the command that has the options it names; `cnn inspect` has not.

    Example:
        >>> _hint_of_predict("`raw=True` takes a picture as it is")
        'cnn predict --raw takes a picture as it is'
    """
    return re.sub("--(?=raw|invert)", "cnn predict --", option_hint(hint))


def show_value(look: Look, at: str, *, as_json: bool) -> None:
    """Print what one value of a layer was made of.

    Raises:
        UsageError: the network has no such value.
    """
    found = explain_value(look.model.network, look.x, read_position(look.model.network, at))
    if as_json:
        document = {"kind": "value", "model": look.model.name, "path": look.prediction.path}
        print_json({**document, **value_json(found)})
        return
    console = out()
    for line in value_lines(found, console):
        console.print(line, soft_wrap=True)


def show_look(look: Look, save: Path | None, layers: Sequence[str] = (), *, as_json: bool) -> None:
    """Print what a network saw in a picture, its answer, the maps of every layer, and where it looked.

    Args:
        look: from `find_look`.
        save: a PNG for all of it, or None.
        layers: names of the layers to show; none for all.
        as_json: print one JSON document instead.

    Raises:
        UsageError: there is no such layer.
    """
    _check_layers(look.model, layers)
    if is_large(look.model):
        note("the network is large: to see where it looked takes a hundred passes or more")
    looked = where_it_looked(look.model, look.digit.pixels, look.label)
    if save is not None:
        from cnncli.cli.inside_figures import look_figure
        from cnncli.report import save_png

        save_png(look_figure(look.model, look.prediction, looked, look.x, layers), save)
        note(f"wrote {save}")
    if as_json:
        print_json(_document(look, looked, layers))
        return
    console = out()
    width = drawing_width(console)
    print_prediction(look.prediction, draw=True)
    console.print()
    last = look.model.network.names[-1]
    for output in layer_outputs(look.model.network, look.x[np.newaxis]):
        if layers and output.name not in layers:
            continue
        classes = look.model.classes if output.name == last else None
        for line in map_lines(output, classes, console, width, chosen=bool(layers)):
            console.print(line, no_wrap=True, overflow="crop")
    console.print()
    for sentence in _sentences(look, looked):
        for line in heading(Text(sentence), width):
            console.print(line)
    console.print()
    for line in looked_lines(look.digit.pixels, looked.heats, console, width):
        console.print(line, no_wrap=True, overflow="crop")


def _sentences(look: Look, looked: Looked) -> Iterator[str]:
    """Yield what the pictures of where a network looked show."""
    found = looked.integrated
    how = "orange speaks for it, blue against it" if has_colors(out()) else "what speaks for it is bright"
    yield f"Where it looked for class {look.model.classes[look.label]}: {how}."
    if looked.cam_layer is None:
        yield "The network has no convolution with maps: the input gradient takes the place of Grad-CAM."
    off = f", {100 * found.gap:.2f} % off" if np.isfinite(found.gap) else ""
    yield (
        f"The logit is {found.logit:.3f}, and {found.baseline_logit:.3f} for an empty picture. "
        f"The integrated gradients add up to {found.total:.3f} of the change of {found.change:.3f}{off}."
    )


def _document(look: Look, looked: Looked, names: Sequence[str]) -> dict[str, Any]:
    """Return the document of `cnn inspect RUN IMAGE --json`."""
    layers = []
    for output in layer_outputs(look.model.network, look.x[np.newaxis]):
        values = output.values[0]
        if names and output.name not in names:
            continue
        layers.append(
            {
                "name": output.name,
                "type": output.kind,
                "output_shape": values.shape,
                "min": values.min(),
                "max": values.max(),
                "means": values if values.ndim == 1 else values.mean(axis=(1, 2)),
            }
        )
    return {
        "kind": "inside",
        "model": look.model.name,
        **look.prediction.to_json(),
        "pixels": look.digit.pixels,
        "class": look.model.classes[look.label],
        "layers": layers,
        **looked.to_json(),
    }
