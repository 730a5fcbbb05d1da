"""A file appears under its name only when it gives the answers of the network, and goes where one expects it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cnncli.checkpoint import Checkpoint, save_checkpoint
from cnncli.errors import CnnError, StorageError, UsageError
from cnncli.export import formats
from cnncli.export.formats import FORMATS, package_missing
from cnncli.export.npz import answers
from cnncli.export.subject import ExportOptions
from cnncli.export.write import export_model
from cnncli.runs import create_run
from cnncli.training.model import load_model

from .networks import make_subject

LAYERS = [{"maxpool": 7}, "batchnorm", "flatten", {"linear": 10}]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with a checkpoint, alone.npz."""
    monkeypatch.chdir(tmp_path)
    save(Path("alone.npz"))
    return tmp_path


def save(path: Path) -> None:
    network = make_subject(LAYERS).model.network
    meta = {"config": {}, "input_shape": [1, 28, 28], "classes": list("0123456789"), "model": network.spec()}
    save_checkpoint(path, Checkpoint(network.state(), meta=meta))


def test_an_npz_has_the_arrays_of_the_network_and_what_one_must_know(place: Path) -> None:
    model = load_model("alone.npz")
    exported = export_model(model, "npz", "out.npz")
    with np.load("out.npz", allow_pickle=False) as file:
        facts = json.loads(bytes(file["meta"]))
        for name, array in model.network.state().items():
            np.testing.assert_array_equal(file[name], array)
        assert len(file.files) == 1 + len(model.network.state())
    assert facts["classes"] == list("0123456789") and facts["mean"] is None and facts["temperature"] == 1
    assert exported.comparison.images == 1000 and exported.comparison.origin == "drawn digits"
    assert (exported.comparison.largest_difference, exported.comparison.equal_answers) == (0, 1)
    assert exported.bytes == Path("out.npz").stat().st_size


def test_the_default_is_the_folder_of_the_run_or_else_the_working_folder(place: Path) -> None:
    run = create_run(name="first")
    save(run.best_path)
    save(run.last_path)
    for source, expected in {
        "first": "runs/first/export/first.npz",
        "runs/first/checkpoints/last.npz": "runs/first/export/first-last.npz",
        "bundled": "bundled.npz",
    }.items():
        assert [str(file) for file in export_model(load_model(source), "npz").files] == [expected]
        assert Path(expected).is_file()


def test_what_is_read_is_never_replaced(place: Path) -> None:
    before = Path("alone.npz").read_bytes()
    with pytest.raises(UsageError, match=r"writing alone\.npz would destroy what is read from it"):
        export_model(load_model("alone.npz"), "npz")
    assert Path("alone.npz").read_bytes() == before


def test_a_file_with_other_answers_is_not_left_behind(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(path, subject, images):
        return answers(path, subject, images) + np.eye(10, dtype=np.float32)[3] / 100

    def broken(path, subject, images):
        raise ValueError("no magic number")

    for found, message in (
        (wrong, r"other logits than the network, by up to 0\.01"),
        (broken, "no magic number"),
    ):
        monkeypatch.setitem(FORMATS, "npz", replace(FORMATS["npz"], answers=found))
        Path("out.npz").write_bytes(b"an older file")
        with pytest.raises(CnnError, match=message):
            export_model(load_model("alone.npz"), "npz", "out.npz")
        assert Path("out.npz").read_bytes() == b"an older file"
        assert sorted(path.name for path in place.iterdir()) == ["alone.npz", "out.npz"]


def test_without_the_runtime_the_file_is_written_and_the_reason_is_said(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = replace(FORMATS["npz"], runtime_missing=package_missing("numpy", "no_such_runtime"))
    monkeypatch.setitem(FORMATS, "npz", changed)
    exported = export_model(load_model("alone.npz"), "npz", "out.npz")
    assert exported.comparison is None and exported.not_compared == "no_such_runtime is not installed"
    assert Path("out.npz").is_file()


def test_a_format_whose_package_is_missing_says_how_to_get_it(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = replace(FORMATS["npz"], packages=("numpy", "no_such_writer"), extra="that")
    monkeypatch.setitem(FORMATS, "npz", changed)
    with pytest.raises(
        CnnError, match="writing NumPy needs no_such_writer, which is not installed"
    ) as caught:
        export_model(load_model("alone.npz"), "npz", "out.npz")
    assert caught.value.hint == "pip install 'cnncli[that]'" and caught.value.exit_code == 1


def test_unknown_formats_and_options_that_a_format_lacks_are_refused(place: Path) -> None:
    model = load_model("alone.npz")
    with pytest.raises(UsageError, match="there is no format 'npzz'") as caught:
        export_model(model, "npzz")
    assert caught.value.hint == "did you mean 'npz'?"
    with pytest.raises(UsageError, match="the format npz has no choice of `input`"):
        export_model(model, "npz", options=ExportOptions(input="uint8"))


def test_a_folder_that_is_not_there_is_a_clear_error(place: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot write nowhere/out\.npz: no such file or folder"):
        export_model(load_model("alone.npz"), "npz", "nowhere/out.npz")


def test_every_format_names_its_files_and_an_extra_that_exists() -> None:
    import tomllib

    text = (Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8")
    extras = tomllib.loads(text)["project"]["optional-dependencies"]
    for name, each in FORMATS.items():
        assert all(suffix.startswith(".") for suffix in each.suffixes)
        assert bool(each.packages) == (each.extra is not None)
        assert each.extra is None or each.extra in extras
        assert each.options <= set(vars(ExportOptions()))
        assert formats.FORMATS[name] is each
