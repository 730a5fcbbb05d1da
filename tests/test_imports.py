"""Imports point down only, and what is heavy is imported where it is needed."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parents[1] / "cnncli"
FILES = sorted(PACKAGE.rglob("*.py"))

ANYWHERE = {
    "_version",
    "errors",
    "types",
    "randomness",
    "memory",
    "mapped",
    "storage",
    "locks",
    "names",
    "options",
    "npz",
} | {
    "foreign_words",
    "control_groups",
    "processors",
    "launcher",
}
"""Modules at the package's root that any other may import."""

BELOW: dict[str, set[str]] = {
    "config": {"batches", "data", "nn", "optim"},
    "nn": set(),
    "optim": {"nn"},
    "engine": {"nn", "optim"},
    "inside": {"nn"},
    "pictures": set(),
    "data": {"pictures"},
    "batches": {"data"},
    "checkpoint": {"config"},
    "runs": {"config"},
    "report": {"config"},
    "training": {
        "batches",
        "checkpoint",
        "config",
        "data",
        "engine",
        "inside",
        "nn",
        "optim",
        "pictures",
        "report",
        "runs",
    },
}
"""What each folder of the package may import of the others, beside itself and the modules above."""

BELOW["web"] = {*BELOW["training"], "training", "inside"}
BELOW["export"] = {*BELOW["web"], "web"}
BELOW["sweep"] = {*BELOW["training"], "training"}
BELOW["cli"] = {*BELOW["export"], "export", "sweep"}

ENGINE: dict[str, set[str]] = {
    "engine.kernels": set(),
    "engine.plan": {"engine.kernels", "engine.profile"},
    "engine.parallel": {"engine.kernels", "engine.plan", "engine.profile", "engine.executor"},
}
"""The same for the folders within the engine."""

HOME: dict[str, str | tuple[str, ...]] = {
    "typer": "cnncli/cli/",
    "rich": "cnncli/cli/",
    "requests": "cnncli/data/download/",
    "urllib3": "cnncli/data/download/transfer.py",
    "tqdm": "cnncli/data/download/fetch.py",
    "matplotlib": "cnncli/report/",
    "h5py": ("cnncli/export/", "cnncli/data/readers/matlab.py"),
    "tensorboardX": "cnncli/training/event_log.py",
    "pyarrow": "cnncli/data/readers/packed.py",
    "onnx": "cnncli/export/",
    "safetensors": "cnncli/export/",
    "torch": "cnncli/export/",
    "PIL": ("cnncli/pictures/", "cnncli/data/", "cnncli/cli/drawing.py", "cnncli/web/report/pictures.py"),
    "distributed": "cnncli/sweep/places/dask_cluster.py",
    "optuna": "cnncli/sweep/optuna_search.py",
    "jinja2": "cnncli/web/",
    "markupsafe": "cnncli/web/",
    "mpi4py": "cnncli/engine/parallel/ranks.py",
}
"""The only place where each of these may be imported."""


class Import(NamedTuple):
    """One import statement: the dotted name, where it stands, and when it runs."""

    name: str
    file: str
    line: int
    in_function: bool
    for_types_only: bool


def imports_of(path: Path) -> Iterator[Import]:
    """Yield what a file imports, `from a import b` as a.b when a.b is a module of ours, else as a."""
    file = path.relative_to(PACKAGE.parent).as_posix()
    package = file.split("/")[:-1]

    def visit(node: ast.AST, in_function: bool, for_types: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, file, node.lineno, in_function, for_types)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                whole = f"{module}.{alias.name}"
                base = PACKAGE.parent / whole.replace(".", "/")
                ours = base.is_dir() or base.with_suffix(".py").is_file()
                yield Import(whole if ours else module, file, node.lineno, in_function, for_types)
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for child in node.body:
                yield from visit(child, in_function, True)
            for child in node.orelse:
                yield from visit(child, in_function, for_types)
            return
        inside = in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inside, for_types)

    yield from visit(ast.parse(path.read_text("utf-8")), False, False)


@cache
def all_imports() -> list[Import]:
    """Return the imports of all files; they are read when the first test asks, not when tests are collected."""
    return [each for path in FILES for each in imports_of(path)]


def part_of(dotted: str) -> str:
    """Return the part of the package that a module belongs to: "cnncli.nn.layers.conv" -> "nn"."""
    return dotted.split(".")[1] if "." in dotted else ""


def test_the_imports_were_found() -> None:
    assert {part_of(each.name) for each in all_imports() if each.name.startswith("cnncli")} >= {
        "errors",
        "nn",
        "data",
    }


def file_of(dotted: str) -> str:
    """Return the file that holds a module of ours: "cnncli.nn" -> "cnncli/nn/__init__.py"."""
    base = PACKAGE.parent / dotted.replace(".", "/")
    found = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
    return found.relative_to(PACKAGE.parent).as_posix()


@pytest.mark.parametrize("part", BELOW)
def test_a_folder_imports_only_what_lies_below_it(part: str) -> None:
    allowed = BELOW[part] | ANYWHERE | {part}
    wrong = [
        f"{each.file}:{each.line} imports {each.name}"
        for each in all_imports()
        if each.name.split(".")[0] == "cnncli"
        and each.file.startswith(f"cnncli/{part}/")
        and part_of(each.name) not in allowed
        and not each.for_types_only
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("room", ENGINE)
def test_a_folder_of_the_engine_imports_only_what_lies_below_it(room: str) -> None:
    allowed = tuple(f"cnncli.{name}" for name in ENGINE[room] | {room})
    wrong = [
        f"{each.file}:{each.line} imports {each.name}"
        for each in all_imports()
        if each.name.startswith("cnncli.engine")
        and each.file.startswith(f"cnncli/{room.replace('.', '/')}/")
        and not f"{each.name}.".startswith(tuple(f"{name}." for name in allowed))
        and not each.for_types_only
    ]
    assert not wrong, "\n".join(wrong)


def test_every_folder_of_the_package_has_its_place() -> None:
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders == set(BELOW)


def test_what_anything_may_import_lies_at_the_bottom() -> None:
    wrong = [
        f"{each.file}:{each.line} imports {each.name}"
        for each in all_imports()
        if each.name.startswith("cnncli.")
        and each.file.removeprefix("cnncli/").removesuffix(".py") in ANYWHERE
        and part_of(each.name) not in ANYWHERE
    ]
    assert not wrong, "\n".join(wrong)


def test_no_file_imports_itself_by_way_of_others() -> None:
    graph: dict[str, set[str]] = {}
    for each in all_imports():
        if each.name.startswith("cnncli."):
            graph.setdefault(each.file, set()).add(file_of(each.name))
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the files


@pytest.mark.parametrize("library", HOME)
def test_a_library_is_imported_in_its_home_only(library: str) -> None:
    wrong = [
        f"{each.file}:{each.line} imports {each.name}"
        for each in all_imports()
        if each.name.split(".")[0] == library
        and not each.file.startswith(HOME[library])
        and not each.for_types_only
    ]
    assert not wrong, "\n".join(wrong)


def test_yaml_is_imported_where_configs_are_read_only() -> None:
    users = {each.file for each in all_imports() if each.name.split(".")[0] == "yaml"}
    assert users <= {"cnncli/config/schema.py", "cnncli/config/yaml_reader.py"}


@pytest.mark.parametrize("library", ["matplotlib", "tqdm"])
def test_a_slow_library_is_imported_inside_functions(library: str) -> None:
    wrong = [
        f"{each.file}:{each.line}"
        for each in all_imports()
        if each.name.split(".")[0] == library and not each.in_function and not each.for_types_only
    ]
    assert not wrong, "\n".join(wrong)


def test_nobody_imports_click() -> None:
    assert not [each for each in all_imports() if each.name.split(".")[0] == "click"]


def loaded_after(code: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter has loaded after running the code."""
    script = f"{code}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = {"typer", "rich", "matplotlib", "pydantic", "requests", "tqdm", "yaml", "numpy", "PIL"}
    assert not loaded_after("import cnncli") & heavy


def test_the_help_page_loads_no_arrays_and_no_config_reader() -> None:
    heavy = {"matplotlib", "pydantic", "requests", "tqdm", "yaml", "numpy", "PIL"}
    code = "from cnncli.cli.app import app\ntry:\n    app(['--help'])\nexcept SystemExit:\n    pass"
    assert not loaded_after(code) & heavy
