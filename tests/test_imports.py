"""Structure: what imports what, what importing costs, and that every module has its tests.

A module imports only from lower levels. `data` is one level seen from outside; inside, and within
any other level, imports must not run in circles.
"""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import multimodal

PACKAGE = Path(str(multimodal.__file__)).parent
TESTS = Path(__file__).parent
LEVELS = {
    0: {"errors", "files", "config", "spec", "transforms", "targets", "boxes", "detection",
        "progress", "termination", "machine",
        "number_space", "json_records", "array_files", "encoded",
        "shares", "ridge", "penalised"},
    1: {"preset", "registry", "contracts", "losses", "metrics", "manifest", "sizes", "weights",
        "checkpoints", "members", "linear", "importance", "fit_files",
        "boosting", "category_means", "explained_rows"},
    2: {"ensemble", "layers", "poolings", "backbones", "transformer", "blend", "expert"},
    3: {"encoders", "fusion", "heads", "data", "evaluation"},
    4: {"builder", "baselines", "trees", "plots", "predictor", "catalogue", "answers",
        "contributions", "weight_axes", "units", "spread", "intervals", "conformal",
        "temperature", "row_features", "calibration", "importance_view", "gradients",
        "attribution", "gradient_scores", "standing_records", "search_space",
        "term_summaries", "expert_files"},
    5: {"training", "engines", "gallery", "vectors", "verdict", "audit_view", "withheld_view",
        "run", "run_files", "run_parts", "run_rows", "predictions", "class_plots", "box_plots",
        "interval_plots", "baseline_answers", "head_rows", "compared", "slices", "pictures",
        "figure_words", "reproduce_view", "provenance", "calibration_plots", "standings",
        "standings_verdict", "ranking"},
    6: {"fitting", "whole", "unfinished", "comparison", "finetune", "sections", "withheld",
        "head_kinds", "model_card", "sureness", "explain", "calibration_view", "fold_answers",
        "standings_view", "trials"},
    7: {"report", "report_rows", "study_folder", "tuning_records", "networks", "terminal",
        "request", "network_fits", "scoring"},
    8: {"steps"},
    9: {"workflow", "fits", "arms", "contest", "cross_validation",
        "search", "search_measures", "tuning"},
    10: {"commands", "cli"},
    11: {"__main__"},
}  # fmt: skip
LEVEL = {name: level for level, names in LEVELS.items() for name in names}
GRAPH = [
    "config", "spec", "errors", "registry", "contracts", "ensemble", "layers", "poolings",
    "backbones", "transformer", "transforms", "targets", "boxes", "losses", "metrics", "encoders",
    "fusion", "heads", "builder", "baselines", "training", "contributions", "members", "blend",
    "gradients", "attribution", "gradient_scores",
]  # fmt: skip
NOT_IN_GRAPH = {"tensorflow", "numpy", "pandas", "jax", "torch", "PIL", "sklearn"}
NOT_IN_DATA = {"builder", "baselines", "encoders", "fusion", "heads", "layers", "contracts",
               "registry", "losses", "metrics"}  # fmt: skip
WITHOUT_TESTS: set[str] = set()


def modules() -> list[str]:
    """Return every module below `multimodal` by its dotted name, without packages' own files."""
    paths = (path.relative_to(PACKAGE).with_suffix("") for path in PACKAGE.rglob("*.py"))
    return sorted(".".join(path.parts) for path in paths if path.name != "__init__")


def source(module: str) -> Path:
    path = PACKAGE.joinpath(*module.split("."))
    return path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__init__.py"


@cache
def imports(path: Path, *, top: bool = True) -> tuple[str, ...]:
    """Return the dotted names that a file imports: at module level, or (`top=False`) anywhere."""
    return tuple(name for node in _statements(path, top) for name in _names(node))


def _statements(path: Path, top: bool) -> Iterator[ast.AST]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        yield node
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if not (top and inside) and not _is_type_checking(node):
            todo += ast.iter_child_nodes(node)


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


def own_imports(module: str, *, top: bool = False) -> set[str]:
    """Return the modules and packages of this project that `module` imports."""
    known = {*modules(), *(path.parent.name for path in PACKAGE.glob("*/__init__.py"))}
    names = (name.removeprefix("multimodal.") for name in imports(source(module), top=top))
    return {name for name in names if name in known}


def family(module: str) -> str:
    return module.split(".")[0]


def test_every_module_has_a_level() -> None:
    assert {family(module) for module in modules()} == set(LEVEL)


@pytest.mark.parametrize("module", modules())
def test_imports_point_downwards(module: str) -> None:
    level, own = LEVEL[family(module)], family(module)
    wrong = {
        name
        for name in own_imports(module, top=True)
        if family(name) != own and LEVEL[family(name)] > level
    }
    assert not wrong, f"{module} (level {level}) imports from above: {wrong}"


def test_families_of_level_three_do_not_know_each_other() -> None:
    found = {
        (module, name)
        for module in modules()
        for name in own_imports(module)
        if LEVEL[family(module)] == LEVEL[family(name)] == 3 and family(module) != family(name)
    }
    assert not found


def test_no_imports_in_circles() -> None:
    graph = {module: own_imports(module, top=True) - {module} for module in modules()}
    while free := {module for module, needs in graph.items() if not needs & graph.keys()}:
        graph = {module: needs for module, needs in graph.items() if module not in free}
    assert not graph, f"imports run in circles among {sorted(graph)}"


@pytest.mark.parametrize("module", [m for m in modules() if family(m) in GRAPH])
def test_graph_half_imports_keras_alone(module: str) -> None:
    found = {name.split(".")[0] for name in imports(source(module))} & NOT_IN_GRAPH
    assert not found, f"{module} imports {found} at module level"
    assert "data" not in {family(name) for name in own_imports(module)}


@pytest.mark.parametrize("module", [m for m in modules() if family(m) == "data"])
def test_data_half_knows_no_models(module: str) -> None:
    assert not {family(name) for name in own_imports(module)} & NOT_IN_DATA
    assert "keras" not in {name.split(".")[0] for name in imports(source(module), top=False)}


def python(code: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return result.stdout


def test_importing_the_package_loads_no_backend() -> None:
    code = "import sys, multimodal; print(*sys.modules)"
    heavy = {"tensorflow", "keras", "pandas", "numpy", "matplotlib", "sklearn", "pydantic"}
    assert not heavy & set(python(code).split())


def test_exported_names_exist_and_are_listed() -> None:
    assert multimodal.__all__ == sorted(multimodal.__all__)
    assert dir(multimodal) == multimodal.__all__
    for name in multimodal.__all__:
        assert getattr(multimodal, name) is not None
    with pytest.raises(AttributeError, match="module 'multimodal' has no attribute 'nothing'"):
        _ = multimodal.nothing


@pytest.mark.parametrize("name", ["encoders", "fusion", "heads", "builder"])
def test_all_of_a_package_exists(name: str) -> None:
    module = importlib.import_module(f"multimodal.{name}")
    assert module.__all__ == sorted(module.__all__)
    assert all(hasattr(module, each) for each in module.__all__)


@pytest.mark.parametrize("name", ["encoders", "fusion", "heads"])
def test_a_package_exports_every_part_it_registers(name: str) -> None:
    from multimodal import registry

    package = importlib.import_module(f"multimodal.{name}")
    parts = {
        registry.get(kind, part).__name__
        for kind in registry.kinds()
        for part in registry.names(kind)
        if registry.get(kind, part).__module__.startswith(package.__name__ + ".")
    }
    assert parts == set(package.__all__)


def test_every_module_has_its_test_file() -> None:
    expected = {module: TESTS.joinpath(*module.split(".")) for module in modules()}
    absent = {
        module
        for module, path in expected.items()
        if module != "__main__" and not path.with_name(f"test_{path.name}.py").exists()
    }
    assert absent <= WITHOUT_TESTS
