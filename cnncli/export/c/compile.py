"""Compiles the C program of a network, and runs images through it."""

import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from cnncli.errors import CnnError
from cnncli.export.c.constants import prefix_of
from cnncli.export.c.source import named
from cnncli.types import ByteArray, FloatArray

COMPILERS = ("cc", "gcc", "clang")
"""The first of these on the PATH is used."""

FLAGS = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Werror")

PATIENCE = 600
"""Seconds that a compiler or a program may take."""


@cache
def find_compiler() -> str | None:
    """Return the path of a C compiler, None if there is none."""
    return next((path for path in map(shutil.which, COMPILERS) if path), None)


def compiler_missing() -> str | None:
    """Return why no program can be compiled; None if it can."""
    return None if find_compiler() else f"no C compiler is on the PATH ({', '.join(COMPILERS)})"


def run_program(path: Path, pixels: ByteArray, classes: int, flags: Sequence[str] = FLAGS) -> FloatArray:
    """Compile a program in a temporary folder, and return the logits (N, K) that it computes.

    Args:
        path: the C file; its header is beside it.
        pixels: N images of any shape, uint8.
        classes: K.
        flags: for the compiler.

    Raises:
        CnnError: it cannot be compiled, or it fails.
    """
    main = (Path(__file__).parent / "check.c").read_text(encoding="utf-8")
    main = named(main, prefix_of(path.stem)).replace("@file@", path.stem)
    with TemporaryDirectory(prefix="cnn-compile-") as folder:
        check, program = Path(folder, "check.c"), Path(folder, "check")
        check.write_text(main, encoding="utf-8")
        files = [str(check), str(path.resolve())]
        _run([str(find_compiler()), *flags, f"-I{path.parent.resolve()}", *files, "-lm", "-o", str(program)])
        answers = _run([str(program)], np.ascontiguousarray(pixels).tobytes())
    logits = np.frombuffer(answers, np.float32)
    if logits.size != len(pixels) * classes:
        raise CnnError(f"it printed {logits.size:,} numbers, not {len(pixels):,} times {classes}")
    return logits.reshape(len(pixels), classes)


def _run(command: Sequence[str], stdin: bytes = b"") -> bytes:
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CnnError(f"{Path(command[0]).name} cannot be run: {error}") from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()[:5]
        raise CnnError(
            f"{Path(command[0]).name} ended with code {done.returncode}"
            + "".join(f"\n  {line}" for line in said)
        )
    return done.stdout
