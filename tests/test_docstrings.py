"""The examples in docstrings give what they show; those of the graph half on every backend."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import inspect
import pkgutil
import sys
from types import ModuleType

import pytest

import multimodal
from multimodal.layers import registry

GRAPH = ("core", "layers", "encoders", "fusion", "heads")
HAS_TENSORFLOW = importlib.util.find_spec("tensorflow") is not None
MODULES = [
    found.name
    for found in pkgutil.walk_packages(multimodal.__path__, f"{multimodal.__name__}.")
    if not found.name.endswith("__main__") and (HAS_TENSORFLOW or found.name.split(".")[1] in GRAPH)
]
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
    forget_examples()


def forget_examples() -> None:
    """Let Keras forget classes that an example registered: they are in no module."""
    if "keras" not in sys.modules:
        return
    known = sys.modules["keras"].saving.get_custom_objects()
    for key, cls in list(known.items()):
        home = sys.modules.get(getattr(cls, "__module__", ""))
        if key.startswith("multimodal>") and getattr(home, cls.__name__, None) is not cls:
            del known[key]


@pytest.mark.parametrize(("kind", "name"), REGISTERED)
def test_parts_say_what_they_take(kind: str, name: str) -> None:
    cls = registry.get(kind, name)
    text = inspect.getdoc(cls) or ""
    for option in registry.options(cls):
        assert f"    {option}: " in text, f"{cls.__name__} does not explain `{option}`"
    if kind.endswith(("encoder", "fusion", "head")):
        assert ">>> " in text, f"{cls.__name__} shows no example"
