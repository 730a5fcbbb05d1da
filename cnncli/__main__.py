"""Starts the command line, as `cnn` and as `python -m cnncli`."""

import sys


def main() -> None:
    """Run one command and leave with its exit code."""
    try:
        from cnncli.cli.app import app
        from cnncli.cli.signals import leave_on_terminate

        leave_on_terminate()
        app(prog_name="cnn")
    except KeyboardInterrupt:  # pressed while the modules above were still loading
        sys.exit(130)


if __name__ == "__main__":
    main()
