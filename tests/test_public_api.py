"""The names that others may rely on: all there, all documented, typed as they are at run time."""

import ast
import inspect
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import cnncli

NAMES = [name for name in cnncli.__all__ if name != "__version__"]


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_there_and_documented(name) -> None:
    value = getattr(cnncli, name)
    assert value is getattr(import_module(f"cnncli.{cnncli._HOMES[name]}"), name)
    assert inspect.getdoc(value)


def test_the_list_the_table_and_the_types_agree() -> None:
    tree = ast.parse(Path(cnncli.__file__).read_text("utf-8"))
    (typed,) = [node for node in tree.body if isinstance(node, ast.If)]
    imported = {
        alias.name: statement.module
        for statement in typed.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
    assert imported == {name: f"cnncli.{home}" for name, home in cnncli._HOMES.items()}
    assert sorted(NAMES) == sorted(cnncli._HOMES)
    assert cnncli.__all__ == sorted(cnncli.__all__)


def test_dir_lists_what_is_not_imported_yet() -> None:
    assert {name for name in dir(cnncli) if not name.startswith("__")} == {
        name for name in cnncli.__all__ if not name.startswith("__")
    }


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        cnncli.trian  # noqa: B018


def test_the_names_work_together() -> None:
    layers = [
        ("conv", {"filters": 4, "kernel": 3, "stride": 2}),
        ("relu", {}),
        ("flatten", {}),
        ("linear", {"units": 3}),
    ]
    network = cnncli.build_network(layers, (1, 8, 8), rng=np.random.default_rng(0))
    images = np.random.default_rng(1).integers(0, 256, (12, 8, 8), dtype=np.uint8)
    with cnncli.compile(network, "plain") as executor:
        found = cnncli.evaluate(executor, images, np.arange(12) % 3)
    assert found.count == 12
    assert found.confusion.sum() == 12


def small_dataset() -> cnncli.Dataset:
    images = np.random.default_rng(1).integers(0, 256, (12, 8, 8), dtype=np.uint8)
    split = cnncli.Split(images, np.arange(12) % 3)
    return cnncli.Dataset("mine", split, split, ("cat", "dog", "emu"), 0.5, 0.3)


def small_network() -> cnncli.Network:
    layers = [{"conv": {"filters": 4, "kernel": 3}}, "relu", "flatten", {"linear": 3}]
    return cnncli.build_network(layers, (1, 8, 8), rng=np.random.default_rng(0))


def measured() -> cnncli.Evaluation:
    dataset = small_dataset()
    with cnncli.compile(small_network(), "plain") as executor:
        return cnncli.evaluate(executor, dataset.test.images, dataset.test.labels)


@pytest.mark.parametrize("name", [name for name in NAMES if inspect.isfunction(getattr(cnncli, name))])
def test_the_signature_of_a_function_fits_on_a_screen(name) -> None:
    assert len(str(inspect.signature(getattr(cnncli, name)))) < 700


def test_a_network_prints_as_a_table_of_its_layers() -> None:
    assert repr(small_network()).splitlines() == [
        "Network(475 parameters)",
        "  input            1x8x8",
        "  conv1            4x6x6            40",
        "  relu1            4x6x6",
        "  flatten1           144",
        "  linear1              3           435",
    ]


def test_what_holds_arrays_prints_as_one_line() -> None:
    dataset = small_dataset()
    assert repr(dataset) == (
        "Dataset('mine': 12 training and 12 test images of 8x8, 3 classes: cat, dog, emu)"
    )
    assert repr(dataset.train) == "Split(12 images of 8x8, 3 classes)"
    found = measured()
    assert (
        repr(found) == f"Evaluation({100 * found.accuracy:.2f} % of 12 images right, loss {found.loss:.4f})"
    )


def test_predictions_and_results_print_as_one_line() -> None:
    from cnncli.training.lines import DigitPrediction

    digit = DigitPrediction("7", 0.9876, (1, 2, 3, 4), (("7", 0.9876),), np.zeros((28, 28), np.uint8))
    assert repr(digit) == "DigitPrediction('7', 98.8 %, box (1, 2, 3, 4))"
    read = cnncli.PicturePrediction("a.png", (digit,), "7", ("it is dark",))
    assert repr(read) == "PicturePrediction('a.png': '7', at least 98.8 % sure, 1 warning)"
    assert repr(cnncli.PicturePrediction("a.png", error="it is blank")) == (
        "PicturePrediction('a.png': error: it is blank)"
    )
    result = cnncli.TrainResult("run-1", "runs/run-1", "done", 5, 4, 0.99, None, None, 3.21, 900.0, 475)
    assert repr(result) == "TrainResult('runs/run-1': best epoch 4 of 5, validation 99.00 %, 3.2 s)"


def test_a_model_prints_its_classes_and_its_network(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = cnncli.parse_config(
        "data: {dataset: synthetic, limit: 50, validation: 50}\n"
        "model: [{maxpool: 7}, flatten, {linear: 10}]\ntrain: {epochs: 1}\nengine: {kind: plain}"
    )
    list(cnncli.train_run(config, cnncli.create_run(name="first"), plots=False))
    for name in ("first", "fir", "latest", "runs/first", "runs/first/checkpoints/best.npz"):
        lines = repr(cnncli.load_model(name)).splitlines()
        assert lines[0] == "Model('first', best checkpoint, 10 classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)"
        assert lines[1] == "Network(170 parameters)"
    with pytest.raises(cnncli.CnnError, match="there is no run 'frist' in runs") as caught:
        cnncli.load_model("frist")
    assert caught.value.hint == "did you mean 'first'?"
    with pytest.raises(cnncli.CnnError, match=r"nowhere\.npz"):
        cnncli.load_model("nowhere.npz")
    for figure in (cnncli.plot_run("first"), cnncli.plot_run(cnncli.find_run("first"))):
        assert figure._repr_png_().startswith(b"\x89PNG")


def test_figures_are_returned_and_shown_by_a_notebook() -> None:
    dataset, found = small_dataset(), measured()
    for figure in (
        cnncli.plot_confusion(found, dataset.classes),
        cnncli.plot_mistakes(found, dataset.test, dataset.classes),
        cnncli.plot_samples(dataset),
    ):
        assert type(figure).__name__ == "Figure"
        assert figure._repr_png_().startswith(b"\x89PNG")  # what Jupyter asks an object for


def test_a_run_without_an_epoch_has_no_curves(tmp_path) -> None:
    with pytest.raises(cnncli.CnnError, match="run-1 has not finished an epoch yet"):
        cnncli.plot_run(cnncli.create_run(tmp_path))
