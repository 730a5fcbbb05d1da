"""`cnn train`: where the run is, what the streams say, how it stops, and how it goes on."""

import csv
import json
import signal
import time
from pathlib import Path

import pytest

import cnncli.data.download.fetch
from cnncli.config.load import load_config
from cnncli.errors import DownloadError

TRAIN = ("train", "-c", "tiny.yaml", "--no-plots")


@pytest.fixture(autouse=True)
def _place(place: Path) -> None:
    pass


def test_a_training_tells_its_run_at_the_start_and_the_end(cnn) -> None:
    result = cnn(*TRAIN)
    assert result.exit_code == 0, result.stderr
    said = result.stderr.splitlines()
    assert said[:2] == ["config tiny.yaml", "run runs/run-1"]
    assert "data tiny: 120 images to train on, 30 held out for validation" in said
    lines = dict(line.split(maxsplit=1) for line in result.stdout.splitlines() if line)
    assert lines["run"] == "runs/run-1"
    assert lines["next"] == "cnn predict PICTURE --run run-1"
    assert set(lines) == {"run", "best", "validation", "test", "speed", "next"}


def test_the_parameter_table_goes_to_stderr(cnn) -> None:
    result = cnn(*TRAIN)
    rows = {line.split()[0]: line.split() for line in result.stderr.splitlines() if line.strip()}
    assert rows["conv1"] == "conv1 4, 6, 6 40 26.5 % 1,296".split()
    assert rows["total"] == "total 151 100.0 % 1,404".split()


def test_without_a_terminal_there_is_one_plain_line_an_epoch(cnn) -> None:
    result = cnn(*TRAIN, "--epochs", "3")
    lines = [line for line in result.stderr.splitlines() if line.startswith("epoch ")]
    assert [line.split()[1] for line in lines] == ["1/3", "2/3", "3/3"]
    assert all("train_loss=" in line and "val_accuracy=" in line for line in lines)
    assert "\x1b" not in result.stderr and "\r" not in result.stderr


def test_quiet_says_nothing_but_the_result(cnn) -> None:
    result = cnn(*TRAIN, "-q")
    assert result.stderr == ""
    assert "best epoch" in result.stdout


def test_json_is_the_only_thing_on_stdout(cnn) -> None:
    result = cnn(*TRAIN, "--json", "--name", "mine")
    document = json.loads(result.stdout)
    assert set(document) >= {
        *("run", "path", "status", "epochs", "best_epoch", "val_accuracy", "test_accuracy", "test_loss"),
        *("seconds", "images_per_second", "parameters"),
    }
    assert (document["run"], document["path"], document["status"]) == ("mine", "runs/mine", "done")
    assert (document["epochs"], document["parameters"]) == (2, 151)


def test_options_change_the_config_and_the_named_ones_win(cnn) -> None:
    options = (
        "--set train.epochs=9 --set engine.workers=1 --epochs 1 --batch-size 60 --lr 0.5 --seed 7".split()
    )
    assert cnn(*TRAIN, *options).exit_code == 0
    config = load_config("runs/run-1/config.yaml")
    assert (config.train.epochs, config.train.batch_size, config.train.optimizer.lr) == (1, 60, 0.5)
    assert (config.seed, config.engine.workers) == (7, 1)


def test_print_config_prints_yaml_that_means_the_same_and_trains_nothing(cnn) -> None:
    result = cnn(*TRAIN, "--epochs", "7", "--print-config")
    assert result.exit_code == 0
    Path("printed.yaml").write_text(result.stdout)
    assert load_config("printed.yaml") == load_config("tiny.yaml", ["train.epochs=7"])
    assert not Path("runs").exists()


@pytest.mark.parametrize("quiet", [(), ("-q",)])
def test_a_dry_run_leaves_no_run_folder(cnn, quiet) -> None:
    result = cnn(*TRAIN, "--dry-run", *quiet)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("dry run: 60 images were trained on")
    assert sorted(path.name for path in Path().iterdir()) == ["tiny", "tiny.yaml"]


def test_a_dry_run_finds_what_a_training_would_trip_over(cnn) -> None:
    result = cnn(*TRAIN, "--dry-run", "--set", "model.4.linear=2")
    assert result.exit_code == 2
    assert "2 outputs" in result.stderr and "has 3" in result.stderr


def test_a_warm_up_longer_than_an_epoch_is_no_trouble_for_a_dry_run(cnn) -> None:
    result = cnn(*TRAIN, "--dry-run", "--set", "train.warmup_epochs=2")
    assert result.exit_code == 0, result.stderr


def test_a_model_that_cannot_be_built_makes_no_run_folder(cnn) -> None:
    result = cnn(*TRAIN, "--set", "model.2.maxpool=9")
    assert result.exit_code == 2
    assert "maxpool1" in result.stderr
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("setting", "exit_code", "told"),
    [
        ("data.augment=[{spin: 1}]", 2, "unknown augmentation 'spin'"),
        ("train.optimizer.momentun=0.9", 2, "momentun"),
        ("data.validation=100000", 2, "data.validation"),
        ("data.dir=nowhere", 1, "nowhere"),
    ],
)
def test_what_cannot_be_prepared_makes_no_run_folder_and_latest_stays(cnn, setting, exit_code, told) -> None:
    assert cnn(*TRAIN).exit_code == 0
    dataset = ["--set", "data.dataset=mnist", "--set", "model.4.linear=10"] if "nowhere" in setting else []
    result = cnn(*TRAIN, *dataset, "--set", setting)
    assert result.exit_code == exit_code
    assert told in result.stderr
    assert [path.name for path in Path("runs").iterdir()] == ["run-1"]
    assert cnn("eval", "latest", "--no-plots").exit_code == 0


def test_a_config_that_is_wrong_names_file_line_and_key(cnn) -> None:
    Path("bad.yaml").write_text("model: [flatten, {linear: 3}]\ntrain:\n  batch_size: many\n")
    result = cnn("train", "-c", "bad.yaml")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: bad.yaml:3: train.batch_size: ")


@pytest.mark.parametrize(
    ("option", "start"),
    [
        (("--epochs", "0"), "error: --epochs 0: expected a whole number"),
        (("--save-every", "0"), "error: --save-every 0: expected batches or seconds, such as 200 or 30s"),
        (("--set", "seed=-1"), "error: --set seed=-1: expected a whole number"),
        (
            ("--dry-run", "--set", "data.validation=200"),
            "error: --set data.validation=200: a validation part",
        ),
    ],
)
def test_a_value_that_is_wrong_is_named_as_the_user_wrote_it(cnn, option, start) -> None:
    result = cnn(*TRAIN, "-q", *option)
    assert result.exit_code == 2
    assert result.stderr.startswith(start)


@pytest.mark.parametrize("mode", [(), ("--dry-run",), ("--print-config",)])
def test_all_mistakes_are_told_before_anything_is_fetched(cnn, mode, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(*args: object, **options: object) -> None:
        raise AssertionError("nothing may be fetched")

    monkeypatch.setattr(cnncli.data.download.fetch, "download", fetch)
    Path("bad.yaml").write_text(
        "model:\n  - flatten\n  - Dense: 10\ntrain:\n  lr: 0.1\n  schedule: cosinus\n"
    )
    result = cnn("train", "-c", "bad.yaml", *mode)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "error: bad.yaml:3: layer 2: unknown layer 'Dense' (did you mean 'linear'?)",
        "bad.yaml:5: train.lr: unknown key (did you mean 'train.optimizer.lr'?)",
        "bad.yaml:6: train.schedule.name: unknown schedule 'cosinus' (did you mean 'cosine'?)",
    ]
    for model, told in (
        ("[flatten, linear: 4]", "has 4 outputs, but mnist has 10"),
        ("[maxpool: 99]", "maxpool1"),
    ):
        Path("bad.yaml").write_text(f"model: {model}\n")
        result = cnn("train", "-c", "bad.yaml", *mode)
        assert result.exit_code == 2
        assert told in result.stderr
        assert result.stdout == ""


def test_a_config_needs_no_option(cnn) -> None:
    result = cnn("train", "tiny.yaml", "--epochs", "3", "--print-config")
    assert result.exit_code == 0
    assert result.stdout == cnn("train", "-c", "tiny.yaml", "--epochs", "3", "--print-config").stdout
    both = cnn("train", "tiny.yaml", "-c", "other.yaml")
    assert both.exit_code == 2
    assert both.stderr.startswith("error: there are two configs: tiny.yaml and --config other.yaml")


def test_a_run_in_place_of_a_config_is_answered_with_the_two_commands(cnn) -> None:
    assert cnn(*TRAIN).exit_code == 0
    for name in ("run-1", "runs/run-1"):
        result = cnn("train", name)
        assert result.exit_code == 2
        error, hint = result.stderr.splitlines()
        assert error == f"error: {name} is a run, not a config"
        assert f"cnn train --resume {name};" in hint
        assert hint.endswith("repeat it: cnn train runs/run-1/config.yaml")
    assert cnn("train", "runs/run-1/config.yaml", "-q", "--no-plots").exit_code == 0


def test_an_option_that_is_misspelled_is_answered_with_the_nearest(cnn) -> None:
    assert "hint: did you mean --config?" in cnn("train", "--confg", "tiny.yaml").stderr


def test_fewer_epochs_than_are_done_are_said_in_words_that_make_sense(cnn) -> None:
    assert cnn(*TRAIN, "--epochs", "3").exit_code == 0
    result = cnn("train", "--resume", "run-1", "--epochs", "2")
    assert result.exit_code == 2
    assert "run runs/run-1: done, 3 epochs done, 2 asked for" in result.stderr
    assert "run-1 has done 3 epochs, more than the 2 asked for" in result.stderr


def test_a_run_keeps_its_first_command_and_lists_its_resumes(cnn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["cnn", "train", "first"])
    assert cnn(*TRAIN).exit_code == 0
    for number in (3, 4):
        monkeypatch.setattr("sys.argv", ["cnn", "train", "--resume", str(number)])
        assert cnn("train", "--resume", "run-1", "--epochs", str(number), "--no-plots").exit_code == 0
    info = json.loads(Path("runs/run-1/run.json").read_text())
    assert info["command_line"] == ["cnn", "train", "first"]
    assert [each["command_line"][-1] for each in info["resumes"]] == ["3", "4"]
    assert [each["from_step"] for each in info["resumes"]] == [12, 18]
    shown = cnn("inspect", "run-1").stdout
    assert "command       cnn train first\n" in shown
    assert "resumed       2 times\n" in shown


def test_a_run_that_stopped_early_says_so(cnn) -> None:
    still = ("--lr", "1e-12", "--epochs", "9", "--set", "train.patience=1")
    result = cnn(*TRAIN, *still)
    assert result.exit_code == 0, result.stderr
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("stopped early")]
    assert line.endswith("no better validation accuracy for 1 epoch")


def test_guessing_is_said(cnn) -> None:
    result = cnn(*TRAIN, "--lr", "1e-12", "--epochs", "1")
    assert result.exit_code == 0
    assert (
        "warning: this is guessing: 3 classes give 33.3 % by chance; try a smaller learning rate"
        in result.stderr
    )
    assert "guessing" not in cnn(*TRAIN, "--epochs", "20").stderr


def test_a_resume_says_where_it_goes_on(cnn) -> None:
    assert cnn(*TRAIN).exit_code == 0
    result = cnn("train", "--resume", "run-1", "--epochs", "3", "--no-plots")
    assert "go on from epoch 3, step 1 of 6" in result.stderr.splitlines()


def test_a_renamed_run_is_called_by_its_new_name(cnn) -> None:
    assert cnn(*TRAIN).exit_code == 0
    Path("runs/run-1").rename("runs/best-yet")
    assert json.loads(cnn("eval", "best-yet", "--json", "--no-plots").stdout)["run"] == "best-yet"
    assert cnn("train", "--resume", "best-yet", "--epochs", "3", "--no-plots").exit_code == 0
    assert json.loads(Path("runs/best-yet/run.json").read_text())["name"] == "best-yet"


def test_latest_is_the_finished_run_and_for_a_resume_the_stopped_one(cnn, start) -> None:
    assert cnn(*TRAIN, "--name", "old").exit_code == 0
    assert cnn(*TRAIN, "--name", "done").exit_code == 0
    process = start(*TRAIN, "--name", "stopped", "--epochs", "500")
    begun(process, Path("runs/stopped"))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert json.loads(cnn("eval", "latest", "--json", "--no-plots").stdout)["run"] == "done"
    assert cnn("inspect", "latest").stdout.splitlines()[0].split() == ["run", "runs/done"]
    resumed = cnn("train", "--resume", "latest", "--epochs", "5", "--no-plots")
    assert "run runs/stopped: interrupted" in resumed.stderr


def test_a_name_that_is_taken_is_refused_unless_it_may_exist(cnn) -> None:
    assert cnn(*TRAIN, "--name", "a").exit_code == 0
    again = cnn(*TRAIN, "--name", "a")
    assert again.exit_code == 1
    error, hint = again.stderr.splitlines()[-2:]
    assert error == "error: runs/a exists already"
    assert "--name" in hint and "--exist-ok" in hint and hint.endswith("cnn train --resume a")
    assert cnn(*TRAIN, "--name", "a", "--exist-ok").exit_code == 0


def test_a_finished_run_is_trained_for_longer_in_place(cnn) -> None:
    assert cnn(*TRAIN).exit_code == 0
    finished = cnn("train", "--resume", "run-1")
    assert finished.exit_code == 1
    assert "finished" in finished.stderr and "--epochs" in finished.stderr
    longer = cnn("train", "--resume", "run-1", "--epochs", "4", "--json")
    assert longer.exit_code == 0, longer.stderr
    assert json.loads(longer.stdout)["epochs"] == 4
    with Path("runs/run-1/metrics.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2", "3", "4"]


@pytest.mark.parametrize("option", [("-c", "tiny.yaml"), ("--name", "x"), ("--exist-ok",), ("--dry-run",)])
def test_a_resume_does_not_take_options_of_a_new_run(cnn, option) -> None:
    result = cnn("train", "--resume", "run-1", *option)
    assert result.exit_code == 2
    assert "--resume" in result.stderr


def test_a_resume_cannot_change_what_the_run_is(cnn) -> None:
    assert cnn(*TRAIN).exit_code == 0
    result = cnn("train", "--resume", "run-1", "--epochs", "3", "--lr", "0.5")
    assert result.exit_code == 1
    assert "train.optimizer.lr" in result.stderr


def test_a_run_that_does_not_exist_is_guessed_at(cnn) -> None:
    assert cnn(*TRAIN, "--name", "first").exit_code == 0
    result = cnn("train", "--resume", "frist")
    assert result.exit_code == 1
    assert "first" in result.stderr


def test_divergence_says_where_and_what_helps(cnn) -> None:
    result = cnn(*TRAIN, "--lr", "1e30", "--set", "train.optimizer.name=sgd")
    assert result.exit_code == 1
    error, hint = result.stderr.splitlines()[-2:]
    assert error.startswith("error: epoch 1, step ")
    assert "lower learning rate" in hint
    assert result.stdout == ""


def begun(process, run: Path) -> None:
    """Wait until the first epoch is on the disk."""
    for _ in range(600):
        metrics = run / "metrics.csv"
        if metrics.exists() and len(metrics.read_text().splitlines()) > 1:
            return
        assert process.poll() is None, process.stderr.read().decode()
        time.sleep(0.05)
    raise AssertionError("the training did not begin")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_a_resume_ends_where_the_whole_training_does(start, cnn, number, code) -> None:
    length = ["--epochs", "16", "--set", "train.batch_size=2"]
    process = start(*TRAIN, *length, "--json")
    begun(process, Path("runs/run-1"))
    process.send_signal(number)
    out, complaint = process.communicate(timeout=20)
    assert process.returncode == code, complaint
    assert out == b""
    last = complaint.decode().splitlines()[-1]
    assert last.startswith("stopped in epoch") and last.endswith("cnn train --resume run-1")
    assert json.loads(Path("runs/run-1/run.json").read_text())["status"] == "interrupted"

    resumed = cnn("train", "--resume", "run-1", "-q", "--no-plots")
    assert resumed.exit_code == 0, resumed.stderr
    whole = cnn(*TRAIN, *length, "-q", "--name", "whole")
    assert whole.exit_code == 0, whole.stderr
    hashes = [
        json.loads(Path(f"runs/{run}/run.json").read_text())["weights_sha256"] for run in ("run-1", "whole")
    ]
    assert hashes[0] == hashes[1]


def test_a_reader_that_leaves_ends_the_command_without_a_word(start) -> None:
    process = start(*TRAIN, "--json", "-q")
    process.stdout.close()
    assert process.wait(timeout=60) == 1
    assert process.stderr.read() == b""
    assert json.loads(Path("runs/run-1/run.json").read_text())["status"] == "done"


@pytest.mark.parametrize("environment", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}])
def test_a_terminal_without_utf8_gets_plain_characters(start, environment) -> None:
    process = start(*TRAIN, **environment)
    out, complaint = process.communicate(timeout=60)
    assert process.returncode == 0, complaint
    if "PYTHONIOENCODING" in environment:
        assert out.isascii() and complaint.isascii()


class TestWithoutAConfig:
    """The best data at hand, and one line that says which and why."""

    @pytest.fixture(autouse=True)
    def _small(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Put small configs where they are found before the shipped ones, and no network."""
        Path("configs").mkdir()
        for name, dataset in (("mnist", "mnist"), ("synthetic", "tiny")):
            text = Path("tiny.yaml").read_text().replace("dataset: tiny", f"dataset: {dataset}")
            text = text.replace("linear: 3", "linear: 10") if dataset == "mnist" else text
            Path("configs", f"{name}.yaml").write_text(text)
        self.asked: list[tuple[str, float]] = []

        def fail(
            name: str, *args: object, limits: cnncli.data.download.transfer.Limits, **options: object
        ) -> None:
            self.asked.append((name, limits.connect))
            raise DownloadError("no mirror answered", "try `--from`")

        monkeypatch.setattr(cnncli.data.download.fetch, "download", fail)

    def test_drawn_digits_stand_in_when_mnist_cannot_be_had(self, cnn) -> None:
        result = cnn("train", "--json")
        assert result.exit_code == 0, result.stderr
        assert (
            "config configs/synthetic.yaml instead, with drawn digits, because no mirror answered"
            in result.stderr
        )
        assert [(name, connect <= 3) for name, connect in self.asked] == [("mnist", True)]

    def test_a_named_config_is_never_replaced(self, cnn) -> None:
        result = cnn("train", "-c", "mnist.yaml")
        assert result.exit_code == 1
        assert result.stderr.splitlines()[-2:] == ["error: no mirror answered", "hint: try `--from`"]
        assert not Path("runs").exists()

    def test_a_named_set_is_never_replaced(self, cnn) -> None:
        result = cnn("train", "--set", "data.dataset=kmnist")
        assert result.exit_code == 1
        assert self.asked == [("kmnist", 10.0)]

    def test_print_config_does_not_ask_the_network(self, cnn) -> None:
        assert cnn("train", "--print-config").exit_code == 0
        assert self.asked == []


def test_a_file_of_a_name_with_blanks_is_a_data_folder(cnn) -> None:
    Path("tiny").rename("my tiny: set")
    result = cnn(*TRAIN, "-q", "--set", 'data.dataset="my tiny: set"', "--data-dir", "a: b")
    assert result.exit_code == 0, result.stderr
    assert load_config("runs/run-1/config.yaml").data.dir == "a: b"


@pytest.mark.parametrize(
    ("text", "expected"), [("200", "{steps: 200, seconds: 60.0}"), ("30s", "{steps: null, seconds: 30.0}")]
)
def test_how_often_to_save_is_in_batches_or_seconds(cnn, place, text: str, expected: str) -> None:
    result = cnn("train", "-c", "tiny.yaml", "--save-every", text, "--print-config")
    assert result.exit_code == 0
    assert f"save_every: {expected}" in result.stdout


@pytest.mark.parametrize("text", ["often", "0", "-3s", "s", ""])
def test_how_often_to_save_has_to_be_a_number(cnn, place, text: str) -> None:
    result = cnn("train", "-c", "tiny.yaml", "--save-every", text, "--print-config")
    assert result.exit_code == 2
    assert "save" in result.stderr and "Traceback" not in result.stderr


def test_a_dry_run_has_no_folder_for_a_profile(cnn, place) -> None:
    result = cnn("train", "-c", "tiny.yaml", "--dry-run", "--profile")
    assert result.exit_code == 2
    assert "--dry-run leaves none" in result.stderr


def test_a_profile_is_written_into_the_run_and_said(cnn, place) -> None:
    result = cnn("train", "-c", "tiny.yaml", "--profile", "--no-plots")
    assert result.exit_code == 0
    assert "profile.txt" in result.stderr and Path("runs/run-1/profile.txt").exists()


def test_the_run_keeps_the_name_of_its_config_also_after_a_resume(cnn, place) -> None:
    assert cnn("train", "-c", "tiny.yaml", "-q", "--no-plots").exit_code == 0
    assert cnn("train", "--resume", "run-1", "--epochs", "3", "-q", "--no-plots").exit_code == 0
    assert json.loads(Path("runs/run-1/run.json").read_text())["config"] == "tiny.yaml"


def test_the_weights_of_a_run_are_where_another_starts_and_the_config_has_the_file(cnn, place) -> None:
    assert cnn("train", "tiny.yaml", "--name", "first", "-q", "--no-plots").exit_code == 0
    result = cnn("train", "tiny.yaml", "--init-from", "fir", "--name", "second", "--no-plots")
    assert result.exit_code == 0, result.stderr
    assert "weights of runs/first/checkpoints/best.npz: " in result.stderr
    assert "init_from: runs/first/checkpoints/best.npz" in Path("runs/second/config.yaml").read_text()
    wider = cnn("train", "tiny.yaml", "--init-from", "bundled", "--name", "third")
    assert wider.exit_code == 1 and "do not fit the network. Not expected: " in wider.stderr
    assert "let the other layers start fresh: --init-partial" in wider.stderr
    assert not Path("runs/third").exists()
    resumed = cnn("train", "--resume", "second", "--init-from", "first")
    assert resumed.exit_code == 2 and "--init-from does not go with that" in resumed.stderr
    missing = cnn("train", "tiny.yaml", "--init-from", "nobody")
    assert missing.exit_code == 1 and "there is no run 'nobody'" in missing.stderr
    alone = cnn("train", "tiny.yaml", "--init-partial")
    assert alone.exit_code == 2 and "there is no train.init_from" in alone.stderr


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--name", "a/b"], "cannot be the name"),
        (["--seeds", "1,1"], "twice"),
        (["--seeds", "x"], "no seeds"),
    ],
)
def test_a_wrong_name_or_seed_is_told_before_data_are_looked_for(
    cnn, place: Path, monkeypatch: pytest.MonkeyPatch, wrong: list[str], said: str
) -> None:
    import cnncli.training.choose

    def choose(*args: object, **options: object) -> None:
        raise AssertionError("data were looked for")

    monkeypatch.setattr(cnncli.training.choose, "choose_config", choose)
    refused = cnn("train", *wrong)
    assert refused.exit_code == 2 and said in refused.stderr
