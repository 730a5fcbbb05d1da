"""What is seen of a training while it runs: bars on a terminal, lines elsewhere."""

import io
import re

import pytest
from rich.console import Console

import cnncli.cli.progress as progress
from cnncli.cli.progress import BarDisplay, LineDisplay, QuietDisplay, counting, make_display
from cnncli.training.state import EpochRecord, StepRecord

STEP = StepRecord(1, 5, 10, 0.5, 0.875, 1e-3, 6543.2)
EPOCH = EpochRecord(1, 10, 3.0, 1e-3, 0.4, 0.9, 0.3, 0.95, True)
NO_VALIDATION = EpochRecord(2, 20, 6.0, 1e-3, 0.3, 0.92, None, None, True)


@pytest.fixture
def terminal(monkeypatch) -> Console:
    console = Console(file=io.StringIO(), force_terminal=True, width=110, color_system=None)
    monkeypatch.setattr(progress, "err", lambda: console)
    return console


def shown(console: Console) -> str:
    return console.file.getvalue()


def without_codes(text: str) -> str:
    return re.sub(r"\x1b\[[0-9?]*[A-Za-z]|\r", "\n", text)


def test_a_terminal_gets_bars_that_go_and_lines_that_stay(terminal) -> None:
    with make_display(2) as display:
        assert isinstance(display, BarDisplay)
        display.note("data tiny")
        display.step(STEP)
        display._progress.refresh()
        assert "5/10" in shown(terminal)
        assert "loss 0.5000  acc 87.50 %  lr 1.00e-03" in shown(terminal)
        assert "6,543 img/s" in shown(terminal)
        display.epoch(EPOCH)
        display.epoch(NO_VALIDATION)
        display.stopping()
        display._progress.refresh()
        assert "saving; once more ends it at once" in shown(terminal)
    lines = without_codes(shown(terminal)).splitlines()
    kept = {line.split()[0]: line.split()[1:] for line in lines if line.strip()}
    assert kept["data"] == ["tiny"]
    assert kept["1/2"][:8] == "0.4000 90.00 % 0.3000 95.00 % 1.00e-03 6,543".split()
    assert kept["2/2"][:5] == "0.3000 92.00 % - -".split()
    assert shown(terminal).count("train loss") == 1


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_no_line_is_wider_than_the_terminal(monkeypatch, width: int) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    monkeypatch.setattr(progress, "err", lambda: console)
    with make_display(10) as display:
        display.step(StepRecord(10, 430, 430, 0.5, 1.0, 1e-3, 16543.2))
        with console.capture() as captured:
            console.print(display._progress.get_renderable())
        display.epoch(EPOCH)
    drawn = (line.rstrip() for line in without_codes(captured.get()).splitlines())
    epochs, batches = [line for line in drawn if "10/10" in line or "430/430" in line][:2]
    assert "0:00" in epochs and "0:00" in batches  # the time that is left is shown at any width
    assert "loss 0.5000" in batches and ("acc 100.00 %" in batches) == (width >= 60)
    lines = without_codes(shown(console)).splitlines()
    assert max(len(line.rstrip()) for line in [epochs, batches, *lines]) <= width
    (header,) = (line for line in lines if "val acc" in line and "epoch " in line and "so far" not in line)
    (row,) = (line for line in lines if "1/10" in line and "95.00 %" in line)
    assert header.index("val acc") + len("val acc") == row.index("95.00 %") + len("95.00 %")


def test_elsewhere_an_epoch_is_one_line_of_names_and_values(capsys) -> None:
    with make_display(2) as display:
        assert isinstance(display, LineDisplay)
        display.step(STEP)
        display.epoch(EPOCH)
        display.epoch(NO_VALIDATION)
        display.stopping()
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(
        "epoch 1/2 train_loss=0.4000 train_accuracy=0.9000 val_loss=0.3000 val_accuracy=0.9500"
        " lr=0.001 images_per_second=6543 seconds="
    )
    assert first.endswith(" best")
    assert "val_" not in second
    assert "images_per_second" not in second  # no step of its own: a resume that had only the validation left


def test_an_epoch_of_which_only_the_validation_was_left_has_no_speed(terminal) -> None:
    with make_display(2) as display:
        display.epoch(EPOCH)
    (row,) = (
        line for line in without_codes(shown(terminal)).splitlines() if "1/2" in line and "95.00 %" in line
    )
    assert row.split()[-5:-3] == ["1.00e-03", "-"]


def test_quiet_shows_nothing(capsys) -> None:
    with make_display(2, quiet=True) as display:
        assert isinstance(display, QuietDisplay)
        display.note("x")
        display.step(STEP)
        display.epoch(EPOCH)
        display.stopping()
    assert capsys.readouterr() == ("", "")


def test_counting_is_a_bar_on_a_terminal_only(terminal, monkeypatch, capsys) -> None:
    with counting("evaluating") as on_batch:
        on_batch(500, 1000)
    assert "evaluating" in shown(terminal)
    monkeypatch.undo()
    with counting("evaluating") as on_batch:
        on_batch(500, 1000)
    assert capsys.readouterr() == ("", "")
