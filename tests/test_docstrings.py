"""The examples in docstrings give what they show; those of the graph half on every backend."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Iterable
from types import ModuleType

import pytest

import multimodal
from multimodal import encoders, fusion, heads
from multimodal.heads import losses, metrics
from multimodal.layers import registry

PACKAGES = (encoders, fusion, heads, losses, metrics)
ALONE = ("array_files", "backbones", "blend", "boxes", "category_means", "conformal", "contracts",
         "contributions", "errors", "files", "gradients", "importance", "importance_view",
         "intervals", "json_records", "layers", "manifest", "members", "number_space", "poolings",
         "registry", "row_features", "sizes", "spread", "targets", "transformer", "transforms",
         "vectors", "weights")  # fmt: skip
DATA_HALF = (
    ("data.terms", "data.term_bags", "explain", "ridge", "expert")
    if importlib.util.find_spec("tensorflow")
    else ()
)


def modules(names: Iterable[str]) -> list[str]:
    """Return modules, and those of packages, by their dotted names."""
    found = []
    for name in (f"{multimodal.__name__}.{name}" for name in names):
        spec = importlib.util.find_spec(name)
        folders = (spec and spec.submodule_search_locations) or []
        found += [name, *(f"{name}.{each.name}" for each in pkgutil.iter_modules(folders))]
    return found


MODULES = (
    modules(DATA_HALF)
    + [f"{multimodal.__name__}.{name}" for name in ALONE]
    + [
        f"{package.__name__}.{found.name}"
        for package in PACKAGES
        for found in pkgutil.iter_modules(package.__path__)
    ]
)
REGISTERED = [(kind, name) for kind in registry.kinds() for name in registry.names(kind)]


def examples(module: ModuleType) -> list[doctest.DocTest]:
    """Return the docstrings of a module that hold examples."""
    return [test for test in doctest.DocTestFinder().find(module) if test.examples]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        registry, "_PARTS", {kind: dict(parts) for kind, parts in registry._PARTS.items()}
    )
    for test in examples(importlib.import_module(name)):
        shown: list[str] = []
        failed, _tried = doctest.DocTestRunner(verbose=False).run(test, out=shown.append)
        assert not failed, "".join(shown)


@pytest.mark.parametrize(("kind", "name"), REGISTERED)
def test_parts_say_what_they_take(kind: str, name: str) -> None:
    cls = registry.get(kind, name)
    text = inspect.getdoc(cls) or ""
    for option in registry.options(cls):
        assert f"    {option}: " in text, f"{cls.__name__} does not explain `{option}`"
    if kind.endswith(("encoder", "fusion", "head")):
        assert ">>> " in text, f"{cls.__name__} shows no example"
