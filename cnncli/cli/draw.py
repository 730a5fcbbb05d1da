"""`cnn draw`: opens a page in the browser to draw on, where a network answers."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cnncli.cli.console import note, out, print_text
from cnncli.cli.options import RunsDir, complete_run
from cnncli.cli.signals import end_at_next

if TYPE_CHECKING:
    from cnncli.training.model import Model

EXAMPLES = """
[bold]Examples[/]
  cnn draw                          the latest finished run, or the model that ships with cnn
  cnn draw run-3                    a certain run
  cnn draw bundled                  the model that ships with cnn
  cnn draw latest --port 8000       at http://127.0.0.1:8000/
  cnn draw --no-open                only print the address
"""


def draw(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN",
            help="A name, a path, a unique prefix, `latest`, `bundled`, or a checkpoint file."
            " [dim]\\[default: the latest finished run, else bundled][/]",
            autocompletion=complete_run,
            show_default=False,
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            metavar="N",
            min=0,
            max=65535,
            help="Where the page is served; 0 takes any free port. [dim]\\[default: 2828, or a free one][/]",
        ),
    ] = None,
    no_open: Annotated[
        bool, typer.Option("--no-open", help="Print the address, and open no browser.")
    ] = False,
    runs_dir: RunsDir = Path("runs"),
) -> int:
    """Draw to a network in the browser, and watch it answer.

    The page is served to this computer only. It takes strokes of a mouse, a pen or a finger, and pictures that are
    dropped or pasted, and prepares them as `cnn predict` does. While you draw it shows the answer, what the network
    saw, and what each layer computed. Ctrl-C ends it.
    """
    from cnncli.training.lookup import find_model
    from cnncli.web.draw.server import DrawServer, listen

    model = find_model(run, runs_dir)
    server = DrawServer(model, listen(port))
    server.warm_up()
    _say_which(model, "" if run else f", because no run in {runs_dir} is finished")

    def announce() -> None:
        print_text(out(), server.address)
        sys.stdout.flush()
        note("Ctrl-C ends it")
        if "SSH_CONNECTION" in os.environ:
            number = server.address.rstrip("/").rpartition(":")[2]
            note(
                f"from your own computer: ssh -L {number}:127.0.0.1:{number} HOST, then open this address there"
            )
        if not no_open:
            _open_browser(server.address)

    number = server.run(announce)
    # a picture may still be read, and Python waits for that before it ends
    end_at_next()
    return 128 + number


def _say_which(model: "Model", why: str) -> None:
    note(f"model {model.name}" + (f", which ships with cnn{why}" if model.is_bundled else f" ({model.path})"))


def _open_browser(address: str) -> None:
    """Open the page in the user's browser, if there is a screen for it; a browser that waits holds nothing up."""
    from threading import Thread

    has_screen = sys.platform in ("win32", "darwin") or any(
        name in os.environ for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "WSL_DISTRO_NAME")
    )
    if not has_screen:
        note("open the address in a browser; there is no screen here to open one on")
        return
    import webbrowser

    Thread(target=webbrowser.open, args=[address], daemon=True).start()
