"""Imports point down only, and what is heavy is imported where it is needed."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parents[1] / "cnncli"
FILES = sorted(PACKAGE.rglob("*.py"))

ANYWHERE = {"errors", "types", "randomness", "config", "storage", "memory", ""}
"""Modules that any other may import; "" is the package itself, for its version."""

CONFIG_FILES = {"config_errors", "config_files", "layer_specs", "overrides", "yaml_text"}
"""What config.py is made of."""

BELOW: dict[str, set[str]] = {
    "nn": set(),
    "data": set(),
    "optim": {"nn"},
    "engine": {"nn", "optim"},
    "checkpoint": set(),
    "runs": set(),
    "report": set(),
    "training": {"data", "nn", "engine", "optim", "runs", "checkpoint", "report"},
    "cli": {"data", "nn", "engine", "optim", "training", "runs", "checkpoint", "report"},
}
"""What each part of the package may import of the others, beside itself and what anything may import."""

HOME: dict[str, str | tuple[str, ...]] = {
    "typer": "cnncli/cli/",
    "rich": "cnncli/cli/",
    "requests": "cnncli/data/download.py",
    "urllib3": "cnncli/data/download.py",
    "tqdm": "cnncli/data/download.py",
    "matplotlib": "cnncli/report/",
    "PIL": ("cnncli/data/", "cnncli/cli/drawing.py"),
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


IMPORTS = [each for path in FILES for each in imports_of(path)]


def part_of(dotted: str) -> str:
    """Return the part of the package that a module belongs to: "cnncli.nn.layers.conv" -> "nn"."""
    return dotted.split(".")[1] if "." in dotted else ""


def test_the_imports_were_found() -> None:
    assert {part_of(each.name) for each in IMPORTS if each.name.startswith("cnncli")} >= {
        "errors",
        "nn",
        "data",
    }


@pytest.mark.parametrize("part", BELOW)
def test_a_part_imports_only_what_lies_below_it(part: str) -> None:
    allowed = BELOW[part] | ANYWHERE | CONFIG_FILES | {part}
    wrong = [
        f"{each.file}:{each.line} imports {each.name}"
        for each in IMPORTS
        if each.name.split(".")[0] == "cnncli"
        and each.file.startswith((f"cnncli/{part}/", f"cnncli/{part}.py"))
        and part_of(each.name) not in allowed
        and not each.for_types_only
    ]
    assert not wrong, "\n".join(wrong)


def test_what_anything_may_import_lies_at_the_bottom() -> None:
    bottom = (ANYWHERE - {""}) | CONFIG_FILES
    wrong = [
        f"{each.file}:{each.line} imports {each.name}"
        for each in IMPORTS
        if each.name.startswith("cnncli.")
        and each.file.removeprefix("cnncli/").removesuffix(".py") in bottom
        and part_of(each.name) not in bottom
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("library", HOME)
def test_a_library_is_imported_in_its_home_only(library: str) -> None:
    wrong = [
        f"{each.file}:{each.line} imports {each.name}"
        for each in IMPORTS
        if each.name.split(".")[0] == library
        and not each.file.startswith(HOME[library])
        and not each.for_types_only
    ]
    assert not wrong, "\n".join(wrong)


def test_yaml_is_imported_where_configs_are_read_only() -> None:
    users = {each.file for each in IMPORTS if each.name.split(".")[0] == "yaml"}
    assert users <= {"cnncli/config.py", "cnncli/yaml_text.py"}


@pytest.mark.parametrize("library", ["matplotlib", "tqdm"])
def test_a_slow_library_is_imported_inside_functions(library: str) -> None:
    wrong = [
        f"{each.file}:{each.line}"
        for each in IMPORTS
        if each.name.split(".")[0] == library and not each.in_function and not each.for_types_only
    ]
    assert not wrong, "\n".join(wrong)


def test_nobody_imports_click() -> None:
    assert not [each for each in IMPORTS if each.name.split(".")[0] == "click"]


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
