"""The table of formats that a trained network can be written in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cnncli.errors import CnnError, UsageError
from cnncli.export import keras_file, npz, onnx_file, safetensors_file
from cnncli.export.c import write as c
from cnncli.export.c.compile import compiler_missing
from cnncli.export.html import write as html
from cnncli.export.images import Images
from cnncli.export.subject import ExportOptions, Subject
from cnncli.names import did_you_mean
from cnncli.types import FloatArray


def _nothing_missing() -> None:
    return None


def package_missing(*packages: str) -> Callable[[], str | None]:
    """Return a function that says which of some Python packages is not installed; None if all are."""

    def missing() -> str | None:
        absent = [name for name in packages if not is_installed(name)]
        return (
            f"{' and '.join(absent)} {'are' if len(absent) > 1 else 'is'} not installed" if absent else None
        )

    return missing


def _imported(module: str, name: str) -> Callable[..., Any]:
    """Return a function that imports a module, which needs a package, when it is called."""

    def call(*arguments: Any) -> Any:
        return getattr(import_module(module), name)(*arguments)

    return call


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        title: what people call it.
        suffixes: of the files that it consists of, the main one first.
        write: returns the content of each file by its suffix.
        answers: runs the main file with the format's own runtime: path, subject and images -> logits (N, K).
        runtime: what runs it, as a name to print.
        runtime_missing: returns why `answers` cannot run here; None if it can.
        extra: the extra of this package that has what `write` needs; None if it needs nothing.
        packages: the modules that `write` imports.
        options: the names of the `ExportOptions` that it takes.
        tolerance: the largest difference of a logit that is not a mistake, where logits are of the order of 10.
        rounds: whether its numbers are coarser than those of the network. Then logits may differ, and `answers` itself
            checks that the file computes what it should.
        facts: returns what else is worth knowing about its files, such as {"ram_bytes": 20032}.
    """

    title: str
    suffixes: tuple[str, ...]
    write: Callable[[Subject], Mapping[str, bytes]]
    answers: Callable[[Path, Subject, Images], FloatArray]
    runtime: str
    runtime_missing: Callable[[], str | None] = _nothing_missing
    extra: str | None = None
    packages: tuple[str, ...] = ()
    options: frozenset[str] = frozenset()
    tolerance: float = 1e-4
    rounds: Callable[[ExportOptions], bool] = lambda options: False
    facts: Callable[[Mapping[str, bytes]], Mapping[str, int]] = lambda contents: {}


FORMATS: dict[str, Format] = {
    "onnx": Format(
        "ONNX",
        (".onnx",),
        onnx_file.write,
        onnx_file.answers,
        "onnxruntime",
        runtime_missing=package_missing("onnxruntime"),
        extra="onnx",
        packages=("onnx",),
        options=frozenset(["input"]),
    ),
    "safetensors": Format(
        "safetensors",
        (".safetensors",),
        safetensors_file.write,
        safetensors_file.answers,
        "safetensors",
        runtime_missing=package_missing("safetensors"),
    ),
    "torch": Format(
        "PyTorch",
        (".pt2", ".pt"),
        _imported("cnncli.export.torch_file", "write"),
        _imported("cnncli.export.torch_file", "answers"),
        "PyTorch",
        extra="torch",
        packages=("torch",),
        options=frozenset(["input"]),
    ),
    "keras": Format(
        "Keras",
        (".keras",),
        keras_file.write,
        keras_file.answers,
        "Keras",
        runtime_missing=package_missing("keras"),
        extra="keras",
        packages=("h5py",),
    ),
    "npz": Format("NumPy", (".npz",), npz.write, npz.answers, "NumPy"),
    "c": Format(
        "C",
        (".c", ".h"),
        c.write,
        c.answers,
        "a C compiler",
        compiler_missing,
        options=frozenset({"dtype"}),
        tolerance=c.SAME,
        rounds=lambda options: options.dtype == "int8",
        facts=c.memory_needed,
    ),
    "html": Format(
        "HTML",
        (".html",),
        html.write,
        html.answers,
        "Node.js",
        html.node_missing,
        options=frozenset({"dtype"}),
        tolerance=html.SAME,
        rounds=lambda options: options.dtype == "int8",
    ),
}
"""Each format by its name on the command line."""


def find_format(name: str) -> Format:
    """Return a format whose packages are installed.

    Raises:
        UsageError: no format has this name.
        CnnError: what writes it is not installed.
    """
    if name not in FORMATS:
        raise UsageError(f"there is no format '{name}'", did_you_mean(name, list(FORMATS)))
    found = FORMATS[name]
    absent = [package for package in found.packages if not is_installed(package)]
    if absent:
        verb = "are" if len(absent) > 1 else "is"
        raise CnnError(
            f"writing {found.title} needs {' and '.join(absent)}, which {verb} not installed",
            f"pip install 'cnncli[{found.extra}]'",
        )
    return found


def is_installed(module: str) -> bool:
    """Return whether a module can be imported, without importing it."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False
