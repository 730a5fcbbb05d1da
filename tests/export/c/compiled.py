"""Ways to run a network as a C program, with everything that a compiler can check."""

import shutil
import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from cnncli.export.c.compile import run_program
from cnncli.export.c.write import PLANS, write
from cnncli.export.images import Images
from cnncli.export.subject import DataType, ExportOptions, Subject

STRICT = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-pedantic")
SANITIZED = (*STRICT, "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@cache
def why_no_gcc() -> str | None:
    """Return why programs cannot be compiled with sanitizers here, or None."""
    if shutil.which("gcc") is None:
        return "gcc is not installed"
    program = subprocess.run(
        ["gcc", *SANITIZED, "-x", "c", "-", "-o", "/dev/null"],
        input=b"int main(void) { return 0; }",
        capture_output=True,
    )
    return None if program.returncode == 0 else "gcc has no sanitizers here"


needs_gcc = pytest.mark.skipif(why_no_gcc() is not None, reason=str(why_no_gcc()))


def as_type(subject: Subject, dtype: DataType) -> Subject:
    return replace(subject, options=ExportOptions(dtype=dtype), kept={})


def write_files(subject: Subject, folder: Path) -> Path:
    """Write the C file and its header, and return the path of the first."""
    for suffix, content in write(subject).items():
        (folder / f"{subject.name}{suffix}").write_bytes(content)
    return folder / f"{subject.name}.c"


def run_compiled(
    subject: Subject, images: Images, folder: Path, flags: tuple[str, ...] = SANITIZED
) -> np.ndarray:
    """Return the logits (N, K) of the program."""
    return run_program(write_files(subject, folder), images.pixels, len(subject.folded.classes), flags)


def plan_of(subject: Subject) -> object:
    """Return the operations that a subject was written with."""
    return subject.kept[PLANS]
