"""Every command explains itself, with examples, and a mistake on the command line is answered with a hint."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

import cnncli
import cnncli.cli.app as app_module
from cnncli.cli.app import app

COMMANDS = ["download", "train", "eval", "predict", "draw", "inspect", "sweep", "runs", "report", "export"]

OPTIONS = {
    "download": "--data-dir --from --verify --force --list",
    "train": "--config -c --set --name --exist-ok --runs-dir --resume --epochs --batch-size --lr --seed"
    " --print-config --dry-run --json --quiet -q --init-from --init-partial --seeds",
    "eval": "--split --dataset --prepare --checkpoint --min-accuracy --json --runs-dir",
    "predict": "--run --top --invert --prepare --raw --save-input --save-scale --csv --json --runs-dir",
    "draw": "--port --no-open --runs-dir",
    "inspect": "--json --save --save-scale --runs-dir",
    "sweep": "--name --trials --minutes --resume --jobs --on --dry-run --data-dir --runs-dir --json --quiet",
    "runs": "--sort --filter --status --limit --group --all --csv --json --runs-dir list compare rm rename",
    "report": "--output -o --split --dataset --checkpoint --data-dir --runs-dir --json",
    "export": "--to --output -o --checkpoint --input --data-dir --runs-dir --json",
}


def cnn(*args: str):
    return CliRunner().invoke(app, args, prog_name="cnn")


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_the_first_page_lists_the_commands_in_the_order_of_use(flag) -> None:
    result = cnn(flag)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    start = lines.index("Commands")
    assert [line.split()[0] for line in lines[start + 1 : start + 1 + len(COMMANDS)]] == COMMANDS
    assert "cnn predict digit.png" in result.stdout


def test_no_arguments_show_the_first_page() -> None:
    bare, asked = cnn(), cnn("--help")
    assert bare.exit_code == 0
    assert bare.stdout.strip() == asked.stdout.strip()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_explains_every_option_and_gives_examples(command) -> None:
    result = cnn(command, "--help")
    assert result.exit_code == 0
    page = result.stdout
    assert page.startswith(f"Usage: cnn {command} [OPTIONS]")
    words = page.replace(",", " ").split()
    assert [option for option in OPTIONS[command].split() if option not in words] == []
    assert page.partition("Examples")[2].count(f"cnn {command}") >= 4
    assert "[/]" not in page and "[dim]" not in page and "[bold]" not in page


@pytest.mark.parametrize("command", COMMANDS)
def test_the_first_page_says_of_a_command_what_its_own_page_says(command) -> None:
    assert cnn(command, "--help").stdout.splitlines()[2] == app_module.COMMANDS[command]


@pytest.mark.parametrize("command", COMMANDS)
def test_no_line_of_a_help_page_is_wider_than_a_page(command) -> None:
    assert max(map(len, cnn(command, "--help").stdout.splitlines())) <= 100


def test_the_version() -> None:
    result = cnn("--version")
    assert result.exit_code == 0
    assert result.stdout == f"cnn {cnncli.__version__}\n"


@pytest.mark.parametrize(
    ("args", "message", "hint"),
    [
        (["trian"], "there is no command 'trian'", "did you mean 'train'?"),
        (["help", "train"], "there is no command 'help'", "cnn --help, or of one command: cnn train --help"),
        (["test", "run-1"], "there is no command 'test'", "did you mean 'eval'?"),
        (
            ["ls"],
            "there is no command 'ls'",
            "did you mean 'runs'?",
        ),
        (["train", "--epoch", "3"], "no such option: --epoch", "did you mean --epochs?"),
        (["eval"], "missing argument 'RUN...'", "see `cnn eval --help`"),
        (["train", "--epochs", "many"], "invalid value for '--epochs'", "see `cnn train --help`"),
        (
            ["eval", "x", "--split", "dev"],
            "'dev' is not one of 'test', 'val', 'train'",
            "see `cnn eval --help`",
        ),
        (
            ["eval", "x", "--min-accuracy", "99"],
            "invalid value for '--min-accuracy'",
            "see `cnn eval --help`",
        ),
        (["predict", "x.png", "--top", "0"], "invalid value for '--top'", "see `cnn predict --help`"),
    ],
)
def test_a_mistake_in_the_command_line_is_exit_code_2_with_a_hint(args, message, hint) -> None:
    result = cnn(*args)
    assert result.exit_code == 2
    assert result.stdout == ""
    error, hinted = result.stderr.splitlines()
    assert error.startswith("error: ") and message in error
    assert hinted == f"hint: {hint}"


def test_debug_may_stand_behind_the_command() -> None:
    before, after = cnn("--debug", "trian"), cnn("trian", "--debug")
    assert "Traceback" in before.stderr
    assert "Traceback" in after.stderr
    assert before.exit_code == after.exit_code == 2


def test_the_program_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "cnncli", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"cnn {cnncli.__version__}\n", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_the_commands(shell) -> None:
    words = {"bash": {"COMP_WORDS": "cnn in", "COMP_CWORD": "1"}}.get(
        shell, {"_TYPER_COMPLETE_ARGS": "cnn in"}
    )
    environment = {"_CNN_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_FISH_ACTION": "get-args", **words}
    result = CliRunner().invoke(app, [], prog_name="cnn", env=environment)
    assert "inspect" in result.stdout
