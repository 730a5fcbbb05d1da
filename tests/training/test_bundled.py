"""A trained model ships with the package, says how it was made, and is called `bundled` wherever a run can be named."""

import json
import re
import shutil
import subprocess
import tomllib
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest

from cnncli.checkpoint import load_checkpoint
from cnncli.config.load import load_config, parse_config
from cnncli.config.schema import Config
from cnncli.data.load import load_dataset
from cnncli.errors import RunError, UsageError
from cnncli.runs import create_run, find_run
from cnncli.training.bundled import BUNDLED_PATH
from cnncli.training.lookup import find_model, run_or_file
from cnncli.training.make_bundled import MAX_BYTES, make_bundled
from cnncli.training.model import load_model
from cnncli.training.session import train_run

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _stand_in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_model_is_small_and_of_the_config_that_ships_beside_it() -> None:
    model = load_model("bundled")
    assert model.is_bundled and model.name == "bundled"
    assert BUNDLED_PATH.stat().st_size <= MAX_BYTES
    config = load_config("bundled.yaml")
    recorded = deepcopy(model.meta["config"])
    saved = Config.from_data(recorded, config.origin)
    assert saved.model == config.model and saved.data == config.data and saved.train == config.train
    assert model.preparation.form == "digits"


def test_it_says_how_it_was_made_and_what_was_measured() -> None:
    model = load_model("bundled")
    build = model.meta["build"]
    assert build["command"].startswith("cnn train") and "bundled" in build["command"]
    assert re.fullmatch(r"[0-9a-f]{64}", build["config_sha256"])
    assert list(build["test"]) == [entry.name for entry in model.sets]
    assert model.meta["config"]["data"]["dir"] == "data"
    assert str(Path.home()) not in json.dumps(model.meta)


def test_it_reads_drawn_digits() -> None:
    model, test = load_model("bundled"), load_dataset("synthetic").test
    x = test.images[:200, None].astype(np.float32) / 255
    right = model.network.predict(x).argmax(axis=1) == test.labels[:200]
    assert right.mean() >= 0.95


def test_the_wheel_and_the_source_archive_hold_its_file() -> None:
    targets = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    assert BUNDLED_PATH.parent == ROOT / "cnncli"
    assert targets["wheel"]["packages"] == ["cnncli"] and "cnncli" in targets["sdist"]["include"]
    assert not any("exclude" in target for target in targets.values())
    if shutil.which("git") is None:
        pytest.skip("git is not installed, so nobody can say whether it ignores the file")
    # hatchling leaves out what git ignores
    ignored = subprocess.run(["git", "check-ignore", "-q", str(BUNDLED_PATH)], cwd=ROOT, check=False)
    assert ignored.returncode != 0


def test_the_name_leads_to_it_everywhere() -> None:
    assert run_or_file("bundled") == BUNDLED_PATH
    assert find_model("bundled").is_bundled


def test_no_run_can_have_its_name_and_none_is_resumed_by_it() -> None:
    for name in ("bundled", "Bundled"):
        with pytest.raises(UsageError, match="cannot be called"):
            create_run(name=name)
    with pytest.raises(RunError, match="cannot be resumed") as caught:
        find_run("bundled")
    assert "bundled.yaml" in (caught.value.hint or "")


def test_a_folder_of_runs_with_that_name_in_it_is_refused_instead_of_guessed() -> None:
    create_run(name="old").path.rename("runs/bundled")
    for find in (load_model, find_model, run_or_file):
        with pytest.raises(RunError, match="there is a run") as caught:
            find("bundled")
        assert "runs/bundled" in (caught.value.hint or "")
    assert find_model(None).is_bundled


TINY = """
data: {dataset: [{synthetic: {limit: 300}}], validation: 60}
model: [{conv: {filters: 4, kernel: 3}}, relu, {maxpool: 4}, flatten, {linear: 10}]
train: {epochs: 1, batch_size: 50}
engine: {kind: plain}
"""


def test_the_file_is_made_from_a_finished_run(tmp_path: Path) -> None:
    run, path = create_run(), tmp_path / "made.npz"
    with pytest.raises(RunError, match="not finished"):
        make_bundled(run, path)
    *_, result = train_run(parse_config(TINY), run, plots=False)
    run.write_info(command_line=["/bin/cnn", "train", "--data-dir", "/here", "my.yaml", "--runs-dir=/there"])
    built = make_bundled(run, path)
    assert built["test"]["synthetic"]["accuracy"] == result.test_accuracy
    assert built["command"] == "cnn train my.yaml"
    made, best = load_checkpoint(path), load_checkpoint(run.best_path)
    assert made.meta["sha256"] == best.meta["sha256"]
    assert load_model(path).calibration == load_model(run).calibration
    assert made.meta["build"] == built and made.meta["run"] == "bundled"
