"""Structure: which package may import which, and what importing one costs.

The table below is the whole of it. A package imports only itself and what its row names; nothing
lies beside the packages but `__init__`, `__main__` and `py.typed`; imports never run in circles.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import multimodal

PACKAGE = Path(str(multimodal.__file__)).parent
TESTS = Path(__file__).parent
GRAPH = ("core", "layers", "encoders", "fusion", "heads")
UPPER = ("models", "explain", "report", "export", "runs", "studies")
LOWER = (*GRAPH, "data", "evaluation", "runtime", *UPPER)
# what type checkers read of the aliases of modules in `integrations`
STUBS = ("ray.pyi", "sklearn.pyi")


class Row(NamedTuple):
    """What a package may import, and which heavy libraries importing all of it must not load.

    `names_no` is for what a library loads by itself, as TensorFlow does with Keras: no module of
    the package imports these.
    """

    may_import: tuple[str, ...]
    loads_no: tuple[str, ...] = ()
    names_no: tuple[str, ...] = ()


NO_KERAS = ("keras", "tensorflow")
# Keras itself loads what it finds installed: that these packages run without is seen in the
# environment of `.ci/run` that has none of them.
KERAS_ALONE = ("tensorflow", "jax", "torch", "numpy", "pandas", "scipy", "sklearn", "PIL")
TABLE = {
    "core": Row((), NO_KERAS),
    "layers": Row(("core",), names_no=KERAS_ALONE),
    "encoders": Row(("core", "layers"), names_no=KERAS_ALONE),
    "fusion": Row(("core", "layers"), names_no=KERAS_ALONE),
    "heads": Row(("core", "layers"), names_no=KERAS_ALONE),
    "data": Row(("core",), names_no=("keras",)),
    "evaluation": Row(("core", "data"), ("keras",)),
    "runtime": Row(("core", "data", "evaluation"), NO_KERAS),
    "models": Row(LOWER[:8]),
    "explain": Row(LOWER[:9]),
    "report": Row(("core", "data", "evaluation", "explain"), ("keras",)),
    "export": Row(("core", "data", "evaluation", "models", "runtime")),
    "runs": Row(LOWER[:12]),
    "studies": Row(LOWER[:13]),
    "serve": Row(LOWER[:13], NO_KERAS),
    "integrations": Row(LOWER),
    "cli": Row((*LOWER, "serve", "integrations"), (*NO_KERAS, "pandas", "numpy", "pydantic")),
}
MOST_LINES = 450


def modules() -> list[str]:
    """Return every module below `multimodal` by its dotted name, packages' own files included."""
    paths = (path.relative_to(PACKAGE).with_suffix("") for path in PACKAGE.rglob("*.py"))
    names = (".".join(path.parts).removesuffix("__init__").rstrip(".") for path in paths)
    return sorted(name for name in names if name not in ("", "__main__"))


def source(module: str) -> Path:
    path = PACKAGE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def statements(path: Path) -> Iterator[ast.AST]:
    """Yield what a file holds, but for what only type checkers read."""
    todo: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while todo:
        node = todo.pop()
        yield node
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            todo += ast.iter_child_nodes(node)


@cache
def imports(module: str, *, typing_too: bool = False) -> frozenset[str]:
    """Return the modules of this project that a module imports, anywhere in it."""
    path = source(module)
    nodes = ast.walk(ast.parse(path.read_text("utf-8"))) if typing_too else statements(path)
    known, found = set(modules()), set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("multimodal"):
            own = (node.module or "").removeprefix("multimodal").lstrip(".")
            names = {f"{own}.{alias.name}".lstrip(".") for alias in node.names}
            inside = names & known
            found |= inside | ({own} if own and inside != names else set())
    return frozenset(found)


def python(code: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return result.stdout


def test_the_table_names_every_package_and_nothing_lies_beside() -> None:
    beside = {path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"}
    assert beside == {*TABLE, *STUBS, "__init__.py", "__main__.py", "py.typed"}


@pytest.mark.parametrize("package", TABLE)
def test_imports_keep_the_direction(package: str) -> None:
    allowed = {package, *TABLE[package].may_import}
    wrong = {
        f"{module} imports {name}"
        for module in modules()
        if module.split(".")[0] == package
        for name in imports(module, typing_too=True)
        if name.split(".")[0] not in allowed
    }
    assert not wrong


def test_no_imports_in_circles() -> None:
    graph = {module: imports(module) - {module} for module in modules()}
    while free := {module for module, needs in graph.items() if not needs & graph.keys()}:
        graph = {module: needs for module, needs in graph.items() if module not in free}
    assert not graph, f"imports run in circles among {sorted(graph)}"


@pytest.mark.parametrize("package", [name for name, row in TABLE.items() if row.names_no])
def test_a_package_imports_nothing_that_its_row_forbids(package: str) -> None:
    named = {
        name.split(".")[0]
        for path in (PACKAGE / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        for name in _libraries(node)
    }
    assert not named & set(TABLE[package].names_no)


def _libraries(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


@pytest.mark.parametrize("package", [name for name, row in TABLE.items() if row.loads_no])
def test_importing_a_package_loads_no_more_than_its_row_says(package: str) -> None:
    names = [f"multimodal.{name}" for name in modules() if name.split(".")[0] == package]
    code = (
        f"import importlib, sys\n[importlib.import_module(name) for name in {names}]\n"
        "print(*sys.modules)"
    )
    assert not set(TABLE[package].loads_no) & set(python(code).split())


@pytest.mark.parametrize("module", modules())
def test_a_module_is_of_a_length_that_one_reads(module: str) -> None:
    assert len(source(module).read_text("utf-8").splitlines()) <= MOST_LINES


def test_every_package_has_its_tests() -> None:
    absent = {name for name in TABLE if not list((TESTS / name).rglob("test_*.py"))}
    assert not absent
