"""Event files have each value once, also after a resume and a kill in the middle of a record."""

from pathlib import Path

import pytest

from cnncli.training.event_log import EventLog, logged_steps

pytest.importorskip("tensorboardX")


def rows(count: int) -> list[dict[str, object]]:
    return [
        {"epoch": epoch, "step": 10 * epoch, "lr": 0.1, "train_loss": 1 / epoch, "val_accuracy": None}
        for epoch in range(1, count + 1)
    ]


def values(folder: Path) -> list[tuple[int, str, float]]:
    from tensorboardX.event_file_writer import EventsWriter  # noqa: F401  # the package has no reader
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted(folder.glob("*tfevents*")):
        content, at = path.read_bytes(), 0
        while at + 12 <= len(content):
            length = int.from_bytes(content[at : at + 8], "little")
            event = Event.FromString(content[at + 12 : at + 12 + length])
            found += [(event.step, value.tag, value.simple_value) for value in event.summary.value]
            at += 16 + length
    return found


def test_each_tag_has_one_value_for_each_step(tmp_path):
    log = EventLog(tmp_path)
    for count in range(1, 4):
        log.add(rows(count))  # the earlier ones again
    log.add_test(0.5)
    log.close()
    found = values(tmp_path / "tensorboard")
    assert [(step, tag) for step, tag, _ in found] == [
        *((step, tag) for step in (10, 20, 30) for tag in ("loss/train", "learning_rate")),
        (30, "accuracy/test"),
    ]
    assert [value for _, tag, value in found if tag == "loss/train"] == pytest.approx([1, 1 / 2, 1 / 3])


def test_a_resumed_run_goes_on_with_the_next_step(tmp_path):
    first = EventLog(tmp_path)
    first.add(rows(2))
    first.close()
    second = EventLog(tmp_path)
    second.add(rows(4))
    second.close()
    steps = [step for step, tag, _ in values(tmp_path / "tensorboard") if tag == "loss/train"]
    assert sorted(steps) == [10, 20, 30, 40]


def test_a_record_that_was_cut_off_is_no_error(tmp_path):
    log = EventLog(tmp_path)
    log.add(rows(2))
    log.close()
    (path,) = (tmp_path / "tensorboard").iterdir()
    path.write_bytes(path.read_bytes()[:-3])
    assert max(logged_steps(tmp_path / "tensorboard")) == 20  # its first values are whole


def test_a_folder_that_cannot_be_written_is_a_warning(tmp_path, caplog):
    (tmp_path / "tensorboard").write_text("a file in its place")
    log = EventLog(tmp_path)
    log.add(rows(2))
    log.close()
    assert caplog.text.count("the event files are not written any more") == 1
